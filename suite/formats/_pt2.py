"""The inside of a ``.pt2`` archive, read without torch: what is stored, and what torch would unpickle or run.

``torch.export.load`` of torch 2.13 unpickles ``data/sample_inputs`` (falling back to ``weights_only=False``) and
payloads marked ``use_pickle``, evaluates ``expr_str`` with sympy, executes ``guards_code``, and resolves node
targets as attributes of ``torch``. `Archive.findings` refuses what goes beyond a plain exported program;
`Archive.write_clean` copies the rest without sample inputs, guards and tracebacks, so that torch reads only bytes
which were looked at here.
"""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from suite.errors import InputError
from suite.formats._files import only_file
from suite.formats.base import Description, Signature

PROGRAM = "models/model.json"
WEIGHTS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
SAMPLES = "data/sample_inputs/"
MAX_SAMPLE_BYTES = 100_000_000
_FRAME = ("archive_format", "archive_version")
_DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
           9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16",
           29: "float8_e4m3fn", 30: "float8_e5m2", 31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz",
           33: "float8_e8m0fnu", 34: "uint32", 35: "uint64"}  # fmt: skip
_BITS = {"8": 1, "16": 2, "32": 4, "64": 8, "128": 16}
_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|quantized_decomposed|quantized|torchao|torchvision)\.(?!from_file|save|load)\w+(\.\w+)?"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|associative_scan|map_impl|wrap_with_set_grad_enabled|"
    r"wrap_with_autocast|auto_functionalized|auto_functionalized_v2)|torch\.sym_\w+|math\.trunc"
    r"|_operator\.(eq|ne|le|ge|lt|gt|neg|pos|mul|add|sub|floordiv|mod|pow|truediv|and_|or_|lshift|rshift|getitem)"
)
_TEXT = re.compile(r"[\w.,:<>\[\]*/+# -]*")  # no quotes, brackets of calls, newlines: torch writes some into code
_FUNCTIONS = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Pow|Mod|Max|"
    r"Min|Abs|And|Or|Not|Eq|Ne|Lt|Le|"
    r"Gt|Ge|Equality|Unequality|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan|Piecewise|"
    r"floor|ceiling|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv|CeilToInt|FloorToInt|"
    r"CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|IsNonOverlappingAndDenseIndicator|TruncToFloat|"
    r"TruncToInt|RoundToInt|RoundDecimal|ToFloat|Identity"
)
_EXPRESSION = (ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp,
               ast.operator, ast.unaryop, ast.Compare, ast.cmpop)  # fmt: skip
_ZIP_END, _ZIP_END_BYTES = b"PK\5\6", 22
_TREES = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict"})


@dataclass(frozen=True)
class Archive:
    """One ``.pt2`` file.

    Attributes:
        path: the file.
        root: the one folder that all members lie in.
        members: member name below the root to its size in bytes.
    """

    path: Path
    root: str
    members: dict[str, int]

    @classmethod
    def open(cls, weights: Path) -> Archive:
        """Read the directory of the zip file, or of the only one in a folder.

        Raises:
            InputError: not a zip file, or not one as ``torch.export.save`` writes it.
        """
        path = only_file(weights, ".pt2")
        try:
            with zipfile.ZipFile(path) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise InputError(f"{path.name} is not a readable .pt2 archive ({error}); the file may be cut off") from None
        if not entries or min(entry.header_offset for entry in entries) or not _ends(path):
            # the sample inputs are a zip file too: a cut archive can look like that one
            raise InputError(f"{path.name} is not one whole .pt2 archive; it may be cut off, copy it again")
        names = [entry.filename for entry in entries]
        roots = {PurePosixPath(name).parts[0] for name in names if name}
        if len(roots) != 1 or len(set(names)) != len(names) or any(not _inside(name) for name in names):
            raise InputError(f"{path.name}: members outside one folder, or twice; write it with torch.export.save")
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise InputError(f"{path.name}: members are compressed or encrypted; write it with torch.export.save")
        root = roots.pop()
        members = {entry.filename.removeprefix(f"{root}/"): entry.file_size for entry in entries}
        return cls(path, root, members)

    @cached_property
    def program(self) -> dict[str, Any]:
        """The exported program, as parsed JSON."""
        return self._json(PROGRAM)

    @cached_property
    def payloads(self) -> list[tuple[str, dict[str, Any]]]:
        """(member that holds the bytes, what its configuration says) of every stored weight and constant."""
        found = []
        for config in WEIGHTS:
            stored = self._json(config).get("config")
            if not isinstance(stored, dict) or not all(isinstance(meta, dict) for meta in stored.values()):
                raise InputError(
                    f"{self.path.name}: {config} has not the expected layout; write it with torch.export.save"
                )
            folder = config.rpartition("/")[0]
            found += [(f"{folder}/{meta.get('path_name')}", meta) for meta in stored.values()]
        return found

    @property
    def sample_bytes(self) -> int:
        """Bytes of the stored sample inputs."""
        return sum(size for name, size in self.members.items() if name.startswith(SAMPLES))

    def findings(self) -> list[str]:
        """Reasons not to load this archive, one line each."""
        name = self.path.name
        again = "export the model again with torch.export.save of torch 2.9 or later"
        compiled = next((m for m in self.members if m.startswith("data/aotinductor/") or m.endswith(".so")), None)
        if compiled:
            return [f"{name} holds compiled code ({compiled}, AOTInductor), which is never run; {again}"]
        if PROGRAM not in self.members or any(config not in self.members for config in WEIGHTS):
            return [f"{name} has no {PROGRAM} with its weights' configuration; {again}, one model named 'model'"]
        if self.sample_bytes > MAX_SAMPLE_BYTES:
            return [
                f"{name} stores {self.sample_bytes} bytes of sample inputs, allowed are {MAX_SAMPLE_BYTES}: a slice "
                "keeps the whole tensor it was cut from; export the model again with inputs that were cloned"
            ]
        if not all(_plain_tensor(meta) for _, meta in self.payloads):
            return [f"{name}: a weight or constant is a pickle (use_pickle, or an object), never read here; {again}"]
        missing = next((member for member, _ in self.payloads if member not in self.members), None)
        if missing:
            return [f"{name}: {missing} is missing; the file is incomplete, {again}"]
        try:
            unsafe = next(_unsafe(self.program), None)
        except RecursionError:
            unsafe = "nesting too deep to check"
        return (
            [f"{name}: the program holds {unsafe}, which is not part of a plain exported program; {again}"]
            if unsafe
            else []
        )

    def describe(self) -> Description:
        """Stored tensors by dtype, and the shapes of the first input and output.

        Raises:
            InputError: the archive's JSON is not as expected.
        """

        def sizes(member: str, meta: dict[str, Any]) -> tuple[str, int, int]:
            dtype = _DTYPES.get(meta["tensor_meta"]["dtype"], "unknown")
            return dtype, self.members[member], self.members[member] // item_bytes(dtype)

        try:
            return Description.of((sizes(*one) for one in dict(self.payloads).items()), self._signature())
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputError(f"{self.path.name} has not the layout of torch.export.save ({error!r} missing)") from None

    def write_clean(self, target: Path) -> None:
        """Write a copy that torch can load without unpickling or executing anything of the original's."""
        from torch.export.pt2_archive import PT2ArchiveWriter

        program = {**_without_metadata(self.program), "guards_code": []}
        with zipfile.ZipFile(self.path) as archive, PT2ArchiveWriter(str(target)) as writer:
            for member in [*_FRAME, *WEIGHTS, *dict(self.payloads)]:
                writer.write_bytes(member, archive.read(f"{self.root}/{member}"))
            writer.write_bytes(PROGRAM, json.dumps(program).encode())
            writer.write_bytes(f"{SAMPLES}model.pt", b"")

    def _json(self, member: str) -> dict[str, Any]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                value = json.loads(archive.read(f"{self.root}/{member}"))
        except (KeyError, ValueError, RecursionError, zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{self.path.name}: {member} cannot be read ({error}); export the model again") from None
        if not isinstance(value, dict):
            raise InputError(f"{self.path.name}: {member} is not a JSON object; export the model again")
        return value

    def _signature(self) -> Signature:
        module = self.program["graph_module"]
        tensors = module["graph"]["tensor_values"]

        def first(specs: list[dict[str, Any]], kind: str) -> tuple[int | None, ...]:
            name = next(spec[kind]["arg"]["as_tensor"]["name"] for spec in specs if kind in spec)
            return tuple(size.get("as_int") for size in tensors[name]["sizes"])

        signature = module["signature"]
        return Signature(first(signature["input_specs"], "user_input"), first(signature["output_specs"], "user_output"))


def item_bytes(dtype: str) -> int:
    """Bytes of one element; 1 where the name does not tell."""
    digits = re.search(r"\d+", dtype)
    return _BITS.get(digits.group(), 1) if digits else 1


def _ends(path: Path) -> bool:
    """Whether a zip file's directory is the last thing in it."""
    with path.open("rb") as stream:
        stream.seek(-_ZIP_END_BYTES, 2)
        return stream.read(len(_ZIP_END)) == _ZIP_END


def _plain_tensor(meta: dict[str, Any]) -> bool:
    """Whether a payload is raw tensor bytes; torch unpickles ``custom_obj_*`` and ``opaque_obj_*`` whatever is said."""
    named = re.fullmatch(r"(weight|tensor)_\d+", str(meta.get("path_name")))
    return named is not None and meta.get("use_pickle") is False and isinstance(meta.get("tensor_meta"), dict)


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and len(path.parts) > 1


def _without_metadata(value: Any) -> Any:
    """The same JSON with every node's metadata (tracebacks, module paths) emptied."""
    if isinstance(value, dict):
        return {key: {} if key == "metadata" else _without_metadata(part) for key, part in value.items()}
    return [_without_metadata(part) for part in value] if isinstance(value, list) else value


def _unsafe(value: Any, key: str = "") -> Iterator[str]:
    """What in a program's JSON could make torch run something else than tensor operators."""
    if key in ("metadata", "guards_code"):
        return  # not copied
    if isinstance(value, dict):
        for name, part in value.items():
            if not _TEXT.fullmatch(name):
                yield f"the name {name[:80]!r}"
            yield from _unsafe(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _unsafe(part, key)
    elif isinstance(value, str) and not _safe_text(key, value):
        yield f"{key} = {value[:80]!r}"


def _safe_text(key: str, text: str) -> bool:
    if key == "expr_str":
        return _safe_expression(text)
    if key in ("in_spec", "out_spec"):
        return not text or _safe_tree(text)
    if key in ("target", "as_operator"):
        return bool(_OPERATORS.fullmatch(text)) or (
            key == "target"
            and re.fullmatch(r"[\w.]*", text) is not None
            and not text.startswith(("torch", "_operator", "math"))
        )
    return bool(_TEXT.fullmatch(text))


def _safe_expression(text: str) -> bool:
    """Whether sympy's parser, which evaluates Python, would see only sizes' arithmetic."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in nodes:
        if not isinstance(node, _EXPRESSION):
            return False
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and _FUNCTIONS.fullmatch(node.func.id)):
            return False
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not re.fullmatch(r"\w+", node.value):
            return False
    return True


def _safe_tree(text: str) -> bool:
    """Whether a serialised pytree is made of tuples, lists and dicts with plain names."""

    def safe(tree: Any) -> bool:
        context = tree["context"]
        return (
            tree["type"] in _TREES
            and (context is None or re.fullmatch(r'null|\[("\w+"(, "\w+")*)?\]', context) is not None)
            and all(safe(child) for child in tree["children_spec"])
        )

    try:
        return safe(json.loads(text)[1])
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return False

"""Files of a submission: their digest, their size, and which of them may never be read.

Everything here looks at bytes; nothing is imported, unpickled or run. What one format asks of its own files
is checked by ``suite.formats``.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import pickletools
import re
import stat
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from suite.errors import InputError

PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt"})
CODE_SUFFIXES = frozenset({".py", ".pyc", ".pyd", ".pyo", ".so", ".dll", ".dylib", ".sh", ".bat", ".exe"})
_HEAD = 1 << 16  # bytes of a file's start that are looked at
_WHY_PICKLE = "reading a pickle can run any code; save the weights as .safetensors, .onnx or .pt2"
_WHY_CODE = "a submission's code is never run; keep scripts beside the manifest, outside the weights folder"
_WHY_LINK = "what it points to is no part of the submission; put a copy of the file in its place"
_MAX_HEADER_BYTES = 100_000_000  # of safetensors
_LENGTH_BYTES = 8
_MIN_OPCODES = 4  # raw bytes that begin like a pickle seldom parse that far
_NATIVE = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


def digest(path: Path) -> str:
    r"""sha256 of a file's bytes, or of a folder's listing.

    The listing of a folder has one line ``"<sha256>  <relative path>\n"`` for each regular file below it
    (``/`` between path parts, UTF-8); the lines themselves are sorted, so that it equals
    ``sha256sum * | LC_ALL=C sort | sha256sum``. A link to a file counts as the file.

    Raises:
        InputError: nothing there, a dangling link, or a file name that the listing cannot hold.
    """
    if path.is_file():
        return _sha256(path)
    if not path.is_dir():
        raise InputError(f"no file or folder at {path}")
    lines = []
    for name, file in sorted(_walk(path)):
        if file.is_symlink() and not file.exists():
            raise InputError(f"{path.name}/{name} is a link to nothing; {_WHY_LINK}")
        if file.is_file():
            if not _plain_name(name):
                raise InputError(
                    f"the file name {name!r} in {path} has control characters or is not Unicode; rename it"
                )
            lines.append(f"{_sha256(file)}  {name}\n".encode())
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def total_bytes(path: Path) -> int:
    """Bytes of a file, or of all regular files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for _, file in _walk(path) if file.is_file())


def unsafe_files(weights: Path) -> list[str]:
    """Why these files must not be handed to any loader, one line each; empty when nothing was found.

    Refused: links that leave the folder or dangle, links to folders, code, pickles (by name and by content),
    TorchScript and compiled programs. A `weights` folder that is itself a link is the caller's choice.
    """
    files = sorted(_walk(weights)) if weights.is_dir() else [(weights.name, weights)]
    found = []
    for name, file in files:
        reason = _refusal(name, file, _roots(weights))
        if reason:
            found.append(f"{name if _plain_name(name) else repr(name)}: {reason}")
    return found


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins with `head` has the frame of a safetensors file: a length, then a JSON object."""
    length = int.from_bytes(head[:8], "little")
    if length > _MAX_HEADER_BYTES or not re.match(rb'\{\s*["}]', head[_LENGTH_BYTES:]):
        return False
    if _LENGTH_BYTES + length > len(head):
        return True  # too long to parse here; suite.formats parses all of it
    try:
        return isinstance(json.loads(head[_LENGTH_BYTES : _LENGTH_BYTES + length]), dict)
    except (ValueError, RecursionError):
        return False


def is_pickle(head: bytes) -> bool:
    r"""Whether a file that begins with `head` is a pickle, told from its opcodes without running them.

    >>> is_pickle(b"\x80\x04]\x94."), is_pickle(b"cos\nsystem\n(S'true'\ntR."), is_pickle(b'{"a": 1}')
    (True, True, False)
    """
    names: list[str] = []
    with warnings.catch_warnings(), contextlib.suppress(ValueError, IndexError, OverflowError):
        warnings.simplefilter("ignore")  # of escapes in what is no text
        for opcode, argument, _ in pickletools.genops(head):
            names.append(opcode.name)
            if opcode.name in ("GLOBAL", "INST") and not re.fullmatch(r"[\w.]+ [\w.]+", str(argument)):
                return False
    # an error means cut off, or no pickle: what was read so far decides
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return names[-1:] == ["STOP"] or len(names) >= _MIN_OPCODES
    calls = {"REDUCE", "BUILD", "INST", "OBJ"}
    return names[-1:] == ["STOP"] and ("GLOBAL" in names or "INST" in names) and not calls.isdisjoint(names)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Everything below a folder that is not a folder itself, links to folders included: (relative path, path)."""
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in files + links:
            file = Path(parent) / name
            yield file.relative_to(folder).as_posix(), file


def _plain_name(name: str) -> bool:
    return not any(ord(char) < ord(" ") or "\ud800" <= char <= "\udfff" for char in name)


def _roots(weights: Path) -> list[Path]:
    """Folders that a link may lead to: the weights' own, and the blobs of a snapshot in the Hugging Face cache."""
    own = weights if weights.is_dir() else weights.parent
    blobs = own.resolve().parent.parent / "blobs"
    return [own.resolve(), blobs] if own.resolve().parent.name == "snapshots" else [own.resolve()]


def _refusal(name: str, file: Path, roots: list[Path]) -> str | None:
    """The first reason against one file."""
    if not _plain_name(name):
        return "the name has control characters or is not Unicode; rename it"
    if file.is_symlink():
        reason = _link_refusal(file, roots)
        if reason:
            return reason
    if not stat.S_ISREG(file.stat().st_mode):
        return "not a regular file; a weights folder holds only files"
    return _name_refusal(file) or _content_refusal(file)


def _link_refusal(link: Path, roots: list[Path]) -> str | None:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        return f"a link to nothing ({os.readlink(link)}); {_WHY_LINK}"
    if not any(target.is_relative_to(root) for root in roots):
        return f"a link that leaves the folder (to {os.readlink(link)}); {_WHY_LINK}"
    return f"a link to a folder; {_WHY_LINK}" if target.is_dir() else None


def _name_refusal(file: Path) -> str | None:
    suffix = file.suffix.lower()
    if suffix in CODE_SUFFIXES or ".so." in file.name.lower():
        return f"code ({suffix}); {_WHY_CODE}"
    if suffix == ".bin" and _is_openvino(file.with_suffix(".xml")):
        return None  # raw tensors; what is inside is looked at as in any file
    if suffix in PICKLE_SUFFIXES:
        return f"{suffix} files are pickles; {_WHY_PICKLE}"
    return None


def _is_openvino(graph: Path) -> bool:
    """Whether a file is the graph of an OpenVINO IR, whose tensors lie in a ``.bin`` of the same name."""
    if not graph.is_file():
        return False
    with graph.open("rb") as stream:
        return re.match(rb"(<\?xml[^>]*\?>\s*)?<net\s", stream.read(_HEAD)) is not None


def _content_refusal(file: Path) -> str | None:
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
    if is_safetensors(head):
        return None
    if head.startswith(_NATIVE) or (head.startswith(b"MZ") and b"PE\0\0" in head[:1024]):
        return f"a compiled program, whatever its name; {_WHY_CODE}"
    if is_pickle(head):
        return f"a pickle renamed {file.suffix or 'to have no suffix'}; {_WHY_PICKLE}"
    if head.startswith(b"\x93NUMPY") and _holds_objects(head):
        return f"a NumPy file of Python objects, which are pickled; {_WHY_PICKLE}"
    if head[257:262] == b"ustar":
        return f"a tar archive, as old torch.save wrote; {_WHY_PICKLE}"
    return _zip_refusal(file) if zipfile.is_zipfile(file) else None


def _holds_objects(head: bytes) -> bool:
    """Whether the header of a .npy file states a dtype with objects; a header that cannot be read counts as one."""
    size, start = (2, 10) if head[6] == 1 else (4, 12)
    try:
        header = ast.literal_eval(head[start : start + int.from_bytes(head[8 : 8 + size], "little")].decode("latin1"))
        return "O" in str(header["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        return True


def _zip_refusal(file: Path) -> str | None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            arrays = [archive.open(name).read(_HEAD) for name in names if name.endswith(".npy")]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, OSError) as error:
        return f"a zip archive that cannot be read ({error}); make it again"
    if any(_holds_objects(array) for array in arrays if array.startswith(b"\x93NUMPY")):
        return f"NumPy arrays of Python objects, which are pickled; {_WHY_PICKLE}"
    members = [PurePosixPath(name.replace("\\", "/")) for name in names]
    return next((reason for reason in map(_member_refusal, members) if reason), None)


def _member_refusal(member: PurePosixPath) -> str | None:
    """Why an archive with this member is refused."""
    if ".." in member.parts or member.is_absolute():
        return "a zip archive with a member outside itself; make it again with torch.export.save"
    if "code" in member.parts[:2] or member.name == "constants.pkl":
        return "TorchScript, which is code with a pickle; export the model with torch.export.save or to ONNX"
    if member.suffix in CODE_SUFFIXES or "aotinductor" in member.parts:
        return f"holds compiled code ({member}, AOTInductor); export the model with torch.export.save instead"
    if member.suffix in (".pkl", ".pickle", ".joblib"):
        return f"a zip archive with a pickle in it ({member}); {_WHY_PICKLE}"
    return None

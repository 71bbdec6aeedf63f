"""An OpenVINO IR (``.xml`` with its ``.bin``) read without running it: operators, stored tensors, shapes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from xml.etree import ElementTree

from suite.errors import InputError
from suite.formats._errors import one_line
from suite.formats._files import only_file
from suite.formats._tokenizer import config_context
from suite.formats.base import Description, Signature

_DTYPES = {"boolean": "bool", "f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_FORBIDDEN = (b"<!DOCTYPE", b"<!ENTITY")
_WHOLE = re.compile(r"^([iu])(\d+)$")
_OPSET = re.compile(r"opset\d+")


@dataclass(frozen=True)
class Const:
    """A stored tensor: OpenVINO's type, elements, and where its bytes lie in the ``.bin``."""

    dtype: str
    elements: int
    offset: int
    size: int


@dataclass(frozen=True)
class Graph:
    """A parsed file.

    Attributes:
        root: the element ``net``.
        file: the ``.xml``.
    """

    root: ElementTree.Element
    file: Path

    @property
    def layers(self) -> tuple[ElementTree.Element, ...]:
        """Elements ``layer`` of the main graph and of every graph inside it."""
        return tuple(self.root.iter("layer"))

    @classmethod
    def open(cls, weights: Path) -> Graph:
        """Parse a folder's graph.

        Raises:
            InputError: no IR.
        """
        file = model_file(weights)
        content = file.read_bytes()
        if any(word in content for word in _FORBIDDEN):
            raise InputError(f"{file.name} declares XML entities, which no export does; export the model again")
        try:
            root = ElementTree.fromstring(content)
        except (ElementTree.ParseError, ValueError) as error:
            raise InputError(f"{file.name} is not readable XML ({one_line(error)}); it may be cut off") from None
        graph = cls(root, file)
        if root.tag != "net" or not graph.layers:
            raise InputError(f"{file.name} is not an OpenVINO IR: it has no <net> with layers; use openvino.save_model")
        return graph

    def consts(self) -> list[Const]:
        """Stored tensors.

        Raises:
            InputError: one that is described wrongly.
        """
        found = []
        for layer in self.layers:
            data = layer.find("data")
            if layer.get("type") != "Const" or data is None:
                continue
            try:
                shape = [int(size) for size in (data.get("shape") or "").split(",") if size.strip()]
                numbers = [int(data.get(key, "0")) for key in ("offset", "size")]
            except ValueError:
                shape = numbers = [-1, -1]
            if min([*shape, *numbers]) < 0:
                raise InputError(f"{self.file.name}: the tensor {layer.get('name')!r} has no shape and place")
            found.append(Const(data.get("element_type", "?"), prod(shape), *numbers))
        return found

    def findings(self) -> list[str]:
        """Reasons to refuse it: operators from elsewhere, or tensors beyond the ``.bin``."""
        for layer in self.layers:
            if not _OPSET.fullmatch(layer.get("version", "")):
                kind = f"{layer.get('version')}.{layer.get('type')}"
                return [f"{self.file.name} uses the operator {kind}; allowed are OpenVINO's own (opset1, opset2, ...)"]
        binary = self.file.with_suffix(".bin")
        consts = self.consts()
        if not binary.is_file():
            return [f"{self.file.name} has no {binary.name} beside it; copy the whole folder"] if consts else []
        wanted, size = max((one.offset + one.size for one in consts), default=0), binary.stat().st_size
        if wanted > size:
            return [f"{binary.name} is truncated: expected at least {wanted} bytes, found {size}; copy it again"]
        return []

    def described(self, context: int | None = None) -> Description:
        """Stored tensors by dtype (those that share their bytes once), shapes of the first input and output."""
        once = {one.offset: one for one in reversed(self.consts()) if one.size}
        sizes = ((dtype_of(one.dtype), one.size, one.elements) for one in reversed(once.values()))
        return Description.of(sizes, self._signature(), context)

    def _signature(self) -> Signature | None:
        given = next((layer.find("data") for layer in self.layers if layer.get("type") == "Parameter"), None)
        made = next((layer.find("input/port") for layer in self.layers if layer.get("type") == "Result"), None)
        if given is None or made is None:
            return None
        first = tuple(_size(part) for part in (given.get("shape") or "").split(","))
        return Signature(first, tuple(_size(dim.text or "") for dim in made.findall("dim")))


def dtype_of(kind: str) -> str:
    """Our name of an element type.

    >>> dtype_of("f16"), dtype_of("u4"), dtype_of("i8")
    ('float16', 'uint4', 'int8')
    """
    return _DTYPES.get(kind, _WHOLE.sub(lambda found: {"i": "int", "u": "uint"}[found[1]] + found[2], kind))


def model_file(weights: Path) -> Path:
    """The only ``.xml`` of a folder.

    Raises:
        InputError: a file (whose digest would not cover the ``.bin``), none, or several.
    """
    if not weights.is_dir():
        raise InputError(f"{weights.name} must be the folder of the .xml and its .bin: the sha256 covers both")
    return only_file(weights, ".xml")


def describe(weights: Path) -> Description:
    """Static description of a folder."""
    return Graph.open(weights).described(config_context(weights))


def _size(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isdecimal() else None

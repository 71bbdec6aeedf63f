"""A GGUF file's header read without running it: keys, tensors, sizes; every number is held against the file's size."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from suite.errors import InputError
from suite.formats._files import only_file
from suite.formats.base import Description

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LEAST_KEY, _LEAST_TENSOR = 13, 24  # bytes of a key and of a tensor's entry in the header, at least
_MOST_AXES = 4
_ALIGNMENT = 32
_LENGTH_BYTES = 8  # of a text
_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "f64": "float64"}


@dataclass(frozen=True)
class Tensor:
    """A stored tensor: its shape (NumPy's order), GGML's type, bytes, and offset behind the header."""

    shape: tuple[int, ...]
    dtype: str
    size: int
    offset: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        keys: metadata by name.
        tensors: by name, in the file's order.
        begin: where the tensors' bytes begin.
        places: of each key whose value is one text: where its bytes begin and end.
    """

    keys: dict[str, Any]
    tensors: dict[str, Tensor]
    begin: int
    places: dict[str, tuple[int, int]]

    @property
    def architecture(self) -> str:
        """E.g. ``llama``."""
        return str(self.keys.get("general.architecture", ""))

    @property
    def context(self) -> int | None:
        """Positions of the model, if it states them."""
        stated = self.keys.get(f"{self.architecture}.context_length")
        return stated if isinstance(stated, int) else None

    def described(self) -> Description:
        """Stored tensors by type, codes and their scales together."""
        tensors = self.tensors.values()
        return Description.of(((one.dtype, one.size, prod(one.shape)) for one in tensors), context=self.context)


def model_file(weights: Path) -> Path:
    """The ``.gguf`` file itself, or the only one in a folder.

    Raises:
        InputError: none, or several.
    """
    return only_file(weights, ".gguf")


def read_header(file: Path) -> Header:
    """Keys and tensors of a file.

    Raises:
        InputError: no GGUF file, cut off, or with numbers that cannot be.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        try:
            header = _read(_Reader(stream, size))
        except (struct.error, ValueError, RecursionError, OverflowError, KeyError) as error:
            raise InputError(f"{file.name} is not a readable GGUF file: {error}") from None
    wanted = header.begin + max((tensor.offset + tensor.size for tensor in header.tensors.values()), default=0)
    if wanted > size:
        raise InputError(f"{file.name} is truncated: expected at least {wanted} bytes, found {size}; copy it again")
    return header


def findings(weights: Path) -> list[str]:
    """Reasons to refuse a file beside those that `read_header` raises.

    Raises:
        InputError: as `read_header`.
    """
    header = read_header(model_file(weights))
    if not header.tensors or not header.architecture:
        return [f"{weights.name} holds no model: no general.architecture, or no tensors"]
    return []


class _Reader:
    """Reads values of a stream; asks for no more than the file can hold."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size = stream, size

    @property
    def left(self) -> int:
        return self._size - self._stream.tell()

    @property
    def at(self) -> int:
        return self._stream.tell()

    def raw(self, count: int) -> bytes:
        if count > self.left:
            raise ValueError(f"it asks for {count} bytes where {self.left} are left")
        return self._stream.read(count)

    def number(self, kind: str) -> Any:
        return struct.unpack("<" + kind, self.raw(struct.calcsize("<" + kind)))[0]

    def count(self, least: int, what: str) -> int:
        """A number of things that take at least so many bytes each."""
        stated = int(self.number("Q"))
        if stated * least > self.left:
            raise ValueError(f"it states {stated} {what}, its {self._size} bytes cannot hold them")
        return stated

    def text(self) -> str:
        return self.raw(self.count(1, "characters")).decode(errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            if kind not in _SCALARS:
                raise ValueError(f"it holds a value of the unknown type {kind}")
            return self.number(_SCALARS[kind])
        inner = self.number("I")
        if inner == _ARRAY:
            raise ValueError("it holds lists of lists")
        least = struct.calcsize("<" + _SCALARS[inner]) if inner in _SCALARS else 8
        count = self.count(least, "list entries")
        if inner in _SCALARS:
            return list(struct.unpack(f"<{count}{_SCALARS[inner]}", self.raw(count * least)))
        return [self.value(inner) for _ in range(count)]


def _read(reader: _Reader) -> Header:
    if reader.raw(4) != _MAGIC:
        raise ValueError("it does not begin with GGUF")
    version = reader.number("I")
    if version not in _VERSIONS:
        raise ValueError(f"version {version}, allowed are 2 and 3 of little endian")
    tensors = reader.count(_LEAST_TENSOR, "tensors")
    keys: dict[str, Any] = {}
    places: dict[str, tuple[int, int]] = {}
    for _ in range(reader.count(_LEAST_KEY, "keys")):
        name = reader.text()
        if name in keys:
            raise ValueError(f"the key {name!r} comes twice")
        kind, begin = reader.number("I"), reader.at + _LENGTH_BYTES
        keys[name] = reader.value(kind)
        if kind == _STRING:
            places[name] = (begin, reader.at)
    found: dict[str, Tensor] = {}
    for _ in range(tensors):
        name, tensor = _tensor(reader)
        if name in found:
            raise ValueError(f"the tensor {name!r} comes twice")
        found[name] = tensor
    alignment = keys.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError(f"general.alignment is {alignment!r}")
    return Header(keys, found, -(-reader.at // alignment) * alignment, places)


def _tensor(reader: _Reader) -> tuple[str, Tensor]:
    name, axes = reader.text(), reader.number("I")
    if axes > _MOST_AXES:
        raise ValueError(f"the tensor {name!r} has {axes} axes")
    shape = tuple(reader.number("Q") for _ in range(axes))[::-1]
    kind, offset = reader.number("I"), reader.number("Q")
    sizes = _sizes()
    if kind not in sizes:
        raise ValueError(f"the tensor {name!r} has the unknown type {kind}")
    dtype, block, block_bytes = sizes[kind]
    if shape and shape[-1] % block:
        raise ValueError(f"the tensor {name!r} of {shape} is not made of blocks of {block}")
    return name, Tensor(shape, dtype, prod(shape) // block * block_bytes, offset)


def _sizes() -> dict[int, tuple[str, int, int]]:
    """GGML's types: name, elements of a block, and its bytes."""
    try:
        from gguf import GGML_QUANT_SIZES
    except ImportError:
        raise InputError("GGUF files need gguf: pip install 'hallmark-bench[gguf]'") from None
    named = {kind: kind.name.lower() for kind in GGML_QUANT_SIZES}
    return {int(kind): (_NAMES.get(name, name), *GGML_QUANT_SIZES[kind]) for kind, name in named.items()}

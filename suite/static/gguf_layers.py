"""Layers of a GGUF file: its tensors, codes and scales of a block together; ``gguf`` tells which codes are zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from suite.formats import _gguf_file
from suite.static.layer import Layer, Values, is_narrow, plain

_WIDE = frozenset({"float64", "float32", "float16", "bfloat16", "i8", "i16", "i32", "i64"})
_BLOCK = 32


def layers(weights: Path) -> Iterator[Layer]:
    """Every tensor of the file, in its order.

    Raises:
        InputError: not a readable GGUF file.
    """
    file = _gguf_file.model_file(weights)
    header = _gguf_file.read_header(file)
    for name, tensor in header.tensors.items():
        axis = len(tensor.shape) - 1 if len(tensor.shape) > 1 and "embd" not in name else None
        narrow = tensor.dtype not in _WIDE and is_narrow(tensor.dtype)
        read = partial(_read, file, header.begin + tensor.offset, tensor)
        yield Layer(name, tensor.shape, tensor.dtype, tensor.size, narrow, axis, read)


def _read(file: Path, begin: int, tensor: _gguf_file.Tensor) -> Values:
    with file.open("rb") as stream:
        stream.seek(begin)
        raw = stream.read(tensor.size)
    if tensor.dtype in _WIDE:
        return plain(raw, tensor.shape, tensor.dtype)
    return Values(_codes(raw, tensor), _nonzero(raw, tensor))


def _codes(raw: bytes, tensor: _gguf_file.Tensor) -> Any:
    """One code an element, for the two types whose blocks are a float16 scale and plain codes; else None."""
    make: dict[str, tuple[int, Callable[[Any], Any]]] = {
        "q8_0": (2 + _BLOCK, lambda block: block),
        "q4_0": (2 + _BLOCK // 2, lambda block: np.concatenate([block & 15, block >> 4], axis=-1)),
    }
    if tensor.dtype not in make:
        return None
    size, codes_of = make[tensor.dtype]
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, size)[:, 2:]
    return np.ascontiguousarray(codes_of(blocks)).reshape(tensor.shape)


def _nonzero(raw: bytes, tensor: _gguf_file.Tensor) -> Any:
    """Which elements are not zero once the codes are scaled; None for a type that the package does not expand."""
    import gguf

    rows = np.frombuffer(raw, np.uint8).reshape(*tensor.shape[:-1], -1)
    try:
        return np.not_equal(gguf.dequantize(rows, gguf.GGMLQuantizationType[tensor.dtype.upper()]), 0)
    except (NotImplementedError, KeyError):
        return None

"""Layers of a ``.pt2`` archive: its stored tensors, read from the zip file without torch."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from suite.errors import InputError
from suite.formats import _pt2
from suite.static.layer import Layer, Values, is_narrow, plain


def layers(weights: Path) -> Iterator[Layer]:
    """Weights, buffers and constants; tensors that share a payload are one layer.

    Raises:
        InputError: not a readable archive.
    """
    archive = _pt2.Archive.open(weights)
    seen: set[str] = set()
    for member, meta in archive.payloads:
        if member in seen:
            continue
        seen.add(member)
        try:
            layer = _layer(archive, member, meta["tensor_meta"])
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{weights.name} has not the layout of torch.export.save ({error!r})") from None
        yield layer


def _layer(archive: _pt2.Archive, member: str, meta: dict[str, Any]) -> Layer:
    dtype = _pt2._DTYPES.get(meta["dtype"], "unknown")
    shape = tuple(int(size["as_int"]) for size in meta["sizes"])
    size = archive.members[member]
    whole = prod(shape) * _pt2.item_bytes(dtype) == size and _is_contiguous(shape, meta)
    if not whole:  # a view of a larger payload: every stored element counts, in no shape
        shape = (size // _pt2.item_bytes(dtype),)
    name = member.rpartition("/")[2]
    axis = 1 if len(shape) > 1 else None
    return Layer(name, shape, dtype, size, is_narrow(dtype), axis, partial(_read, archive, member, shape, dtype))


def _is_contiguous(shape: tuple[int, ...], meta: dict[str, Any]) -> bool:
    strides = tuple(int(stride["as_int"]) for stride in meta["strides"])
    expected = tuple(prod(shape[i + 1 :]) for i in range(len(shape)))
    return all(size == 1 or a == b for size, a, b in zip(shape, strides, expected, strict=True))


def _read(archive: _pt2.Archive, member: str, shape: tuple[int, ...], dtype: str) -> Values:
    with zipfile.ZipFile(archive.path) as content:
        return plain(content.read(f"{archive.root}/{member}"), shape, dtype)

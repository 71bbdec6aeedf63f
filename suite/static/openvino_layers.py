"""Layers of an OpenVINO IR: its constants, codes joined with the scales and zero points that the graph applies to them.

A compressed weight is ``Const -> Convert -> (Subtract zero point ->) Multiply scale (-> Reshape)`` in the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from suite.formats import _openvino_file
from suite.static.layer import Layer, Values, is_narrow, plain, unpack

_PASSES = ("Convert", "Subtract", "Multiply", "Reshape")
_NIBBLE = 4


@dataclass(frozen=True)
class _Const:
    """A stored tensor: where it lies, and which layer of the graph it is."""

    id: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int

    def values(self, binary: Path) -> Values:
        with binary.open("rb") as stream:
            stream.seek(self.offset)
            raw = stream.read(self.size)
        if self.dtype in ("int4", "uint4"):
            codes = unpack(np.frombuffer(raw, np.uint8), _NIBBLE)[: prod(self.shape)].reshape(self.shape)
            return Values(codes, codes != 0)
        return plain(raw, self.shape, self.dtype)


@dataclass(frozen=True)
class _Wiring:
    """The main graph: constants by id, the layer behind each, its input layers, and what reads it."""

    consts: Mapping[str, _Const]
    kinds: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    sources: Mapping[str, Sequence[str]]
    readers: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, graph: _openvino_file.Graph) -> _Wiring:
        consts, kinds, shapes = dict[str, _Const](), dict[str, str](), dict[str, tuple[int, ...]]()
        sources, readers = dict[str, list[str]](), dict[str, list[str]]()
        for layer in graph.root.findall("layers/layer"):
            ident = layer.get("id", "")
            kinds[ident] = layer.get("type", "")
            dims = [dim.text or "-1" for dim in layer.findall("output/port[1]/dim") or layer.findall("output/port/dim")]
            shapes[ident] = tuple(int(size) for size in dims)
            if kinds[ident] == "Const":
                consts[ident] = _const(ident, layer)
        edges = graph.root.findall("edges/edge")
        for edge in sorted(edges, key=lambda edge: int(edge.get("to-port", "0"))):
            first, last = edge.get("from-layer", ""), edge.get("to-layer", "")
            sources.setdefault(last, []).append(first)
            readers.setdefault(first, []).append(last)
        return cls(consts, kinds, shapes, sources, readers)

    def beside(self, const: _Const) -> tuple[tuple[int, ...], _Const | None, list[_Const]]:
        """Of codes: the shape that the graph makes of them, their zero points, and all that stands beside them."""
        shape, zero, found, here = const.shape, None, list[_Const](), const.id
        while len(readers := self.readers.get(here, ())) == 1 and self.kinds[readers[0]] in _PASSES:
            kind, before, here = self.kinds[readers[0]], here, readers[0]
            others = [self._const_behind(one) for one in self.sources[here] if one != before]
            if kind == "Subtract" and self.sources[here][0] != before:
                break  # this is the zero point, not the codes
            if kind in ("Subtract", "Multiply"):
                if not others or others[0] is None:
                    break
                found.append(others[0])
                zero = others[0] if kind == "Subtract" else zero
            shape = self.shapes[here] if prod(self.shapes[here]) == prod(const.shape) else shape
        return shape, zero, found

    def _const_behind(self, ident: str) -> _Const | None:
        while self.kinds.get(ident) == "Convert" and self.sources.get(ident):
            ident = self.sources[ident][0]
        return self.consts.get(ident)


def layers(weights: Path) -> Iterator[Layer]:
    """The constants of the main graph, those that share their bytes once; scales belong to their codes.

    Single numbers are left out, and axes of length 1 around a vector.

    Raises:
        InputError: no OpenVINO IR.
    """
    graph = _openvino_file.Graph.open(weights)
    wiring, binary = _Wiring.of(graph), graph.file.with_suffix(".bin")
    coded = {one.id: wiring.beside(one) for one in wiring.consts.values() if is_narrow(one.dtype) and one.size}
    coded = {ident: found for ident, found in coded.items() if found[2]}
    taken = {part.offset for _, _, parts in coded.values() for part in parts}
    for one in wiring.consts.values():
        if one.offset in taken or prod(one.shape) <= 1:
            continue  # numbers of the graph itself, such as an epsilon
        taken.add(one.offset)
        shape, zero, parts = coded.get(one.id, (one.shape, None, []))
        size = one.size + sum(part.size for part in parts)
        shape = (prod(shape),) if max(shape) == prod(shape) else shape
        axis = len(shape) - 1 if len(shape) == 2 else 1 if len(shape) > 2 else None  # noqa: PLR2004
        read = partial(_read, one, zero, shape, binary)
        yield Layer(one.name, shape, one.dtype, size, bool(parts) or is_narrow(one.dtype), axis, read)


def _read(const: _Const, zero: _Const | None, shape: tuple[int, ...], binary: Path) -> Values:
    """Elements in the graph's shape; a code is zero where it equals its zero point."""
    found = const.values(binary)
    codes = found.patterns
    if codes is None:
        return found
    nonzero: Any = found.nonzero
    if zero is not None:
        offset = zero.values(binary).patterns
        nonzero = None if offset is None else codes != offset
    return Values(codes.reshape(shape), None if nonzero is None else nonzero.reshape(shape))


def _const(ident: str, layer: Any) -> _Const:
    data = layer.find("data")
    shape = tuple(int(size) for size in (data.get("shape") or "").split(",") if size.strip())
    dtype = _openvino_file.dtype_of(data.get("element_type", "?"))
    place = (int(data.get("offset", "0")), int(data.get("size", "0")))
    return _Const(ident, layer.get("name", ident), dtype, shape, *place)

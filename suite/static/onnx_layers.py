"""Layers of an ONNX file: initializers, joined with the scales and zero points of the operator that reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from suite.formats import _onnx_file
from suite.static.layer import Layer, Patterns, Values, nonzero, unpack

_WEIGHT_AT = {  # operator: inputs with the codes, their scale, their zero point
    "DequantizeLinear": (0, 1, 2),
    "QLinearConv": (3, 4, 5),
    "QLinearMatMul": (3, 4, 5),
    "QGemm": (3, 4, 5),
    "MatMulInteger": (1, None, 3),
    "ConvInteger": (1, None, 3),
    "DynamicQuantizeMatMul": (1, 2, 3),
    "MatMulIntegerToFloat": (1, 3, 5),
    "MatMulNBits": (1, 2, 3),
    "GatherBlockQuantized": (0, 2, 3),
}
_PASSES = frozenset({"DequantizeLinear", "Transpose", "Cast", "Identity"})
_NIBBLES = 4


@dataclass(frozen=True)
class Graph:
    """The main graph, with its stored tensors by name.

    Attributes:
        model: the parsed file; external data is not loaded.
        folder: where external data lies.
        tensors: initializers and constants by name.
    """

    model: Any
    folder: Path
    tensors: Mapping[str, Any]

    @classmethod
    def open(cls, weights: Path) -> Graph:
        """Parse a file.

        Raises:
            InputError: no ONNX file.
        """
        file = _onnx_file.model_file(weights)
        model = _onnx_file._parse(file)
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                tensors[node.output[0]] = node.attribute[0].t
        return cls(model, file.parent, tensors)

    def weight_of(self) -> dict[str, str]:
        """Value name to the stored weight that it is made of alone: through scales, transposition and casts."""
        made = {name: name for name in self.tensors}
        for node in self.model.graph.node:
            if node.op_type in _PASSES and node.input and node.input[0] in made:
                made[node.output[0]] = made[node.input[0]]
        return made

    def array(self, name: str) -> Any:
        """The elements of a stored tensor; external data is read from its file."""
        from onnx import numpy_helper

        return numpy_helper.to_array(self.tensors[name], str(self.folder))


def layers(weights: Path) -> Iterator[Layer]:
    """The layers of the file, in the order in which it stores them.

    Raises:
        InputError: no ONNX file.
    """
    graph = Graph.open(weights)
    readers, beside = _readers(graph)
    axes = _input_axes(graph)
    beside_bytes: dict[str, int] = {}
    for other, owner in beside.items():
        beside_bytes[owner] = beside_bytes.get(owner, 0) + _size(graph.tensors[other])
    for name, tensor in graph.tensors.items():
        if name in beside:
            continue
        node = readers.get(name)
        dtype = _dtype(tensor)
        size = _size(tensor) + beside_bytes.get(name, 0)
        if node is None:
            axis = axes.get(name)
            yield Layer(name, tuple(tensor.dims), dtype, size, False, axis, partial(_plain, graph, name, dtype))
        elif node.op_type == "MatMulNBits":
            facts = {a.name: a.i for a in node.attribute}
            read = partial(_blocks, graph, node, facts)
            yield Layer(name, (facts["N"], facts["K"]), dtype, size, True, 1, read)
        else:
            read = partial(_coded, graph, node, dtype)
            shape = tuple(tensor.dims)
            yield Layer(name, shape, dtype, size, True, axes.get(name), read)


def _readers(graph: Graph) -> tuple[dict[str, Any], dict[str, str]]:
    """The quantised operator that reads each weight, and whose scale or zero point a tensor is."""
    readers: dict[str, Any] = {}
    beside: dict[str, str] = {}
    for node in graph.model.graph.node:
        if node.op_type not in _WEIGHT_AT:
            continue
        at, *others = _WEIGHT_AT[node.op_type]
        codes = _input(node, at)
        if codes not in graph.tensors:
            continue
        readers[codes] = node
        beside |= {one: codes for i in others if (one := _input(node, i)) in graph.tensors}
    return readers, beside


def _input(node: Any, index: int | None) -> str:
    return node.input[index] if index is not None and index < len(node.input) else ""


def _input_axes(graph: Graph) -> dict[str, int]:
    """Axis of each stored weight that its operator sums over, unless it is turned in between."""
    axes: dict[str, int] = {}
    weight_of = graph.weight_of()
    turned = {node.output[0] for node in graph.model.graph.node if node.op_type == "Transpose"}
    for node in graph.model.graph.node:
        at = _WEIGHT_AT.get(node.op_type, (1,))[0]
        value = _input(node, at)
        if value not in weight_of:
            continue
        axis = _axis(node, len(graph.tensors[weight_of[value]].dims))
        if axis is not None:
            axes[weight_of[value]] = 1 - axis if value in turned and axis < 2 else axis  # noqa: PLR2004
    return axes


def _axis(node: Any, dims: int) -> int | None:
    if node.op_type in ("Conv", "QLinearConv", "ConvInteger", "FusedConv"):
        return 1
    if node.op_type == "ConvTranspose":
        return 0
    if node.op_type in ("MatMul", "QLinearMatMul", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"):
        return dims - 2 if dims > 1 else None
    if node.op_type in ("Gemm", "QGemm"):
        return 1 if any(a.name == "transB" and a.i for a in node.attribute) else 0
    return None


def _plain(graph: Graph, name: str, dtype: str) -> Values:
    array = graph.array(name)
    if array.dtype == bool or array.dtype.itemsize not in (1, 2, 4, 8) or array.dtype.kind not in "iufV":
        return Values(None, None)
    patterns = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}").reshape(array.shape)
    return Values(patterns, nonzero(patterns, dtype))


def _codes(array: Any) -> Patterns:
    """Codes as whole numbers; ONNX's 2- and 4-bit types come in bytes of their own."""
    return np.asarray(array).astype(np.int32) if array.dtype.kind == "V" or array.dtype.itemsize > 1 else array


def _coded(graph: Graph, node: Any, dtype: str) -> Values:
    at, _, zero_at = _WEIGHT_AT[node.op_type]
    stored = graph.array(_input(node, at))
    if "float" in dtype:
        patterns = stored.view("u1")
        return Values(patterns, nonzero(patterns, dtype))
    codes = _codes(stored)
    name = _input(node, zero_at)
    if name and name not in graph.tensors:
        return Values(_unsigned(codes), None)
    zero = _codes(graph.array(name)) if name else np.zeros((), codes.dtype)
    return Values(_unsigned(codes), _differs(codes, zero, node))


def _unsigned(codes: Patterns) -> Patterns:
    return np.ascontiguousarray(codes.astype(np.int8) if abs(codes).max(initial=0) < 128 else codes)  # noqa: PLR2004


def _differs(codes: Patterns, zero: Patterns, node: Any) -> Any:
    """Codes against their zero points: one, one a channel, or one a block."""
    facts = {a.name: a.i for a in node.attribute}
    if zero.size == 1 or not zero.any():
        return codes != (zero.reshape(-1)[0] if zero.size else 0)
    axis = facts.get("axis", 1 if node.op_type != "QLinearConv" else 0) % max(1, codes.ndim)
    if zero.ndim == 1 and zero.size == codes.shape[axis]:
        return codes != zero.reshape([-1 if i == axis else 1 for i in range(codes.ndim)])
    block = facts.get("block_size", 0)
    if zero.ndim == codes.ndim and block:
        wide = np.repeat(zero, block, axis=axis)
        return codes != np.take(wide, range(codes.shape[axis]), axis=axis)
    return None


def _blocks(graph: Graph, node: Any, facts: Mapping[str, int]) -> Values:
    """MatMulNBits: ``[N, blocks, block_size * bits / 8]`` bytes, the low code first; the default zero is the middle."""
    rows, inputs, bits, size = facts["N"], facts["K"], facts.get("bits", _NIBBLES), facts["block_size"]
    if 8 % bits:
        return Values(None, None)
    packed = np.ascontiguousarray(graph.array(node.input[1])).view(np.uint8).reshape(rows, -1)
    codes = unpack(packed, bits)[:, :inputs]
    name = _input(node, 3)
    if not name:
        return Values(codes, codes != 1 << (bits - 1))
    if name not in graph.tensors or graph.array(name).dtype.itemsize > 1:
        return Values(codes, None)
    blocks = -(-inputs // size)
    zero = unpack(graph.array(name).view(np.uint8).reshape(rows, -1), bits)[:, :blocks]
    return Values(codes, codes != np.repeat(zero, size, axis=1)[:, :inputs])


def _dtype(tensor: Any) -> str:
    import onnx

    name = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
    return {"float": "float32", "double": "float64"}.get(name, str(name))


def _size(tensor: Any) -> int:
    """Bytes that a tensor takes in the file."""
    return (int(prod(tensor.dims)) * _onnx_file._bits(_dtype(tensor)) + 7) // 8

"""Products of an ONNX graph, counted from shapes; nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from suite.errors import Undefined
from suite.formats import _onnx_file
from suite.formats._errors import one_line
from suite.static.macs import Product
from suite.static.onnx_layers import Graph

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
_OF_TOKENS = 2  # axes of an input of tokens
_SMALL = 1024  # elements of a tensor that may hold a shape; larger ones are told by their sizes alone
_UNCOUNTED = frozenset({"Einsum", "LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention", "GroupQueryAttention",
                        "QAttention", "QGemm", "DeformConv", "QLinearMatMul"})  # fmt: skip


def products(weights: Path, shape: Shape) -> tuple[list[Product], tuple[str, ...]]:
    """The products of one forward pass, and operators whose products are not counted.

    Args:
        weights: the file, or the folder with it.
        shape: of the first input, or of every input of tokens. A file that fixes another batch is counted at its own,
            and the products of its share of that batch are given.

    Raises:
        Undefined: a shape cannot be told from the graph, or the file takes another number of tokens.
    """
    graph = Graph.open(weights)
    batch = _fixed_batch(graph.model.graph, shape)
    shapes = _shapes(graph, shape)
    weight_of, found, left = graph.weight_of(), list[Product](), set[str]()
    for node in graph.model.graph.node:
        if node.op_type in _UNCOUNTED:
            left.add(node.op_type)
        count = _COUNTS.get(node.op_type)
        if count is None:
            continue
        try:
            macs = count(node, shapes)
        except KeyError as error:
            raise Undefined(f"the shape of {error} at {node.op_type} cannot be told from the graph") from None
        stored = [
            weight_of[name] for name in node.input if name in weight_of and len(_dims(graph, weight_of[name])) > 1
        ]
        found.append(Product(macs * shape[0] // batch, stored[0] if stored else None))
    for inner in list(_onnx_file._graphs(graph.model))[1:]:
        left |= {node.op_type for node in inner.node if node.op_type in _COUNTS}
    return found, tuple(sorted(left))


def _fixed_batch(main: Any, shape: Shape) -> int:
    """Items of the batch that the first input fixes, or of the stated one.

    Raises:
        Undefined: the file fixes another number of tokens.
    """
    stored = {tensor.name for tensor in main.initializer}
    for value in main.input:
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]  # 0 where it is open
        if value.name not in stored and len(sizes) == len(shape):
            if len(shape) == _OF_TOKENS and sizes[1] not in (0, shape[1]) and _whole(value):
                raise Undefined(f"the file takes {sizes[1]} tokens at a time, not {shape[1]}")
            alike = all(size in (0, other) for size, other in zip(sizes[1:], shape[1:], strict=True))
            return (sizes[0] or shape[0]) if alike else shape[0]
    return shape[0]


def _whole(value: Any) -> bool:
    """Whether an input is of whole numbers: tokens."""
    from onnx import TensorProto

    return value.type.tensor_type.elem_type in (TensorProto.INT32, TensorProto.INT64)


def _dims(graph: Graph, name: str) -> list[int]:
    return list(graph.tensors[name].dims)


def _shapes(graph: Graph, shape: Shape) -> Shapes:
    """Shape of every value, with open sizes fixed by the stated input."""
    import onnx

    model = _skeleton(graph, shape)
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True).graph
    except Exception as error:
        raise Undefined(f"onnx cannot infer the graph's shapes: {one_line(error)}") from None
    found = {name: tuple(tensor.dims) for name, tensor in graph.tensors.items()}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            found[value.name] = tuple(dim.dim_value for dim in dims)
    return found


def _skeleton(graph: Graph, shape: Shape) -> Any:
    """The graph with fixed inputs, without large tensors, and with custom products as plain ones."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    main = model.graph
    large = [tensor for tensor in main.initializer if prod(tensor.dims) > _SMALL]
    small = [tensor for tensor in main.initializer if prod(tensor.dims) <= _SMALL]
    stored = {tensor.name for tensor in main.initializer}
    for value in [one for one in main.input if one.name not in stored]:
        _fix(value, shape)
    given = {value.name for value in main.input}
    for tensor in large:
        if tensor.name not in given:
            main.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in small]
    main.ClearField("initializer")
    main.initializer.extend(kept)
    main.ClearField("value_info")  # made at other sizes
    for value in main.output:
        value.type.tensor_type.ClearField("shape")
    for node in main.node:
        if node.op_type == "MatMulNBits":
            _plain_product(main, node)
    return model


def _fix(value: Any, shape: Shape) -> None:
    dims = value.type.tensor_type.shape.dim
    if len(dims) == len(shape):
        for dim, size in zip(dims, shape, strict=True):
            if not dim.HasField("dim_value"):
                dim.dim_value = size


def _plain_product(main: Any, node: Any) -> None:
    """MatMulNBits as MatMul with a weight ``[K, N]``, for the sake of shapes."""
    import onnx

    facts = {a.name: a.i for a in node.attribute}
    name = f"{node.input[1]}/unpacked"
    if not any(value.name == name for value in main.input):
        size = [facts["K"], facts["N"]]
        main.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, size))
    plain = onnx.helper.make_node("MatMul", [node.input[0], name], list(node.output), name=node.name)
    node.CopyFrom(plain)


def _conv(weight_at: int) -> Callable[[Any, Shapes], int]:
    """Outputs times kernel: ``prod(out) * prod(weight[1:])``."""
    return lambda node, shapes: prod(shapes[node.output[0]]) * prod(shapes[node.input[weight_at]][1:])


def _transposed(node: Any, shapes: Shapes) -> int:
    """Inputs times kernel: ``prod(in) * prod(weight[1:])``."""
    return prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])


def _matmul(node: Any, shapes: Shapes) -> int:
    """``batch * M * K * N``, batch axes broadcast."""
    facts = {a.name: a.i for a in node.attribute}
    left, right = (
        _turned(shapes[node.input[at]], bool(facts.get(f"transBatch{side}")), bool(facts.get(f"trans{side}")))
        for at, side in enumerate("AB")
    )
    rows = left[-2] if len(left) > 1 else 1
    batch = np.broadcast_shapes(left[:-2], right[:-2])
    return prod(batch) * rows * left[-1] * (right[-1] if len(right) > 1 else 1)


def _turned(shape: Shape, batch: bool, last: bool) -> Shape:
    """FusedMatMul's operand as it is multiplied: its first axis behind the batch ones, then its last two exchanged."""
    if batch and len(shape) > 1:
        shape = (*shape[1:-1], shape[0], shape[-1])
    return (*shape[:-2], shape[-1], shape[-2]) if last and len(shape) > 1 else shape


def _gemm(node: Any, shapes: Shapes) -> int:
    facts = {a.name: a.i for a in node.attribute}
    left, right = shapes[node.input[0]], shapes[node.input[1]]
    rows, inner = (left[1], left[0]) if facts.get("transA") else left
    return rows * inner * (right[0] if facts.get("transB") else right[1])


def _blocks(node: Any, shapes: Shapes) -> int:
    facts = {a.name: a.i for a in node.attribute}
    return prod(shapes[node.input[0]]) * int(facts["N"])


_COUNTS: dict[str, Callable[[Any, Shapes], int]] = {
    "Conv": _conv(1),
    "FusedConv": _conv(1),
    "ConvInteger": _conv(1),
    "QLinearConv": _conv(3),
    "ConvTranspose": _transposed,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "DynamicQuantizeMatMul": _matmul,
    "MatMulIntegerToFloat": _matmul,
    "FusedMatMul": _matmul,
    "Gemm": _gemm,
    "MatMulNBits": _blocks,
}

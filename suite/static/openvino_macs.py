"""Products of an OpenVINO graph, counted from the shapes that OpenVINO infers; nothing is run.

The library reads the graph, so that a check does it in a process of its own.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from suite.errors import Undefined
from suite.formats import _openvino_file
from suite.static import apart
from suite.static.macs import Product

_PASSES = ("Convert", "Subtract", "Multiply", "Reshape", "FakeQuantize", "Transpose")
_BY_OUTPUT = {"Convolution": 2, "GroupConvolution": 3}
"""Axes of a kernel before those of space; the one before them is that of the inputs that one output takes."""
_BY_INPUT = {"ConvolutionBackpropData": 2, "GroupConvolutionBackpropData": 3}
_UNCOUNTED = frozenset({"Einsum", "LSTMCell", "LSTMSequence", "GRUCell", "GRUSequence", "RNNCell", "RNNSequence",
                        "DeformableConvolution", "BinaryConvolution", "ScaledDotProductAttention"})  # fmt: skip


def products(weights: Path, shape: tuple[int, ...]) -> tuple[list[Product], tuple[str, ...]]:
    """The products of one forward pass, and operators whose products are not counted.

    Args:
        weights: the folder.
        shape: of the first input, or of the tokens. A file that fixes another batch is counted at its own, and the
            products of its share of that batch are given.

    Raises:
        Undefined: OpenVINO cannot read it or infer its shapes.
    """
    found, left = apart.ask(__name__, {"weights": str(weights.resolve()), "shape": list(shape)}, "OpenVINO")
    return [Product(macs, weight) for macs, weight in found], tuple(left)


def counted(order: dict[str, Any]) -> tuple[list[tuple[int, str | None]], list[str]]:
    """The same in this process.

    Raises:
        Undefined: a shape stays open.
    """
    import openvino

    model = openvino.Core().read_model(_openvino_file.model_file(Path(order["weights"])))
    shape = tuple(order["shape"])
    batch = _fix(model, shape)
    found, left = list[tuple[int, str | None]](), set[str]()
    for node in model.get_ops():
        kind = node.get_type_name()
        if kind in _UNCOUNTED or (hasattr(node, "get_function") and kind in ("If", "Loop", "TensorIterator")):
            left.add(kind)
        macs = _macs(node, kind)
        if macs is not None:
            stored = [name for name in map(_weight, node.input_values()) if name is not None]
            found.append((macs * shape[0] // batch, stored[0] if stored else None))
    return found, sorted(left)


def _fix(model: Any, shape: tuple[int, ...]) -> int:
    """Give every input the stated size where its own is open, and begin every state empty; the batch that it has."""
    sizes = {}
    for value in model.inputs:
        own = value.get_partial_shape()
        if own.rank.is_static and len(own) in (1, len(shape)):
            whole = shape[: len(own)]  # beam_idx has the batch alone
            fixed = [size.get_length() if size.is_static else given for size, given in zip(own, whole, strict=True)]
            sizes[value] = fixed
    first = next(iter(sizes.values()), list(shape))
    if len(shape) == 2 and first != list(shape[: len(first)]) and len(first) == 2:  # noqa: PLR2004
        raise Undefined(f"the file takes {first[1]} tokens at a time, not {shape[1]}")
    for node in model.get_ops():
        if node.get_type_name() == "ReadValue" and node.get_input_size():
            node.output(0).replace(node.input_value(0))
    model.reshape(sizes)
    return int(first[0])


def _macs(node: Any, kind: str) -> int | None:
    """MACs of one operator; None for one without products."""
    if kind in _BY_OUTPUT:
        return prod(_shape(node.output(0))) * prod(_shape(node.input_value(1))[_BY_OUTPUT[kind] - 1 :])
    if kind in _BY_INPUT:
        return prod(_shape(node.input_value(0))) * prod(_shape(node.input_value(1))[_BY_INPUT[kind] - 1 :])
    if kind != "MatMul":
        return None
    left = _shape(node.input_value(0))
    inner = left[-2] if node.get_attributes().get("transpose_a") and len(left) > 1 else left[-1]
    return prod(_shape(node.output(0))) * inner


def _shape(value: Any) -> tuple[int, ...]:
    found = value.get_partial_shape()
    if not found.is_static:
        raise Undefined(f"the shape of {value.get_node().get_friendly_name()!r} stays open")
    return tuple(found.to_shape())


def _weight(value: Any) -> str | None:
    """The constant behind an input, through what expands its codes."""
    node = value.get_node()
    while node.get_type_name() in _PASSES:
        node = node.input_value(0).get_node()
    return str(node.get_friendly_name()) if node.get_type_name() == "Constant" else None


if __name__ == "__main__":
    apart.answer(counted)

"""Products of a TFLite graph, counted from the shapes that the file states; nothing is run."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path

from suite.errors import Undefined
from suite.formats._tflite_file import Graph
from suite.static.macs import Product

Shape = tuple[int, ...]
_UNCOUNTED = ("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "RNN", "SVDF",
              "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN", "WHILE", "IF", "CALL")  # fmt: skip


def products(weights: Path, shape: Shape) -> tuple[list[Product], tuple[str, ...]]:
    """The products of one forward pass of one item, and operators whose products are not counted.

    A file states its shapes at a batch of its own, one as a rule; the products of one item of it are given.

    Args:
        weights: the file.
        shape: the stated input; the file's own must be of as many elements an item.

    Raises:
        Undefined: a shape is open, or the file takes another input.
    """
    graph = Graph.open(weights)
    first = graph.shape(graph.main.Inputs(0))
    if not first or first[0] <= 0 or prod(first[1:]) != prod(shape[1:]):
        raise Undefined(f"the file takes an input of {'x'.join(map(str, first))}, not {'x'.join(map(str, shape))}")
    found, left = list[Product](), set[str]()
    for name, inputs, outputs in graph.operators():
        if name in _UNCOUNTED:
            left.add(name)
        if name not in _COUNTS:
            continue
        weight_at, count = _COUNTS[name]
        shapes, out = [graph.shape(at) if at >= 0 else () for at in inputs], graph.shape(outputs[0])
        if any(size <= 0 for one in (*shapes, out) for size in one):
            raise Undefined(f"the shapes at {name} are open in the file")
        try:
            macs = count(shapes, out)
        except IndexError:
            raise Undefined(f"the shapes at {name} are not those of its operands") from None
        found.append(Product(macs * shape[0] // first[0], graph.stored_name(inputs[weight_at])))
    return found, tuple(sorted(left))


def _by_output(kernel: slice) -> Callable[[list[Shape], Shape], int]:
    """Outputs times those axes of the kernel."""
    return lambda shapes, out: prod(out) * prod(shapes[1][kernel])


def _transposed(kernel: slice) -> Callable[[list[Shape], Shape], int]:
    """Inputs (the third operand) times those axes of the kernel."""
    return lambda shapes, out: prod(shapes[2]) * prod(shapes[1][kernel])


def _product(shapes: list[Shape], out: Shape) -> int:
    """``batch * M * N * K``: the first operand's last two axes are M and K in either order, M is the output's."""
    return prod(out) * (prod(shapes[0][-2:]) // out[-2])


_COUNTS: dict[str, tuple[int, Callable[[list[Shape], Shape], int]]] = {
    "CONV_2D": (1, _by_output(slice(1, None))),  # [out, height, width, in]
    "DEPTHWISE_CONV_2D": (1, _by_output(slice(1, 3))),  # [1, height, width, out]
    "CONV_3D": (1, _by_output(slice(0, 4))),  # [depth, height, width, in, out]
    "TRANSPOSE_CONV": (1, _transposed(slice(0, 3))),  # [out, height, width, in]
    "CONV_3D_TRANSPOSE": (1, _transposed(slice(0, 4))),  # [depth, height, width, out, in]
    "FULLY_CONNECTED": (1, lambda shapes, out: prod(shapes[0]) * shapes[1][0]),  # [out, in]
    "BATCH_MATMUL": (1, _product),
}
"""Operator to the place of its weight and its count, from the shapes of inputs and output."""

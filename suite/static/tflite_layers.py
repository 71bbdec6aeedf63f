"""Layers of a TFLite file: the tensors whose values lie in it; scales and zero points stand in the graph."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from suite.formats._tflite_file import Graph, Stored
from suite.static.layer import Layer, Values, is_narrow, plain, unpack

_SUMMED_LAST = ("CONV_2D", "CONV_3D", "FULLY_CONNECTED", "TRANSPOSE_CONV")  # kernels whose last axis is the input's
_NIBBLE = 4


def layers(weights: Path) -> Iterator[Layer]:
    """Stored tensors, those that share a buffer once.

    Raises:
        InputError: not a readable TFLite file.
    """
    graph = Graph.open(weights)
    summed = set(graph.weights_of(_SUMMED_LAST))
    for one in graph.stored():
        axis = len(one.shape) - 1 if one.name in summed and len(one.shape) > 1 else None
        coded = bool(len(one.zeros)) or is_narrow(one.dtype)
        yield Layer(one.name, one.shape, one.dtype, one.size, coded, axis, partial(_read, one))


def _read(one: Stored) -> Values:
    """A code is zero where it equals the zero point of its channel."""
    if one.dtype in ("int4", "uint4"):
        codes: Any = unpack(one.raw(), _NIBBLE)[: prod(one.shape)].reshape(one.shape)
        return Values(codes, codes != 0 if not np.any(one.zeros) else None)
    found = plain(one.raw().tobytes(), one.shape, one.dtype)
    if found.patterns is None or not np.any(one.zeros):
        return found
    values = found.patterns.view(np.dtype(one.dtype))
    if len(one.zeros) == 1:
        return Values(found.patterns, values != one.zeros[0])
    along = [1] * len(one.shape)
    along[one.channel] = -1
    return Values(found.patterns, values != np.reshape(one.zeros, along))

"""Where a flat label map changes: one pass of contiguous comparisons, in blocks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 17

Flat = NDArray[np.int64]


def face_changes(labels: NDArray[Any], strides: Sequence[int], wild: int | None = None) -> Flat:
    """Places whose label differs from that of a neighbour, one stride before or after it; [M], ascending.

    Args:
        labels: flat map; a margin of the largest stride at either end is not looked at.
        strides: steps to the neighbours.
        wild: a label that differs from none.
    """
    widest = max(strides)
    changed, ahead, real = (np.empty(BLOCK + widest, dtype=np.bool_) for _ in range(3))
    found = [np.zeros(0, dtype=np.int64)]
    for low in range(widest, len(labels) - widest, BLOCK):
        size = min(BLOCK, len(labels) - widest - low)
        out = changed[:size]
        out[:] = False
        for stride in strides:
            here, there = labels[low - stride : low + size], labels[low : low + size + stride]
            step = np.not_equal(here, there, out=ahead[: size + stride])
            if wild is not None:
                step &= np.not_equal(here, wild, out=real[: size + stride])
                step &= np.not_equal(there, wild, out=real[: size + stride])
            out |= step[stride:]
            out |= step[:-stride]
        found.append(np.flatnonzero(out) + low)
    return np.concatenate(found)


def cell_changes(labels: NDArray[Any], strides: Sequence[int]) -> Flat:
    """Places i where the cell of voxels i, i + a stride, i + a sum of strides is not all of one label; ascending.

    A cell changes when one of the steps of a tree that spans it does: the steps along the last axis from its first
    corner, those along the axis before from two corners, and so on.
    """
    reach = sum(strides)
    changed, one, two = (np.empty(BLOCK + reach, dtype=np.bool_) for _ in range(3))
    found = [np.zeros(0, dtype=np.int64)]
    for low in range(0, len(labels) - reach, BLOCK):
        size = min(BLOCK, len(labels) - reach - low)
        out = changed[:size]
        out[:] = False
        for axis, stride in enumerate(strides):
            width = size + sum(strides[axis + 1 :])
            here, there = labels[low : low + width], labels[low + stride : low + stride + width]
            step, spare = np.not_equal(here, there, out=one[:width]), two
            for other in strides[axis + 1 :]:
                width -= other
                step, spare = np.logical_or(step[:width], step[other : other + width], out=spare[:width]), step.base
            out |= step
        found.append(np.flatnonzero(out) + low)
    return np.concatenate(found)


def joint_runs(first: NDArray[Any], second: NDArray[Any]) -> tuple[Flat, Flat]:
    """Starts and lengths of the runs in which neither flat map changes."""
    last = len(first) - 1
    changed, other = (np.empty(BLOCK, dtype=np.bool_) for _ in range(2))
    found = [np.zeros(1, dtype=np.int64)]
    for low in range(0, last, BLOCK):
        size = min(BLOCK, last - low)
        out = np.not_equal(first[low : low + size], first[low + 1 : low + 1 + size], out=changed[:size])
        out |= np.not_equal(second[low : low + size], second[low + 1 : low + 1 + size], out=other[:size])
        found.append(np.flatnonzero(out) + (low + 1))
    starts = np.concatenate(found)
    return starts, np.diff(starts, append=len(first))

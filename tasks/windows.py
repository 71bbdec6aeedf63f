"""Sliding windows: where they lie, how much each of their voxels counts, and padding.

All as `monai.inferers.sliding_window_inference(mode="gaussian", padding_mode="constant")` of MONAI 1.6 does it (the
tests compare): windows begin every ``int(patch * (1 - overlap))`` voxels from 0 and the last one is moved back into the
image; nnU-Net spreads them evenly instead. Both weight by a Gaussian of sigma = 1/8 of the patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, ...]
SIGMA = 0.125  # of the patch
_LEAST_WEIGHT = 1e-3


def positions(size: Sequence[int], patch: Sequence[int], overlap: float) -> list[Box]:
    """The windows that cover an image, by spatial axis, the last axis fastest.

    Args:
        size: of the image, nowhere below `patch`.
        patch: of a window.
        overlap: share of a window that the next one covers again, in [0, 1).

    >>> [box[0].start for box in positions([10], [4], 0.5)]
    [0, 2, 4, 6]
    """
    starts = [_starts(n, p, overlap) for n, p in zip(size, patch, strict=True)]
    return [tuple(slice(s, s + p) for s, p in zip(corner, patch, strict=True)) for corner in product(*starts)]


def _starts(size: int, patch: int, overlap: float) -> list[int]:
    step = max(1, int(patch * (1 - overlap)))
    return [*range(0, size - patch, step), size - patch]


def importance(patch: Sequence[int]) -> NDArray[np.float32]:
    """Weight of each voxel: exp(-x² / 2σ²) along every axis, x from the window's centre, σ = patch / 8; at least 1e-3.

    The floor keeps a corner that one window alone covers from being divided by almost nothing.
    """
    weights = np.ones((1,) * len(patch))
    for axis, n in enumerate(patch):
        x = np.arange(n) - (n - 1) / 2
        line = np.exp(-(x**2) / (2 * (SIGMA * n) ** 2))
        weights = weights * line.reshape([-1 if a == axis else 1 for a in range(len(patch))])
    floor = max(float(weights.min()), _LEAST_WEIGHT)
    return np.maximum(weights, floor).astype(np.float32)


def pad(image: NDArray[np.float32], size: Sequence[int]) -> tuple[NDArray[np.float32], Box]:
    """The image [C, ...] with zeros around it, spatial axes at least `size`; and where in it the image lies.

    Half of the zeros come before the image, the odd one after it.
    """
    more = [max(0, wanted - has) for wanted, has in zip(size, image.shape[1:], strict=True)]
    inside = tuple(slice(n // 2, n // 2 + has) for n, has in zip(more, image.shape[1:], strict=True))
    if not any(more):
        return image, inside
    return np.pad(image, [(0, 0), *((n // 2, n - n // 2) for n in more)]), inside

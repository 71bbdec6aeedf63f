"""Resampling: an image onto the grid that a model expects, and its answer back.

Voxels are areas, so that the grids' outer edges agree, not the centres of their corner voxels (`scipy.ndimage.zoom`
with ``grid_mode``, as `skimage.transform.resize` and so nnU-Net do it). Beyond the edge the outermost voxel goes on.
Every axis alike: nnU-Net's exception for thick slices (nearest neighbour between them) is not made.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IMAGE_ORDER = 3  # cubic splines, as nnU-Net
ANSWER_ORDER = 1  # linear: weights of neighbours that sum to 1, so probabilities stay probabilities


def resampled_size(size: Sequence[int], spacing: Sequence[float], wanted: Sequence[float]) -> tuple[int, ...]:
    """Voxels by axis of the grid of another spacing over the same box, rounded to whole ones, at least 1.

    >>> resampled_size([10, 20], [1.5, 1.0], [1.0, 2.0])
    (15, 10)
    """
    return tuple(max(1, round(n * s / w)) for n, s, w in zip(size, spacing, wanted, strict=True))


def resize(array: NDArray[np.float32], size: Sequence[int], order: int) -> NDArray[np.float32]:
    """[C, ...] with other spatial sizes, channel by channel in float64; the array itself where they are its own.

    Args:
        array: [C, (D,) H, W].
        size: of the spatial axes afterwards.
        order: of the spline; values beyond each channel's own lowest and highest, which cubic ones invent, are clipped.
    """
    if tuple(size) == array.shape[1:]:
        return array
    from scipy import ndimage  # half a second to import

    factors = [n / has for n, has in zip(size, array.shape[1:], strict=True)]
    result = np.empty((len(array), *size), dtype=np.float32)
    for channel, out in zip(array, result, strict=True):
        wide = channel.astype(np.float64)
        zoomed = ndimage.zoom(wide, factors, order=order, mode="nearest", grid_mode=True)
        np.clip(zoomed, wide.min(), wide.max(), out=out, casting="same_kind")
    return result

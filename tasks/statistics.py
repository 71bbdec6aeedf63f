"""Cheap statistics of an input, kept as columns ``stat.*`` of outcomes: what error slices may be described by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def image_statistics(image: NDArray[Any]) -> dict[str, float]:
    """What an image looks like in four numbers: columns ``stat.mean``, ``stat.std``, ``stat.sharpness``, ``stat.edge``.

    Args:
        image: [C, H, W] or [C, D, H, W], any scale.

    Returns:
        mean and standard deviation of all values; sharpness, the variance of the Laplacian of the channels' mean (edges
        repeated), which blur lowers and noise raises; and edge, the mean of its outermost frame, one pixel wide.
    """
    from scipy.ndimage import laplace

    values = np.asarray(image, dtype=np.float64)
    grey = values.mean(axis=0)
    frame = np.ones(grey.shape, dtype=bool)
    frame[tuple(slice(1, -1) for _ in grey.shape)] = False
    return {
        "stat.mean": float(values.mean()),
        "stat.std": float(values.std()),
        "stat.sharpness": float(laplace(grey, mode="nearest").var()),
        "stat.edge": float(grey[frame].mean()),
    }

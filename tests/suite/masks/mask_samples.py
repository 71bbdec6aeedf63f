"""Small masks for tests: hand-worked cubes, and random blobs of a few labels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 0.8, 0.8), (0.7, 5.0, 1.3)]


def cubes() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An 8^3 cube and an 8 x 8 x 9 box that begins one voxel later: 448 of 512 and 576 voxels in common."""
    reference, prediction = np.zeros((2, 20, 20, 20), dtype=np.uint8)
    reference[4:12, 4:12, 4:12] = 1
    prediction[5:13, 4:12, 4:13] = 1
    return reference, prediction


def blobs(
    shape: tuple[int, ...], labels: int, seed: int, smooth: float = 1.5
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two label maps of touching blobs that agree in most places and reach the edge of the image."""
    rng = np.random.default_rng(seed)
    fields = np.stack([ndimage.gaussian_filter(rng.standard_normal(shape), smooth) for _ in range(labels + 1)])
    noise = np.stack([ndimage.gaussian_filter(rng.standard_normal(shape), smooth) for _ in range(labels + 1)])
    return fields.argmax(axis=0).astype(np.uint8), (fields + 0.4 * noise).argmax(axis=0).astype(np.uint8)


def monai_metrics() -> Any:
    """MONAI's metrics, whose import warns; its calls do too, so mark the test with `quiet`."""
    pytest.importorskip("monai")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai import metrics
    return metrics


quiet = pytest.mark.filterwarnings("ignore")  # a peer's deprecations are not ours

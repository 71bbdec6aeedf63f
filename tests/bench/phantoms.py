"""Label maps to measure on: smooth organs and a prediction that is a little off, the same for the same arguments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]


def organs(
    side: int, structures: int, seed: int = 0, radius: float | None = None, wobble: float = 0.5
) -> tuple[Labels, Labels]:
    """Reference and prediction of a cube of voxels with bumpy ellipsoids; later ones lie over earlier ones.

    The prediction's ellipsoids are shifted by up to one voxel along each axis, their bumps by `wobble` radians.
    """
    rng = np.random.default_rng(seed)
    reference, prediction = (np.zeros((side,) * 3, dtype=np.uint8) for _ in range(2))
    largest = radius or side * (0.35 if structures == 1 else 0.14)
    for label in range(1, structures + 1):
        center = np.full(3, side / 2) if structures == 1 else rng.uniform(largest, side - largest, 3)
        radii = largest * rng.uniform(0.7, 1.0, 3)
        wave, phase = rng.uniform(2, 5, 3), rng.uniform(0, 6.28, 3)
        _draw(reference, label, center, radii, wave, phase)
        _draw(prediction, label, center + rng.uniform(-1, 1, 3), radii, wave, phase + wobble)
    return reference, prediction


def _draw(labels: Labels, label: int, center: NDArray, radii: NDArray, wave: NDArray, phase: NDArray) -> None:
    low = np.maximum((center - 1.1 * radii).astype(int), 0)
    high = np.minimum((center + 1.1 * radii).astype(int) + 2, labels.shape)
    axes = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    unit = [(axis - c) / r for axis, c, r in zip(axes, center, radii, strict=True)]
    bumps = sum(np.sin(w * u + p) for w, u, p in zip(wave, unit, phase, strict=True))
    inside = sum(u**2 for u in unit) < 1 + 0.05 * bumps
    labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))][inside] = label

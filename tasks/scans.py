"""Scans: what a segmentation task hands to inference (`Image`), and what its answers are scored against (`Reference`).

Shape suffixes: C channels, then two or three spatial axes in the order of the array: (D, H, W) or (H, W).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Image:
    """One image on its own grid, as read: not yet normalised, resampled or cut.

    Attributes:
        pixels: [C, (D,) H, W] float32.
        spacing_mm: per spatial axis; ``None`` where there is none (photographs), so that distances are in pixels.
    """

    pixels: NDArray[np.float32]
    spacing_mm: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Reference:
    """What people drew on one image, on the image's own grid.

    Attributes:
        labels: [(D,) H, W] whole numbers: 0 background, 1 to classes - 1, and the task's ignore label.
        spacing_mm: as the image's.
        instances: the same grid: 0 background, then one number an object; ``None`` without instances.
        raters: further label maps of the same image by other people; `labels` is the one that counts.
    """

    labels: NDArray[Any]
    spacing_mm: tuple[float, ...] | None = None
    instances: NDArray[Any] | None = None
    raters: tuple[NDArray[Any], ...] = ()

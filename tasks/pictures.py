"""Pictures of segmentations for people: of a volume, one slice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.overlay import Picture
from tasks.scans import Reference


def sliced(
    pixels: NDArray[Any], reference: Reference, prediction: NDArray[Any], ignore_label: int | None = None
) -> Picture:
    """The picture of a case: an image itself, or the slice of a volume with the most wrong voxels.

    Volumes are cut across their axis of the coarsest spacing, which is how they were acquired; the first of equals.

    Args:
        pixels: [C, (D,) H, W]; three channels are colours, else the first is shown.
        reference: what was drawn.
        prediction: [(D,) H, W] labels.
        ignore_label: voxels of it are neither right nor wrong.
    """
    labels = np.asarray(reference.labels)
    ignored = np.zeros(labels.shape, bool) if ignore_label is None else labels == ignore_label
    labels = np.where(ignored, -1, labels.astype(np.int64))
    spacing, where = list(reference.spacing_mm or (1.0,) * labels.ndim), ""
    if labels.ndim == 3:  # noqa: PLR2004 - a volume
        axis = int(np.argmax(spacing))
        wrong = ((labels != prediction) & ~ignored).sum(axis=tuple(i for i in range(3) if i != axis))
        at = int(wrong.argmax()) if wrong.any() else labels.shape[axis] // 2
        pixels, labels, prediction = (
            np.take(pixels, at, axis + 1),
            np.take(labels, at, axis),
            np.take(prediction, at, axis),
        )
        del spacing[axis]
        where = f"axis {axis}, slice {at}"
    image = np.moveaxis(pixels, 0, -1) if len(pixels) == 3 else pixels[0]  # noqa: PLR2004 - colours
    return Picture(image, labels, prediction, spacing[0] / spacing[1], where)

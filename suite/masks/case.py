"""Case: the reference and the predicted label map of one image, checked once.

Shape suffixes: d axes (2 or 3).

Both maps are cropped to the box of everything that is not background in either, padded by background (one voxel before
and `REACH` after each axis) and flattened. A neighbour of voxel i then is voxel i plus a stride, an edge of the image
is an edge to background, a few steps over an edge land in the pad, and every pass over the voxels is one contiguous
comparison. Ignored voxels carry the value `classes` on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError, HallmarkError, InputError
from suite.masks.grid import REACH, Grid

DIMENSIONS = (2, 3)


@dataclass(frozen=True)
class Case:
    """Two label maps on one grid.

    Attributes:
        reference: flat, padded and cropped labels, smallest unsigned type.
        prediction: the same of the prediction.
        classes: labels 0 .. classes - 1, 0 is background.
        grid: shape with the pad, and the spacing; 1 everywhere measures in pixels.
        full_shape: shape of the whole image.
        ignored: whether some voxels carry the value `classes`, which means: left out.
    """

    reference: NDArray[Any]
    prediction: NDArray[Any]
    classes: int
    grid: Grid
    full_shape: tuple[int, ...]
    ignored: bool = False

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Distance of neighbouring voxels along each axis."""
        return self.grid.spacing_mm

    @property
    def diagonal_mm(self) -> float:
        """Diagonal of the whole image: no two points of it are farther apart."""
        return math.hypot(*(n * step for n, step in zip(self.full_shape, self.spacing_mm, strict=True)))

    def region(self, labels: Sequence[int]) -> Case:
        """The union of some labels as class 1 of a case of two classes (BraTS: whole tumour = labels 1, 2 and 3)."""
        if not labels or not all(0 < label < self.classes for label in labels):
            raise InputError(f"a region is a union of labels 1 to {self.classes - 1}, not {list(labels)}")
        table = np.zeros(self.classes + 1, dtype=np.uint8)
        table[list(labels)] = 1
        table[self.classes] = 2
        maps = (table[self.reference], table[self.prediction])
        return Case(*maps, 2, self.grid, self.full_shape, self.ignored)

    def masks(self, label: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """One label's reference and prediction as boolean arrays with the pad, ignored voxels False."""
        shape = self.grid.shape
        return (self.reference == label).reshape(shape), (self.prediction == label).reshape(shape)


def case_of(
    reference: NDArray[Any],
    prediction: NDArray[Any],
    classes: int,
    spacing_mm: Sequence[float],
    ignore_label: int | None = None,
    prediction_spacing_mm: Sequence[float] | None = None,
) -> Case:
    """Check two label maps and make a case of them.

    Args:
        reference: labels 0 .. classes - 1 (and `ignore_label`), 2-D or 3-D; whole numbers of any type.
        prediction: labels 0 .. classes - 1 on the same grid; whatever it says of ignored voxels is left out.
        classes: number of labels with the background.
        spacing_mm: distance of neighbouring voxels along each axis.
        ignore_label: value in `reference` that marks voxels nobody labelled.
        prediction_spacing_mm: the prediction's own spacing, when it has one; must be the same.

    Raises:
        InputError: the reference, the spacing or the number of classes is no such thing.
        AnswerError: the prediction is on another grid, or holds labels outside the set.
    """
    spacing = _spacing(spacing_mm, reference.ndim)
    if reference.shape != prediction.shape:
        raise AnswerError(f"the prediction's shape is {prediction.shape}, the reference's {reference.shape}")
    if prediction_spacing_mm is not None and not np.allclose(prediction_spacing_mm, spacing, rtol=1e-4):
        raise AnswerError(f"the prediction's spacing is {tuple(prediction_spacing_mm)} mm, the reference's {spacing}")
    if reference.size == 0:
        raise InputError(f"the label map is empty: shape {reference.shape}")
    if classes < 2:  # noqa: PLR2004 - background and one more
        raise InputError(f"a segmentation has at least 2 classes with the background, not {classes}")
    ignore = np.zeros((), dtype=np.bool_) if ignore_label is None else reference == ignore_label
    ignored = bool(ignore.any())
    maps = []
    for what, labels, error in (("reference", reference, InputError), ("prediction", prediction, AnswerError)):
        whole = np.where(ignore, 0, labels) if ignored else labels
        small = _compact(what, whole, classes, error)
        maps.append(np.where(ignore, small.dtype.type(classes), small) if ignored else small)
    box = tuple(_extent(one | two) for one, two in zip(*(_lines(labels) for labels in maps), strict=True))
    grid = Grid(tuple(side.stop - side.start + 1 + REACH for side in box), spacing)
    flat = [_padded(labels[box], grid.shape) for labels in maps]
    return Case(flat[0], flat[1], classes, grid, reference.shape, ignored)


def _spacing(spacing_mm: Sequence[float], dimensions: int) -> tuple[float, ...]:
    spacing = tuple(float(step) for step in spacing_mm)
    if dimensions not in DIMENSIONS:
        raise InputError(f"a label map has 2 or 3 axes, not {dimensions}")
    if len(spacing) != dimensions or not all(math.isfinite(step) and step > 0 for step in spacing):
        raise InputError(f"the spacing of a {dimensions}-D map is {dimensions} positive numbers, not {spacing}")
    return spacing


def _compact(what: str, labels: NDArray[Any], classes: int, error: type[HallmarkError]) -> NDArray[Any]:
    """The labels in the smallest unsigned type that also holds `classes`, checked."""
    if labels.dtype == np.bool_:
        labels = labels.view(np.uint8)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise error(f"the {what} has {int((~np.isfinite(labels)).sum())} voxels that are no number (NaN or infinite)")
    if labels.dtype.kind not in "iuf":
        raise error(f"the {what} is of type {labels.dtype}, labels are whole numbers")
    low, high = 0 if labels.dtype.kind == "u" else labels.min(), labels.max()
    if low < 0 or high >= classes:
        raise error(f"the {what} has label {low if low < 0 else high}, outside of 0 to {classes - 1}")
    small = labels.astype(np.min_scalar_type(classes), copy=False)
    if labels.dtype.kind == "f" and not np.array_equal(small, labels):
        raise error(f"the {what} has labels that are no whole numbers")
    return small


def _lines(labels: NDArray[Any]) -> list[NDArray[Any]]:
    """For each axis, what is not 0 in the slices across it."""
    lines = []
    while labels.ndim:
        lines.append(np.maximum.reduce(labels, axis=tuple(range(1, labels.ndim))))
        labels = np.maximum.reduce(labels, axis=0)
    return lines


def _extent(line: NDArray[Any]) -> slice:
    """From the first to the last that is not 0; one place when there is none."""
    found = np.flatnonzero(line)
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 1)


def _padded(labels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    out = np.zeros(shape, dtype=labels.dtype)
    out[tuple(slice(1, 1 + n) for n in labels.shape)] = labels
    return out.ravel()

"""Distances between two surfaces, summed up: HD, HD95, ASSD, MASD, NSD. One pair of distance lists feeds them all.

Shape suffixes: n elements of the reference's surface, m of the prediction's.

d(x, S) is the Euclidean distance in mm of an element to the nearest element of the other surface. Elements weigh 1
(voxel borders) or their area (surfels). HD95 has two conventions: ``max`` is the larger of the two directed 95th
percentiles (MONAI, MetricsReloaded, surface-distance), ``pooled`` the 95th percentile of both lists together (medpy,
panoptica, nnU-Net v1). Percentiles of voxels interpolate linearly (NumPy); of surfels they are the least distance that
holds 95 % of the area. A list without elements makes every value NaN: `policy` decides what it is worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.masks.case import Case
from suite.masks.nearest import nearest
from suite.masks.surface import Kind, surfaces

Floats = NDArray[np.float64]
SLACK = 1 + 1e-7  # a distance equal to the tolerance is within it, whatever its last bit


@dataclass(frozen=True)
class Distances:
    """Of each surface element to the other surface.

    Attributes:
        reference: [n] mm.
        prediction: [m] mm.
        reference_sizes: [n] areas, ``None`` for voxels: each counts 1.
        prediction_sizes: [m].
    """

    reference: Floats
    prediction: Floats
    reference_sizes: Floats | None = None
    prediction_sizes: Floats | None = None

    @property
    def empty(self) -> bool:
        """Whether a side has no surface."""
        return not len(self.reference) or not len(self.prediction)

    @property
    def areas(self) -> tuple[float, float]:
        """Total size of the reference's and of the prediction's surface."""
        sides = ((self.reference, self.reference_sizes), (self.prediction, self.prediction_sizes))
        first, second = (float(len(d)) if sizes is None else float(sizes.sum()) for d, sizes in sides)
        return first, second

    @property
    def sums(self) -> tuple[float, float]:
        """Sum of distance times size on either side."""
        return _weighted(self.reference, self.reference_sizes), _weighted(self.prediction, self.prediction_sizes)


def distances(case: Case, kind: Kind) -> list[Distances]:
    """The distances of each class but the background."""
    return [
        Distances(*nearest(true.points, predicted.points, case.grid), true.sizes, predicted.sizes)
        for true, predicted in zip(*surfaces(case, kind), strict=True)
    ]


def hd(d: Distances) -> float:
    """Hausdorff distance in mm: the largest of all distances; lower is better."""
    return math.nan if d.empty else float(max(d.reference.max(), d.prediction.max()))


def hd95_max(d: Distances) -> float:
    """The larger of the two directed 95th percentiles, mm; lower is better."""
    if d.empty:
        return math.nan
    return max(_percentile(d.reference, d.reference_sizes), _percentile(d.prediction, d.prediction_sizes))


def hd95_pooled(d: Distances) -> float:
    """95th percentile of both lists together, mm; lower is better. Never above `hd95_max` but for interpolation."""
    if d.empty:
        return math.nan
    sizes = None
    if d.reference_sizes is not None and d.prediction_sizes is not None:
        sizes = np.concatenate([d.reference_sizes, d.prediction_sizes])
    return _percentile(np.concatenate([d.reference, d.prediction]), sizes)


def assd(d: Distances) -> float:
    """Average symmetric surface distance, pooled: (sum d_G + sum d_P) / (|S_G| + |S_P|), mm; lower is better.

    MONAI ``symmetric=True`` and MetricsReloaded; what medpy and panoptica call assd is `masd`.
    """
    return math.nan if d.empty else sum(d.sums) / sum(d.areas)


def masd(d: Distances) -> float:
    """Mean of the two directed average distances, mm; lower is better (medpy `assd`)."""
    if d.empty:
        return math.nan
    (first, second), (here, there) = d.sums, d.areas
    return (first / here + second / there) / 2


def within(d: Distances, tolerance_mm: float) -> tuple[float, float]:
    """Size of the reference's and of the prediction's surface that lies within the tolerance of the other one."""
    near = tolerance_mm * SLACK
    sides = ((d.reference, d.reference_sizes), (d.prediction, d.prediction_sizes))
    first, second = (
        float(np.count_nonzero(dist <= near)) if sizes is None else float(sizes[dist <= near].sum())
        for dist, sizes in sides
    )
    return first, second


def nsd(d: Distances, tolerance_mm: float) -> float:
    """Normalised surface distance at a tolerance: share of both surfaces within it, 0..1, higher is better."""
    return math.nan if d.empty else sum(within(d, tolerance_mm)) / sum(d.areas)


def check_tolerance(tolerance_mm: float, spacing_mm: Sequence[float]) -> None:
    """Refuse a tolerance that no distance but 0 can meet.

    Raises:
        InputError: it is below the finest spacing, or no positive number.
    """
    finest = min(spacing_mm)
    if not tolerance_mm * SLACK >= finest:
        raise InputError(
            f"a tolerance of {tolerance_mm} mm is below the finest spacing, {finest} mm: distances are 0 or at least "
            f"{finest} mm, so only exact coincidence would count; choose {finest} mm or more"
        )


def _weighted(values: Floats, sizes: Floats | None) -> float:
    return float(values.sum() if sizes is None else values @ sizes)


def _percentile(values: Floats, sizes: Floats | None, share: float = 0.95) -> float:
    if sizes is None:
        place = (len(values) - 1) * share
        low, high = math.floor(place), math.ceil(place)
        parted = np.partition(values, (low, high))
        return float(parted[low] + (parted[high] - parted[low]) * (place - low))
    order = np.argsort(values)
    cumulated = np.cumsum(sizes[order])
    place = int(np.searchsorted(cumulated / cumulated[-1], share))
    return float(values[order[min(place, len(order) - 1)]])

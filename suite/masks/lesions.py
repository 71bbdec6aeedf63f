"""Lesion-wise Dice of BraTS 2023: every lesion of the reference and every made-up one counts the same.

Rule: reference lesions are components (26-connected) after a dilation that merges neighbours; a lesion's prediction is
the union of all predicted components that touch the dilated lesion; a predicted component that touches none is a false
positive with Dice 0. Lesions up to a volume are dropped, and so is what was predicted for them.

    score = sum of the lesions' Dice / (lesions + false positives)

HD95 goes the same way, on surfels; a missed lesion and a false positive are charged 374 mm each.

Known of this rule: the size of a false positive does not matter, and one predicted component can serve two lesions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from suite.masks.case import case_of
from suite.masks.distance import distances, hd95_max

PENALTY_MM = 374.0  # BraTS: of a lesion that one side lacks
Mask = NDArray[np.bool_]
Box = tuple[slice, ...]


@dataclass(frozen=True)
class Lesions:
    """One case.

    Attributes:
        dice: of each lesion that counts.
        false_positives: predicted components that touch no lesion.
        hd95_mm: of each lesion that counts; empty unless asked for.
    """

    dice: NDArray[np.float64]
    false_positives: int
    hd95_mm: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def lesions(
    reference: Mask,
    prediction: Mask,
    spacing_mm: Sequence[float],
    dilation: int = 1,
    least_mm3: float = 50.0,
    *,
    with_hd95: bool = False,
) -> Lesions:
    """The lesions of a case.

    Args:
        reference: 2-D or 3-D mask.
        prediction: mask on the same grid.
        spacing_mm: for the volumes.
        dilation: steps (faces and edges) by which neighbouring reference lesions merge: BraTS 1 or 3.
        least_mm3: lesions of at most this volume are dropped: BraTS 50, or 2 for metastases.
        with_hd95: measure HD95 too.
    """
    from scipy import ndimage

    near = ndimage.generate_binary_structure(reference.ndim, 2)
    corners = np.ones((3,) * reference.ndim)
    grown = ndimage.binary_dilation(reference, near, iterations=dilation) if dilation else reference
    merged, _ = ndimage.label(grown, corners)
    predicted, m = ndimage.label(prediction, corners)
    sizes, boxes = np.bincount(predicted.ravel(), minlength=m + 1), ndimage.find_objects(predicted)
    dice, hd95, touched = [], [], np.zeros(m + 1, dtype=np.bool_)
    for lesion, box in enumerate(ndimage.find_objects(merged), start=1):
        wide = tuple(slice(max(side.start - dilation, 0), side.stop + dilation) for side in box)
        mine = (merged[wide] == lesion) & reference[wide]
        reach = ndimage.binary_dilation(mine, near, iterations=dilation) if dilation else mine
        hits = np.zeros(m + 1, dtype=np.bool_)  # a table of the components: looked up faster than searched
        hits[predicted[wide][reach]] = True
        hits[0] = False
        touched |= hits
        if mine.sum() * math.prod(spacing_mm) > least_mm3:
            both = (mine & hits[predicted[wide]]).sum()
            dice.append(2 * both / (mine.sum() + sizes[hits].sum()))
            if with_hd95:
                around = _around([wide, *(boxes[hit - 1] for hit in np.flatnonzero(hits))])
                hd95.append(_hd95(mine, _within(wide, around), hits[predicted[around]], spacing_mm))
    return Lesions(np.array(dice, dtype=np.float64), int(m - touched[1:].sum()), np.array(hd95, dtype=np.float64))


def _around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds them all."""
    sides = zip(*boxes, strict=True)
    return tuple(slice(min(one.start for one in side), max(one.stop for one in side)) for side in sides)


def _within(box: Box, around: Box) -> Box:
    """A box counted from the corner of another."""
    return tuple(slice(one.start - two.start, one.stop - two.start) for one, two in zip(box, around, strict=True))


def _hd95(mine: Mask, where: Box, theirs: Mask, spacing_mm: Sequence[float]) -> float:
    """HD95 of a lesion and what was predicted for it, both in the box around them; edges count as surface in any."""
    if not theirs.any():
        return PENALTY_MM
    lesion = np.zeros_like(theirs)
    lesion[where] = mine
    return hd95_max(distances(case_of(lesion, theirs, 2, spacing_mm), "surfel")[0])


def lesion_hd95(case: Lesions) -> float:
    """(Sum of HD95 + 374 mm per false positive) / (lesions + false positives), mm, lower is better; NaN without any."""
    n = len(case.dice) + case.false_positives
    return (float(case.hd95_mm.sum()) + PENALTY_MM * case.false_positives) / n if n else math.nan


def lesion_dice(case: Lesions) -> float:
    """Sum of Dice / (lesions + false positives), 0..1, higher is better; NaN when there are neither (BraTS: 1)."""
    n = len(case.dice) + case.false_positives
    return float(case.dice.sum()) / n if n else math.nan

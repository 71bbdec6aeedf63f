"""Lesion-wise Dice of BraTS 2023: every lesion of the reference and every made-up one counts the same.

Rule: reference lesions are components (26-connected) after a dilation that merges neighbours; a lesion's prediction is
the union of all predicted components that touch the dilated lesion; a predicted component that touches none is a false
positive with Dice 0. Lesions up to a volume are dropped, and so is what was predicted for them.

    score = sum of the lesions' Dice / (lesions + false positives)

Known of this rule: the size of a false positive does not matter, and one predicted component can serve two lesions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Lesions:
    """One case.

    Attributes:
        dice: of each lesion that counts.
        false_positives: predicted components that touch no lesion.
    """

    dice: NDArray[np.float64]
    false_positives: int


def lesions(
    reference: Mask, prediction: Mask, spacing_mm: Sequence[float], dilation: int = 1, least_mm3: float = 50.0
) -> Lesions:
    """The lesions of a case.

    Args:
        reference: 2-D or 3-D mask.
        prediction: mask on the same grid.
        spacing_mm: for the volumes.
        dilation: steps (faces and edges) by which neighbouring reference lesions merge: BraTS 1 or 3.
        least_mm3: lesions of at most this volume are dropped: BraTS 50, or 2 for metastases.
    """
    near = ndimage.generate_binary_structure(reference.ndim, 2)
    corners = np.ones((3,) * reference.ndim)
    grown = ndimage.binary_dilation(reference, near, iterations=dilation) if dilation else reference
    merged, n = ndimage.label(grown, corners)
    predicted, m = ndimage.label(prediction, corners)
    dice, touched = [], np.zeros(m + 1, dtype=np.bool_)
    for lesion in range(1, n + 1):
        mine = (merged == lesion) & reference
        reach = ndimage.binary_dilation(mine, near, iterations=dilation) if dilation else mine
        hits = np.setdiff1d(predicted[reach], [0])
        touched[hits] = True
        if mine.sum() * math.prod(spacing_mm) > least_mm3:
            theirs = np.isin(predicted, hits) if len(hits) else np.zeros_like(mine)
            dice.append(2 * (mine & theirs).sum() / (mine.sum() + theirs.sum()))
    return Lesions(np.array(dice, dtype=np.float64), int(m - touched[1:].sum()))


def lesion_dice(case: Lesions) -> float:
    """Sum of Dice / (lesions + false positives), 0..1, higher is better; NaN when there are neither (BraTS: 1)."""
    n = len(case.dice) + case.false_positives
    return float(case.dice.sum()) / n if n else math.nan

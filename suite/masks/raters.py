"""Several raters and several samples of one image: do the samples vary as the raters do?

Shape suffixes: N samples of the prediction, M raters, K classes.

d(a, b) = 1 - IoU(a, b), mean over the classes without the background; where both masks of a class are empty IoU is 1,
where one is, 0 (Kohl 2018, PHiSeg).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError, InputError

Labels = NDArray[Any]
Floats = NDArray[np.float64]


def iou_table(first: Sequence[Labels], second: Sequence[Labels], classes: int) -> Floats:
    """IoU [len(first), len(second)] of label maps on one grid, mean over labels 1 .. classes - 1."""
    if not len(first) or not len(second):
        raise InputError("there is no label map to compare")
    if len({one.shape for one in (*first, *second)}) > 1:
        raise AnswerError(f"label maps differ in shape: {sorted({one.shape for one in (*first, *second)})}")
    total = np.zeros((len(first), len(second)))
    voxels = [[np.bincount(one.ravel(), minlength=classes)[1:] for one in maps] for maps in (first, second)]
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            if first is second and j < i:
                total[i, j] = total[j, i]
                continue
            both = np.bincount(a[a == b].ravel(), minlength=classes)[1:]
            union = voxels[0][i] + voxels[1][j] - both
            total[i, j] = np.divide(both, union, out=np.ones(classes - 1), where=union > 0).sum()
    return np.asarray(total / (classes - 1))


def ged(samples: Sequence[Labels], raters: Sequence[Labels], classes: int, unbiased: bool = False) -> float:
    """Generalised energy distance squared, 2 E d(s, y) - E d(s, s') - E d(y, y'); lower is better.

    As a V-statistic (PHiSeg, the default) the pairs i = j count, each with distance 0: never below 0, and biased upward
    by E d(s, s') / N for N samples: compare equal N only. `unbiased` leaves them out (U-statistic): it may be below 0
    and is NaN for a single sample or rater.
    """
    across = 1 - iou_table(samples, raters, classes).mean()
    within = [_within(maps, classes, unbiased) for maps in (samples, raters)]
    return float(2 * across - sum(within))


def _within(maps: Sequence[Labels], classes: int, unbiased: bool) -> float:
    distance, n = 1 - iou_table(maps, maps, classes), len(maps)
    if not unbiased:
        return float(distance.mean())
    return float((distance.sum() - np.trace(distance)) / (n * (n - 1))) if n > 1 else math.nan


def hungarian_iou(samples: Sequence[Labels], raters: Sequence[Labels], classes: int) -> float:
    """Mean IoU of the best one-to-one assignment of samples to raters, both repeated to a common number (Kohl 2019).

    0..1, higher is better.
    """
    from scipy.optimize import linear_sum_assignment

    table = iou_table(samples, raters, classes)
    common = math.lcm(*table.shape)
    repeated = np.tile(table, (common // table.shape[0], common // table.shape[1]))
    return float(repeated[linear_sum_assignment(repeated, maximize=True)].mean())


def majority(raters: Sequence[Labels], classes: int) -> Labels:
    """The label that most raters give each voxel; a tie goes to the smaller label, so background wins it."""
    votes = np.stack([np.sum([one == label for one in raters], axis=0) for label in range(classes)])
    return np.asarray(votes.argmax(axis=0))

"""Overlap of two label maps, from one confusion matrix of voxels per case.

Shape suffixes: C labels with the background, K classes without it; `...` cases or sums of cases.

Every function of this module takes `Counts` and works on one case (arrays [K]), on many ([N, K]: the values of each
case) and on their sum (pooled). Undefined values are NaN. What a case is worth when a class is absent from either side
is not decided here: see `policy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.masks.case import Case
from suite.masks.scan import joint_runs

Floats = NDArray[np.float64]


def confusion(case: Case) -> NDArray[np.int64]:
    """[C, C] voxels by reference (rows) and predicted label (columns); ignored voxels are in none of them.

    Counted in runs of voxels along which neither map changes, so the cost is that of one comparison a voxel.
    """
    starts, lengths = joint_runs(case.reference, case.prediction)
    side = case.classes + 1
    pairs = case.reference[starts].astype(np.int64) * side + case.prediction[starts]
    counts = np.bincount(pairs, weights=lengths, minlength=side**2).reshape(side, side)
    table = counts.astype(np.int64)[: case.classes, : case.classes]
    table[0, 0] += int(np.prod(case.full_shape)) - len(case.reference)
    return table


@dataclass(frozen=True)
class Counts:
    """Voxels of each class.

    Attributes:
        both: true positives, [..., K].
        predicted: in the prediction.
        true: in the reference.
        voxels: looked at, [..., 1].
    """

    both: NDArray[np.int64]
    predicted: NDArray[np.int64]
    true: NDArray[np.int64]
    voxels: NDArray[np.int64]

    def pooled(self) -> Counts:
        """The sum over cases: the first axis."""
        return Counts(self.both.sum(0), self.predicted.sum(0), self.true.sum(0), self.voxels.sum(0))

    @property
    def cells(self) -> tuple[Floats, Floats, Floats, Floats]:
        """True positives, false positives, false negatives, true negatives."""
        both, predicted, true = (np.asarray(x, dtype=np.float64) for x in (self.both, self.predicted, self.true))
        return both, predicted - both, true - both, self.voxels - predicted - true + both


def counts_of(table_CC: NDArray[np.int64], regions: Sequence[Sequence[int]] | None = None) -> Counts:
    """Counts of each label but the background, or of each region: a union of labels (nnU-Net, BraTS).

    >>> counts_of(np.array([[5, 0, 0], [1, 2, 1], [0, 0, 3]]), [[1, 2], [2]]).both
    array([6, 3])
    """
    wanted = [[label] for label in range(1, len(table_CC))] if regions is None else regions
    if any(not 0 < label < len(table_CC) for region in wanted for label in region) or not all(wanted):
        raise InputError(f"a region is a union of labels 1 to {len(table_CC) - 1}, not {wanted}")
    inside_KC = np.zeros((len(wanted), len(table_CC)), dtype=np.int64)
    for row, region in zip(inside_KC, wanted, strict=True):
        row[list(region)] = 1
    both = np.einsum("kr,rc,kc->k", inside_KC, table_CC, inside_KC)
    voxels = np.array([table_CC.sum()])
    return Counts(both, inside_KC @ table_CC.sum(axis=0), inside_KC @ table_CC.sum(axis=1), voxels)


def divided(top: NDArray[Any], bottom: NDArray[Any]) -> Floats:
    """Quotient, NaN where the bottom is 0."""
    above, below = np.broadcast_arrays(np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64))
    out: Floats = np.full(above.shape, np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


def dice(counts: Counts) -> Floats:
    """2 TP / (2 TP + FP + FN), 0..1, higher is better; NaN when both sides are empty."""
    return divided(2.0 * counts.both, counts.predicted + counts.true)


def iou(counts: Counts) -> Floats:
    """TP / (TP + FP + FN), 0..1, higher is better; NaN when both sides are empty."""
    return divided(counts.both, counts.predicted + counts.true - counts.both)


def precision(counts: Counts) -> Floats:
    """TP / (TP + FP), 0..1, higher is better; NaN when the prediction is empty."""
    return divided(counts.both, counts.predicted)


def recall(counts: Counts) -> Floats:
    """TP / (TP + FN), sensitivity, 0..1, higher is better; NaN when the reference is empty."""
    return divided(counts.both, counts.true)


def specificity(counts: Counts) -> Floats:
    """TN / (TN + FP), 0..1, higher is better; dominated by background. NaN when the reference is everywhere."""
    _, fp, _, tn = counts.cells
    return divided(tn, tn + fp)


def accuracy(counts: Counts) -> Floats:
    """(TP + TN) / voxels, 0..1, higher is better; dominated by background."""
    tp, fp, fn, tn = counts.cells
    return divided(tp + tn, tp + fp + fn + tn)


def balanced_accuracy(counts: Counts) -> Floats:
    """(recall + specificity) / 2, 0..1, higher is better; NaN when either is undefined."""
    return np.asarray((recall(counts) + specificity(counts)) / 2)


def mcc(counts: Counts) -> Floats:
    """Matthews correlation, (TP TN - FP FN) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN)), -1..1, higher is better.

    NaN when a factor is 0 (MetricsReloaded too; scikit-learn says 0). Roots before products: counts of voxels overflow.
    """
    tp, fp, fn, tn = counts.cells
    bottom = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    return divided(tp * tn - fp * fn, bottom)


def volume_error(counts: Counts) -> Floats:
    """(|P| - |G|) / |G|, -1.., signed: 0 is right, positive too large (panoptica RVD); NaN for an empty reference."""
    return divided(np.asarray(counts.predicted, dtype=np.float64) - counts.true, counts.true)


def absolute_volume_error(counts: Counts) -> Floats:
    """| |P| - |G| | / |G|, 0.., lower is better; NaN for an empty reference."""
    return np.abs(volume_error(counts))

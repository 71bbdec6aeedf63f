"""Instances and lesions: which predicted object is which of the reference, and what follows.

Shape suffixes: R reference objects, Q predicted ones.

The rule is part of each metric's name: a pair counts when its IoU exceeds a threshold, and of all ways to pair up
objects one to one the one with the largest sum of IoU is taken (picai_eval; above 0.5 there is only one way).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError, InputError

Labels = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Overlaps:
    """All pairs of objects.

    Attributes:
        iou: [R, Q].
        true: [R] voxels of the reference's objects.
        predicted: [Q] voxels of the predicted ones.
    """

    iou: Floats
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]


@dataclass(frozen=True)
class Match:
    """One case's outcome.

    Attributes:
        found: [R] whether a reference object has a partner.
        iou: of each pair.
        false_positives: predicted objects without a partner.
    """

    found: NDArray[np.bool_]
    iou: Floats
    false_positives: int

    @property
    def counts(self) -> tuple[int, int, int]:
        """TP, FP, FN; they add up over cases."""
        hits = int(self.found.sum())
        return hits, self.false_positives, len(self.found) - hits


def components(mask: NDArray[np.bool_]) -> Labels:
    """Objects of a mask: its connected components, with corners (8, 26)."""
    from scipy import ndimage

    labels: Labels = ndimage.label(mask, np.ones((3,) * mask.ndim))[0]
    return labels


def overlaps(reference: Labels, prediction: Labels) -> Overlaps:
    """IoU of every pair of objects of two instance maps (0 is background; other labels need not be consecutive).

    Raises:
        AnswerError: the shapes differ, or the prediction holds what is no label.
        InputError: the reference does.
    """
    if reference.shape != prediction.shape:
        raise AnswerError(f"the prediction's shape is {prediction.shape}, the reference's {reference.shape}")
    for what, labels, error in (("reference", reference, InputError), ("prediction", prediction, AnswerError)):
        if labels.dtype.kind not in "biu" or (labels.size and labels.min() < 0):
            raise error(f"the {what} of type {labels.dtype} is no instance map: labels are whole numbers from 0")
    (true_ids, true), (predicted_ids, predicted) = (_numbered(x) for x in (reference, prediction))
    pairs = np.bincount(true * len(predicted_ids) + predicted, minlength=true_ids.size * predicted_ids.size)
    table = pairs.reshape(len(true_ids), len(predicted_ids))
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    kept = np.ix_(true_ids > 0, predicted_ids > 0)
    both = table[kept].astype(np.float64)
    union = rows[true_ids > 0][:, None] + columns[predicted_ids > 0] - both
    return Overlaps(both / union, rows[true_ids > 0], columns[predicted_ids > 0])


def _numbered(labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different labels and the place of each voxel's among them, flat, in one pass unless labels are very large."""
    flat = labels.ravel().astype(np.int64, copy=False)
    if flat.max(initial=0) > flat.size:
        ids, places = np.unique(flat, return_inverse=True)
        return ids, places
    there = np.bincount(flat) > 0
    return np.flatnonzero(there), (np.cumsum(there) - 1)[flat]


def partners(pairs: Overlaps, least_iou: float) -> NDArray[np.int64]:
    """[R] which predicted object is the partner of each reference object, -1 for none.

    One to one, largest sum of IoU, only pairs whose IoU exceeds the threshold (0 <= threshold < 1).
    """
    from scipy.optimize import linear_sum_assignment

    if not 0 <= least_iou < 1:
        raise InputError(f"a threshold of IoU lies in [0, 1), not at {least_iou}")
    worth = np.where(pairs.iou > least_iou, pairs.iou, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    real = worth[rows, columns] > 0
    found = np.full(len(pairs.true), -1, dtype=np.int64)
    found[rows[real]] = columns[real]
    return found


def match(pairs: Overlaps, least_iou: float) -> Match:
    """What `partners` makes of a case."""
    partner = partners(pairs, least_iou)
    found = partner >= 0
    return Match(found, pairs.iou[found, partner[found]], len(pairs.predicted) - int(found.sum()))


def f1(tp: float, fp: float, fn: float) -> float:
    """TP / (TP + FP/2 + FN/2) = recognition quality RQ, 0..1, higher is better; NaN without any object."""
    return tp / (tp + fp / 2 + fn / 2) if tp + fp + fn else math.nan


def segmentation_quality(iou: Floats) -> float:
    """SQ: mean IoU of the pairs, 0..1, higher is better; NaN without a pair."""
    return float(iou.mean()) if len(iou) else math.nan


def panoptic_quality(outcome: Match) -> float:
    """PQ = SQ x RQ = sum of the pairs' IoU / (TP + FP/2 + FN/2), 0..1, higher is better (Kirillov 2019).

    0 when nothing matches, NaN when neither side has an object.
    """
    tp, fp, fn = outcome.counts
    return float(outcome.iou.sum()) / (tp + fp / 2 + fn / 2) if tp + fp + fn else math.nan


def recall_per_patient(found: Sequence[int], lesions: Sequence[int]) -> float:
    """Mean over the patients with a lesion of found / lesions; NaN when no patient has one."""
    shares = [hits / n for hits, n in zip(found, lesions, strict=True) if n]
    return float(np.mean(shares)) if shares else math.nan


def false_positives_per_patient(false_positives: Sequence[int]) -> float:
    """Mean over all patients, also those without a lesion; lower is better; NaN without patients."""
    return float(np.mean(false_positives)) if len(false_positives) else math.nan


def recall_by_volume(volumes_mm3: Floats, found: NDArray[np.bool_], parts: int = 4) -> tuple[Floats, Floats]:
    """Recall of the reference objects of each quantile of volume (quartiles): edges [parts + 1] and recall [parts].

    An object on an edge belongs to the part below it; a part without objects is NaN.
    """
    if not len(volumes_mm3):
        return np.full(parts + 1, np.nan), np.full(parts, np.nan)
    edges = np.quantile(volumes_mm3, np.linspace(0, 1, parts + 1))
    part = np.searchsorted(edges[1:-1], volumes_mm3, side="left")
    n = np.bincount(part, minlength=parts)
    hits = np.bincount(part, weights=found, minlength=parts)
    return edges, np.divide(hits, n, out=np.full(parts, np.nan), where=n > 0)

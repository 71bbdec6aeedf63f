"""Ranking: does the score put the positives first? For two classes, one class against the rest, or normal and novel.

    auroc         P(s+ > s-) + P(s+ = s-) / 2                                scikit-learn roc_auc_score
    auprc         sum over thresholds of (R_t - R_{t-1}) P_t, no trapezoids  scikit-learn average_precision_score
    fpr_95tpr     the least FPR of a threshold whose TPR is 0.95 or more
    auroc_macro   mean over classes of the AUROC of p_k, class k against the rest;  auprc_macro likewise

Equal scores are one threshold. Without a positive or without a negative none of them has a value.

Shape suffixes: N items, T thresholds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined
from suite.metrics.base import Columns, Metric
from suite.metrics.binary import DEFAULT, Binary, of_class
from suite.metrics.counted import ByCounts, Counts, OfCounts, OfParts, OfSteps, Thresholds, by_repeating, of_steps

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_MOST_SHORT = 2**15
_MOST_SORTED = 1 << 24  # probabilities whose order by class is kept for a bootstrap: 128 MB


def curve(truth_N: Bools, score_N: Floats) -> tuple[Floats, Floats]:
    """Positives and negatives that score at each threshold or above, [T + 1] each, from (0, 0) to (P, Q).

    As scikit-learn's roc_curve without dropped points.
    """
    thresholds = Thresholds(score_N)
    return counted_curve(thresholds, thresholds.in_order(truth_N), np.ones(len(score_N), dtype=np.int64))


def counted_curve(thresholds: Thresholds, truth_N: Bools, counts_N: Counts) -> tuple[Floats, Floats]:
    """`curve` where each item counts so often; truths are in the thresholds' order."""
    all_T, found_T = thresholds.above(counts_N, truth_N)
    positives_T, negatives_T = np.zeros((2, len(all_T) + 1))
    positives_T[1:] = found_T
    np.subtract(all_T, found_T, out=negatives_T[1:])
    return positives_T, negatives_T


@of_steps(curve)
def auroc(positives_T: Floats, negatives_T: Floats) -> float:
    """The probability that a positive scores above a negative, ties half: the area under the curve by trapezoids."""
    twice = (negatives_T[1:] - negatives_T[:-1]) @ (positives_T[1:] + positives_T[:-1])  # of counts: exact
    return float(twice / (2 * positives_T[-1] * negatives_T[-1]))


@of_steps(curve)
def auprc(positives_T: Floats, negatives_T: Floats) -> float:
    """Average precision: the sum over thresholds of the gain in recall times the precision."""
    precision_T = positives_T[1:] / (positives_T[1:] + negatives_T[1:])
    return float(np.diff(positives_T) @ precision_T / positives_T[-1])


@of_steps(curve)
def fpr_at(positives_T: Floats, negatives_T: Floats, tpr: float = 0.95) -> float:
    """The least FPR of a threshold that finds at least this share of the positives."""
    enough_T = positives_T >= tpr * positives_T[-1] - 1e-9
    return float(negatives_T[enough_T].min() / negatives_T[-1])


def ranked(
    name: str,
    function: OfSteps,
    reference: str,
    binary: Binary = DEFAULT,
    bounds: tuple[float, float | None] = (0.0, 1.0),
) -> Metric:
    """A metric of (truth, score); one class only has no value."""

    def whole(columns: Columns) -> float:
        truth_N = binary.truth(columns)
        if truth_N.all() or not truth_N.any():
            raise Undefined(f"all items are {'positives' if truth_N.any() else 'negatives'}: nothing to rank")
        score_N = binary.score(columns)
        if not np.isfinite(score_N).all():
            raise Undefined("a score is not finite")
        return function(truth_N, score_N)

    return Metric(
        name=name,
        needs=binary.needs,
        whole=ByCounts(
            whole,
            lambda columns: _of_counts(function, binary.truth(columns), binary.score(columns)),
            lambda columns: _of_parts(function, binary.truth(columns), binary.score(columns)),
        ),
        unit="",
        higher_is_better=True,
        bounds=bounds,
        strata=binary.truth,
        reference=reference,
    )


def _of_counts(function: OfSteps, truth_N: Bools, score_N: Floats) -> OfCounts:
    thresholds = Thresholds(score_N)
    falling_N = thresholds.in_order(truth_N)

    def value(counts_N: Counts) -> float:
        positives_T, negatives_T = counted_curve(thresholds, falling_N, counts_N)
        return function.function(positives_T, negatives_T) if positives_T[-1] and negatives_T[-1] else float("nan")

    return value


def _of_parts(function: OfSteps, truth_N: Bools, score_N: Floats) -> OfParts:
    """Rows are sorted by score once; small whole numbers (parts) are sorted much faster than scores."""
    order_N = np.argsort(-score_N, kind="stable")
    truth_N, falling_N = truth_N[order_N], score_N[order_N]
    threshold_N = np.cumsum(np.append(True, falling_N[1:] != falling_N[:-1]))

    def values(part_N: Counts, n_parts: int) -> Floats:
        mine_N = part_N[order_N].astype(np.int16 if n_parts < _MOST_SHORT else np.int64)
        rows_N = np.argsort(mine_N, kind="stable")
        ends = np.cumsum(np.bincount(mine_N, minlength=n_parts))[:-1]
        parts = zip(np.split(truth_N[rows_N], ends), np.split(threshold_N[rows_N], ends), strict=True)
        return np.array([_of_sorted(function, *part) for part in parts])

    return values


def _of_sorted(function: OfSteps, truth_N: Bools, threshold_N: Counts) -> float:
    last_T = np.flatnonzero(np.append(threshold_N[1:] != threshold_N[:-1], True)[: len(truth_N)])
    positives_T, negatives_T = np.zeros((2, len(last_T) + 1))
    positives_T[1:] = np.cumsum(truth_N)[last_T]
    negatives_T[1:] = last_T + 1 - positives_T[1:]
    try:
        return function.function(positives_T, negatives_T) if positives_T[-1] and negatives_T[-1] else float("nan")
    except Undefined:
        return float("nan")


def ranking(binary: Binary = DEFAULT) -> tuple[Metric, ...]:
    """AUROC, AUPRC and FPR at 95 % TPR of one class against the rest."""
    fpr = ranked("fpr_95tpr", fpr_at, "least FPR of a threshold with TPR of 0.95 or more; lower is better", binary)
    return (
        ranked("auroc", auroc, "P(s+ > s-) + ties / 2; scikit-learn roc_auc_score", binary),
        ranked("auprc", auprc, "average precision (steps); scikit-learn average_precision_score", binary),
        replace(fpr, higher_is_better=False),
    )


def _macro(function: OfSteps) -> ByCounts:
    """The mean over classes of one against the rest; classes without a positive or a negative do not count."""

    def whole(columns: Columns) -> float:
        probs_NK, label_N = np.asarray(columns["probs"]), np.asarray(columns["label"])
        counts_K = np.bincount(label_N[label_N >= 0], minlength=probs_NK.shape[1])
        classes = np.flatnonzero((counts_K > 0) & (counts_K < len(label_N)))
        if not len(classes):
            raise Undefined("all items are of one class: nothing to rank")
        return float(np.mean([function(label_N == k, of_class(probs_NK, int(k))) for k in classes]))

    def prepared(columns: Columns) -> OfCounts:
        probs_NK, label_N = np.asarray(columns["probs"]), np.asarray(columns["label"])
        if probs_NK.size > _MOST_SORTED:
            return by_repeating(whole)(columns)
        classes = np.unique(label_N[label_N >= 0])
        each = [_of_counts(function, label_N == k, of_class(probs_NK, int(k))) for k in classes]

        def value(counts_N: Counts) -> float:
            found = np.array([of_class(counts_N) for of_class in each])
            there = np.isfinite(found)
            return float(found[there].mean()) if there.any() else float("nan")

        return value

    return ByCounts(whole, prepared)


_AUROC, _AUPRC = ranking()[:2]
MACRO = tuple(
    replace(
        metric,
        name=f"{metric.name}_macro",
        whole=_macro(function),
        strata=lambda columns: np.asarray(columns["label"]),
        reference=f"mean over the classes that occur of {what} of one against the rest; scikit-learn's macro average",
    )
    for metric, function, what in ((_AUROC, auroc, "AUROC"), (_AUPRC, auprc, "average precision"))
)

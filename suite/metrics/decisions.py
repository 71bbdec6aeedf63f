"""Decisions: what the most probable class, or a threshold, makes of the scores.

    accuracy            is in `suite.metrics.classification`
    balanced_accuracy   mean over the classes that occur of the share of their items decided rightly   scikit-learn
    f1_macro            mean over the classes that occur or are predicted of 2TP / (2TP + FP + FN)     scikit-learn
    mcc                 correlation of decision and label, R_K for K classes (Gorodkin 2004)           scikit-learn
    f1                  2TP / (2TP + FP + FN) of one class against the rest                            scikit-learn
    tpr, fpr            share of the positives, of the negatives, that is decided positive
    selection_rate      share of all items that is decided positive

mcc has no value where all labels or all decisions are of one class (scikit-learn says 0), f1 none without a positive
and a positive decision. tpr and fpr are about the positives, the negatives alone: their n counts these.

Shape suffixes: N items, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric, ratio
from suite.metrics.binary import DEFAULT, Binary
from suite.metrics.counted import ByCounts, Counts, OfCounts

Floats = NDArray[np.float64]


def class_counts(columns: Columns, counts_N: Counts | None = None) -> tuple[Floats, Floats, Floats]:
    """Items of each class, items taken for it, and items of it taken for it: [K] each.

    Decisions are the column ``decided`` where there are no ``probs``; then K ends with the last class that occurs.
    With `counts_N` each item counts so often.
    """
    label_N, predicted_N, n_classes = _decided(columns)
    right_N = predicted_N == label_N
    of = (
        (label_N, counts_N),
        (predicted_N, counts_N),
        (label_N[right_N], None if counts_N is None else counts_N[right_N]),
    )
    true_K, predicted_K, right_K = (np.bincount(v, weights=w, minlength=n_classes).astype(np.float64) for v, w in of)
    return true_K, predicted_K, right_K


def _decided(columns: Columns) -> tuple[NDArray[np.integer], NDArray[np.integer], int]:
    label_N = columns["label"]
    if "probs" in columns:
        n_classes, predicted_N = columns["probs"].shape[1], columns["probs"].argmax(axis=1)
    else:
        predicted_N = columns["decided"]
        n_classes = int(max(label_N.max(), predicted_N.max())) + 1
    return label_N, predicted_N, n_classes


def _of_classes(value: Callable[[Floats, Floats, Floats], float]) -> ByCounts:
    def prepared(columns: Columns) -> OfCounts:
        label_N, predicted_N, _ = _decided(columns)
        small = {"label": label_N, "decided": predicted_N}
        return lambda counts_N: value(*class_counts(small, counts_N))

    return ByCounts(lambda columns: value(*class_counts(columns)), prepared)


def _balanced_accuracy(true_K: Floats, _: Floats, right_K: Floats) -> float:
    return float((right_K[true_K > 0] / true_K[true_K > 0]).mean())


def _f1_macro(true_K: Floats, predicted_K: Floats, right_K: Floats) -> float:
    either_K = true_K + predicted_K
    return float((2 * right_K[either_K > 0] / either_K[either_K > 0]).mean())


def _mcc(true_K: Floats, predicted_K: Floats, right_K: Floats) -> float:
    """(c s - sum_k t_k p_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2)), c right of s items."""
    n = true_K.sum()
    spread = (n**2 - predicted_K @ predicted_K) * (n**2 - true_K @ true_K)
    return float("nan") if spread <= 0 else float((right_K.sum() * n - true_K @ predicted_K) / np.sqrt(spread))


BALANCED_ACCURACY = Metric(
    name="balanced_accuracy",
    needs=("probs", "label"),
    whole=_of_classes(_balanced_accuracy),
    unit="",
    higher_is_better=True,
    bounds=(0.0, 1.0),
    reference="mean recall over the classes that occur; scikit-learn balanced_accuracy_score",
)
F1_MACRO = replace(
    BALANCED_ACCURACY,
    name="f1_macro",
    whole=_of_classes(_f1_macro),
    reference="mean over classes that occur or are predicted of 2TP/(2TP+FP+FN); scikit-learn's macro average",
)
MCC = replace(
    BALANCED_ACCURACY,
    name="mcc",
    whole=_of_classes(_mcc),
    bounds=(-1.0, 1.0),
    undefined="all labels or all decisions are of one class",
    reference="R_K (Gorodkin 2004); scikit-learn matthews_corrcoef, which gives 0 where this has no value",
)
CLASSES = (BALANCED_ACCURACY, F1_MACRO, MCC)


def f1(binary: Binary = DEFAULT) -> Metric:
    """2TP / (2TP + FP + FN), from (2TP, positives + positive decisions)."""

    def terms(columns: Columns) -> Floats:
        truth, decision = binary.truth(columns), binary.decision(columns)
        return np.stack([2.0 * (truth & decision), truth.astype(np.float64) + decision], axis=1)

    return Metric(
        name="f1",
        needs=binary.decision_needs,
        terms=terms,
        finish=ratio,
        unit="",
        higher_is_better=True,
        bounds=(0.0, 1.0),
        undefined="no positive and no positive decision",
        reference="2TP/(2TP+FP+FN) of the positive class; scikit-learn f1_score",
    )


def selection_rate(binary: Binary = DEFAULT) -> Metric:
    """Share of items decided positive."""
    return _rate(binary, "selection_rate", None, "share of items decided positive; fairlearn selection_rate")


def tpr(binary: Binary = DEFAULT) -> Metric:
    """True positive rate (recall, sensitivity): of the positives, the share decided positive."""
    return replace(_rate(binary, "tpr", True, "TP/(TP+FN); scikit-learn recall_score"), higher_is_better=True)


def fpr(binary: Binary = DEFAULT) -> Metric:
    """False positive rate: of the negatives, the share decided positive."""
    return replace(_rate(binary, "fpr", False, "FP/(FP+TN), 1 - specificity"), higher_is_better=False)


def _rate(binary: Binary, name: str, among: bool | None, reference: str) -> Metric:
    def terms(columns: Columns) -> Floats:
        decided = binary.decision(columns).astype(np.float64)
        return np.stack([decided, np.ones_like(decided)], axis=1)

    return Metric(
        name=name,
        needs=binary.decision_needs,
        terms=terms,
        finish=ratio,
        prepare=None if among is None else _only(binary, among),
        unit="",
        higher_is_better=None,
        bounds=(0.0, 1.0),
        undefined=f"no {'items' if among is None else 'positives' if among else 'negatives'}",
        proportion=True,
        reference=reference,
    )


def _only(binary: Binary, positives: bool) -> Callable[[Columns], Columns]:
    def prepare(columns: Columns) -> Columns:
        inside = binary.truth(columns) == positives
        return {name: values[inside] for name, values in columns.items()}

    return prepare


DECISIONS = (*CLASSES, f1(), tpr(), fpr(), selection_rate())

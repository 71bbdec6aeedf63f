"""Decisions: by hand, against scikit-learn, and where they have no value."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from metric_samples import labelled, multiclass

from suite import compare, measure
from suite.errors import Undefined
from suite.metrics import classification, decisions, fairness
from suite.metrics.base import Columns
from suite.metrics.binary import Binary


def decided(predicted: list[int], label: list[int], classes: int = 2) -> Columns:
    return labelled(0.8 * np.eye(classes)[predicted] + 0.2 / classes, np.array(label))


def test_a_confusion_matrix_by_hand() -> None:
    """TP 3, FN 1, FP 2, TN 4."""
    c = decided([1, 1, 1, 0, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    assert decisions.BALANCED_ACCURACY(c) == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert decisions.F1_MACRO(c) == pytest.approx((6 / 9 + 8 / 11) / 2)
    assert decisions.MCC(c) == pytest.approx((3 * 4 - 2 * 1) / np.sqrt(5 * 4 * 6 * 5))
    assert decisions.f1()(c) == pytest.approx(6 / 9)
    assert decisions.tpr()(c) == pytest.approx(3 / 4)
    assert decisions.fpr()(c) == pytest.approx(2 / 6)
    assert decisions.selection_rate()(c) == pytest.approx(5 / 10)
    assert [m.observations(c) for m in (decisions.tpr(), decisions.fpr(), decisions.selection_rate())] == [4, 6, 10]


@pytest.mark.parametrize("classes", (2, 5))
def test_agrees_with_scikit_learn(classes: int) -> None:
    from sklearn import metrics as theirs

    c = multiclass(400, classes)
    predicted, label = c["probs"].argmax(axis=1), c["label"]
    assert decisions.BALANCED_ACCURACY(c) == pytest.approx(theirs.balanced_accuracy_score(label, predicted))
    assert decisions.F1_MACRO(c) == pytest.approx(theirs.f1_score(label, predicted, average="macro"))
    assert decisions.MCC(c) == pytest.approx(theirs.matthews_corrcoef(label, predicted))
    assert decisions.f1()(c) == pytest.approx(theirs.f1_score(label == 1, predicted == 1))
    assert decisions.tpr()(c) == pytest.approx(theirs.recall_score(label == 1, predicted == 1))
    assert decisions.fpr()(c) == pytest.approx(1 - theirs.recall_score(label != 1, predicted != 1))


def test_classes_that_never_occur() -> None:
    """Class 2 is predicted once and never true: no recall, but an F1 of 0; class 3 is neither, and left out."""
    from sklearn import metrics as theirs

    predicted, label = [0, 0, 1, 2], [0, 0, 1, 1]
    c = decided(predicted, label, classes=4)
    assert decisions.BALANCED_ACCURACY(c) == pytest.approx((1 + 1 / 2) / 2)
    assert decisions.F1_MACRO(c) == pytest.approx((1 + 2 / 3 + 0) / 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert decisions.BALANCED_ACCURACY(c) == pytest.approx(theirs.balanced_accuracy_score(label, predicted))
    assert decisions.F1_MACRO(c) == pytest.approx(theirs.f1_score(label, predicted, average="macro"))


@pytest.mark.parametrize(("predicted", "label"), (([0, 0, 0], [0, 1, 1]), ([0, 1, 1], [1, 1, 1])))
def test_mcc_of_one_class_has_no_value_and_is_not_zero(predicted: list[int], label: list[int]) -> None:
    with pytest.raises(Undefined, match="one class"):
        decisions.MCC(decided(predicted, label))


def test_no_positive_no_negative() -> None:
    none, every = decided([0, 0], [0, 0]), decided([1, 0], [1, 1])
    with pytest.raises(Undefined, match="no positive and no positive decision"):
        decisions.f1()(none)
    for metric, c in ((decisions.tpr(), none), (decisions.fpr(), every)):
        with pytest.raises(Undefined):
            metric(c)
        (m,) = measure.scores([metric], c, seed=0)
        assert (m.value, m.n) == (None, 0)
        assert m.reason == ("no positives" if c is none else "no negatives")


def test_one_of_one_positive_is_no_certainty() -> None:
    """The interval counts the one positive, not the hundred items."""
    c = decided([1] + [0] * 99, [1] + [0] * 99)
    (m,) = measure.scores([decisions.tpr()], c, seed=0)
    assert (m.value, m.n) == (1.0, 1)
    assert m.low is None
    four = decided([1] * 4 + [0] * 96, [1] * 4 + [0] * 96)
    (m,) = measure.scores([decisions.tpr()], four, seed=0)
    assert m.low == pytest.approx(0.510, abs=1e-3)  # Wilson at 4 of 4


def test_decisions_are_those_taken_before_probabilities_were_rounded() -> None:
    """0.5 + 1e-9 is 0.5 as float32, as is the other one: class 1 was decided all the same."""
    rows = [classification.outcomes(np.array([0.5 - 1e-9, 0.5 + 1e-9]), 1)] * 40
    c = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    c = {**c, "cluster": np.arange(40), "group.x": np.array(["a", "b"] * 20)}
    assert classification.ACCURACY(c) == 1
    metrics = (decisions.tpr(), decisions.selection_rate(), decisions.f1(), *fairness.parity("x"))
    found = {m.name: m for m in measure.scores(metrics, c, seed=0)}
    assert [found[name].value for name in ("tpr", "selection_rate", "f1")] == [1, 1, 1]
    assert found["demographic_parity_ratio[x]"].value == 1
    assert found["f1"].low > 0.9


def test_without_decisions_the_probabilities_decide() -> None:
    c = decided([1, 0, 1], [1, 1, 0])
    del c["decided"]
    assert Binary().decision(c).tolist() == [True, False, True]
    assert decisions.tpr()(c) == 0.5


def test_a_threshold_of_a_score() -> None:
    binary = Binary(column="score", threshold=0.5)
    c = {"score": np.array([0.9, 0.5, 0.4, 0.1]), "label": np.array([1, 0, 1, 0])}
    assert [make(binary)(c) for make in (decisions.tpr, decisions.fpr, decisions.selection_rate)] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "metric",
    decisions.DECISIONS,
    ids=lambda m: m.name,
)
def test_paired_change(metric: Any) -> None:
    a = multiclass(500)
    b = labelled(np.roll(a["probs"], 1, axis=1) * 0.45 + a["probs"] * 0.55, a["label"])
    change = compare._difference(metric, a, b, seed=0).difference
    assert change.value == pytest.approx(metric(b) - metric(a))
    assert change.low is not None
    assert change.high is not None
    assert change.low <= change.value <= change.high

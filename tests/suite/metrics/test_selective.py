"""Selective prediction: by hand, against an average over orders and scikit-learn's AUROC."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from metric_samples import labelled, multiclass

from suite import compare
from suite.metrics import selective

CONFIDENCE = np.array([0.9, 0.8, 0.7, 0.6])
RIGHT = np.array([True, False, True, True])


def test_four_items_by_hand() -> None:
    """Wrong among the first 1, 2, 3, 4: 0, 1, 1, 1; so risks 0, 1/2, 1/3, 1/4, generalized 0, 1/4, 1/4, 1/4."""
    coverage, risk = selective.risk_coverage(CONFIDENCE, RIGHT)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 4])
    assert selective.aurc(CONFIDENCE, RIGHT) == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert selective.e_aurc(CONFIDENCE, RIGHT) == pytest.approx((1 / 2 + 1 / 3) / 4)  # best order: risk 1/4 at the end
    assert selective.augrc(CONFIDENCE, RIGHT) == pytest.approx((0 + 1 / 8 + 1 / 4 + 1 / 4) / 4)
    assert selective.coverage_at(CONFIDENCE, RIGHT) == 0.25
    assert selective.coverage_at(CONFIDENCE, RIGHT, target=0.75) == 1.0
    assert selective.coverage_at(CONFIDENCE, ~RIGHT) == 0.0


def test_all_right_all_wrong_and_ranked_at_best() -> None:
    for right, values in ((np.ones(4, bool), (0, 0, 0, 1)), (np.zeros(4, bool), (1, 0, 0.5, 0))):
        found = [
            f(CONFIDENCE, right) for f in (selective.aurc, selective.e_aurc, selective.augrc, selective.coverage_at)
        ]
        assert found == pytest.approx(values, abs=1e-12)
    assert selective.e_aurc(CONFIDENCE, np.array([True, True, True, False])) == pytest.approx(0, abs=1e-15)


def test_aurc_of_ties_is_the_mean_over_their_orders() -> None:
    confidence, right = np.array([0.9, 0.7, 0.7, 0.7, 0.2]), np.array([True, False, True, False, True])
    each = []
    for order in itertools.permutations((1, 2, 3)):
        wrong = np.cumsum(~right[[0, *order, 4]])
        each.append((wrong / np.arange(1, 6)).mean())
    assert selective.aurc(confidence, right) == pytest.approx(np.mean(each))
    assert selective.coverage_at(confidence, right, target=0.9) == 0.2  # never within the tie


def test_augrc_agrees_with_its_closed_form_by_auroc() -> None:
    from sklearn.metrics import roc_auc_score

    c = multiclass(500)
    confidence, right = c["probs"].max(axis=1).round(2), c["correct"].astype(bool)
    accuracy, auroc = right.mean(), roc_auc_score(right, confidence)
    expected = (1 - auroc) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2
    assert selective.augrc(confidence, right) == pytest.approx(expected)


def test_agrees_with_a_loop_over_thresholds() -> None:
    c = multiclass(200)
    confidence, right = c["probs"].max(axis=1), c["correct"].astype(bool)
    taken = [confidence >= t for t in sorted(set(confidence), reverse=True)]
    risks = [(~right[t]).mean() for t in taken]
    assert selective.AURC(c) == pytest.approx(np.mean(risks))
    best = max((t.mean() for t, risk in zip(taken, risks, strict=True) if 1 - risk >= 0.95), default=0.0)
    assert selective.COVERAGE_95(c) == pytest.approx(best)
    ideal = np.arange(1, 201) - right.sum()
    assert selective.E_AURC(c) == pytest.approx(np.mean(risks) - (np.maximum(ideal, 0) / np.arange(1, 201)).mean())


@pytest.mark.parametrize("metric", selective.SELECTIVE, ids=lambda m: m.name)
def test_order_of_rows_and_paired_change(metric: Any) -> None:
    c = multiclass(400)
    tied = labelled(c["probs"].round(1) / c["probs"].round(1).sum(axis=1, keepdims=True), c["label"])
    order = np.random.default_rng(2).permutation(400)
    assert metric({name: values[order] for name, values in tied.items()}) == pytest.approx(metric(tied), rel=1e-12)
    change = compare._difference(metric, c, tied, seed=0).difference
    assert change.value == pytest.approx(metric(tied) - metric(c))
    assert change.low is not None
    assert change.high is not None
    assert change.low <= change.value <= change.high

"""Multiple choice by hand, and against scikit-learn, netcal's formula in torchmetrics, and lm-eval's own rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss
from torchmetrics.classification import MulticlassCalibrationError

from suite.metrics.choices import METRICS, outcomes
from suite.outcomes import to_columns, to_table

BY_NAME = {metric.name: metric for metric in METRICS}


def test_one_item_by_hand() -> None:
    row = outcomes(np.log([0.5, 0.3, 0.1]), ["aa", "bbbbbbbbbb", "c"], [1])
    assert row["probs"] == pytest.approx([5 / 9, 3 / 9, 1 / 9])
    assert (row["correct"], row["label"], row["tied"]) == (0, 1, 0)
    assert row["nll"] == pytest.approx(math.log(3))
    assert row["brier"] == pytest.approx((5 / 9) ** 2 + (6 / 9) ** 2 + (1 / 9) ** 2)
    assert row["correct_norm"] == 1  # ln .3 / 10 is the largest
    scaled = np.exp([math.log(0.5) / 2, math.log(0.3) / 10, math.log(0.1)])
    assert row["probs_norm"] == pytest.approx(scaled / scaled.sum())
    assert row["nll_norm"] == pytest.approx(-math.log(scaled[1] / scaled.sum()))


@pytest.mark.parametrize(
    ("right", "correct", "probability", "label"),
    [([0, 2], 1, 6 / 9, 0), ([1, 2], 0, 4 / 9, 1), ([], 0, 1e-12, -1), ([-100], 0, 1e-12, -1), ([7], 0, 1e-12, -1)],
)
def test_several_right_choices_count_as_one_and_none_as_wrong(
    right: list[int], correct: int, probability: float, label: int
) -> None:
    row = outcomes(np.log([0.5, 0.3, 0.1]), ["a", "b", "c"], right)
    assert (row["correct"], row["label"]) == (correct, label)
    assert row["nll"] == pytest.approx(-math.log(probability))


def test_a_surely_wrong_choice_costs_all_that_it_costs() -> None:
    row = outcomes(np.array([-10.0, -110.0, -300.0]), ["a", "b", "c"], [1])
    assert row["nll"] == pytest.approx(100.0)  # not the 27.6 nats of a probability cut off at 1e-12
    assert row["probs"][1] == pytest.approx(math.exp(-100))


def test_ties_are_counted_and_the_first_is_taken() -> None:
    row = outcomes(np.array([-4.0, -2.0, -2.0]), ["a", "b", "c"], [2])
    assert (row["tied"], row["correct"]) == (1, 0)
    assert outcomes(np.array([-4.0, -4.0, -2.0]), ["a", "b", "c"], [2])["tied"] == 0


def test_every_metric_agrees_with_another_library() -> None:
    import torch

    draw = np.random.default_rng(3)
    n, k = 400, 4
    logprobs = draw.normal(size=(n, k)) * 3 - 20
    right = draw.integers(0, k, n)
    texts = [["x" * int(size) for size in draw.integers(1, 30, k)] for _ in range(n)]
    table = [{"item": str(i), **outcomes(logprobs[i], texts[i], [int(right[i])])} for i in range(n)]
    columns = to_columns(to_table(table))
    lengths = np.array([[len(text) for text in row] for row in texts])
    for suffix, scores in (("", logprobs), ("_norm", logprobs / lengths)):
        probs = torch.softmax(torch.tensor(scores), dim=1).numpy()
        ece = MulticlassCalibrationError(k, n_bins=15, norm="l1")(torch.tensor(probs), torch.tensor(right))
        assert BY_NAME["accuracy" + suffix](columns) == pytest.approx((scores.argmax(1) == right).mean())
        assert BY_NAME["nll" + suffix](columns) == pytest.approx(log_loss(right, probs, labels=range(k)))
        hot = np.eye(k)[right]
        assert BY_NAME["brier" + suffix](columns) == pytest.approx(((probs - hot) ** 2).sum(1).mean())
        assert BY_NAME["ece_15" + suffix](columns) == pytest.approx(float(ece), abs=1e-6)
    assert BY_NAME["ties"](columns) == 0

"""Temperature scaling: by hand, against another optimiser, and on real logits with published figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from metric_samples import labelled, multiclass, softmax

from suite import compare, measure
from suite.errors import Undefined
from suite.metrics import calibration, classification, temperature
from suite.metrics.base import Columns


def at(columns: Columns, value: float) -> Columns:
    return {**columns, "temperature": np.full(len(columns["label"]), value)}


def test_scaled_is_the_softmax_of_divided_logits() -> None:
    from scipy.special import softmax as reference

    logits = np.random.default_rng(0).normal(size=(50, 7)) * 4
    for value in (0.5, 1.0, 3.0):
        np.testing.assert_allclose(
            temperature.scaled(reference(logits, 1), value), reference(logits / value, 1), rtol=1e-9
        )
    assert temperature.scaled(np.array([[1.0, 0.0]]), 2.0).tolist() == [[1.0, 0.0]]


def test_two_classes_by_hand() -> None:
    """3 of 4 right at confidence 0.9: the best confidence is 0.75, so T = ln 9 / ln 3 = 2."""
    probs, label = np.tile([0.9, 0.1], (4, 1)), np.array([0, 0, 0, 1])
    assert temperature.fit(probs, label) == pytest.approx(2.0, rel=1e-6)
    c = at(labelled(probs, label), 2.0)
    assert temperature.ECE_15_SCALED(c) == pytest.approx(0, abs=1e-12)
    assert temperature.NLL_SCALED(c) == pytest.approx(-(3 * np.log(0.75) + np.log(0.25)) / 4)
    assert temperature.TEMPERATURE(c) == pytest.approx(2.0)
    assert calibration.ECE_15(c) == pytest.approx(0.15)


def test_the_fit_agrees_with_a_logistic_regression_without_intercept() -> None:
    """For two classes T is 1 over the coefficient of the log odds."""
    from sklearn.linear_model import LogisticRegression

    c = multiclass(3000, classes=2)
    odds = np.log(c["probs"][:, 1] / c["probs"][:, 0])[:, None]
    fitted = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000).fit(odds, c["label"])
    assert temperature.fit(c["probs"], c["label"]) == pytest.approx(1 / fitted.coef_[0, 0], rel=1e-5)


def test_the_fit_undoes_a_temperature_and_repeats_to_the_bit() -> None:
    c = multiclass(2000)
    found = temperature.fit(c["probs"], c["label"])
    sharper = temperature.scaled(c["probs"], 0.5)
    assert temperature.fit(sharper, c["label"]) == pytest.approx(2 * found, rel=1e-6)
    assert temperature.fit(c["probs"], c["label"]) == found


@pytest.mark.parametrize("truth", (0.02, 0.3, 1.0, 4.0, 40.0))
def test_the_fit_agrees_with_a_search_by_another_optimiser(truth: float) -> None:
    """Of float32 probabilities, more items than the first fit takes, temperatures far from 1 too."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    rng = np.random.default_rng(4)
    logits = rng.normal(size=(20_000, 5)) * (3 if truth > 0.1 else 0.05)
    edges = np.cumsum(softmax(logits / truth), axis=1)
    label = np.minimum((rng.random((20_000, 1)) > edges).sum(axis=1), 4)

    def nll(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(20_000), label].mean())

    found = minimize_scalar(nll, bounds=(np.log(0.01), np.log(100)), method="bounded", options={"xatol": 1e-7})
    assert temperature.fit(softmax(logits).astype(np.float32), label) == pytest.approx(np.exp(found.x), rel=1e-5)
    order = rng.permutation(20_000)
    again = temperature.fit(softmax(logits)[order], label[order])
    assert again == pytest.approx(temperature.fit(softmax(logits), label), rel=1e-9)


def test_there_is_no_temperature_where_all_classes_are_equally_probable() -> None:
    with pytest.raises(Undefined, match="least NLL"):
        temperature.fit(np.full((4, 2), 0.5), np.array([0, 1, 0, 0]))


@pytest.mark.parametrize("label", ([0, 0, 0], [1, 1, 1]), ids=("right", "wrong"))
def test_there_is_no_temperature_where_every_answer_is_right_or_wrong(label: list[int]) -> None:
    with pytest.raises(Undefined, match="least NLL"):
        temperature.fit(np.tile([0.9, 0.1], (3, 1)), np.array(label))


def test_no_calibration_split_is_said() -> None:
    for fit in (temperature.fit, temperature.fit_on_grid):
        with pytest.raises(Undefined, match="no calibration items"):
            fit(np.empty((0, 3)), np.empty(0, int))
    for metric in temperature.SCALED:
        (m,) = measure.scores([metric], at(multiclass(30), np.nan), seed=0)
        assert m.value is None
        assert m.reason == temperature.NO_TEMPERATURE


def test_a_label_that_is_no_class_has_probability_zero() -> None:
    c = at({"probs": np.array([[0.5, 0.5]]), "label": np.array([-1])}, 1.0)
    assert temperature.NLL_SCALED(c) == pytest.approx(-np.log(classification.NLL_EPS))


def test_at_temperature_one_nothing_changes_and_the_effect_can_be_compared() -> None:
    c = at(multiclass(3000), 1.0)
    assert temperature.ECE_15_SCALED(c) == pytest.approx(calibration.ECE_15(c), rel=1e-9)
    assert temperature.NLL_SCALED(c) == pytest.approx(classification.NLL(c), rel=1e-9)
    child = at(c, temperature.fit(c["probs"], c["label"]))
    change = compare._difference(temperature.NLL_SCALED, c, child, seed=0).difference
    assert change.value is not None
    assert change.high is not None
    assert change.high < 0


def test_real_resnet_logits(mirror: Path) -> None:
    """Accuracy, ECE-15 and NLL as published, before and after scaling at the published temperature of 1.1.

    The focal-calibration code takes it from a grid by ECE, and so does `fit_on_grid`. The temperature of the least NLL
    on the same validation split is 1.0626, with an ECE-15 of 0.00972 and an NLL of 0.1738.
    """
    found = np.load(mirror / "cal_cifar10_resnet50" / "cifar10_resnet50_logits.npz")
    c: Any = labelled(softmax(found["test_logits"].astype(float)), found["test_labels"])
    assert classification.ACCURACY(c) == pytest.approx(0.9502, abs=1e-12)
    assert calibration.ECE_15(c) == pytest.approx(0.01552, abs=5e-6)
    assert classification.NLL(c) == pytest.approx(0.1755, abs=5e-5)
    split = softmax(found["val_logits"].astype(float)), found["val_labels"]
    assert temperature.fit_on_grid(*split) == 1.1
    assert temperature.ECE_15_SCALED(at(c, 1.1)) == pytest.approx(0.00953, abs=5e-6)
    assert temperature.NLL_SCALED(at(c, 1.1)) == pytest.approx(0.1737, abs=5e-5)
    best = temperature.fit(*split)
    assert best == pytest.approx(1.06258, abs=1e-5)
    assert temperature.ECE_15_SCALED(at(c, best)) == pytest.approx(0.00972, abs=5e-6)
    assert temperature.NLL_SCALED(at(c, best)) == pytest.approx(0.17384, abs=5e-6)

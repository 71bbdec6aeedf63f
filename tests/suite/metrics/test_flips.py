"""Flips: by hand, and against scikit-learn's confusion matrix and the change of accuracy, overall and by group."""

from __future__ import annotations

import numpy as np
import pytest

from suite import measure
from suite.errors import IncomparableError
from suite.metrics import classification, flips
from suite.metrics.groups import gap, of_group


def test_five_items_by_hand() -> None:
    child = {"item": np.arange(5), "correct": np.array([1, 1, 0, 0, 1]), "group.x": np.array(list("aabbb"))}
    c = flips.beside(child, {"item": np.arange(5), "correct": np.array([1, 0, 1, 1, 1])})
    assert [metric(c) for metric in flips.FLIP_METRICS] == pytest.approx([3 / 5, 2 / 5, 1 / 5])
    assert [of_group(flips.LOSSES, "x", g)(c) for g in "ab"] == pytest.approx([0, 2 / 3])
    assert gap(flips.LOSSES, "x")(c) == pytest.approx(2 / 3)


def test_agrees_with_a_confusion_matrix_and_the_change_of_accuracy() -> None:
    from sklearn.metrics import confusion_matrix

    rng = np.random.default_rng(0)
    parent = {"item": np.arange(300), "correct": (rng.random(300) < 0.8).astype(int)}
    child = {"item": np.arange(300), "correct": (rng.random(300) < 0.7).astype(int), "cluster": np.arange(300)}
    c = flips.beside(child, parent)
    (_, gains), (losses, _) = confusion_matrix(parent["correct"], child["correct"]) / 300
    assert [metric(c) for metric in flips.FLIP_METRICS] == pytest.approx([gains + losses, losses, gains])
    change = classification.ACCURACY(child) - classification.ACCURACY(parent)
    assert flips.GAINS(c) - flips.LOSSES(c) == pytest.approx(change)
    (m,) = measure.scores([flips.FLIPS], c, seed=0)
    assert m.method == "wilson"


def test_other_items_cannot_be_compared() -> None:
    one = {"item": np.arange(3), "correct": np.ones(3)}
    with pytest.raises(IncomparableError, match="same items"):
        flips.beside(one, {"item": np.arange(1, 4), "correct": np.ones(3)})

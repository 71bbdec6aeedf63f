from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from mask_samples import blobs
from sklearn.metrics import jaccard_score

from suite.errors import AnswerError, InputError
from suite.masks.raters import ged, hungarian_iou, iou_table, majority


def row(*values):
    return np.array([values])


A, B, EMPTY = row(1, 1, 0, 0), row(1, 0, 0, 0), row(0, 0, 0, 0)  # IoU(A, B) = 1/2


def test_ged_by_hand() -> None:
    np.testing.assert_allclose(iou_table([A, B, EMPTY], [A, EMPTY], 2), [[1, 0], [0.5, 0], [0, 1]])
    assert ged([A], [A], 2) == 0.0
    assert ged([A], [B], 2) == pytest.approx(2 * 0.5)
    # samples A and B against raters A and B: across 1/4; within 1/4 as V, 1/2 as U
    assert ged([A, B], [A, B], 2) == pytest.approx(0.0)
    assert ged([A, B], [A, B], 2, unbiased=True) == pytest.approx(2 * 0.25 - 0.5 - 0.5)
    assert math.isnan(ged([A], [A, B], 2, unbiased=True))
    assert ged([EMPTY], [EMPTY], 2) == 0.0


def maps(seed, n=5):
    return [blobs((12, 13), 2, seed + k)[0] for k in range(n)]


def distance(one, two, classes=3):
    """By scikit-learn's Jaccard index, class by class."""
    parts = []
    for label in range(1, classes):
        a, b = (one == label).ravel(), (two == label).ravel()
        parts.append(jaccard_score(a, b) if (a | b).any() else 1.0)
    return 1 - np.mean(parts)


@pytest.mark.parametrize("seed", [0, 10])
def test_ged_agrees_with_the_sum_over_pairs(seed) -> None:
    samples, raters = maps(seed), maps(seed + 50, 3)
    across = np.mean([distance(s, y) for s, y in itertools.product(samples, raters)])
    v = [np.mean([distance(a, b) for a, b in itertools.product(m, m)]) for m in (samples, raters)]
    u = [np.mean([distance(a, b) for a, b in itertools.permutations(m, 2)]) for m in (samples, raters)]
    assert ged(samples, raters, 3) == pytest.approx(2 * across - sum(v))
    assert ged(samples, raters, 3, unbiased=True) == pytest.approx(2 * across - sum(u))
    assert ged(samples, raters, 3) >= 0


def test_hungarian_iou_by_hand_and_by_trying_all() -> None:
    assert hungarian_iou([A, B], [B, A], 2) == 1.0
    assert hungarian_iou([A], [A, B], 2) == pytest.approx(0.75)  # one sample stands for both raters
    samples, raters = maps(1, 4), maps(70, 4)
    table = 1 - np.array([[distance(s, y) for y in raters] for s in samples])
    best = max(np.mean([table[i, p[i]] for i in range(4)]) for p in itertools.permutations(range(4)))
    assert hungarian_iou(samples, raters, 3) == pytest.approx(best)


def test_the_majority_decides_and_background_wins_a_tie() -> None:
    raters = [row(1, 1, 2, 0), row(1, 2, 2, 0), row(2, 1, 0, 0)]
    assert majority(raters, 3).tolist() == [[1, 1, 2, 0]]
    assert majority([row(1, 0), row(0, 0)], 2).tolist() == [[0, 0]]
    from scipy import stats

    many = maps(3, 5)
    np.testing.assert_array_equal(majority(many, 3), stats.mode(np.stack(many), axis=0).mode)


def test_bad_input() -> None:
    with pytest.raises(AnswerError, match="shape"):
        ged([A], [A[:, :2]], 2)
    with pytest.raises(InputError, match="no label map"):
        ged([], [A], 2)

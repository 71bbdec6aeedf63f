"""The statistics of early decisions: hand-worked, against a numerical likelihood, and against the clustered error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from suite import statistic
from suite.metrics.base import ratio


@pytest.mark.parametrize(
    ("gains", "losses", "n", "margin"),
    [(5, 12, 100, 0.05), (0, 4, 400, 0.02), (0, 0, 100, 0.03), (40, 2, 90, 0.1), (7, 7, 60, 0.01), (12, 43, 88, 0.3)],
)
def test_the_score_statistic_is_that_of_the_likeliest_shares_under_the_margin(
    gains: int, losses: int, n: int, margin: float
) -> None:
    """Independent way: maximise the likelihood numerically along "gains minus losses = -margin"."""

    def minus_log(q: float) -> float:
        cells = ((gains, q - margin), (losses, q), (n - gains - losses, 1 - 2 * q + margin))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in cells if count)

    q = minimize_scalar(minus_log, bounds=(margin, (1 + margin) / 2), method="bounded", options={"xatol": 1e-12}).x
    expected = (gains - losses + n * margin) / math.sqrt(n * (2 * q - margin - margin**2))
    assert statistic.score(gains, losses, n, margin) == pytest.approx(expected, rel=2e-5)


def test_by_hand() -> None:
    """No flip among 100 at a margin of 4 %: q = 0.04, so z = 4 / sqrt(100 (0.08 - 0.04 - 0.0016))."""
    assert statistic.score(0, 0, 100, 0.04) == pytest.approx(4 / math.sqrt(100 * 0.0384))
    assert statistic.score(3, 3, 50, 0.0) == 0.0
    assert statistic.score(0, 0, 50, 0.0) is None  # no flip and no margin: nothing to measure by


def test_lower_is_better_turns_gains_and_losses_round() -> None:
    a, b = np.array([1.0, 1, 0, 0, 0]), np.array([0.0, 1, 1, 1, 0])
    up = statistic.of_proportions(a, b, np.arange(5), 1)
    down = statistic.of_proportions(a, b, np.arange(5), -1)
    assert up.flips == (pytest.approx(2), pytest.approx(1), 5)
    assert down.flips == (pytest.approx(1), pytest.approx(2), 5)
    assert up.gain == -down.gain == pytest.approx(0.2)


def test_repeated_answers_count_once() -> None:
    """Ten copies of each item, as one cluster: the evidence of the items, not ten times as much."""
    draw = np.random.default_rng(3)
    a, b = draw.random(200) < 0.8, draw.random(200) < 0.75
    alone = statistic.of_proportions(a.astype(float), b.astype(float), np.arange(200), 1)
    copied = statistic.of_proportions(
        np.repeat(a, 10).astype(float), np.repeat(b, 10).astype(float), np.repeat(np.arange(200), 10), 1
    )
    assert copied.flips is not None
    assert copied.flips[2] == pytest.approx(200, rel=0.02)
    assert copied.z(0.02) == pytest.approx(alone.z(0.02), rel=0.02)


def test_the_error_of_a_mean_is_the_clustered_one() -> None:
    """Independent way: sqrt(sum over clusters of squared sums of residuals) / n, with the factor G / (G - 1)."""
    draw = np.random.default_rng(1)
    clusters = draw.integers(0, 40, 300)
    a = np.stack([draw.gamma(2, 1, 300), np.ones(300)], axis=1)
    b = a + np.stack([draw.normal(0.1, 0.3, 300) + 0.2 * np.sin(clusters), np.zeros(300)], axis=1)
    found = statistic.of_sums(a, b, ratio, clusters, -1)
    d = (b - a)[:, 0]
    sums = np.bincount(clusters, weights=d - d.mean())
    g = found.n_clusters
    assert found.gain == pytest.approx(-d.mean())
    assert found.se == pytest.approx(math.sqrt(g / (g - 1) * (sums**2).sum()) / 300, rel=0.05)
    equal = np.arange(300) // 10  # of clusters of one size the two are the same to the last digit
    found = statistic.of_sums(a, b, ratio, equal, 1)
    sums = np.bincount(equal, weights=d - d.mean())
    assert found.se == pytest.approx(math.sqrt(30 / 29 * (sums**2).sum()) / 300)


def test_no_variation_measures_nothing() -> None:
    ones = np.ones((50, 2))
    found = statistic.of_sums(ones, ones * [[1.1, 1]], ratio, np.arange(50), -1)
    assert found.z(0.2) is None


def test_few_clusters_widen_the_bound() -> None:
    change = statistic.Change(0.0, 1.0, 6)
    assert change.widened(1.6449) == pytest.approx(2.015, abs=1e-3)  # t with 5 degrees of freedom, one-sided 5 %
    assert statistic.Change(0.0, 1.0, 10**6).widened(5.0) == pytest.approx(5.0, rel=1e-3)
    assert math.isfinite(statistic.Change(0.0, 1.0, 30).widened(8.5))

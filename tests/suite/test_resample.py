"""Shared resamples give the numbers of `suite.stats`, and the order of rows changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from suite import resample, stats
from suite.metrics.base import ratio


def test_sums_by_group_are_those_of_dense_terms_on_the_same_draws() -> None:
    rng = np.random.default_rng(0)
    n, cluster_N = 60, np.repeat(np.arange(20), 3)
    terms_NK = np.stack([rng.random(n), np.ones(n)], axis=1)
    codes_N2 = np.stack([rng.integers(-1, 3, n), np.full(n, 3)], axis=1)
    plain = resample.of_clusters(terms_NK, ratio, cluster_N)
    by_group = resample.of_groups(terms_NK, ratio, cluster_N, codes_N2)
    resample.resample([plain, by_group], 20, seed=5)
    expected = ratio(stats.resampled_sums(stats.cluster_sums(terms_NK, cluster_N), 5))
    assert plain.resampled[:, 0] == pytest.approx(expected, rel=1e-12)
    assert by_group.resampled[:, 3] == pytest.approx(expected, rel=1e-12)
    for g in range(3):
        inside = terms_NK * (codes_N2[:, :1] == g)
        each = ratio(stats.resampled_sums(stats.cluster_sums(inside, cluster_N), 5))
        assert by_group.resampled[:, g] == pytest.approx(each, rel=1e-12, nan_ok=True)
        assert by_group.real[g] == pytest.approx(inside[:, 0].sum() / inside[:, 1].sum())


def test_rows_are_those_of_interval_rows() -> None:
    values, cluster_N = np.random.default_rng(1).random(40), np.repeat(np.arange(10), 4)
    found = resample.resample_rows(lambda rows: np.array([np.median(values[rows])]), cluster_N, seed=2)
    interval = stats.interval_rows(lambda rows: float(np.median(values[rows])), 40, cluster_N, seed=2)
    again = stats.percentile_interval(float(np.median(values)), found[:, 0], 10, "bootstrap-cluster", (None, None))
    assert (again.low, again.high) == (interval.low, interval.high)

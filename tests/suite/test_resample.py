"""Shared resamples give the numbers of `suite.stats`, and the order of rows changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from suite import resample, stats
from suite.metrics.base import ratio
from suite.metrics.calibration import expected_gap, top_bins


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


@pytest.mark.parametrize("per_cluster", [1, 3])
@pytest.mark.parametrize("grouped", [True, False])
def test_terms_of_bins_are_summed_as_dense_ones(grouped: bool, per_cluster: int) -> None:
    """Units sorted by bin, zeros left out: the sums of the matrix as it is, whatever metric lies beside it."""
    rng, n = np.random.default_rng(3), 180
    cluster_N = np.repeat(np.arange(n // per_cluster), per_cluster)
    confidence_N, correct_N = rng.random(n), rng.random(n) < 0.5
    binned_NK = top_bins(confidence_N, correct_N)
    plain_NK = np.stack([confidence_N, np.ones(n)], axis=1)
    codes_N2 = np.stack([rng.integers(-1, 4, n), np.full(n, 4)], axis=1)

    def put(terms_NK: Any, finish: Any) -> Any:
        if grouped:
            return resample.of_groups(terms_NK, finish, cluster_N, codes_N2)
        return resample.of_clusters(terms_NK, finish, cluster_N)

    asked = [put(plain_NK, ratio), put(binned_NK, expected_gap), put(binned_NK[:, ::-1].copy(), expected_gap)]
    resample.resample(asked, n // per_cluster, seed=7)
    for one, terms_NK, finish in zip(asked[:2], (plain_NK, binned_NK), (ratio, expected_gap), strict=True):
        insides = [codes_N2[:, :1] == g for g in range(4)] if grouped else []
        for v, inside in enumerate([*insides, np.ones((n, 1))]):
            expected = finish(stats.resampled_sums(stats.cluster_sums(terms_NK * inside, cluster_N), 7))
            assert one.resampled[:, v] == pytest.approx(expected, rel=1e-11)


def test_counts_that_are_kept_give_the_same_bits() -> None:
    """Of a second metric with as many clusters; of another seed, or number of clusters, they are drawn anew."""
    terms = np.random.default_rng(0).random((300, 2))

    def values(seed: int, n: int = 300) -> Any:
        one = resample.Sums(ratio, terms[:n], n_clusters=n)
        resample.resample([one], n, seed)
        assert one.resampled[:, 0] == pytest.approx(ratio(stats.resampled_sums(terms[:n], seed)), rel=1e-12)
        return one.resampled

    first = values(1)
    assert np.array_equal(values(1), first)
    assert not np.array_equal(values(2), first)
    assert not np.array_equal(values(1, 299), first)
    assert np.array_equal(values(1), first)

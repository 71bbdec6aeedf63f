"""Shared resamples give the numbers of `suite.stats`, and the order of rows changes nothing."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from suite import draws, resample, stats
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


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many threads and small blocks draw the same stream, and everybody's values come back in its order."""
    terms = np.random.default_rng(1).random((50, 2))
    monkeypatch.setattr(draws, "_KEPT_BYTES", 0)
    monkeypatch.setattr(resample, "_BLOCK_COUNTS", 50 * 700)
    found = []
    for workers in (1, 8):
        monkeypatch.setattr(resample, "_WORKERS", workers)
        monkeypatch.setattr(resample.os, "cpu_count", lambda: 8)
        one = resample.Sums(ratio, terms, n_clusters=50)
        resample.resample([one], 50, seed=4)
        found.append(one.resampled[:, 0])
    assert np.array_equal(*found)
    assert found[0] == pytest.approx(ratio(stats.resampled_sums(terms, 4)), rel=1e-12)


def test_what_goes_wrong_in_a_thread_is_raised_and_ends_the_others() -> None:
    asked: list[int] = []

    def broken(sums_RK: Any) -> Any:
        asked.append(len(sums_RK))
        raise RuntimeError("no such finish")

    one = resample.Sums(broken, np.ones((1000, 2)), n_clusters=1000)
    with pytest.raises(RuntimeError, match="no such finish"):
        resample.resample([one], 1000, seed=0)
    assert len(asked) <= 4  # of five blocks, one a thread at most


def test_ctrl_c_ends_the_threads_after_the_blocks_they_are_at(monkeypatch: pytest.MonkeyPatch) -> None:
    started = threading.Event()
    asked: list[int] = []

    def slow(sums_RK: Any) -> Any:
        asked.append(len(sums_RK))
        started.set()
        time.sleep(0.01)
        return sums_RK[:, 0]

    class Interrupted(ThreadPoolExecutor):
        def map(self, fn: Any, *given: Any, **options: Any) -> Any:
            super().map(fn, *given, **options)
            started.wait()
            raise KeyboardInterrupt

    monkeypatch.setattr(resample, "_BLOCK_COUNTS", 50 * 100)
    monkeypatch.setattr(resample, "ThreadPoolExecutor", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        resample.resample([resample.Sums(slow, np.ones((50, 2)), n_clusters=50)], 50, seed=11)
    assert len(asked) < 50  # of 100 blocks
    assert (50, 11) not in draws._KEPT


def test_no_block_follows_a_stop_though_another_thread_is_drawing() -> None:
    """A stop comes while a thread computes where its block ends, and must not be overwritten by it."""
    stopping: list[threading.Thread] = []

    class Rows(int):
        def __radd__(self, start: int) -> int:
            if not stopping:
                stopping.append(threading.Thread(target=stream.stop))
                stopping[0].start()
                stopping[0].join(0.1)
            return start + int(self)

    stream = draws.Draws(20, Rows(100), seed=12)
    assert stream.block() is not None
    stopping[0].join()
    assert stream.block() is None


def test_equal_terms_are_summed_once_and_given_to_all() -> None:
    """Three means share their count, and two of them their sum."""
    rng = np.random.default_rng(2)
    a, b = rng.random(40), rng.random(40)
    cluster_N, codes_N2 = np.arange(40), np.stack([np.arange(40) % 2, np.full(40, 2)], axis=1)
    terms = [np.stack([values, np.ones(40)], axis=1) for values in (a, b, a)]
    asked = [resample.of_groups(one, ratio, cluster_N, codes_N2) for one in terms]
    resample.resample(asked, 40, seed=1)
    assert np.array_equal(asked[0].resampled, asked[2].resampled)
    for one, terms_NK in zip(asked, terms, strict=True):
        inside = terms_NK * (codes_N2[:, :1] == 1)
        assert one.resampled[:, 1] == pytest.approx(ratio(stats.resampled_sums(inside, 1)), rel=1e-12)

"""The bootstrap of a metric that is no function of sums: 1,000 resamples of clusters, and the value of each.

The draws depend on nothing but the number of clusters and the seed, so values of two models, or of several metrics,
belong to the same resamples and can be subtracted. A metric that knows its value from how often each row counts
(`suite.metrics.counted`) is asked for that; any other is given the rows.

Shape suffixes: N items, C clusters, R resamples, V values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from suite.errors import Undefined
from suite.metrics.base import Columns, Metric
from suite.metrics.counted import ByCounts
from suite.stats import FloatArray, IntArray

N_RESAMPLES = 1000


def picks(n_clusters: int, seed: int, n_resamples: int | None = None) -> Iterator[IntArray]:
    """The clusters that each resample draws, [C]; those of `stats.interval_rows`."""
    rng = np.random.default_rng(seed)
    for _ in range(n_resamples or N_RESAMPLES):
        yield rng.integers(0, n_clusters, n_clusters)


def rows(cluster_N: IntArray, seed: int, n_resamples: int | None = None) -> Iterator[IntArray]:
    """The rows of each resample, cluster by cluster as drawn.

    Args:
        cluster_N: number of each item's cluster, from 0, none left out.
        seed: of the draws.
        n_resamples: resamples R; by default `N_RESAMPLES`.
    """
    order_N, size_C = np.argsort(cluster_N, kind="stable"), np.bincount(cluster_N)
    start_C = np.cumsum(size_C) - size_C
    for picks_C in picks(len(size_C), seed, n_resamples):
        sizes = size_C[picks_C]
        ends = np.cumsum(sizes)
        yield order_N[np.arange(ends[-1]) + np.repeat(start_C[picks_C] - ends + sizes, sizes)]


def counts(cluster_N: IntArray, seed: int, n_resamples: int | None = None) -> Iterator[IntArray]:
    """How often each row is in each resample of `rows`, [N]."""
    n_clusters = int(cluster_N.max()) + 1
    for picks_C in picks(n_clusters, seed, n_resamples):
        yield np.bincount(picks_C, minlength=n_clusters)[cluster_N]


def resampled(metric: Metric, columns: Columns, cluster_N: IntArray, seed: int) -> FloatArray:
    """The metric's value in every resample, [R]; NaN where it has none.

    Args:
        metric: one with `whole`.
        columns: its rows, as `Metric.rows` gives them.
        cluster_N: number of each row's cluster.
        seed: of the draws.
    """
    with np.errstate(all="ignore"):
        if isinstance(metric.whole, ByCounts):
            value = metric.whole.prepared(columns)
            return np.array([_or_nan(value, counts_N) for counts_N in counts(cluster_N, seed)])
        return np.array([_or_nan(lambda r: metric.of_rows(columns, r), rows_N) for rows_N in rows(cluster_N, seed)])


def _or_nan(value: Callable[[IntArray], float], of: IntArray) -> float:
    try:
        return float(value(of))
    except Undefined:
        return float("nan")

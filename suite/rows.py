"""The bootstrap of a metric that is no function of sums: 1,000 resamples of clusters, and the value of each.

The draws depend on nothing but the seed and the number of clusters, or the sizes of strata (`suite.strata`), so values
of two models on the same items, or of several metrics, belong to the same resamples and can be subtracted. A metric
that knows its value from how often each row counts (`suite.metrics.counted`) is asked for that, by group too, where it
sorts the rows of a group once and not in every resample; any other is given the rows.

Shape suffixes: N items, C clusters, S strata, R resamples, G groups, V = G + 1 with the value over everything last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from suite.errors import Undefined
from suite.metrics.base import Blocks, Columns, Metric
from suite.metrics.counted import ByCounts, OfCounts
from suite.metrics.spread import values_by_group
from suite.stats import FloatArray, IntArray
from suite.strata import strata

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


def counts(
    cluster_N: IntArray, seed: int, n_resamples: int | None = None, stratum_N: IntArray | None = None
) -> Iterator[IntArray]:
    """How often each row is in each resample, [N]: of `rows`, or of as many rows of each stratum as it has.

    Args:
        cluster_N: number of each item's cluster, from 0, none left out.
        seed: of the draws.
        n_resamples: resamples R; by default `N_RESAMPLES`.
        stratum_N: number of each item's stratum, where every item is its own cluster.
    """
    if stratum_N is not None:
        yield from _stratified(cluster_N, stratum_N, seed, n_resamples)
        return
    n_clusters = int(cluster_N.max()) + 1
    for picks_C in picks(n_clusters, seed, n_resamples):
        yield np.bincount(picks_C, minlength=n_clusters)[cluster_N]


def _stratified(cluster_N: IntArray, stratum_N: IntArray, seed: int, n_resamples: int | None) -> Iterator[IntArray]:
    """Rows of a stratum in the order of their clusters, so that the order of rows changes nothing."""
    order_N, size_S = np.lexsort((cluster_N, stratum_N)), np.bincount(stratum_N)
    starts_S, rng = np.cumsum(size_S) - size_S, np.random.default_rng(seed)
    strata_S = list(zip(starts_S.tolist(), size_S.tolist(), strict=True))
    for _ in range(n_resamples or N_RESAMPLES):
        picks_N = np.concatenate([start + rng.integers(0, size, size) for start, size in strata_S])
        counts_N = np.empty_like(order_N)
        counts_N[order_N] = np.bincount(picks_N, minlength=len(order_N))
        yield counts_N


def resampled(metric: Metric, columns: Columns, cluster_N: IntArray, seed: int) -> FloatArray:
    """The metric's value in every resample, [R]; NaN where it has none.

    Args:
        metric: one with `whole`.
        columns: its rows, as `Metric.rows` gives them.
        cluster_N: number of each row's cluster.
        seed: of the draws.
    """
    stratum_N = strata(metric, columns, cluster_N)
    with np.errstate(all="ignore"):
        if isinstance(metric.whole, ByCounts):
            value = metric.whole.prepared(columns)
            return np.array([_or_nan(value, counts_N) for counts_N in counts(cluster_N, seed, stratum_N=stratum_N)])
        drawn = _rows(cluster_N, seed, stratum_N)
        return np.array([_or_nan(lambda r: metric.of_rows(columns, r), rows_N) for rows_N in drawn])


def resampled_by_group(metric: Metric, columns: Columns, cluster_N: IntArray, blocks: Blocks, seed: int) -> FloatArray:
    """The values by group in every resample, and over everything where that is read, [R, V]; NaN where there is none.

    Args:
        metric: one with `whole`, a source of `blocks`.
        columns: its rows, with the groups' codes.
        cluster_N: number of each row's cluster.
        blocks: of the spreads that read the values.
        seed: of the draws.
    """
    codes_N2 = columns[blocks.column]
    stratum_N = strata(replace(metric, blocks=blocks), columns, cluster_N)
    mine = {name: columns[name] for name in (*metric.needs, *(column for column, _ in metric.where))}
    with np.errstate(all="ignore"):
        if isinstance(metric.whole, ByCounts):
            return _by_group(metric.whole, mine, codes_N2, blocks.overall, counts(cluster_N, seed, stratum_N=stratum_N))
        each = []
        for rows_N in _rows(cluster_N, seed, stratum_N):
            its = {name: values[rows_N] for name, values in mine.items()}
            each.append(values_by_group(metric, its, codes_N2[rows_N], blocks.overall))
        return np.stack(each)


def _by_group(
    whole: ByCounts, columns: Columns, codes_N2: IntArray, overall: bool, counted: Iterator[IntArray]
) -> FloatArray:
    """Rows are put in the order of their groups once, so that the counts of a group are a slice."""
    n_groups = int(codes_N2[:1, 1].sum())
    order_N = np.argsort(codes_N2[:, 0], kind="stable")
    sorted_columns = {name: values[order_N] for name, values in columns.items()}
    ends = np.searchsorted(codes_N2[order_N, 0], np.arange(-1, n_groups), side="right").tolist()
    parts = [slice(start, stop) for start, stop in pairwise(ends)]
    of_groups = [whole.prepared({n: values[part] for n, values in sorted_columns.items()}) for part in parts]
    over_all = whole.prepared(sorted_columns) if overall else None
    found = []
    for counts_N in counted:
        mine_N = counts_N[order_N]
        values = [_of_some(value, mine_N[part]) for value, part in zip(of_groups, parts, strict=True)]
        found.append([*values, np.nan if over_all is None else _of_some(over_all, mine_N)])
    return np.array(found)


def _rows(cluster_N: IntArray, seed: int, stratum_N: IntArray | None) -> Iterator[IntArray]:
    if stratum_N is None:
        return rows(cluster_N, seed)
    return (np.repeat(np.arange(len(c)), c) for c in counts(cluster_N, seed, stratum_N=stratum_N))


def _of_some(value: OfCounts, counts_N: IntArray) -> float:
    """NaN of no rows at all."""
    return _or_nan(value, counts_N) if counts_N.any() else float("nan")


def _or_nan(value: Callable[[IntArray], float], of: IntArray) -> float:
    try:
        return float(value(of))
    except Undefined:
        return float("nan")

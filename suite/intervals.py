"""The bootstrap of many metrics of the same outcomes, or of two models' on the same items: asked one by one.

Resamples are drawn once for all metrics with equally many clusters (`suite.resample`), and the values by group are
computed once for all spreads over the same groups. What is asked is answered after `settle`.

Shape suffixes: N items, G groups, R resamples, V values of groups and over everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite import rows, stats
from suite.extremes import varied
from suite.metrics.base import Blocks, Columns, Metric
from suite.metrics.chance import digest
from suite.metrics.spread import values_by_group
from suite.outcomes import CLUSTER
from suite.resample import Sums, of_clusters, of_groups, resample
from suite.rows import resampled_by_group
from suite.strata import Design, clusters_by_group, design

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Values = Callable[[], tuple[float, Floats]]
_FEW = 64  # a cluster's number may be this many times the number of items
_HELD_BYTES = 2**27  # of sums that wait to be resampled


def pooled(metric: Metric) -> bool:
    """Whether `Intervals` is for this metric: a spread over groups, or an additive one that is no proportion."""
    return metric.no_interval is None and (metric.blocks is not None or not (metric.proportion or metric.whole))


@dataclass
class Intervals:
    """Bootstrap values of metrics, or of the change from the first to the second of two sides.

    Attributes:
        seed: of every resampling.
    """

    seed: int
    _waiting: dict[int, list[Sums]] = field(default_factory=dict)
    _by_group: dict[Any, Any] = field(default_factory=dict)
    _held: int = 0

    def ask(self, metric: Metric, sides: Sequence[Columns], cluster_N: Ints) -> Values:
        """What will give the value and the bootstrap values [R] once `settle` was called.

        Args:
            metric: a `pooled` one.
            sides: its rows of one model, or those of two on the same items: then the second minus the first.
            cluster_N: number of each row's cluster, in the order of their labels; two clusters at least.
        """
        asked = [self._side(metric, columns, cluster_N) for columns in sides]
        self._settle_if_full()

        def values() -> tuple[float, Floats]:
            found = [side.values() for side in asked]
            first, last = (0.0, np.zeros(1)) if len(found) == 1 else found[0], found[-1]
            return float(last[0] - first[0]), last[1] - first[1]

        return values

    def interval(self, metric: Metric, columns: Columns) -> Callable[[], stats.Interval]:
        """What will give the interval of a metric, by whichever method, once `settle` was called.

        Args:
            metric: with a value on these columns.
            columns: all rows.
        """
        mine = metric.rows(columns)
        cluster_N = numbered(mine)
        drawn = design(metric, mine, cluster_N)
        if drawn.n_clusters < 2 or not (pooled(metric) or metric.resampled_as):  # noqa: PLR2004
            found = _alone(metric, mine, cluster_N, drawn, self.seed)
            return lambda: found
        if metric.resampled_as:
            mine = metric.resampled_as.rows(columns)
            cluster_N = numbered(mine)
        side = self._side(metric.resampled_as or metric, mine, cluster_N)
        self._settle_if_full()

        def interval() -> stats.Interval:
            if isinstance(side, _Spread) and metric.blocks is not None:
                return _percentiles(*side.values(self.seed), drawn, metric.bounds, side.fewest())
            return _percentiles(*side.values(), drawn, metric.bounds, drawn.fewest)

        return interval

    def settle(self) -> None:
        """Resample all that was asked for so far."""
        for n_clusters, waiting in self._waiting.items():
            resample(waiting, n_clusters, self.seed)
        self._waiting.clear()
        self._held = 0

    def _settle_if_full(self) -> None:
        if self._held > _HELD_BYTES:
            self.settle()

    def _side(self, metric: Metric, columns: Columns, cluster_N: Ints) -> _Plain | _Spread:
        """What will give the values of one side."""
        if metric.blocks is None:
            return _Plain(self._put(of_clusters(metric.terms(columns), metric.finish, cluster_N)))
        blocks, made = metric.blocks, []
        for source in blocks.sources:
            names = (*source.needs, *(column for column, _ in source.where))
            key = source, digest(cluster_N, columns[blocks.column], *(columns[name] for name in names))
            if key not in self._by_group:
                self._by_group[key] = self._sources_values(source, columns, cluster_N, blocks)
            made.append(self._by_group[key])
            if isinstance(made[-1], _OfRows):
                made[-1].overall |= blocks.overall
        return _Spread(blocks, made)

    def _sources_values(self, source: Metric, columns: Columns, cluster_N: Ints, blocks: Blocks) -> Sums | _OfRows:
        if source.whole is not None:
            return _OfRows(source, columns, cluster_N, blocks, self.seed)
        return self._put(of_groups(source.terms(columns), source.finish, cluster_N, columns[blocks.column]))

    def _put(self, sums: Sums) -> Sums:
        self._waiting.setdefault(sums.n_clusters, []).append(sums)
        self._held += sums.sums_MK.nbytes
        return sums


@dataclass
class _OfRows:
    """Values by group of a metric that is no function of sums, once for all spreads that have asked when one is read.

    Attributes:
        source: the metric.
        columns: its rows, with the groups' codes.
        cluster_N: number of each row's cluster.
        blocks: of the first spread that asks.
        seed: of the draws.
        overall: one of the spreads reads the value over everything.
    """

    source: Metric
    columns: Columns
    cluster_N: Ints
    blocks: Blocks
    seed: int
    overall: bool = False
    _kept: dict[bool, tuple[Floats, Floats]] = field(default_factory=dict)

    @property
    def real(self) -> Floats:
        """The values without resampling, [V]."""
        return self._found()[0]

    @property
    def resampled(self) -> Floats:
        """Those of every resample, [R, V]."""
        return self._found()[1]

    @cached_property
    def n_by_group(self) -> Ints:
        """The clusters of each group, or as how many items its classes count, [G]."""
        return clusters_by_group(replace(self.source, blocks=self.blocks), self.columns, self.cluster_N)

    def _found(self) -> tuple[Floats, Floats]:
        if self.overall not in self._kept:
            blocks = replace(self.blocks, overall=self.overall)
            names = (*self.source.needs, *(column for column, _ in self.source.where))
            mine = {name: self.columns[name] for name in names}
            real = values_by_group(self.source, mine, self.columns[blocks.column], self.overall)
            resampled = resampled_by_group(self.source, self.columns, self.cluster_N, blocks, self.seed)
            self._kept[self.overall] = real, resampled
        return self._kept[self.overall]


@dataclass(frozen=True)
class _Plain:
    """A metric of sums over everything."""

    sums: Sums

    def values(self) -> tuple[float, Floats]:
        """The value, and the bootstrap values [R]."""
        return float(self.sums.real[0]), self.sums.resampled[:, 0]


@dataclass(frozen=True)
class _Spread:
    """A metric of the values by group of its sources."""

    blocks: Blocks
    made: Sequence[Sums | _OfRows]

    def values(self, seed: int | None = None) -> tuple[float, Floats]:
        """The value, and the bootstrap values [R]; with a seed, groups that stick to a bound vary (see `varied`)."""
        real, resampled = [one.real for one in self.made], [one.resampled for one in self.made]
        known = [np.isfinite(one) for one in real]
        value = float(self.blocks.of_values(real, known))
        if seed is not None:
            bounds = [source.bounds for source in self.blocks.sources]
            resampled = varied(resampled, real, bounds, [one.n_by_group for one in self.made], seed)
        return value, self.blocks.of_values(resampled, known)

    def fewest(self) -> int | None:
        """The clusters of the smallest group that takes part."""
        return min((n for one in self.made for n in one.n_by_group[np.isfinite(one.real[:-1])].tolist()), default=None)


def numbered(columns: Columns) -> Ints:
    """Number of each row's cluster, in the order of their labels."""
    labels = columns[CLUSTER]
    if labels.dtype.kind != "i" or not len(labels) or labels.min() < 0 or labels.max() > _FEW * len(labels):
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)
    there = np.bincount(labels) > 0  # numbered before: no sorting
    return np.asarray((np.cumsum(there) - 1)[labels], dtype=np.int64)


def _alone(metric: Metric, columns: Columns, cluster_N: Ints, drawn: Design, seed: int) -> stats.Interval:
    if metric.no_interval is not None:
        return stats.Interval(None, None, "none", metric.no_interval)
    if metric.whole is not None:
        return _of_rows(metric, columns, cluster_N, drawn, seed)
    return stats.interval(
        metric.terms(columns), metric.finish, cluster_N, seed=seed, bounds=metric.bounds, proportion=metric.proportion
    )


def _of_rows(metric: Metric, columns: Columns, cluster_N: Ints, drawn: Design, seed: int) -> stats.Interval:
    if drawn.n_clusters < 2:  # noqa: PLR2004
        return stats.Interval(None, None, drawn.method, "one cluster: no interval")
    values_R = rows.resampled(metric, columns, cluster_N, seed)
    return _percentiles(metric.of_columns(columns), values_R, drawn, metric.bounds, drawn.fewest)


def _percentiles(
    value: float, values_R: Floats, drawn: Design, bounds: stats.Bounds, fewest: int | None
) -> stats.Interval:
    return stats.percentile_interval(value, values_R, drawn.size, drawn.method, bounds, fewest)

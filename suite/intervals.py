"""The bootstrap of many metrics of the same outcomes, or of two models' on the same items: asked one by one.

Resamples are drawn once for all metrics with equally many clusters (`suite.resample`), and the values by group are
computed once for all spreads over the same groups. What is asked is answered after `settle`.

Shape suffixes: N items, G groups, R resamples, V values of groups and over everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite import rows, stats
from suite.metrics.base import Columns, Metric
from suite.metrics.chance import digest
from suite.metrics.spread import values_by_group
from suite.outcomes import CLUSTER
from suite.resample import Sums, of_clusters, of_groups, resample, resample_rows

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
        asked = [self._side(metric, columns, cluster_N)[0] for columns in sides]
        self._settle_if_full()

        def values() -> tuple[float, Floats]:
            found = [answer() for answer in asked]
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
        n_clusters = int(cluster_N.max()) + 1
        if n_clusters < 2 or not (pooled(metric) or metric.resampled_as):  # noqa: PLR2004
            found = _alone(metric, mine, cluster_N, self.seed)
            return lambda: found
        method = bootstrap(cluster_N)
        if metric.resampled_as:
            mine = metric.resampled_as.rows(columns)
            cluster_N = numbered(mine)
        values, fewest = self._side(metric.resampled_as or metric, mine, cluster_N)
        self._settle_if_full()

        def interval() -> stats.Interval:
            least = None if metric.blocks is None else fewest()
            return stats.percentile_interval(*values(), n_clusters, method, metric.bounds, least)

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

    def _side(self, metric: Metric, columns: Columns, cluster_N: Ints) -> tuple[Values, Callable[[], int | None]]:
        """What will give the values of one side, and of a spread the clusters of the smallest group taking part."""
        if metric.blocks is None:
            plain = self._put(of_clusters(metric.terms(columns), metric.finish, cluster_N))
            return lambda: (float(plain.real[0]), plain.resampled[:, 0]), lambda: None
        blocks, made = metric.blocks, []
        for source in blocks.sources:
            of_rows = source.whole is not None
            key = (
                source,
                of_rows and blocks.overall,
                digest(cluster_N, columns[blocks.column], *(columns[name] for name in source.needs)),
            )
            if key not in self._by_group:
                self._by_group[key] = (self._rows if of_rows else self._sums)(source, columns, cluster_N, blocks)
            made.append(self._by_group[key])

        def values() -> tuple[float, Floats]:
            known = [np.isfinite(one.real) for one in made]
            real = blocks.of_values([one.real for one in made], known)
            return float(real), blocks.of_values([one.resampled for one in made], known)

        def fewest() -> int | None:
            each = [n for one in made for n in one.n_by_group[np.isfinite(one.real[:-1])].tolist()]
            return min(each, default=None)

        return values, fewest

    def _sums(self, source: Metric, columns: Columns, cluster_N: Ints, blocks: Any) -> Sums:
        return self._put(of_groups(source.terms(columns), source.finish, cluster_N, columns[blocks.column]))

    def _rows(self, source: Metric, columns: Columns, cluster_N: Ints, blocks: Any) -> _OfRows:
        mine = {name: columns[name] for name in (*source.needs, *(column for column, _ in source.where))}

        def by_group(rows: Ints) -> Floats:
            codes_N2 = columns[blocks.column][rows]
            return values_by_group(source, {n: values[rows] for n, values in mine.items()}, codes_N2, blocks.overall)

        codes_N2, n_clusters = columns[blocks.column], int(cluster_N.max()) + 1
        pairs = np.unique((codes_N2[:, 0] + 1) * n_clusters + cluster_N)
        n_by_group = np.bincount(pairs // n_clusters, minlength=int(codes_N2[:1, 1].sum()) + 1)[1:]
        real = by_group(np.arange(len(cluster_N)))
        return _OfRows(real, resample_rows(by_group, cluster_N, self.seed), n_by_group)

    def _put(self, sums: Sums) -> Sums:
        self._waiting.setdefault(sums.n_clusters, []).append(sums)
        self._held += sums.sums_MK.nbytes
        return sums


@dataclass(frozen=True)
class _OfRows:
    """Values by group of a metric that is no function of sums: [V], of its resamples [R, V], and clusters [G]."""

    real: Floats
    resampled: Floats
    n_by_group: Ints


def numbered(columns: Columns) -> Ints:
    """Number of each row's cluster, in the order of their labels."""
    labels = columns[CLUSTER]
    if labels.dtype.kind != "i" or not len(labels) or labels.min() < 0 or labels.max() > _FEW * len(labels):
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)
    there = np.bincount(labels) > 0  # numbered before: no sorting
    return np.asarray((np.cumsum(there) - 1)[labels], dtype=np.int64)


def bootstrap(cluster_N: Ints) -> str:
    """The name of the method: whether clusters are resampled, or items."""
    return "bootstrap" if int(cluster_N.max()) + 1 == len(cluster_N) else "bootstrap-cluster"


def _alone(metric: Metric, columns: Columns, cluster_N: Ints, seed: int) -> stats.Interval:
    if metric.no_interval is not None:
        return stats.Interval(None, None, "none", metric.no_interval)
    if metric.whole is not None:
        return _of_rows(metric, columns, cluster_N, seed)
    return stats.interval(
        metric.terms(columns), metric.finish, cluster_N, seed=seed, bounds=metric.bounds, proportion=metric.proportion
    )


def _of_rows(metric: Metric, columns: Columns, cluster_N: Ints, seed: int) -> stats.Interval:
    n_clusters, method = int(cluster_N.max()) + 1, bootstrap(cluster_N)
    if n_clusters < 2:  # noqa: PLR2004
        return stats.Interval(None, None, method, "one cluster: no interval")
    values_R = rows.resampled(metric, columns, cluster_N, seed)
    return stats.percentile_interval(metric.of_columns(columns), values_R, n_clusters, method, metric.bounds)

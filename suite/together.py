"""The paired changes of many metrics at once, with one stream of resamples for all of them (`suite.intervals`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined
from suite.intervals import Intervals, numbered, pooled
from suite.metrics.base import Columns, Metric
from suite.metrics.codes import with_numbers
from suite.outcomes import CLUSTER
from suite.strata import Design, design

ChangeT = TypeVar("ChangeT")
Alone = Callable[[Metric, Columns, Columns, int], ChangeT]
Made = Callable[[float, NDArray[np.float64], Design], ChangeT]


def together(
    a: Columns, b: Columns, metrics: Iterable[Metric], seed: int, alone: Alone[ChangeT], made: Made[ChangeT]
) -> dict[str, ChangeT]:
    """What is said of the second minus the first, metric by metric.

    Args:
        a: outcomes of one side.
        b: those of the other, the same items in the same order.
        metrics: what to compare.
        seed: of the resampling.
        alone: metric, both outcomes and seed -> the change, where nothing is to be shared: proportions, metrics of
            rows, metrics without a value, and sides that are the same.
        made: change, its bootstrap values [R], and what they draw -> the change.
    """
    cluster_N = numbered(b)  # numbers are compared faster than text, in the same order
    a, b = (with_numbers({**side, CLUSTER: cluster_N}) for side in (a, b))
    intervals = Intervals(seed)
    drafts = {metric.name: _draft(metric, a, b, intervals, alone, made) for metric in metrics}
    intervals.settle()
    return {name: draft() for name, draft in drafts.items()}


def _draft(
    metric: Metric, a: Columns, b: Columns, intervals: Intervals, alone: Alone[ChangeT], made: Made[ChangeT]
) -> Callable[[], ChangeT]:
    mine = metric.rows(a), metric.rows(b)
    if not pooled(metric) or not _resampled(metric, *mine):
        found = alone(metric, a, b, intervals.seed)
        return lambda: found
    drawn, shared = design(metric, mine[1], numbered(mine[1])), metric.resampled_as or metric
    sides = [shared.rows(columns) for columns in (a, b)] if metric.resampled_as else list(mine)
    values = intervals.ask(shared, sides, numbered(sides[1]))
    return lambda: made(*values(), drawn)


def _resampled(metric: Metric, a: Columns, b: Columns) -> bool:
    """Whether the change has a bootstrap interval: both values exist and differ, of the same observations."""
    if len(np.unique(b[CLUSTER])) < 2:  # noqa: PLR2004
        return False
    if metric.observed is not None and not np.array_equal(a[metric.observed], b[metric.observed]):
        return False
    try:
        metric(a), metric(b)
    except Undefined:
        return False
    return not all(_same(a[name], b[name]) for name in metric.needs)


def _same(x: NDArray[np.generic], y: NDArray[np.generic]) -> bool:
    """Whether two columns hold the same; of lists of different lengths too."""
    if object in (x.dtype, y.dtype):
        return len(x) == len(y) and all(np.array_equal(p, q) for p, q in zip(x, y, strict=True))
    return np.array_equal(x, y)

"""Metrics that are no function of sums over items, yet of nothing but how often each item counts.

A bootstrap asks for the value of a thousand resamples of the same items. Which of them scores above which is the same
in all: so items are sorted once, and a resample costs a few sums over how often it drew each.

Shape suffixes: N items, T thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Whole

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
OfCounts = Callable[[Counts], float]
OfParts = Callable[[Counts, int], Floats]
Steps = Callable[..., tuple[Any, Any]]


@dataclass(frozen=True)
class ByCounts:
    """A `Metric.whole` that also gives the value of every resample of its rows.

    Attributes:
        whole: columns -> value.
        prepared: columns -> what gives the value when row i counts ``counts_N[i]`` times, the same as `whole` of rows
            that are repeated so often (but for rounding), NaN where that has none.
        parted: columns -> what gives the values of all P parts of the rows, [P], from the part 0..P-1 of each row [N]
            and P, NaN where there is none: for many ways to deal out the same rows; ``None``: no quicker than `whole`.
    """

    whole: Whole
    prepared: Callable[[Columns], OfCounts]
    parted: Callable[[Columns], OfParts] | None = None

    def __call__(self, columns: Columns) -> float:
        """The value where every row counts once."""
        return self.whole(columns)

    def through(self, columns_of: Callable[[Columns], Columns]) -> ByCounts:
        """The same of other columns, which `columns_of` makes row by row."""
        parted = self.parted
        return ByCounts(
            lambda c: self.whole(columns_of(c)),
            lambda c: self.prepared(columns_of(c)),
            parted and (lambda c: parted(columns_of(c))),
        )


def through(whole: Whole, columns_of: Callable[[Columns], Columns]) -> Whole:
    """`whole` of the columns that `columns_of` makes row by row; by counts still, if it was."""
    return whole.through(columns_of) if isinstance(whole, ByCounts) else lambda columns: whole(columns_of(columns))


def by_repeating(whole: Whole) -> Callable[[Columns], OfCounts]:
    """`ByCounts.prepared` of any function: it is given each row as often as it counts."""

    def prepared(columns: Columns) -> OfCounts:
        def value(counts_N: Counts) -> float:
            rows = np.repeat(np.arange(len(counts_N)), counts_N)
            return whole({name: values[rows] for name, values in columns.items()})

        return value

    return prepared


class Thresholds:
    """Items in the order of their scores, highest first; equal scores are one threshold."""

    def __init__(self, score_N: NDArray[np.floating]) -> None:
        self.order_N = np.argsort(-score_N, kind="stable")
        falling_N = score_N[self.order_N]
        ends_N = np.append(falling_N[1:] != falling_N[:-1], True)[: len(score_N)]
        self._last_T = None if ends_N.all() else np.flatnonzero(ends_N)

    def in_order(self, weight_N: NDArray[Any]) -> NDArray[Any]:
        """Weights of items as `above` wants them."""
        return weight_N[self.order_N]

    def above(self, counts_N: Counts, weight_N: NDArray[Any]) -> tuple[Counts, NDArray[Any]]:
        """The items at each threshold or above, and the sum of their weights, [T]; item i counts ``counts_N[i]`` times.

        Thresholds that no item reaches first are left out. Weights are `in_order`.
        """
        mine_N = counts_N[self.order_N]
        items_T, weights_T = np.cumsum(mine_N), np.cumsum(mine_N * weight_N)
        if self._last_T is not None:
            items_T, weights_T = items_T[self._last_T], weights_T[self._last_T]
        new_T = np.empty(len(items_T), dtype=bool)
        new_T[:1] = items_T[:1] > 0
        np.not_equal(items_T[1:], items_T[:-1], out=new_T[1:])
        there = np.flatnonzero(new_T)
        return items_T[there], weights_T[there]


@dataclass(frozen=True)
class OfSteps:
    """A number of two columns [N] that follows from two sums at each threshold alone.

    Attributes:
        function: of the two sums [T].
        steps: of the two columns: the sums.
    """

    function: Callable[..., float]
    steps: Steps

    def __call__(self, first_N: NDArray[Any], second_N: NDArray[Any], *args: float, **settings: float) -> float:
        """The number of these items."""
        return self.function(*self.steps(first_N, second_N), *args, **settings)

    def at(self, **settings: float) -> OfSteps:
        """The same with these settings."""
        return OfSteps(partial(self.function, **settings), self.steps)


def of_steps(steps: Steps) -> Callable[[Callable[..., float]], OfSteps]:
    """Decorates the function of an `OfSteps`."""
    return partial(OfSteps, steps=steps)

"""Metric: a pure function from columns of outcomes to one number.

Shape suffixes: N items, K terms.

Nearly every metric of the field is a function of sums over items: accuracy is hits / n, perplexity is
exp(sum nll / sum tokens), ECE needs 15 bins of three sums. Such a metric declares its per-item `terms` and how to
`finish` their sums. Its bootstrap then is one matrix product, and any subset is one sum. A quantile is none: such a
metric declares `whole` instead, and its bootstrap computes it again from the rows of every resample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined

Columns = Mapping[str, NDArray[Any]]
Terms = Callable[[Columns], NDArray[np.float64]]
Finish = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Whole = Callable[[Columns], float]
Prepare = Callable[[Columns], Columns]


def not_additive(_: Any) -> NDArray[np.float64]:
    """The terms, or the finish, of a metric that has none."""
    raise TypeError("this metric is no function of sums over items: it has no terms")


@dataclass(frozen=True)
class Blocks:
    """What a spread over groups is made of; V are the values of the groups and, last, the value over everything.

    Attributes:
        sources: the metrics whose values by group it reads.
        column: of the prepared columns, the one that holds the groups' codes (`suite.metrics.codes`).
        of_values: per source values [..., V], and which of them exist on all items [V] -> [...].
        overall: it reads the value over everything.
    """

    sources: tuple[Metric, ...]
    column: str
    of_values: Callable[[Sequence[NDArray[np.float64]], Sequence[NDArray[np.bool_]]], NDArray[np.float64]]
    overall: bool = False


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number of a task.

    Attributes:
        name: as records spell it; classes and variants in brackets, keys sorted: ``dice[class=1]``.
        needs: outcome columns that it reads.
        terms: columns -> [N, K] float64, the additive statistics of each item.
        finish: sums [..., K] -> values [...], NaN where undefined.
        total: columns -> [K], the sums of `terms` without holding all of them, where there may be millions of items.
        whole: for a metric that is no function of sums, in the place of `terms` and `finish`: columns -> value.
        prepare: applied once to all items and never to a resample, e.g. to leave out groups that are too small.
        no_interval: why no interval is given, where none would be honest.
        unit: ``""`` for a pure number.
        higher_is_better: direction; ``None`` for a description that has none.
        bounds: smallest and largest possible value, ``None`` where there is none.
        undefined: why the value is missing when `finish` gives NaN.
        proportion: the terms are (0 or 1, 1) and `finish` divides them: a score interval applies.
        observed: column whose sum counts the observations (tokens, pixels); ``None``: observations are items.
        where: (column, value) pairs: only the items whose columns hold the values.
        least: items below which there is no value, because it would say nothing of a group.
        width: number of terms K; 0 of a spread over groups.
        blocks: of a spread over groups, what it is made of: the same values as by `terms` or `whole`, to be shared.
        strata: the class of each row, [N], of which resamples keep the number (`suite.strata`): of what ranks one class
            against another; ``None``: rows are drawn alike.
        resampled_as: of a group's value, a spread that picks it: its resamples, of all items, make the interval.
        reference: paper or library with the same convention.
    """

    name: str
    needs: tuple[str, ...]
    terms: Terms = not_additive
    finish: Finish = not_additive
    total: Terms | None = None
    whole: Whole | None = None
    prepare: Prepare | None = None
    no_interval: str | None = None
    unit: str
    higher_is_better: bool | None
    bounds: tuple[float | None, float | None]
    undefined: str = "no items"
    proportion: bool = False
    observed: str | None = None
    where: tuple[tuple[str, str], ...] = ()
    least: int = 1
    width: int = 2
    blocks: Blocks | None = None
    strata: Callable[[Columns], NDArray[Any]] | None = None
    resampled_as: Metric | None = None
    reference: str = ""

    def __call__(self, columns: Columns) -> float:
        """The value on these columns.

        Raises:
            Undefined: there is no value, e.g. no items.
        """
        columns = self.rows(columns)
        n = len(columns[self.needs[0]])
        if 0 < n < self.least:
            raise Undefined(f"{n} items{self._about()}, at least {self.least} needed")
        return self._value(columns)

    def _value(self, columns: Columns) -> float:
        if not len(columns[self.needs[0]]):
            raise Undefined(f"{self.undefined if self.prepare else 'no items'}{self._about()}")
        value = self.whole(columns) if self.whole else float(self.finish(self._sums(columns)))
        if not np.isfinite(value):
            raise Undefined(self.undefined)
        return value

    def rows(self, columns: Columns) -> Columns:
        """The items that this metric is about: all of them, or those of its `where`."""
        columns = self.inside(columns)
        return self.prepare(columns) if self.prepare and len(columns[self.needs[0]]) else columns

    def inside(self, columns: Columns) -> Columns:
        """The items of its `where`, before `prepare`."""
        for column, value in self.where:
            columns = _Inside(columns, np.flatnonzero(columns[column] == value))
        return columns

    def _sums(self, columns: Columns) -> NDArray[np.float64]:
        return self.total(columns) if self.total else self.terms(columns).sum(axis=0)

    def of_rows(self, columns: Columns, rows: NDArray[np.int64]) -> float:
        """The value on these rows, in any order, with repetitions, as a resample draws them."""
        needs = (*self.needs, *(column for column, _ in self.where))
        return self._value(self.inside({name: columns[name][rows] for name in needs}))

    def of_columns(self, columns: Columns) -> float:
        """The value on the columns of `rows`, which are not prepared again."""
        return self._value(columns)

    def _about(self) -> str:
        return " with " + ", ".join(f"{column} = {value}" for column, value in self.where) if self.where else ""

    def observations(self, columns: Columns) -> int:
        """What the value was taken over: items, or the sum of the `observed` column (tokens, pixels)."""
        mine = self.rows(columns)[self.observed or self.needs[0]]
        return len(mine) if self.observed is None else int(mine.sum())


class _Inside(Mapping[str, NDArray[Any]]):
    """Some rows of columns, each taken when it is asked for: a metric reads few of many."""

    def __init__(self, columns: Columns, rows_N: NDArray[np.int64]) -> None:
        self._columns, self._rows_N = columns, rows_N
        self._taken: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._taken:
            self._taken[name] = self._columns[name][self._rows_N]
        return self._taken[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """First sum over second; NaN where the second is 0.

    >>> ratio(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([0.75,  nan])
    """
    top, bottom = sums[..., 0], sums[..., 1]
    out: NDArray[np.float64] = np.full(np.shape(top), np.nan)
    return np.divide(top, bottom, out=out, where=bottom != 0)


def per_item(column: str) -> Terms:
    """Terms of a mean over items: (value, 1)."""

    def terms(columns: Columns) -> NDArray[np.float64]:
        values = np.asarray(columns[column], dtype=np.float64)
        return np.stack([values, np.ones_like(values)], axis=1)

    return terms

"""Metric: a pure function from columns of outcomes to one number.

Shape suffixes: N items, K terms.

Nearly every metric of the field is a function of sums over items: accuracy is hits / n, perplexity is
exp(sum nll / sum tokens), ECE needs 15 bins of three sums. Such a metric declares its per-item `terms` and how to
`finish` their sums. Its bootstrap then is one matrix product, and any subset is one sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined

Columns = Mapping[str, NDArray[Any]]
Terms = Callable[[Columns], NDArray[np.float64]]
Finish = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Metric:
    """One number of a task.

    Attributes:
        name: as records spell it; classes and variants in brackets, keys sorted: ``dice[class=1]``.
        needs: outcome columns that it reads.
        terms: columns -> [N, K] float64, the additive statistics of each item.
        finish: sums [..., K] -> values [...], NaN where undefined.
        unit: ``""`` for a pure number.
        higher_is_better: direction; ``None`` for a description that has none.
        bounds: smallest and largest possible value, ``None`` where there is none.
        undefined: why the value is missing when `finish` gives NaN.
        proportion: the terms are (0 or 1, 1) and `finish` divides them: a score interval applies.
        observed: column whose sum counts the observations (tokens, pixels); ``None``: observations are items.
        where: (column, value): only the items whose column holds the value.
        width: number of terms K.
        reference: paper or library with the same convention.
    """

    name: str
    needs: tuple[str, ...]
    terms: Terms
    finish: Finish
    unit: str
    higher_is_better: bool | None
    bounds: tuple[float | None, float | None]
    undefined: str = "no items"
    proportion: bool = False
    observed: str | None = None
    where: tuple[str, str] | None = None
    width: int = 2
    reference: str = ""

    def __call__(self, columns: Columns) -> float:
        """The value on these columns.

        Raises:
            Undefined: there is no value, e.g. no items.
        """
        columns = self.rows(columns)
        if not len(columns[self.needs[0]]):
            raise Undefined("no items" if self.where is None else f"no items with {' = '.join(self.where)}")
        value = float(self.finish(self.terms(columns).sum(axis=0)))
        if not np.isfinite(value):
            raise Undefined(self.undefined)
        return value

    def rows(self, columns: Columns) -> Columns:
        """The items that this metric is about: all of them, or those of its `where`."""
        if self.where is None:
            return columns
        column, value = self.where
        inside = columns[column] == value
        return {name: values[inside] for name, values in columns.items()}

    def observations(self, columns: Columns) -> int:
        """What the value was taken over: items, or the sum of the `observed` column (tokens, pixels)."""
        mine = self.rows(columns)[self.observed or self.needs[0]]
        return len(mine) if self.observed is None else int(mine.sum())


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

"""A metric of the values that another one has by groups: what a gap, a ratio or a worst group is made of.

The spread of an additive metric is additive (one block of terms per group); that of any other is computed again from
the rows. `Metric.blocks` says of both which values they need, so that `suite.resample` computes these once for all
spreads over the same groups. Which groups take part is decided once, on all items: a resample in which one of them has
no value has none itself.

Shape suffixes: N items, G groups, K terms, V the values of G groups and, last, the value over everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined
from suite.metrics.base import Blocks, Columns, Finish, Metric, Prepare, Terms, Whole
from suite.metrics.codes import CODED, Attributes, Bools, Grouping, columns_of, names_of

Floats = NDArray[np.float64]
Spread = Callable[[Floats, Bools, Floats], Floats]
"""Group values [..., G], which of them count [..., G], and the value over everything [...] -> [...]."""


def spread(metric: Metric, grouping: Grouping, pattern: str, over: Spread, overall: bool = False) -> Metric:
    """A metric of all group values and the value over everything; the direction stays that of `metric`.

    Args:
        metric: whose values by group it is made of.
        grouping: the groups.
        pattern: of the name, with ``{}`` for that of `metric`.
        over: what to make of the values.
        overall: `over` reads the value over everything.

    Raises:
        ValueError: `metric` is such a spread itself.
    """
    if not metric.width:
        raise ValueError(f"{metric.name} is a spread over groups already")
    blocks = Blocks((metric,), grouping.column, partial(_of_values, over), overall)
    made = replace(
        metric,
        name=spread_name(metric, pattern, grouping.attribute),
        needs=(*metric.needs, *columns_of(grouping.attribute)),
        prepare=_prepare(metric, grouping),
        undefined=f"fewer than two groups of {','.join(names_of(grouping.attribute))} have a value",
        proportion=False,
        width=0,
        blocks=blocks,
    )
    if metric.whole is not None:
        return replace(made, whole=_of_rows(blocks))
    return replace(
        made,
        terms=_terms(metric, grouping),
        total=_total(metric, grouping),
        finish=_finish(metric.finish, metric.width, over),
    )


def picked(metric: Metric, grouping: Grouping, number: int) -> Metric:
    """The value of one group as a spread, so that its resamples are those of all the others; for intervals alone."""
    blocks = Blocks((metric,), grouping.column, lambda values, known: values[0][..., number])
    return replace(spread(metric, grouping, "picked_{}", lambda v, on, whole: v[..., number]), blocks=blocks)


def spread_name(metric: Metric, pattern: str, attribute: Attributes) -> str:
    """``dice[class=1]`` with ``{}_gap`` by site: ``dice_gap[class=1,site]``."""
    stem, bracket, inner = metric.name.partition("[")
    return f"{pattern.format(stem)}[{inner[:-1] + ',' if bracket else ''}{','.join(names_of(attribute))}]"


def value_of(metric: Metric, columns: Columns, inside_N: Bools) -> float:
    """The metric on some rows, NaN where it has no value."""
    try:
        return metric.of_rows(columns, np.flatnonzero(inside_N))
    except Undefined:
        return float("nan")


def values_by_group(metric: Metric, columns: Columns, codes_N2: NDArray[np.int64], overall: bool = True) -> Floats:
    """The metric in each group and over everything, [V]; NaN where it has no value or the last is not asked for."""
    values = [value_of(metric, columns, codes_N2[:, 0] == g) for g in range(int(codes_N2[:1, 1].sum()))]
    return np.array([*values, value_of(metric, columns, np.ones(len(codes_N2), dtype=bool)) if overall else np.nan])


def sums_by_group(terms_NK: Floats, codes_N2: NDArray[np.int64]) -> Floats:
    """Sums of the terms in each group and over everything, [V, K]."""
    n_groups = int(codes_N2[:1, 1].sum())
    order = np.argsort(codes_N2[:, 0], kind="stable")
    ends = np.searchsorted(codes_N2[order, 0], np.arange(-1, n_groups), side="right")
    parts = [terms_NK[order[start:stop]].sum(axis=0) for start, stop in pairwise(ends)]
    return np.stack([*parts, terms_NK.sum(axis=0)])


def smallest(values_G: Floats, on_G: Bools) -> Floats:
    """The smallest of the values that count."""
    return np.asarray(np.where(on_G, values_G, np.inf).min(axis=-1))


def largest(values_G: Floats, on_G: Bools) -> Floats:
    """The largest of the values that count."""
    return np.asarray(np.where(on_G, values_G, -np.inf).max(axis=-1))


def gap_of(values_G: Floats, on_G: Bools) -> Floats:
    """Largest minus smallest of the values that count."""
    return np.asarray(largest(values_G, on_G) - smallest(values_G, on_G))


def ratio_of(values_G: Floats, on_G: Bools) -> Floats:
    """Smallest over largest of the values that count; NaN where the largest is 0."""
    low, high = smallest(values_G, on_G), largest(values_G, on_G)
    out: Floats = np.full(np.shape(high), np.nan)
    return np.asarray(np.divide(low, high, out=out, where=high > 0))


def _of_values(over: Spread, values: Sequence[Floats], known: Sequence[Bools]) -> Floats:
    """`over` of values [..., V] of the only source, of which those `known` [V] on all items count."""
    values_G, whole, on_G = values[0][..., :-1], values[0][..., -1], known[0][:-1]
    if not on_G.any():
        return np.full(whole.shape, np.nan)
    lost = (on_G & ~np.isfinite(values_G)).any(axis=-1) | (on_G.sum() < 2)  # noqa: PLR2004 - a gap needs two
    on_G = np.broadcast_to(on_G, values_G.shape)
    return np.where(lost, np.nan, over(np.where(np.isfinite(values_G), values_G, 0), on_G, whole))


def _prepare(metric: Metric, grouping: Grouping) -> Prepare:
    """Codes for groups; of a metric of rows, without those in which it has no value."""

    def prepare(columns: Columns) -> Columns:
        columns = metric.prepare(columns) if metric.prepare else columns
        if metric.whole is None or columns[grouping.column].ndim == CODED or not len(columns[metric.needs[0]]):
            return grouping.with_codes(columns)
        codes_N2 = grouping.coded(columns)
        known = np.flatnonzero(np.isfinite(values_by_group(metric, columns, codes_N2, overall=False)[:-1]))
        number = np.full(codes_N2[0, 1] + 1, -1)  # the last is that of no group
        number[known] = np.arange(len(known))
        codes = np.stack([number[codes_N2[:, 0]], np.full(len(codes_N2), len(known))], axis=1)
        return {**columns, grouping.column: codes}

    return prepare


def _of_rows(blocks: Blocks) -> Whole:
    def whole(columns: Columns) -> float:
        values_V = values_by_group(blocks.sources[0], columns, columns[blocks.column], blocks.overall)
        return float(blocks.of_values([values_V], [np.ones(len(values_V), dtype=bool)]))

    return whole


def _terms(metric: Metric, grouping: Grouping) -> Terms:
    """Terms of everything, of each group, and for each group whether it has a value at all: [N, K + G K + G]."""

    def terms(columns: Columns) -> Floats:
        base_NK, codes_N2 = metric.terms(columns), grouping.coded(columns)
        groups = range(int(codes_N2[:1, 1].sum()))
        blocks = [base_NK * (codes_N2[:, 0] == g)[:, None] for g in groups]
        known = np.isfinite(metric.finish(sums_by_group(base_NK, codes_N2)))[:-1].astype(np.float64)
        return np.concatenate([base_NK, *blocks, np.broadcast_to(known, (len(base_NK), len(blocks)))], axis=1)

    return terms


def _total(metric: Metric, grouping: Grouping) -> Terms:
    """The sums of `_terms` without holding them."""

    def total(columns: Columns) -> Floats:
        sums_VK = sums_by_group(metric.terms(columns), grouping.coded(columns))
        known_G = np.isfinite(metric.finish(sums_VK))[:-1] * float(len(columns[metric.needs[0]]))
        return np.concatenate([sums_VK[-1], sums_VK[:-1].ravel(), known_G])

    return total


def _finish(finish: Finish, width: int, over: Spread) -> Finish:
    def finished(sums: Floats) -> Floats:
        n_groups = (sums.shape[-1] - width) // (width + 1)
        if not n_groups:
            return np.full(sums.shape[:-1], np.nan)
        on = sums[..., sums.shape[-1] - n_groups :] > 0
        blocks = sums[..., : width * (n_groups + 1)]
        values = finish(blocks.reshape(*blocks.shape[:-1], -1, width))
        whole, groups = values[..., 0], values[..., 1:]
        lost = (on & ~np.isfinite(groups)).any(axis=-1) | (on.sum(axis=-1) < 2)  # noqa: PLR2004 - a gap needs two
        return np.where(lost, np.nan, over(np.where(np.isfinite(groups), groups, 0), on, whole))

    return finished

"""Fairness as an operator: any metric by any group column, and what the spread over groups makes of it.

    of_group(m, "dialect", "north")   accuracy[dialect=north]          the metric on one group
    worst_group(m, "dialect")         worst_group_accuracy[dialect]    the worst group's value (Sagawa 2020)
    gap(m, "dialect")                 accuracy_gap[dialect]            largest minus smallest group value
    gap(m, ("age", "sex"))            accuracy_gap[age,sex]            the same over all pairs of an age and a sex
    ratio(m, "dialect")               accuracy_ratio[dialect]          smallest over largest group value
    equity_scaled(m, "dialect")       es_accuracy[dialect]             X / (1 + sum_g |X_g - X|) (FairSeg, alpha 1)
    equity_scaled_std(m, "dialect")   es_std_accuracy[dialect]         X / (1 + sample standard deviation of X_g)

Items whose group is the empty string belong to no named group: they count in X alone. So do, for a spread, the items of
groups with fewer than `least` items and of groups in which the metric has no value (no positives, say), which is not 0;
`left_out` counts them. Which groups take part is decided once, on all items: a resample in which one of them has no
value has none itself.

The spread of an additive metric is additive (one block of terms per group); that of any other is computed again from
the rows. Either way its interval comes from the same clustered bootstrap. Gaps of small groups are biased upward: read
them with their interval, and beside what chance alone would give (`suite.metrics.chance`).

Shape suffixes: N items, G groups, K terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined
from suite.metrics.base import Columns, Finish, Metric, Prepare, Whole
from suite.outcomes import GROUP_PREFIX

MIN_GROUP = 20  # items below which a group says nothing
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Attributes = str | tuple[str, ...]
Spread = Callable[[Floats, NDArray[np.bool_], Floats], Floats]
"""Group values [..., G], which of them count [..., G], and the value over everything [...] -> [...]."""


def of_group(metric: Metric, attribute: str, value: str, least: int = 1) -> Metric:
    """The metric on the items of one group; of a group's group, on those in both. No value below `least` items."""
    stem, bracket, inner = metric.name.partition("[")
    parts = sorted([*(inner[:-1].split(",") if bracket else ()), f"{attribute}={value}"])
    where = (*metric.where, (GROUP_PREFIX + attribute, value))
    return replace(metric, name=f"{stem}[{','.join(parts)}]", where=where, least=max(least, metric.least))


def worst_group(metric: Metric, attribute: Attributes, least: int = 1) -> Metric:
    """The worst group's value: the smallest where higher is better, else the largest."""
    worst = _smallest if metric.higher_is_better else _largest
    return spread(metric, attribute, "worst_group_{}", lambda v, on, whole: worst(v, on), least)


def gap(metric: Metric, attribute: Attributes, least: int = 1) -> Metric:
    """Largest minus smallest group value; 0 is equal treatment, so lower is better."""
    made = spread(metric, attribute, "{}_gap", lambda v, on, whole: gap_of(v, on), least)
    low, high = metric.bounds
    return replace(made, higher_is_better=False, bounds=(0.0, None if low is None or high is None else high - low))


def ratio(metric: Metric, attribute: Attributes, least: int = 1) -> Metric:
    """Smallest over largest group value; 1 is equal treatment, so higher is better. No value where all are 0.

    Raises:
        ValueError: the metric may be negative, where a ratio means nothing.
    """
    if metric.bounds[0] is None or metric.bounds[0] < 0:
        raise ValueError(f"a ratio over groups needs a metric that is never negative, not {metric.name}")
    made = spread(metric, attribute, "{}_ratio", lambda v, on, whole: ratio_of(v, on), least)
    return replace(made, higher_is_better=True, bounds=(0.0, 1.0), unit="")


def equity_scaled(metric: Metric, attribute: Attributes, least: int = 1) -> Metric:
    """X / (1 + sum_g |X_g - X|), for metrics within [0, 1] where higher is better; falls with the number of groups.

    Raises:
        ValueError: the metric is not such a one: in percent the same numbers give another value.
    """

    def scaled(values_G: Floats, on_G: NDArray[np.bool_], whole: Floats) -> Floats:
        return np.asarray(whole / (1 + np.where(on_G, np.abs(values_G - whole[..., None]), 0).sum(axis=-1)))

    return spread(_within_one(metric), attribute, "es_{}", scaled, least)


def equity_scaled_std(metric: Metric, attribute: Attributes, least: int = 1) -> Metric:
    """X / (1 + s), s the sample standard deviation (n - 1) of the group values: FairSeg's text, not its code.

    Raises:
        ValueError: as `equity_scaled`.
    """

    def scaled(values_G: Floats, on_G: NDArray[np.bool_], whole: Floats) -> Floats:
        n = on_G.sum(axis=-1)
        mean = np.where(on_G, values_G, 0).sum(axis=-1) / np.maximum(n, 1)
        squares = np.where(on_G, (values_G - mean[..., None]) ** 2, 0).sum(axis=-1)
        return np.asarray(whole / (1 + np.sqrt(squares / np.maximum(n - 1, 1))))

    return spread(_within_one(metric), attribute, "es_std_{}", scaled, least)


def gap_of(values_G: Floats, on_G: NDArray[np.bool_]) -> Floats:
    """Largest minus smallest of the values that count."""
    return np.asarray(_largest(values_G, on_G) - _smallest(values_G, on_G))


def ratio_of(values_G: Floats, on_G: NDArray[np.bool_]) -> Floats:
    """Smallest over largest of the values that count; NaN where the largest is 0."""
    low, high = _smallest(values_G, on_G), _largest(values_G, on_G)
    out: Floats = np.full(np.shape(high), np.nan)
    return np.asarray(np.divide(low, high, out=out, where=high > 0))


def left_out(metric: Metric, attribute: Attributes, least: int = MIN_GROUP) -> Metric:
    """How many items the spreads of `metric` over these groups do not cover: of no named group or of too small a one.

    Items that the metric itself leaves out (negatives, for a true positive rate) are not counted.
    """
    column = _column(attribute)

    def prepare(columns: Columns) -> Columns:
        return with_codes(metric.prepare(columns) if metric.prepare else columns, attribute, least)

    return replace(
        metric,
        name=_name(metric, "n_left_out_{}", attribute),
        needs=(metric.needs[0], *_columns(attribute)),
        terms=lambda columns: (_coded(columns, attribute)[:, :1] < 0).astype(np.float64),
        total=None,
        finish=lambda sums: sums[..., 0],
        whole=None,
        prepare=prepare,
        no_interval="a count of these items",
        unit="items",
        higher_is_better=None,
        bounds=(0.0, None),
        proportion=False,
        observed=None,
        width=1,
        reference=f"items without {column.removeprefix(GROUP_PREFIX)} or in a group of fewer than {least}",
    )


def spread(metric: Metric, attribute: Attributes, pattern: str, over: Spread, least: int = 1) -> Metric:
    """A metric of all group values and the value over everything; the direction stays that of `metric`.

    Args:
        metric: whose values by group it is made of.
        attribute: the groups' column, or several whose combinations are the groups.
        pattern: of the name, with ``{}`` for that of `metric`.
        over: what to make of the values.
        least: items that a group needs to take part.

    Raises:
        ValueError: `metric` is such a spread itself.
    """
    if not metric.width:
        raise ValueError(f"{metric.name} is a spread over groups already")
    made = replace(
        metric,
        name=_name(metric, pattern, attribute),
        needs=(*metric.needs, *_columns(attribute)),
        total=None,
        prepare=_prepare(metric, attribute, least),
        undefined=f"fewer than two groups of {_joined(attribute)} have a value",
        proportion=False,
        width=0,
    )
    if metric.whole is not None:
        return replace(made, whole=_of_rows(metric, attribute, over))
    return replace(made, terms=_blocks(metric, attribute), finish=_finish(metric.finish, metric.width, over))


def with_codes(columns: Columns, attribute: Attributes, least: int) -> Columns:
    """The columns with `_coded` groups in the place of the (first) attribute's; the same if they are there already."""
    return {**columns, _column(attribute): _coded(columns, attribute, least)}


def _coded(columns: Columns, attribute: Attributes, least: int = 1) -> Ints:
    """[N, 2]: which group each item is in, 0..G-1 in the order of their names, -1 for none; and G, in every row.

    A resample thus knows how many groups there are, though it may hold fewer.
    """
    found = columns[_column(attribute)]
    if found.ndim == 2:  # noqa: PLR2004 - coded before
        return found
    parts = np.stack([np.asarray(columns[column], dtype=str) for column in _columns(attribute)], axis=1)
    _, code_N, counts = np.unique(parts, axis=0, return_inverse=True, return_counts=True)
    code_N = code_N.reshape(-1)
    named_N = (parts != "").all(axis=1) & (counts[code_N] >= least)
    groups, again_N = np.unique(code_N[named_N], return_inverse=True)
    out = np.full((len(parts), 2), -1, dtype=np.int64)
    out[named_N, 0], out[:, 1] = again_N, len(groups)
    return out


def _prepare(metric: Metric, attribute: Attributes, least: int) -> Prepare:
    """Codes for groups; of a metric of rows, without those in which it has no value."""

    def prepare(columns: Columns) -> Columns:
        columns = metric.prepare(columns) if metric.prepare else columns
        if metric.whole is None or columns[_column(attribute)].ndim == 2 or not len(columns[metric.needs[0]]):  # noqa: PLR2004
            return with_codes(columns, attribute, least)
        codes_N2 = _coded(columns, attribute, least)
        known = [g for g in range(codes_N2[:1, 1].sum()) if np.isfinite(value_of(metric, columns, codes_N2[:, 0] == g))]
        number = np.full(codes_N2[0, 1] + 1, -1)  # the last is that of no group
        number[known] = np.arange(len(known))
        codes = np.stack([number[codes_N2[:, 0]], np.full(len(codes_N2), len(known))], axis=1)
        return {**columns, _column(attribute): codes}

    return prepare


def value_of(metric: Metric, columns: Columns, inside_N: NDArray[np.bool_]) -> float:
    """The metric on some rows, NaN where it has no value."""
    try:
        return metric.of_rows(columns, np.flatnonzero(inside_N))
    except Undefined:
        return float("nan")


def _of_rows(metric: Metric, attribute: Attributes, over: Spread) -> Whole:
    def whole(columns: Columns) -> float:
        codes_N2 = _coded(columns, attribute)
        n_groups = int(codes_N2[0, 1])
        values_G = np.array([value_of(metric, columns, codes_N2[:, 0] == g) for g in range(n_groups)])
        if n_groups < 2 or not np.isfinite(values_G).all():  # noqa: PLR2004
            return float("nan")
        everything = value_of(metric, columns, np.ones(len(codes_N2), dtype=bool))
        return float(over(values_G, np.ones(n_groups, dtype=bool), np.asarray(everything)))

    return whole


def _blocks(metric: Metric, attribute: Attributes) -> Callable[[Columns], Floats]:
    """Terms of everything, of each group, and for each group whether it has a value at all: [N, K + G K + G]."""

    def terms(columns: Columns) -> Floats:
        base_NK, codes_N2 = metric.terms(columns), _coded(columns, attribute)
        groups = range(int(codes_N2[:1, 1].sum()))
        blocks = [base_NK * (codes_N2[:, 0] == g)[:, None] for g in groups]
        known = [np.isfinite(metric.finish(block_NK.sum(axis=0))) for block_NK in blocks]
        flags_NG = np.broadcast_to(np.array(known, dtype=np.float64), (len(base_NK), len(blocks)))
        return np.concatenate([base_NK, *blocks, flags_NG], axis=1)

    return terms


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


def _smallest(values_G: Floats, on_G: NDArray[np.bool_]) -> Floats:
    return np.asarray(np.where(on_G, values_G, np.inf).min(axis=-1))


def _largest(values_G: Floats, on_G: NDArray[np.bool_]) -> Floats:
    return np.asarray(np.where(on_G, values_G, -np.inf).max(axis=-1))


def _within_one(metric: Metric) -> Metric:
    if metric.bounds != (0.0, 1.0) or not metric.higher_is_better:
        raise ValueError(f"equity scaling needs a metric within [0, 1] where higher is better, not {metric.name}")
    return metric


def _name(metric: Metric, pattern: str, attribute: Attributes) -> str:
    """``dice[class=1]`` with ``{}_gap`` by site: ``dice_gap[class=1,site]``."""
    stem, bracket, inner = metric.name.partition("[")
    return f"{pattern.format(stem)}[{inner[:-1] + ',' if bracket else ''}{_joined(attribute)}]"


def _columns(attribute: Attributes) -> tuple[str, ...]:
    return tuple(GROUP_PREFIX + name for name in ((attribute,) if isinstance(attribute, str) else attribute))


def _column(attribute: Attributes) -> str:
    return _columns(attribute)[0]


def _joined(attribute: Attributes) -> str:
    return attribute if isinstance(attribute, str) else ",".join(attribute)

"""Fairness as an operator: any metric by any group column, and what the spread over groups makes of it.

    of_group(m, "dialect", "north")   accuracy[dialect=north]          the metric on one group
    worst_group(m, "dialect")         worst_group_accuracy[dialect]    the worst group's value (Sagawa 2020)
    gap(m, "dialect")                 accuracy_gap[dialect]            largest minus smallest group value
    gap(m, ("age", "sex"))            accuracy_gap[age,sex]            the same over all pairs of an age and a sex
    ratio(m, "dialect")               accuracy_ratio[dialect]          smallest over largest group value
    equity_scaled(m, "dialect")       es_accuracy[dialect]             X / (1 + sum_g |X_g - X|) (FairSeg, alpha 1)
    equity_scaled_std(m, "dialect")   es_std_accuracy[dialect]         X / (1 + sample standard deviation of X_g)

Items whose group is the empty string or ``(missing)`` belong to no named group: they count in X alone. So do, for a
spread, the items of groups with fewer than `least` items and of groups in which the metric has no value (no positives,
say), which is not 0; `left_out` counts them. With ``merged=True`` the former are groups of their own, see
`suite.metrics.codes`; the whole set for one metric, with the groups that the data holds, is
`suite.metrics.frame.frame`.

The intervals come from the same clustered bootstrap as any other. Gaps of small groups are biased upward: read them
with their interval, and beside what chance alone would give (`suite.metrics.chance`).

Shape suffixes: N items, G groups.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric
from suite.metrics.codes import MIN_GROUP, Attributes, Bools, Grouping, columns_of, names_of
from suite.metrics.spread import gap_of, largest, ratio_of, smallest, spread, spread_name
from suite.outcomes import GROUP_PREFIX

Floats = NDArray[np.float64]


def of_group(metric: Metric, attribute: str, value: str, least: int = 1) -> Metric:
    """The metric on the items of one group; of a group's group, on those in both. No value below `least` items."""
    where = (*metric.where, (GROUP_PREFIX + attribute, value))
    return replace(metric, name=group_name(metric, {attribute: value}), where=where, least=max(least, metric.least))


def group_name(metric: Metric, group: dict[str, str]) -> str:
    """``dice[class=1]`` of site A: ``dice[class=1,site=A]``, keys sorted."""
    stem, bracket, inner = metric.name.partition("[")
    own = inner[:-1].split(",") if bracket else []
    return f"{stem}[{','.join(sorted([*own, *(f'{name}={value}' for name, value in group.items())]))}]"


def worst_group(metric: Metric, attribute: Attributes, least: int = 1, *, merged: bool = False) -> Metric:
    """The worst group's value: the smallest where higher is better, else the largest."""
    worst = smallest if metric.higher_is_better else largest
    grouping = Grouping(attribute, least, merged)
    return spread(metric, grouping, "worst_group_{}", lambda v, on, whole: worst(v, on))


def gap(metric: Metric, attribute: Attributes, least: int = 1, *, merged: bool = False) -> Metric:
    """Largest minus smallest group value; 0 is equal treatment, so lower is better."""
    made = spread(metric, Grouping(attribute, least, merged), "{}_gap", lambda v, on, whole: gap_of(v, on))
    low, high = metric.bounds
    return replace(made, higher_is_better=False, bounds=(0.0, None if low is None or high is None else high - low))


def ratio(metric: Metric, attribute: Attributes, least: int = 1, *, merged: bool = False) -> Metric:
    """Smallest over largest group value; 1 is equal treatment, so higher is better. No value where all are 0.

    Raises:
        ValueError: the metric may be negative, where a ratio means nothing.
    """
    if metric.bounds[0] is None or metric.bounds[0] < 0:
        raise ValueError(f"a ratio over groups needs a metric that is never negative, not {metric.name}")
    made = spread(metric, Grouping(attribute, least, merged), "{}_ratio", lambda v, on, whole: ratio_of(v, on))
    return replace(made, higher_is_better=True, bounds=(0.0, 1.0), unit="")


def equity_scaled(metric: Metric, attribute: Attributes, least: int = 1, *, merged: bool = False) -> Metric:
    """X / (1 + sum_g |X_g - X|), for metrics within [0, 1] where higher is better; falls with the number of groups.

    Raises:
        ValueError: the metric is not such a one: in percent the same numbers give another value.
    """

    def scaled(values_G: Floats, on_G: Bools, whole: Floats) -> Floats:
        return np.asarray(whole / (1 + np.where(on_G, np.abs(values_G - whole[..., None]), 0).sum(axis=-1)))

    return spread(_within_one(metric), Grouping(attribute, least, merged), "es_{}", scaled, overall=True)


def equity_scaled_std(metric: Metric, attribute: Attributes, least: int = 1, *, merged: bool = False) -> Metric:
    """X / (1 + s), s the sample standard deviation (n - 1) of the group values: FairSeg's text, not its code.

    Raises:
        ValueError: as `equity_scaled`.
    """

    def scaled(values_G: Floats, on_G: Bools, whole: Floats) -> Floats:
        n = on_G.sum(axis=-1)
        mean = np.where(on_G, values_G, 0).sum(axis=-1) / np.maximum(n, 1)
        squares = np.where(on_G, (values_G - mean[..., None]) ** 2, 0).sum(axis=-1)
        return np.asarray(whole / (1 + np.sqrt(squares / np.maximum(n - 1, 1))))

    return spread(_within_one(metric), Grouping(attribute, least, merged), "es_std_{}", scaled, overall=True)


def left_out(metric: Metric, attribute: Attributes, least: int = MIN_GROUP, *, merged: bool = False) -> Metric:
    """How many items the spreads of `metric` over these groups do not cover: of no named group or of too small a one.

    Items that the metric itself leaves out (negatives, for a true positive rate) are not counted.
    """
    grouping = Grouping(attribute, least, merged)

    def prepare(columns: Columns) -> Columns:
        return grouping.with_codes(metric.prepare(columns) if metric.prepare else columns)

    return replace(
        metric,
        name=spread_name(metric, "n_left_out_{}", attribute),
        needs=(metric.needs[0], *columns_of(attribute)),
        terms=lambda columns: (grouping.coded(columns)[:, :1] < 0).astype(np.float64),
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
        blocks=None,
        reference=f"items {'' if merged else f'without {names_of(attribute)[0]} or '}in a group of fewer than {least}",
    )


def _within_one(metric: Metric) -> Metric:
    if metric.bounds != (0.0, 1.0) or not metric.higher_is_better:
        raise ValueError(f"equity scaling needs a metric within [0, 1] where higher is better, not {metric.name}")
    return metric

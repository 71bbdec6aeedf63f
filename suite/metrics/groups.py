"""Fairness as an operator: any additive metric by any group column, and what the spread over groups makes of it.

    of_group(m, "dialect", "north")   accuracy[dialect=north]          the metric on one group
    worst_group(m, "dialect")         worst_group_accuracy[dialect]    the worst group's value (Sagawa 2020)
    gap(m, "dialect")                 accuracy_gap[dialect]            largest minus smallest group value
    equity_scaled(m, "dialect")       es_accuracy[dialect]             X / (1 + sum_g |X_g - X|) (FairSeg, alpha 1)

Items whose group is the empty string belong to no named group: they count in X alone. A metric by groups is additive
itself (one block of terms per group), so its interval comes from the same clustered bootstrap; a resample that leaves a
group empty has no value. Gaps of small groups are biased upward: read them with their interval.

Shape suffixes: N items, G groups, K terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Finish, Metric
from suite.outcomes import GROUP_PREFIX

Floats = NDArray[np.float64]


def of_group(metric: Metric, attribute: str, value: str) -> Metric:
    """The metric on the items of one group."""
    group = f"{attribute}={value}"
    inner = metric.name[:-1] + f",{group}]" if metric.name.endswith("]") else f"{metric.name}[{group}]"
    return replace(metric, name=inner, where=(GROUP_PREFIX + attribute, value))


def worst_group(metric: Metric, attribute: str) -> Metric:
    """The worst group's value: the smallest where higher is better, else the largest."""
    sign = 1.0 if metric.higher_is_better else -1.0

    def worst(values_G: Floats, whole: Floats) -> Floats:
        return np.asarray(sign * (sign * values_G).min(axis=-1))

    return _over_groups(metric, attribute, f"worst_group_{metric.name}", worst)


def gap(metric: Metric, attribute: str) -> Metric:
    """Largest minus smallest group value; 0 is equal treatment, so lower is better."""
    made = _over_groups(
        metric, attribute, f"{metric.name}_gap", lambda values, whole: np.asarray(np.ptp(values, axis=-1))
    )
    low, high = metric.bounds
    return replace(made, higher_is_better=False, bounds=(0.0, None if low is None or high is None else high - low))


def equity_scaled(metric: Metric, attribute: str) -> Metric:
    """X / (1 + sum_g |X_g - X|), for metrics within [0, 1] where higher is better; falls with the number of groups.

    Raises:
        ValueError: the metric is not such a one: in percent the same numbers give another value.
    """
    if metric.bounds != (0.0, 1.0) or not metric.higher_is_better:
        raise ValueError(f"equity scaling needs a metric within [0, 1] where higher is better, not {metric.name}")

    def scaled(values_G: Floats, whole: Floats) -> Floats:
        return np.asarray(whole / (1 + np.abs(values_G - whole[..., None]).sum(axis=-1)))

    return _over_groups(metric, attribute, f"es_{metric.name}", scaled)


def _over_groups(metric: Metric, attribute: str, name: str, spread: Callable[[Floats, Floats], Floats]) -> Metric:
    """A metric of all group values [..., G] and the value over everything [...]."""
    column = GROUP_PREFIX + attribute

    def terms(columns: Columns) -> Floats:
        base_NK = metric.terms(columns)
        groups = [g for g in np.unique(columns[column]) if g != ""]
        return np.concatenate([base_NK, *(base_NK * (columns[column] == g)[:, None] for g in groups)], axis=1)

    return replace(
        metric,
        name=f"{name}[{attribute}]",
        needs=(*metric.needs, column),
        terms=terms,
        finish=_finish(metric.finish, metric.width, spread),
        undefined=f"fewer than two groups of {attribute} have a value",
        proportion=False,
    )


def _finish(finish: Finish, width: int, spread: Callable[[Floats, Floats], Floats]) -> Finish:
    def finished(sums: Floats) -> Floats:
        blocks = sums.reshape(*sums.shape[:-1], -1, width)
        values = finish(blocks)
        whole, groups = values[..., 0], values[..., 1:]
        if groups.shape[-1] < 2:  # noqa: PLR2004 - a gap needs two
            return np.full(whole.shape, np.nan)
        return spread(groups, whole)

    return finished

"""Conditional utilisation: how much a group of inputs adds, given the others.

    u(A | rest) = X(everything) - X(everything but A)

with X an accuracy or any other value in which higher is better (Wu et al. 2022, "Characterizing and overcoming the
greedy nature of learning in multi-modal deep neural networks", who divide it by X(everything) and train a model for
each side; here the one model is asked again with A blanked). 0: A is not used, or not needed. The variant in which A is
blanked is named ``without:A``; both are asked of every item, so that the interval is paired.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.metrics.base import Columns, Metric
from suite.outcomes import GROUP_PREFIX

WITHOUT = "without:"
WHOLE = "all"
Floats = NDArray[np.float64]


def utilisation(metric: Metric, group: str, attribute: str = "variant") -> Metric:
    """What the model loses without one group of inputs: ``accuracy_utilisation[group=left]``, paired by item."""
    made = _difference(metric, attribute, WHOLE, f"{WITHOUT}{group}")
    return replace(
        made,
        name=f"{metric.name}_utilisation[group={group}]",
        reference=f"{metric.name} with all inputs minus that with {group} blanked; Wu 2022 divide by the first",
    )


def imbalance(metric: Metric, first: str, second: str, attribute: str = "variant") -> Metric:
    """u(first | second) - u(second | first): above 0 the model leans on the first; 0 is balance (Wu's d_util)."""
    made = _difference(metric, attribute, f"{WITHOUT}{second}", f"{WITHOUT}{first}")
    return replace(
        made,
        name=f"{metric.name}_imbalance[first={first},second={second}]",
        reference=f"utilisation of {first} minus that of {second}; 0 is balance",
    )


def _difference(metric: Metric, attribute: str, one: str, other: str) -> Metric:
    """X(one) - X(other) of two variants, as a metric of sums without a direction."""
    if metric.whole is not None or not metric.higher_is_better or "[" in metric.name:
        raise ValueError(f"utilisation needs a metric of sums in which higher is better, not {metric.name}")
    column, width, low, high = GROUP_PREFIX + attribute, metric.width, *metric.bounds
    spread = None if low is None or high is None else high - low

    def terms(columns: Columns) -> Floats:
        base_NK = metric.terms(columns)
        return np.concatenate([base_NK * (columns[column] == v)[:, None] for v in (one, other)], axis=1)

    def prepare(columns: Columns) -> Columns:
        inside = np.isin(columns[column], (one, other))
        return {name: values[inside] for name, values in columns.items()}

    return replace(
        metric,
        needs=(*metric.needs, column),
        terms=terms,
        total=None,
        prepare=prepare,
        finish=lambda sums: metric.finish(sums[..., :width]) - metric.finish(sums[..., width:]),
        higher_is_better=None,
        bounds=(None if spread is None else -spread, spread),
        undefined=f"{one} or {other} has no value",
        proportion=False,
        width=2 * width,
    )

"""Fairness: the whole frame of one metric by one group column, and the parity of decisions.

A difference between groups measures this model on these items; it does not say where it comes from, and none of these
numbers promises that a use of the model is fair.

    by_group(m, "sex", values)         every group's value, worst, gap with its chance level, ratio, equity-scaled
    demographic_parity_difference      max_g P(yes | g) - min_g; _ratio: min / max
    equal_opportunity_difference       the same of the true positive rate (Hardt 2016)
    equalized_odds_difference          of the gaps in TPR and FPR the larger one: fairlearn's agg="worst_case"
    equalized_odds_difference_mean     their mean: fairlearn's agg="mean"
    equalized_odds_ratio, _mean        the smaller, the mean, of the two ratios

Not the same under similar names: AIF360's average_odds_difference is a signed half sum between two named groups, where
errors cancel; torchmetrics' binary_fairness "EO" is the equal opportunity ratio. A group without positives has no TPR
and takes no part in it; fairlearn gives it 0.0, and so a gap out of nothing.

Shape suffixes: N items, G groups, K terms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.metrics import decisions
from suite.metrics.base import Columns, Metric
from suite.metrics.base import ratio as over
from suite.metrics.binary import DEFAULT, Binary
from suite.metrics.chance import Deals, gap_null, gap_p
from suite.metrics.codes import MIN_GROUP, Attributes, Grouping
from suite.metrics.groups import (
    equity_scaled,
    equity_scaled_std,
    gap,
    left_out,
    of_group,
    ratio,
    worst_group,
)

Floats = NDArray[np.float64]


def by_group(
    metric: Metric, attribute: Attributes, values: Sequence[str | tuple[str, ...]], least: int = MIN_GROUP
) -> tuple[Metric, ...]:
    """Everything that is said of a metric by groups.

    Args:
        metric: any metric, e.g. `calibration.ECE_15` or a Dice.
        attribute: a group column, or several for intersections.
        values: the groups to show one by one; for intersections tuples in the order of the attributes.
        least: items below which a group is shown as too small and takes no part in the spreads.

    Returns:
        One metric a group (null with its reason where it is too small or has no value), the worst group's, the gap,
        its p-value and 95 % level under chance, the number of items left out; the ratio where the metric is never
        negative, and the equity-scaled values where it lies within [0, 1] and higher is better.
    """
    return (*(_of_groups(metric, attribute, value, least) for value in values), *spreads(metric, attribute, least))


def spreads(
    metric: Metric,
    attribute: Attributes,
    least: int = MIN_GROUP,
    *,
    merged: bool = False,
    deals: Deals | None = None,
) -> tuple[Metric, ...]:
    """What `by_group` says of all groups together.

    Args:
        metric: any metric.
        attribute: a group column, or several for intersections.
        least: items that a group needs.
        merged: items without a value, and those of small groups, form groups too (`suite.metrics.codes`); not in the
            equity-scaled values, which by their definition are about named groups.
        deals: see `chance.gap_p`.
    """
    deals = deals or Deals()
    found = []
    if metric.higher_is_better is not None:
        found.append(worst_group(metric, attribute, least, merged=merged))
    found.append(gap(metric, attribute, least, merged=merged))
    found += [make(metric, attribute, least, merged=merged, deals=deals) for make in (gap_p, gap_null)]
    found.append(left_out(metric, attribute, least, merged=merged))
    if metric.bounds[0] is not None and metric.bounds[0] >= 0:
        found.append(ratio(metric, attribute, least, merged=merged))
    if metric.bounds == (0.0, 1.0) and metric.higher_is_better:
        found += [equity_scaled(metric, attribute, least), equity_scaled_std(metric, attribute, least)]
    return tuple(found)


def parity(
    attribute: Attributes, binary: Binary = DEFAULT, least: int = MIN_GROUP, *, merged: bool = False
) -> tuple[Metric, ...]:
    """Demographic parity, equal opportunity and equalised odds of decisions, as differences and ratios."""
    selected, found = decisions.selection_rate(binary), decisions.tpr(binary)
    pairs = (("demographic_parity", selected, "P(yes)"), ("equal_opportunity", found, "TPR"))
    made = []
    for name, metric, what in pairs:
        each = gap(metric, attribute, least, merged=merged), ratio(metric, attribute, least, merged=merged)
        made += [
            _renamed(each[0], f"{name}_difference", f"max - min of {what} over groups; fairlearn"),
            _renamed(each[1], f"{name}_ratio", f"min / max of {what} over groups; fairlearn"),
        ]
    return (*made, *equalized_odds(attribute, binary, least, merged=merged))


def equalized_odds(
    attribute: Attributes, binary: Binary = DEFAULT, least: int = MIN_GROUP, *, merged: bool = False
) -> tuple[Metric, ...]:
    """Equalised odds as difference and ratio, of the worse of TPR and FPR, and of their mean.

    A group takes part in a rate that it has enough items for: `least` positives for TPR, negatives for FPR, one at the
    least. Three positives would make a TPR of 0, and a gap out of chance. Without two such groups in both, neither
    number exists.
    """
    grouping = Grouping(attribute, least, merged)
    rates = _conditional(binary, True, grouping), _conditional(binary, False, grouping)
    differences = [gap(rate, attribute, least, merged=merged) for rate in rates]
    ratios = [ratio(rate, attribute, least, merged=merged) for rate in rates]
    made = [
        _both(
            rates,
            differences,
            np.maximum,
            "equalized_odds_difference",
            "the larger of the gaps in TPR and FPR; fairlearn",
        ),
        _both(
            rates, differences, _mean, "equalized_odds_difference_mean", "the mean of both gaps; fairlearn agg='mean'"
        ),
        _both(rates, ratios, np.minimum, "equalized_odds_ratio", "the smaller of the ratios of TPR and FPR; fairlearn"),
        _both(rates, ratios, _mean, "equalized_odds_ratio_mean", "the mean of both ratios; fairlearn agg='mean'"),
    ]
    return tuple(made)


def _conditional(binary: Binary, positives: bool, grouping: Grouping) -> Metric:
    """TPR or FPR as sums over all items: (decided positive and of that kind, of that kind), 0 in too small groups."""

    def terms(columns: Columns) -> Floats:
        code_N = grouping.coded(columns)[:, 0]
        kind = (binary.truth(columns) == positives) & (code_N >= 0)
        counts = np.bincount(code_N[kind], minlength=int(code_N.max(initial=0)) + 1)
        kind &= counts[np.maximum(code_N, 0)] >= grouping.least
        return np.stack([binary.decision(columns) & kind, kind], axis=1).astype(np.float64)

    rate = decisions.tpr(binary) if positives else decisions.fpr(binary)
    return replace(rate, terms=terms, finish=over, prepare=None, proportion=False)


def _both(
    rates: tuple[Metric, Metric],
    pair: Sequence[Metric],
    join: Callable[[Floats, Floats], Floats],
    name: str,
    reference: str,
) -> Metric:
    first, second = pair

    def terms(columns: Columns) -> Floats:
        return np.concatenate([first.terms(columns), second.terms(columns)], axis=1)

    def finish(sums: Floats) -> Floats:
        half = sums.shape[-1] // 2  # the same groups, so as many terms, in both
        return np.asarray(join(first.finish(sums[..., :half]), second.finish(sums[..., half:])))

    def of_values(values: Sequence[Floats], known: Sequence[NDArray[np.bool_]]) -> Floats:
        each = [metric.blocks.of_values([values[i]], [known[i]]) for i, metric in enumerate(pair) if metric.blocks]
        return np.asarray(join(*each))

    made = _renamed(first, name, reference)
    blocks = made.blocks and replace(made.blocks, sources=rates, of_values=of_values)
    why = f"{first.undefined} in both TPR and FPR"
    return replace(made, terms=terms, total=None, finish=finish, blocks=blocks, undefined=why)


def _mean(a: Floats, b: Floats) -> Floats:
    return (a + b) / 2


def _renamed(metric: Metric, name: str, reference: str) -> Metric:
    return replace(metric, name=f"{name}[{metric.name.partition('[')[2]}", reference=reference)


def _of_groups(metric: Metric, attribute: Attributes, value: str | tuple[str, ...], least: int) -> Metric:
    attributes = (attribute,) if isinstance(attribute, str) else attribute
    values = (value,) if isinstance(value, str) else value
    for one, its in zip(attributes, values, strict=True):
        metric = of_group(metric, one, its, least)
    return metric

"""The fairness frame: all that is said of a metric by the groups that the data holds, intersections included.

    frame(ACCURACY, "race", columns)            accuracy[race=A], worst_group_accuracy[race], accuracy_gap[race], ...
    frame(ACCURACY, ("race", "sex"), columns)   accuracy[race=A,sex=f], accuracy_gap[race,sex], ...

Group values come from the columns, so stored outcomes alone give the same metrics again. Nobody is dropped silently:

    a group of fewer than `least` items    is shown without a value and with its number of items as the reason
    all such groups together               are the group ``(small)``, which has a value from `least` items on
    items without a value                  are the group ``(missing)``
    a group without positives, say         has no value for a rate of positives, and takes no part in its spreads

The interval of a group's value comes from the same resamples of all items as those of the spreads; a proportion has its
score interval. ``(small)`` and ``(missing)`` take part in the worst group, the gap, its chance level, the ratio and the
parities. The equity-scaled values are about named groups alone, as FairSeg defines them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from suite.metrics.base import Columns, Metric
from suite.metrics.binary import Binary
from suite.metrics.chance import Deals
from suite.metrics.codes import (
    MIN_GROUP,
    MISSING,
    SMALL,
    Attributes,
    Group,
    Grouping,
    columns_of,
    names_of,
    with_numbers,
)
from suite.metrics.fairness import parity, spreads
from suite.metrics.groups import group_name, of_group
from suite.metrics.spread import picked, spread
from suite.outcomes import GROUP_PREFIX, lacking

_ROW = "row"


@dataclass(frozen=True, kw_only=True)
class Framed:
    """What a task reports by groups.

    Attributes:
        metrics: those to take by group, e.g. accuracy, NLL and ECE.
        attributes: group columns, tuples for intersections; ``None``: every one that the data has, and every pair.
        decisions: where the task decides yes or no, how; adds demographic parity, equal opportunity, equalised odds.
        least: items that a group needs.
    """

    metrics: tuple[Metric, ...] = ()
    attributes: tuple[Attributes, ...] | None = None
    decisions: Binary | None = None
    least: int = MIN_GROUP

    def of(self, columns: Columns) -> tuple[Metric, ...]:
        """The metrics by the groups of these outcomes; none for an attribute or a metric whose columns are lacking."""
        wanted = attributes_in(columns) if self.attributes is None else self.attributes
        held = [one for one in wanted if lacking(columns_of(one), columns) is None]
        metrics = [metric for metric in self.metrics if lacking(metric.needs, columns) is None]
        return frames(metrics, held, columns, self.decisions, self.least)

    def description(self) -> dict[str, Any]:
        """Plain values for the task's description."""
        return {
            "metrics": [metric.name for metric in self.metrics],
            "attributes": self.attributes,
            "parity": self.decisions is not None,
            "least": self.least,
        }


def attributes_in(columns: Columns) -> list[Attributes]:
    """Every group column of the outcomes, then every pair of them, without the prefix; in the order of their names."""
    names = sorted(name.removeprefix(GROUP_PREFIX) for name in columns if name.startswith(GROUP_PREFIX))
    return [*names, *combinations(names, 2)]


def frames(
    metrics: Iterable[Metric],
    attributes: Sequence[Attributes],
    columns: Columns,
    decisions: Binary | None = None,
    least: int = MIN_GROUP,
) -> tuple[Metric, ...]:
    """`frame` of every metric by every attribute, and the parity of decisions, if there are any."""
    metrics, columns = tuple(metrics), with_numbers(columns)
    found: list[Metric] = []
    deals = Deals()
    for attribute in attributes:
        for metric in metrics:
            found += frame(metric, attribute, columns, least, deals)
        if decisions is not None:
            found += parity(attribute, decisions, least, merged=True)
    return tuple(found)


def frame(
    metric: Metric, attribute: Attributes, columns: Columns, least: int = MIN_GROUP, deals: Deals | None = None
) -> tuple[Metric, ...]:
    """Everything that is said of a metric by groups.

    Args:
        metric: any metric of any kind of task, e.g. an accuracy, a Dice, an ECE, an AUROC.
        attribute: a group column without its prefix, or several for intersections.
        columns: outcomes, which hold the groups.
        least: items that a group needs to have a value.
        deals: see `chance.gap_p`.

    Returns:
        The metric in every group that occurs, in ``(missing)`` and ``(small)`` where there are such; then the worst
        group's value, the gap, its p-value and 95 % level under chance, the number of items that these leave out, the
        ratio where the metric is never negative, the equity-scaled values where it lies within [0, 1] and higher is
        better.
    """
    grouping, names = Grouping(attribute, least, merged=True), names_of(attribute)
    groups = grouping.groups(metric.inside(columns))
    found = [_of_group(metric, names, group, least) for group in groups]
    rows = metric.rows(columns)
    if len(rows[metric.needs[0]]) and grouping.in_small(rows).any():
        found.append(_of_small(metric, grouping))
    shared = _with_shared_resamples(metric, grouping, found, columns)
    return (*shared, *spreads(metric, attribute, least, merged=True, deals=deals))


def _with_shared_resamples(
    metric: Metric, grouping: Grouping, found: Sequence[Metric], columns: Columns
) -> Iterator[Metric]:
    """The metrics of groups, with intervals from one resampling of all items; a proportion has a better one."""
    if metric.proportion or metric.no_interval is not None or not metric.width:
        yield from found
        return
    counted = {**columns, _ROW: np.arange(len(columns[metric.needs[0]]))}
    coded = spread(metric, grouping, "{}", lambda v, on, whole: whole).rows(counted)
    number_of = dict(zip(coded[_ROW].tolist(), coded[grouping.column][:, 0].tolist(), strict=True))
    for one in found:
        mine = one.rows(counted)[_ROW]
        number = number_of[int(mine[0])] if len(mine) >= one.least else -1
        yield one if number < 0 else replace(one, resampled_as=picked(metric, grouping, number))


def _of_group(metric: Metric, names: Sequence[str], group: Group, least: int) -> Metric:
    made = metric
    for name, value in zip(names, group, strict=True):
        made = of_group(made, name, value, least)
    shown = {name: value or MISSING for name, value in zip(names, group, strict=True)}
    return replace(made, name=group_name(metric, shown))


def _of_small(metric: Metric, grouping: Grouping) -> Metric:
    """The metric on the items of all groups that are too small alone."""

    def prepare(columns: Columns) -> Columns:
        columns = metric.prepare(columns) if metric.prepare else columns
        if not len(columns[metric.needs[0]]):
            return columns
        inside = np.flatnonzero(grouping.in_small(columns))
        return {name: values[inside] for name, values in columns.items()}

    return replace(
        metric,
        name=group_name(metric, dict.fromkeys(names_of(grouping.attribute), SMALL)),
        needs=(*metric.needs, *columns_of(grouping.attribute)),
        prepare=prepare,
        least=max(metric.least, grouping.least),
    )

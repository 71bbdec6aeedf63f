"""Recovered metrics: a task's metrics made again from its description and from what a record's outcomes hold.

The board knows no task, yet two records can only be paired through the metrics of their task. Every metric of
`suite.metrics` that has the wanted name is a candidate; it is taken only if it computes, from the record's outcomes,
the very value that the record states. So a metric that another task made in another way is never used by mistake:
then the two records are compared by their intervals alone, and the page says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from leaderboard import brackets
from suite import outcomes
from suite.errors import HallmarkError, Undefined
from suite.metrics import METRICS, choices
from suite.metrics.base import Columns, Metric, per_item, ratio
from suite.metrics.calibration import TOKEN_ECE_15
from suite.metrics.codes import MIN_GROUP
from suite.metrics.frame import frames
from suite.metrics.groups import gap, of_group, worst_group
from suite.metrics.harness import PREFIX, ours
from suite.metrics.scored import metrics_of
from suite.metrics.scoring import restored
from suite.record import Measurement, Record
from suite.task import AnyTask, Task

TOLERANCE, TIMING = 1e-9, "[scenario="


@dataclass(frozen=True)
class Recovered:
    """What a comparison reads of a task, in the place of the task.

    Attributes:
        name: the task's.
        version: of the records that are compared.
        primary: metric to rank on.
        chance: value of the primary metric by guessing; None if there is none.
        metrics: what records without outcomes are compared by: names and directions, nothing to compute.
        of_child: the metrics on the child's outcomes.
        timed: it times models, so its items are no questions to pair.
    """

    name: str
    version: str
    primary: str
    chance: float | None
    metrics: tuple[Metric, ...]
    of_child: tuple[Metric, ...]
    timed: bool

    def scored(self, columns: Columns) -> tuple[Metric, ...]:
        """The metrics on the child's outcomes."""
        return self.of_child

    def __getattr__(self, name: str) -> Any:
        """What is not recovered is as a task leaves it that declares nothing."""
        return getattr(Task, name)


def task_of(
    described: Mapping[str, Any], record: Record, primary: str, names: Iterable[str], columns: Columns | None,
    whole: str | None = None,
) -> AnyTask | None:  # fmt: skip
    """What takes a task's place in a comparison; None where the outcomes are here and the primary metric cannot be had.

    Args:
        described: the task's description, perhaps empty.
        record: the record that is judged.
        primary: the metric to rank on.
        names: further metrics that are asked for.
        columns: the record's outcomes; None where it has none.
        whole: the metric whose parts and spreads are among the names; None takes the primary one.
    """
    wanted = dict.fromkeys([primary, *names])
    measured = {m.name: m for m in record.measurements if m.name in wanted}
    timed = any(TIMING in m.name for m in record.measurements)
    found = () if columns is None or timed else tuple(recovered(described, columns, measured, whole or primary))
    if columns is not None and not timed and primary not in {metric.name for metric in found}:
        return None
    chance = described.get("chance")
    level = float(chance) if isinstance(chance, (int, float)) and math.isfinite(chance) else None
    stated = tuple(_stated(m) for m in measured.values())
    made = Recovered(record.task, record.task_version, primary, level, stated, found, timed)
    return cast("AnyTask", made)  # a comparison reads no more of a task than this


def recovered(
    described: Mapping[str, Any], columns: Columns, measured: Mapping[str, Measurement], whole: str
) -> Iterator[Metric]:
    """Each measurement's metric, where one that computes its value is known.

    Args:
        described: the task's description.
        columns: the record's outcomes.
        measured: name -> measurement; those without a value are passed over.
        whole: the metric whose parts and spreads may be among them.
    """
    left = {name: m for name, m in measured.items() if m.value is not None}
    main = None
    for metric in _plain(described, columns, left):
        if metric.name in left and agrees(metric, columns, left[metric.name]):
            del left[metric.name]
            main = metric if metric.name == whole else main
            yield metric
    if main is None or not left:
        return
    for metric in _by_group(main, described, columns, left):
        if metric.name in left and agrees(metric, columns, left[metric.name]):
            del left[metric.name]
            yield metric


def agrees(metric: Metric, columns: Columns, m: Measurement) -> bool:
    """Whether a metric computes the value that a record states."""
    if m.value is None or outcomes.lacking(metric.needs, columns) is not None:
        return False
    try:
        value = metric(columns)
    except (Undefined, ValueError, TypeError, IndexError, KeyError):  # made for columns of another shape
        return False
    return math.isclose(value, m.value, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _plain(described: Mapping[str, Any], columns: Columns, wanted: Mapping[str, Any]) -> Iterator[Metric]:
    """Candidates over all items, and by class of a segmentation."""
    scoring = described.get("scoring")
    if isinstance(scoring, Mapping):
        groups = described.get("groups")
        try:
            yield from metrics_of(restored(scoring), groups if isinstance(groups, Mapping) else {})
        except (HallmarkError, ValueError, TypeError):  # described by another version
            return
        return
    if "correct_norm" in columns:
        yield from choices.METRICS
    yield TOKEN_ECE_15
    yield from METRICS.values()
    for column in columns:
        if column.startswith(PREFIX):
            metric, _, pipeline = column.removeprefix(PREFIX).partition("@")
            name = ours(metric, pipeline or "none")
            if name in wanted:
                yield _mean(name, column, wanted[name])


def _by_group(
    main: Metric, described: Mapping[str, Any], columns: Columns, wanted: Mapping[str, Measurement]
) -> Iterator[Metric]:
    """Candidates of the primary metric by group: each group's value, the worst group, the gap."""
    framed = described.get("framed")
    stated = framed.get("least") if isinstance(framed, Mapping) else None
    least = stated if isinstance(stated, int) else MIN_GROUP
    for attributes in _attributes(wanted, columns):
        attribute = attributes[0] if len(attributes) == 1 else attributes
        yield from frames([main], [attribute], columns, least=least)
        yield worst_group(main, attribute)
        yield gap(main, attribute)
    for name in wanted:
        said = brackets.part(name)
        if said is not None and ", " not in said.by and said.stem == main.name:
            yield of_group(main, said.by, said.value)


def _attributes(names: Iterable[str], columns: Columns) -> list[tuple[str, ...]]:
    """The groupings that some name is about and the outcomes hold."""
    found: dict[tuple[str, ...], None] = {}
    for name in names:
        said = brackets.part(name)
        inner = said.by.split(", ") if said else name.partition("[")[2].removesuffix("]").split(",")
        if all(outcomes.GROUP_PREFIX + one in columns for one in inner):
            found[tuple(inner)] = None
    return list(found)


def _mean(name: str, column: str, m: Measurement) -> Metric:
    return Metric(
        name=name, needs=(column,), terms=per_item(column), finish=ratio, unit=m.unit,
        higher_is_better=m.higher_is_better, bounds=(None, None),
    )  # fmt: skip


def _stated(m: Measurement) -> Metric:
    return Metric(name=m.name, needs=(), unit=m.unit, higher_is_better=m.higher_is_better, bounds=(None, None))

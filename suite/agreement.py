"""Agreement: does a record say what a fresh run of the same submission says?

A pull request's workflow scores what the pull request touches and asks this of the records that it brings. A difference
counts if it is larger than `allowed`, that is than the tolerance (relative), a tenth of the half width of the record's
own interval, and what one flipped answer would move: two processors may round one close decision differently, and for
a gap of 0.003 that one answer is all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from suite import measure, outcomes
from suite.compare import incomparable
from suite.metrics.base import Columns, Metric
from suite.record import Measurement
from suite.store import Store, Stored
from suite.task import AnyTask

INTERVAL_SHARE = 0.1
COUNTED = ("cases", "items")  # units of metrics that count items: a flipped one moves them by 1
SIZES = frozenset({"bytes", "parameters", "bits_per_weight"})
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Agreement:
    """What a fresh run says of a record.

    Attributes:
        problems: where the two differ, one line each.
        note: why the record was not compared, though nothing is wrong with it.
    """

    problems: tuple[str, ...] = ()
    note: str | None = None


def agreement(stored: Stored, fresh: Store, tasks: Mapping[str, AnyTask], tolerance: float) -> Agreement:
    """Compare a record's scores and sizes with those of a fresh run of the same submission and task.

    Throughput and memory are not compared. A record of an older state of the submission is not, if one of the state
    that the fresh run scored lies beside it; nor is one of a task that the fresh run left out.

    Args:
        stored: the record to judge.
        fresh: a store with the fresh run, perhaps of another machine.
        tasks: all tasks; without the record's, only the tolerance and the interval count.
        tolerance: largest difference relative to the larger value.
    """
    record = stored.record
    name, task = record.manifest.name, record.task
    again = fresh.latest(name, task)
    if again is None:
        if any(True for _ in fresh.scan(name)):
            return Agreement(note=f"not compared: {fresh.root} has {name} on other tasks only")
        return Agreement((f"{fresh.root} has no record of {name} to compare with",))
    state = again.record.manifest.fingerprint()
    if state != record.manifest.fingerprint():
        beside = Store(stored.path.parent.parent.parent).scan(name, task)
        if any(other.record.manifest.fingerprint() == state for other in beside):
            return Agreement(note="not compared: it is of an older state of the submission")
        return Agreement(
            ("the fresh run scored other weights or inputs: the record is of an older state of the submission",)
        )
    why = incomparable(again.record, record)
    if why:
        return Agreement((f"the fresh run is not comparable: {why}",))
    known = tasks.get(task)
    return Agreement(tuple(_differences(stored, again, known.scored if known else lambda _: (), tolerance)))


def unrecorded(stored: Iterable[Stored], fresh: Store, names: Sequence[str] | None) -> list[str]:
    """What the fresh run scored and no record is of, one line each; `names`: only of these submissions."""
    known = {(s.record.manifest.name, s.record.task) for s in stored}
    chosen = [None] if names is None else names
    scored = {(s.record.manifest.name, s.record.task) for name in chosen for s in fresh.scan(name)}
    return [
        f"no record of {name} on {task}, which the fresh run scored; make it: hallmark run {name} -t {task}"
        for name, task in sorted(scored - known)
    ]


def allowed(m: Measurement, metric: Metric | None, columns: Columns, tolerance: float, other: float) -> float:
    """The largest difference of a fresh value `other` from a measurement that still is agreement; 0 for a size.

    max(tolerance * max(|value|, |other|), 0.1 * (high - low) / 2, what one flipped answer moves)
    """
    assert m.value is not None
    relative = tolerance * max(abs(m.value), abs(other))
    if m.name in SIZES:
        return relative
    half = 0.0 if m.low is None or m.high is None else (m.high - m.low) / 2
    return max(relative, INTERVAL_SHARE * half, 0.0 if metric is None else one_answer(metric, columns))


def one_answer(metric: Metric, columns: Columns) -> float:
    """How far one item moves a metric of hits, at most, when its answer turns from right to wrong or back.

    Exact, over all items: finish(sum of terms - terms_i + terms_i with the 0-1 columns inverted). 1 for a count of
    items; 0 for a metric without 0-1 columns, whose values move little when a model's probabilities do.
    """
    if metric.unit in COUNTED:
        return 1.0
    columns = metric.rows(columns)
    hits = [name for name in metric.needs if name != metric.observed and _is_zero_or_one(columns[name])]
    if not hits or metric.whole is not None:
        return 0.0
    now_NK = metric.terms(columns)
    then_NK = metric.terms({**columns, **{name: 1 - np.asarray(columns[name]) for name in hits}})
    total_K = now_NK.sum(axis=0)
    moved_N = np.abs(metric.finish(total_K - now_NK + then_NK) - metric.finish(total_K))
    return float(np.nan_to_num(moved_N, nan=0.0).max(initial=0.0))


def _is_zero_or_one(values: object) -> bool:
    array = np.asarray(values)
    return array.ndim == 1 and array.dtype.kind in "biuf" and bool(np.isin(array, (0, 1)).all())


def _differences(
    stored: Stored, again: Stored, scored: Callable[[Columns], Iterable[Metric]], tolerance: float
) -> list[str]:
    columns = outcomes.to_columns(stored.outcomes())
    by_name = {metric.name: metric for metric in scored(columns) if outcomes.lacking(metric.needs, columns) is None}
    found = []
    for m in stored.record.measurements:
        if measure.reading_named(m.name) and m.name not in SIZES:
            continue
        other = again.record.measurement(m.name)
        a, b = m.value, other.value if other else None
        if (a is None) != (b is None):
            found.append(f"{m.name} is {a}, a fresh run gives {b}")
        elif a is not None and b is not None:
            limit = allowed(m, by_name.get(m.name), columns, tolerance, b)
            if abs(a - b) > limit + _ROUNDING:
                found.append(f"{m.name} is {a:.6g}, a fresh run gives {b:.6g} (allowed: {limit:.3g})")
    return found

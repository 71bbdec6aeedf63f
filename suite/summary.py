"""The mean of a suite: the plain mean of its tasks' primary metrics, as the papers print it, with an interval.

Tasks have different items, so their errors are independent, and the intervals of the tasks combine without a resample:

    mean - sqrt(sum (value_i - low_i)^2) / k   to   mean + sqrt(sum (high_i - value_i)^2) / k

Source: MOVER, the method of variance estimates recovery (Zou & Donner 2008, "Construction of confidence limits about
effect measures"), for a sum of k independent estimates. The change from the parent combines the paired differences in
the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from suite.compare import Paired, beside_parent
from suite.store import Store
from suite.task import AnyTask
from suite.text import interval, number


@dataclass(frozen=True)
class Combined:
    """A mean over tasks.

    Attributes:
        value: the mean; ``None`` if a task has no value.
        low: lower end of its 95 % interval; ``None`` if a task has none.
        high: upper end.
        reason: what is missing.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True)
class SuiteMean:
    """What a suite's tasks give together.

    Attributes:
        submission: its name.
        parts: task -> (primary metric, value).
        mean: over them.
        change: of the mean from the parent; ``None`` without a parent.
    """

    submission: str
    parts: Mapping[str, tuple[str, float | None]]
    mean: Combined
    change: Combined | None

    def summary(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return asdict(self)


def mean_of(store: Store, submission: str, members: Sequence[str], tasks: Mapping[str, AnyTask]) -> SuiteMean:
    """The mean of a submission's newest unlimited records of these tasks.

    Args:
        store: records.
        submission: its name.
        members: names of the tasks.
        tasks: where their primary metrics stand.
    """
    parts: dict[str, tuple[str, float | None]] = {}
    values: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    has_parent = False
    for name in members:
        task, stored = tasks[name], store.latest(submission, name)
        if stored is None or stored.record.limit is not None:
            parts[name] = (task.primary, None)
            values[name] = changes[name] = "no complete record"
            continue
        measured = stored.record.measurement(task.primary)
        parts[name], values[name] = (task.primary, measured.value if measured else None), measured
        has_parent |= stored.record.manifest.parent is not None
        paired = beside_parent(stored, store, [m for m in task.metrics if m.name == task.primary])
        changes[name] = paired.differences.get(task.primary) if isinstance(paired, Paired) else paired
    return SuiteMean(submission, parts, combined(values), combined(changes) if has_parent else None)


def combined(estimates: Mapping[str, Any]) -> Combined:
    """The mean of independent estimates, things with ``value``, ``low`` and ``high``, or reasons why there is none."""
    for name, one in estimates.items():
        if one is None or isinstance(one, str) or one.value is None:
            why = one if isinstance(one, str) else getattr(one, "reason", None) or "no value"
            return Combined(None, None, None, f"{name}: {why}")
    k, found = len(estimates), list(estimates.values())
    mean = math.fsum(one.value for one in found) / k
    without = next((name for name, one in estimates.items() if one.low is None), None)
    if without is not None:
        return Combined(mean, None, None, f"{without} has no interval")
    down = math.sqrt(math.fsum((one.value - one.low) ** 2 for one in found)) / k
    up = math.sqrt(math.fsum((one.high - one.value) ** 2 for one in found)) / k
    return Combined(mean, mean - down, mean + up)


def shown(found: SuiteMean) -> str:
    """One line for people."""
    what = f"{found.submission}: mean of {len(found.parts)} tasks"
    line = f"{what} {number(found.mean.value)} {interval(found.mean.low, found.mean.high)}"
    if found.mean.reason:
        return f"{line} ({found.mean.reason})"
    if found.change is not None:
        change = f"{number(found.change.value)} {interval(found.change.low, found.change.high)}"
        line += f", change from the parent {change}" + (f" ({found.change.reason})" if found.change.reason else "")
    return line

"""Timings: which numbers depend on where they were measured, and when two of them may be set against each other.

A ratio to the parent was measured beside it, in turns, on one quiet machine: it needs no record of the parent, and no
equal machine. Seconds, joules and memory of two records compare on equal machines alone, and none of either kind where
the machine was busy with something else.
"""

from __future__ import annotations

from typing import Any

from suite.record import Measurement, Record
from suite.store import Stored

RATIOS = frozenset({"latency_ratio", "throughput_ratio", "time_per_token_ratio"})
BY_INTERVALS = (
    "timings of two runs are no pairs: they are compared by their intervals; only the ratios to a parent are of calls "
    "that took turns"
)
BESIDE = "beside the parent"
_TIMED = frozenset({"s", "1/s", "J", "W"})
_OF_MACHINE = ("rss", "memory", "latency", "energy")


def is_ratio(name: str) -> bool:
    """Whether it is taken beside the parent: 1 for the parent itself."""
    return name.partition("[")[0] in RATIOS


def of_machine(m: Measurement) -> bool:
    """Whether a number depends on where it was measured: time, energy, memory in use."""
    return m.unit in _TIMED or any(part in m.name for part in _OF_MACHINE)


def elsewhere(a: Record, b: Record) -> str | None:
    """Why time and memory of two records do not compare; None if they do."""
    here = {
        "machine": (a.machine.id, b.machine.id),
        "device": (a.machine.device, b.machine.device),
        "number of threads": (a.machine.threads, b.machine.threads),
    }
    other = [f"{what} ({old} against {new})" for what, (old, new) in here.items() if old != new]
    return f"measured with another {' and '.join(other)}" if other else None


def is_parent(parent: Record, child: Record) -> bool:
    """Whether the child's ratios are to the first: the very weights, where the record says which were asked."""
    if child.parent_sha256 is not None:
        return child.parent_sha256 == parent.manifest.sha256
    return child.manifest.parent == parent.manifest.name


def baseline_value(parent: Record, child: Record, name: str) -> Measurement | None:
    """The baseline's number; 1 for a ratio to the parent where the baseline is that parent."""
    found, of_child = parent.measurement(name), child.measurement(name)
    if is_ratio(name) and of_child is not None and of_child.value is not None and is_parent(parent, child):
        return of_child.model_copy(update={"value": 1.0, "low": 1.0, "high": 1.0, "reason": None})
    return found


def apart(parent: Record, child: Record, name: str) -> str | None:
    """Why this number of two records does not compare; None if it does."""
    beside = is_ratio(name) and is_parent(parent, child)
    if not beside and is_ratio(name) and parent.parent_sha256 != child.parent_sha256:
        return "each ratio is to a parent of its own, and these are not the same"
    for who, record in (("the candidate", child), *(() if beside else (("the baseline", parent),))):
        if record.contended:
            return f"{who} was timed on a busy machine: {record.contended}"
    return None if is_ratio(name) else elsewhere(parent, child)


def untimed(side: Stored, child: Stored) -> Stored | None:
    """A baseline that was not timed, as one of the child's task without numbers; None unless it is the timed parent.

    Args:
        side: any record of the baseline.
        child: the record that holds the ratios.
    """
    if not is_parent(side.record, child.record) or child.record.parent_sha256 is None:
        return None
    taken = child.record
    facts: dict[str, Any] = {"task": taken.task, "task_version": taken.task_version, "protocol": taken.protocol}
    facts |= {"data_sha256": taken.data_sha256, "limit": taken.limit, "seed": taken.seed}
    nothing = {"measurements": (), "outcomes_sha256": None, "readings_sha256": None, "parent_sha256": None}
    return Stored(side.path, side.record.model_copy(update={**facts, **nothing}))

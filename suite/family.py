"""Families: the newest record of every submission and task, each child under its parent, in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from suite import text
from suite.compare import Paired, beside_parent
from suite.errors import InputError
from suite.paired import Difference
from suite.record import Measurement, Record
from suite.store import Store, Stored
from suite.task import AnyTask

HEADER = (
    *("submission", "task ", "data ", "metric ", "value", "95 % interval", "change", "95 % of change"),
    *("on disk", "bits/weight", "items/s", "peak memory"),
)


@dataclass(frozen=True)
class Line:
    """One submission on one task.

    Attributes:
        stored: its newest record.
        depth: 0 for a parent, 1 for its children, and so on.
        primary: the task's primary metric.
        difference: child minus parent on that metric, if there is a comparable record of the parent.
    """

    stored: Stored
    depth: int
    primary: Measurement
    difference: Difference | None


def lines(store: Store, tasks: Mapping[str, AnyTask], on_problem: Callable[[str], None] | None = None) -> list[Line]:
    """All lines of the known tasks: task by task, every family in its order, children after their parent."""
    newest: dict[tuple[str, str], Stored] = {}
    for stored in store.scan(on_problem=on_problem):
        record = stored.record
        key = (record.task, record.manifest.name)
        if record.task in tasks and record.limit is None and _newer(record, newest.get(key)):
            newest[key] = stored
    found = []
    for task_name, task in tasks.items():
        of_task = {name: stored for (its_task, name), stored in newest.items() if its_task == task_name}
        for name, depth in _in_family_order({n: s.record.manifest.parent for n, s in of_task.items()}):
            primary = of_task[name].record.measurement(task.primary)
            if primary is not None:
                found.append(Line(of_task[name], depth, primary, _difference(of_task[name], store, task)))
    return found


def tables(found: Sequence[Line]) -> str:
    """One table a kind of model.

    Raises:
        InputError: there are no lines.
    """
    if not found:
        raise InputError("no records there; make some: hallmark run SUBMISSION, or give --results DIR")
    parts = []
    for kind in sorted({line.stored.record.manifest.kind for line in found}):
        rows = [row(line) for line in found if line.stored.record.manifest.kind == kind]
        parts.append(f"{kind}\n{text.table(HEADER, rows)}\n")
    return "\n".join(parts)


def row(line: Line) -> list[str]:
    """The cells under `HEADER`."""
    record, m, d = line.stored.record, line.primary, line.difference
    direction = {True: "↑", False: "↓", None: ""}[m.higher_is_better]
    return [
        "  " * line.depth + record.manifest.name,
        record.task,
        "generated" if record.generated_data else "real",
        f"{m.name} {direction}".rstrip(),
        text.amount(m.value, m.unit),
        text.interval(m.low, m.high),
        "" if d is None or d.value is None else f"{d.value:+.4g}",
        "" if d is None else text.interval(d.low, d.high),
        *(_cell(record, name) for name in ("bytes", "bits_per_weight", "items_per_s", "peak_rss_bytes")),
    ]


def _cell(record: Record, name: str) -> str:
    m = record.measurement(name)
    return "—" if m is None else text.amount(m.value, m.unit if m.unit == "B" else "")


def _newer(record: Record, known: Stored | None) -> bool:
    return known is None or record.provenance.started > known.record.provenance.started


def _difference(stored: Stored, store: Store, task: AnyTask) -> Difference | None:
    primary = [m for m in task.metrics if m.name == task.primary]
    paired = beside_parent(stored, store, primary)
    return paired.differences[task.primary] if isinstance(paired, Paired) else None


def _in_family_order(parents: Mapping[str, str | None]) -> list[tuple[str, int]]:
    """Names with their depth, every child after its parent; a child whose parent is not here stands at the top."""
    children: dict[str | None, list[str]] = {}
    for name in sorted(parents):
        above = parents[name] if parents[name] in parents and parents[name] != name else None
        children.setdefault(above, []).append(name)
    order: list[tuple[str, int]] = []
    stack = [(name, 0) for name in reversed(children.get(None, []))]
    while stack:
        name, depth = stack.pop()
        order.append((name, depth))
        stack += [(child, depth + 1) for child in reversed(children.get(name, []))]
    return order

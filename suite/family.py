"""Families: the newest record of every submission and task, each child under its parent, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from suite import text
from suite.compare import Paired, beside_parent
from suite.errors import InputError
from suite.paired import Difference
from suite.record import Measurement, Record
from suite.store import Store, Stored
from suite.task import AnyTask

# Columns that stay together, and how they may be dealt out where the terminal is narrow: the first layout that fits.
VALUE, CHANGE = ("value", "95 % interval"), ("change", "95 % of change")
COST = ("on disk", "bits per\nparent weight", "items/s", "peak\nmemory", "format ")
LAYOUTS = (((*VALUE, *CHANGE, *COST),), ((*VALUE, *CHANGE), COST), (VALUE, CHANGE, COST))
GAP = 2
ELSEWHERE = "* measured in another runtime (format) or on another machine than its parent"


@dataclass(frozen=True)
class Line:
    """One submission on one task.

    Attributes:
        stored: its newest record.
        depth: 0 for a parent, 1 for its children, and so on.
        primary: the task's primary metric.
        difference: child minus parent on that metric, if there is a comparable record of the parent.
        elsewhere: its speed and memory do not compare with its parent's: another runtime or machine measured them.
    """

    stored: Stored
    depth: int
    primary: Measurement
    difference: Difference | None
    elsewhere: bool = False


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
                stored, parent = of_task[name], of_task.get(of_task[name].record.manifest.parent or "")
                elsewhere = _elsewhere(stored.record, parent)
                found.append(Line(stored, depth, primary, _difference(stored, store, task), elsewhere))
    return found


def tables(found: Sequence[Line], columns: int | None = None) -> str:
    """One table a task, under its kind and its heading; none is wider than `columns`, if it can be helped.

    Raises:
        InputError: there are no lines.
    """
    if not found:
        raise InputError("no records there; make some: hallmark run SUBMISSION, or give --results DIR")
    of_task: dict[tuple[str, str], list[Line]] = {}
    for line in sorted(found, key=lambda line: line.stored.record.manifest.kind):
        of_task.setdefault((line.stored.record.manifest.kind, line.stored.record.task), []).append(line)
    rows = {key: [_row(line) for line in lines] for key, lines in of_task.items()}
    layout = next(
        (one for one in LAYOUTS if columns is None or _width(rows.values(), one) <= columns + GAP), LAYOUTS[-1]
    )
    parts, told = [], ""
    for (kind, task), lines in of_task.items():
        if kind != told:
            parts.append(f"{kind}\n{'=' * len(kind)}\n")
            told = kind
        parts.append(_heading(lines[0]))
        parts += [text.table(("", *block), _cells(rows[kind, task], block), whole=True) + "\n" for block in layout]
        if any(line.elsewhere for line in lines):
            parts.append(ELSEWHERE + "\n")
    return "\n".join(parts)


def _heading(line: Line) -> str:
    m, data = line.primary, "generated" if line.stored.record.generated_data else "real"
    direction = {True: " ↑ higher is better", False: " ↓ lower is better", None: ""}[m.higher_is_better]
    return f"{line.stored.record.task}: {m.name}{direction}, {data} data"


def _row(line: Line) -> dict[str, str]:
    """Cells by column; the submission's is called ''."""
    record, m, d = line.stored.record, line.primary, line.difference
    mark = "*" if line.elsewhere else ""
    cost = {name: _cell(record, name) for name in ("bytes", "bits_per_weight", "items_per_s", "peak_rss_bytes")}
    return {
        "": "  " * line.depth + record.manifest.name,
        VALUE[0]: text.amount(m.value, m.unit),
        VALUE[1]: text.interval(m.low, m.high),
        CHANGE[0]: "" if d is None or d.value is None else f"{d.value:+.3g}",
        CHANGE[1]: "" if d is None or d.low is None or d.high is None else f"[{d.low:+.3g}, {d.high:+.3g}]",
        COST[0]: cost["bytes"],
        COST[1]: cost["bits_per_weight"],
        COST[2]: cost["items_per_s"] + mark,
        COST[3]: cost["peak_rss_bytes"] + mark,
        COST[4]: record.manifest.format,
    }


def _cells(rows: Sequence[Mapping[str, str]], block: Sequence[str]) -> list[list[str]]:
    return [[row[name] for name in ("", *block)] for row in rows]


def _width(tables: Iterable[Sequence[Mapping[str, str]]], layout: Sequence[Sequence[str]]) -> int:
    """Characters of the widest line of these tables."""
    return max(
        sum(GAP + max(map(len, (*name.strip().split("\n"), *(row[name] for row in rows)))) for name in ("", *block))
        for rows in tables
        for block in layout
    )


def _cell(record: Record, name: str) -> str:
    m = record.measurement(name)
    return "—" if m is None else text.amount(m.value, m.unit if m.unit == "B" else "")


def _elsewhere(child: Record, parent: Stored | None) -> bool:
    """Whether another runtime or machine measured a record's speed and memory than its parent's."""
    if parent is None:
        return False
    where = [(r.manifest.format, r.machine.id, r.machine.device, r.machine.threads) for r in (child, parent.record)]
    return where[0] != where[1]


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

"""Tables for the terminal. The only module that formats numbers for people outside the leaderboard."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from suite import absent, shortlist
from suite.compare import Paired, beside_parent
from suite.derived import EFFICIENCY, derived
from suite.paired import Difference
from suite.record import Measurement, Record
from suite.store import Store, Stored
from suite.task import AnyTask

_WIDE, _WIDEST, _GAP = 200, 1000, 2
_KILO = 1000
_STEPPED = ("B", "MAC")
_PREFIXES = ("", "k", "M", "G", "T")
_DIGITS = 4


def columns() -> int | None:
    """Width of the terminal; None when the output goes elsewhere and may be as wide as it needs."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(header: Sequence[str], rows: Iterable[Sequence[str]], whole: bool = False) -> str:
    """A plain table; columns after the first are right-aligned unless their header ends in a space.

    Names and numbers are never broken, so a table may be wider than the terminal; a left-aligned column after the first
    is, between words.

    Args:
        header: the columns' names, perhaps on two lines.
        rows: cells.
        whole: break nothing, however wide the table.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    body = list(rows)
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    needed = 0
    for i, name in enumerate(header):
        left, words = i == 0 or name.endswith(" "), i > 0 and name.endswith(" ") and not whole
        vertical: Literal["bottom", "top"] = "bottom" if whole else "top"
        drawn.add_column(
            Text(name.strip()),
            justify="left" if left else "right",
            overflow="fold",
            no_wrap=not words,
            vertical=vertical,
        )
        parts = [part for cell in (name, *(row[i] for row in body)) for part in (cell.split() if words else [cell])]
        needed += _GAP + max(map(len, parts), default=0)
    for row in body:
        drawn.add_row(*(Text(cell) for cell in row))
    console = Console(width=_WIDEST if whole else max(needed, columns() or _WIDE))
    with console.capture() as capture:
        console.print(drawn)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def number(value: float | None) -> str:
    """Four significant digits, and a dash for a missing value.

    >>> number(0.94), number(1234567.0), number(None), number(0.00001234)
    ('0.94', '1234567', '—', '1.234e-05')
    """
    if value is None:
        return "—"
    return f"{value:.0f}" if abs(value) >= _KILO or value == int(value) else f"{value:.{_DIGITS}g}"


def amount(value: float | None, unit: str) -> str:
    """A value with its unit, bytes and multiply-accumulates in steps of 1000.

    >>> amount(1044992, "B"), amount(0.5, "s")
    ('1.045 MB', '0.5 s')
    """
    if value is None or unit not in _STEPPED:
        return f"{number(value)} {unit}".rstrip() if value is not None else "—"
    power = 0
    while abs(value) >= _KILO and power < len(_PREFIXES) - 1:
        value, power = value / _KILO, power + 1
    return f"{value:.4g} {_PREFIXES[power]}{unit}"


def interval(low: float | None, high: float | None) -> str:
    """``[low, high]``; empty when there is none."""
    return "" if low is None or high is None else f"[{number(low)}, {number(high)}]"


def measurement_row(m: Measurement, parent: Measurement | None, difference: Difference | None) -> list[str]:
    """One line of ``hallmark show``: name, value, interval, parent's value, paired difference and its interval."""
    direction = {True: "↑", False: "↓", None: ""}[m.higher_is_better]
    change = "" if difference is None or difference.value is None else f"{difference.value:+.4g}"
    return [
        f"{m.name} {direction}".rstrip(),
        amount(m.value, m.unit),
        interval(m.low, m.high),
        amount(parent.value, parent.unit) if parent else "",
        change,
        interval(difference.low, difference.high) if difference else "",
        str(m.n),
        m.reason or m.method or "",
    ]


SHOW_HEADER = ("measurement", "value", "95 % interval", "parent", "change", "95 % of change", "n", "method or reason ")


def headline(record: Record) -> str:
    """What was scored on what, in one line."""
    notes = [
        f"limit {record.limit}" if record.limit else "",
        "generated data" if record.generated_data else "",
        record.source if record.source != "measured" else "",
        f"CONTENDED: {record.contended}; not ranked" if record.contended else "",
        *record.provenance.notes,
    ]
    extra = "".join(f", {note}" for note in notes if note)
    where = f"{record.machine.device}, {record.machine.threads} thread(s), machine {record.machine.id}"
    return f"{record.manifest.name} on {record.task} ({record.protocol}{extra}; {where})"


def in_short(record: Record, primary: str) -> str:
    """What was scored on what, and the primary metric, in one line."""
    m = record.measurement(primary)
    value = f"{primary} {amount(m.value, m.unit)} {interval(m.low, m.high)}".rstrip() if m else f"no {primary}"
    return f"{record.manifest.name} on {record.task}: {value}"


def facts(rows: Mapping[str, str]) -> str:
    """Name and value, one a line."""
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def shown(stored: Stored, store: Store, tasks: Mapping[str, AnyTask], every: bool = False) -> str:
    """One record as ``hallmark show`` prints it: headline, parent, and a line a measurement.

    Args:
        stored: the record.
        store: where its parent's is.
        tasks: to pair the two.
        every: also the rest, where a record has very many measurements (`suite.shortlist`).
    """
    from suite import speed_table

    known = tasks.get(stored.record.task)
    paired = beside_parent(stored, store, known.scored if known else ())
    lines = [headline(stored.record)]
    if isinstance(paired, Paired):
        lines.append(f"beside its parent {paired.parent.record.manifest.name} ({paired.parent.path.name})")
    elif stored.record.parent_sha256:
        weights = stored.record.parent_sha256[:12]
        lines.append(f"measured beside its parent {stored.record.manifest.parent} (weights {weights})")
    elif stored.record.manifest.parent:
        lines.append(f"no comparison: {speed_table.why_alone(stored.record) or paired}")
    if speed_table.is_timed(stored.record):
        return "\n".join([*lines, speed_table.speed(stored.record)])
    chosen, figures = shortlist.chosen(stored.record, known.primary if known else "", every), []
    if known and known.kind == "segmentation":
        parent = paired.parent.record if isinstance(paired, Paired) else None
        figures = derived(stored.record, parent, known.ubench, _speed(stored.record, store))
    rows = [
        measurement_row(
            m,
            paired.parent.record.measurement(m.name) if isinstance(paired, Paired) else None,
            paired.differences.get(m.name) if isinstance(paired, Paired) else None,
        )
        for m in (*chosen, *figures)
    ]
    rest = len(stored.record.measurements) - len(chosen)
    more = [f"and {rest} more, of single classes, groups and rates: --all"] if rest else []
    return "\n".join([*lines, _with_cases(stored.record, [m.name for m in (*chosen, *figures)], rows), *more])


def _with_cases(record: Record, names: Sequence[str], rows: Sequence[list[str]]) -> str:
    """The table; with the cases behind each mean where the record counts missed and made-up classes."""
    counts = absent.cells(record)
    if not counts:
        return table(SHOW_HEADER, rows)
    blank = ("",) * len(absent.HEADER)
    wider = [[*row[:-1], *counts.get(name, blank), row[-1]] for name, row in zip(names, rows, strict=True)]
    return table((*SHOW_HEADER[:-1], *absent.HEADER, SHOW_HEADER[-1]), wider) + f"\n{absent.LEGEND}"


def _speed(record: Record, store: Store) -> Record | None:
    """The newest speed record of the same weights."""
    found = store.latest(record.manifest.name, EFFICIENCY)
    same = found is not None and found.record.manifest.sha256 == record.manifest.sha256
    return found.record if found and same else None

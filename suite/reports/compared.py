"""A comparison as Markdown, for a pull request or a report."""

from __future__ import annotations

from collections.abc import Sequence

from suite.compared import Comparison, Row, TaskComparison
from suite.notes import shared
from suite.record import Measurement
from suite.reports.harmed import HEADER, cells
from suite.reports.markdown import line, plain
from suite.reports.terminal import p_value
from suite.reports.wording import change, change_interval
from suite.text import amount, interval, number

_SCORES = ("task", "metric", "A", "B", "change", "95 % of change", "p", "Holm", "verdict")
_FLIPS = ("task", "n", "right→wrong", "wrong→right", "other wrong", "volume", "direction", "recovery", "above chance")


def markdown(found: Comparison) -> str:
    """The text: scores, flips, groups where they were asked for, what to know, and what is left out."""
    parts = [f"### {plain(found.b.name)} against {plain(found.a.name)}", "", "A is the first, B the second; B minus A."]
    if found.tasks:
        parts += ["", *_table(_SCORES, [_score(one, row) for one in found.tasks for row in one.rows])]
    flipped = [_flips(one) for one in found.tasks if one.flips]
    if flipped:
        parts += ["", *_table(_FLIPS, flipped)]
    for one in found.tasks:
        if one.harm:
            rows = [[plain(cell) for cell in row] for row in cells(one.harm, one.primary)]
            parts += ["", f"**{plain(one.task)} by group**", "", *_table(HEADER, rows)]
    notes = shared((one.task, note) for one in found.tasks for note in one.notes)
    notes += [f"not compared: {line}" for line in shared(found.left_out.items())]
    if notes:
        parts += ["", *(f"> {plain(note)}  " for note in notes)]
    return "\n".join(parts) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [line(list(header)), line(["---"] * len(header)), *(line(list(row)) for row in rows)]


def _score(one: TaskComparison, row: Row) -> list[str]:
    d = row.difference
    values = [_value(row.a), _value(row.b), change(d.value), change_interval(d.low, d.high)]
    return [
        plain(one.task),
        f"`{row.metric}`",
        *values,
        plain(p_value(row.p)),
        plain(p_value(row.p_holm)),
        plain(row.said),
    ]


def _value(m: Measurement | None) -> str:
    return "—" if m is None else f"{amount(m.value, m.unit)} {interval(m.low, m.high)}".rstrip()


def _flips(one: TaskComparison) -> list[str]:
    f, r = one.flips, one.recovery
    assert f is not None
    kept = ["—" if x is None else f"{x:.1%}" for x in ((r.raw, r.above_chance) if r else (None, None))]
    other = "—" if f.other is None else str(f.other)
    return [
        plain(one.task),
        str(f.n),
        str(f.losses),
        str(f.gains),
        other,
        f"{f.volume:.1%}",
        number(f.direction),
        *kept,
    ]

"""What compression changed for groups, as a table: each group's value before and after, and its flips."""

from __future__ import annotations

from suite.compared import TaskComparison
from suite.harm import Changed, Harm
from suite.reports.wording import change, change_interval
from suite.text import number, table

HEADER = ("group", "metric ", "n", "A", "B", "change", "95 % of change", "right→wrong", "wrong→right")


def harmed(one: TaskComparison) -> str:
    """A task's table for the terminal, with a line that says what it leaves out."""
    rows = cells(one.harm, one.primary) if one.harm else []
    return table((f"{one.task} by group", *HEADER[1:]), rows) + "\n--json holds every group of every metric"


def cells(harm: Harm, primary: str | None) -> list[list[str]]:
    """Every group of the primary metric (or of the first one), and the worst group and the gap of every metric."""
    stems = [_stem(one.name) for one in harm.changes]
    shown = primary if primary in stems else stems[0]
    flips = {m.name: m.value for m in harm.flips}
    found = [one for one in harm.changes if "=" not in one.name or _stem(one.name) == shown]
    return [_row(one, flips if _stem(one.name) == shown else {}) for one in found]


def _row(one: Changed, flips: dict[str, float | None]) -> list[str]:
    stem, group = _stem(one.name), one.name.partition("[")[2].removesuffix("]")
    direction = {True: " ↑", False: " ↓", None: ""}[one.higher_is_better]
    values = [number(value) for value in (one.parent, one.child)]
    turned = [flips.get(f"{kind}[{group}]") for kind in ("losses", "gains")] if "=" in group else [None, None]
    said = change(one.change.value) if one.change.value is not None or not one.reason else one.reason
    shares = ["" if share is None else f"{share:.1%}" for share in turned]
    return [
        group,
        stem + direction,
        str(one.n),
        *values,
        said,
        change_interval(one.change.low, one.change.high),
        *shares,
    ]


def _stem(name: str) -> str:
    return name.partition("[")[0]

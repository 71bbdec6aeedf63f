"""Comparisons and verdicts as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from suite.compared import Comparison, Row, TaskComparison
from suite.gate import Gate
from suite.notes import shared
from suite.record import Measurement
from suite.reports.harmed import harmed
from suite.reports.wording import change, change_interval, headline, margin, remark, signed, span
from suite.text import amount, interval, number, table
from suite.verdict import Verdict

_FLIPS = ("", "n", "right→wrong", "wrong→right", "other wrong", "volume", "direction")
_SMALL_P = 1e-4
HOLM = "Holm: over the tasks' primary metrics (of a task that is not known here, its record's first score)"


def comparison(found: Comparison) -> str:
    """All tasks: scores with their tests, then flips, sizes and speeds, what to know, and what is left out."""
    parts = [f"{found.b.name} against {found.a.name} (change = {found.b.name} minus {found.a.name})"]
    if found.tasks:
        parts += [_scores(found.tasks), _flip_table(found.tasks), _cost_table(found.tasks)]
        parts += [harmed(one) for one in found.tasks if one.harm]
    parts += _notes(found.tasks)
    if found.left_out:
        parts.append("not compared:\n" + "\n".join(f"  {line}" for line in shared(found.left_out.items())))
    return "\n\n".join(part for part in parts if part)


def p_value(p: float | None) -> str:
    """Two digits; very small ones as a bound.

    >>> p_value(0.0312), p_value(0.00000001), p_value(None), p_value(1.0)
    ('0.031', '<0.0001', '—', '1')
    """
    if p is None:
        return "—"
    return f"<{_SMALL_P:.4f}" if p < _SMALL_P else f"{p:.2g}"


def _scores(tasks: Sequence[TaskComparison]) -> str:
    header = ("task", "metric ", "A", "B", "change", "95 % of change", "p", "Holm", "detects", "verdict ")
    rows = [_score(one, row, i == 0) for one in tasks for i, row in enumerate(one.rows)]
    tests = sorted({row.test for one in tasks for row in one.rows if row.test})
    about = f"p: {', '.join(tests)}; {HOLM}; detects: true change found with power 80 %"
    return table(header, rows) + ("\n" + about if tests else "")


def _score(one: TaskComparison, row: Row, first: bool) -> list[str]:
    d = row.difference
    direction = {True: " ↑", False: " ↓", None: ""}[row.higher_is_better]
    return [
        one.task if first else "",
        row.metric + direction,
        _value(row.a),
        _value(row.b),
        change(d.value),
        change_interval(d.low, d.high),
        p_value(row.p),
        p_value(row.p_holm),
        number(row.detectable) if row.detectable is None else f"{row.detectable:.3g}",
        row.said,
    ]


def _value(m: Measurement | None) -> str:
    return "—" if m is None else f"{amount(m.value, m.unit)} {interval(m.low, m.high)}".rstrip()


def _flip_table(tasks: Sequence[TaskComparison]) -> str:
    rows = []
    for one in tasks:
        f, r = one.flips, one.recovery
        if f is None and r is None:
            continue
        counts = ["", "", "", "", "", ""]
        if f is not None:
            other = "—" if f.other is None else str(f.other)
            counts = [str(f.n), str(f.losses), str(f.gains), other, f"{f.volume:.1%}", number(f.direction)]
        kept = ["—" if x is None else f"{x:.1%}" for x in ((r.raw, r.above_chance) if r else (None, None))]
        rows.append([one.task, *counts, *kept])
    return table((*_FLIPS, "recovery", "above chance"), rows) if rows else ""


def _cost_table(tasks: Sequence[TaskComparison]) -> str:
    rows, seen = [], set()
    for one in tasks:
        for name, (a, b, why) in one.costs.items():
            same = (name, a.value if a else None, b.value if b else None)
            if same in seen or (not why and same[1] is None and same[2] is None):
                continue
            seen.add(same)
            if same[1] is None or same[2] is None:
                continue
            ratio = f"{same[2] / same[1]:.3g}×" if same[1] and not why else "—"
            values = [amount(m.value, m.unit) if m else "—" for m in (a, b)]
            rows.append([one.task, name, *values, ratio, f"not compared: {why}" if why else ""])
    return table(("", "cost ", "A", "B", "B / A", " "), rows) if rows else ""


def _notes(tasks: Sequence[TaskComparison]) -> list[str]:
    lines = [f"  {line}" for line in shared((one.task, note) for one in tasks for note in one.notes)]
    return ["to know:\n" + "\n".join(lines)] if lines else []


def gate(found: Gate) -> str:
    """The gate's verdicts: what decides first, then the headline, which a log shows last."""
    order = sorted(found.verdicts, key=lambda verdict: not verdict.decides)
    about = f"{found.candidate} against {found.baseline}; * primary; margin: what may be lost; alpha {found.alpha:g}"
    header = ("verdict", "task ", "metric ", "baseline", "candidate", "change", "95 % of change", "margin", "remark ")
    parts = [about, table(header, [_verdict(verdict) for verdict in order])]
    if found.notes:
        parts.append("to know:\n" + "\n".join(f"  {note}" for note in found.notes))
    return "\n\n".join([*parts, headline(found)])


def _verdict(verdict: Verdict) -> list[str]:
    a, b = (amount(m.value, m.unit) if m else "—" for m in (verdict.a, verdict.b))
    return [
        str(verdict.outcome),
        "" if verdict.task == "*" else verdict.task,
        verdict.metric + (" *" if verdict.primary else ""),
        *(a, b, signed(verdict.difference.value if verdict.difference else None, verdict.unit)),
        *(span(verdict), margin(verdict), remark(verdict)),
    ]

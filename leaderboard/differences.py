"""Differences: two to four models on the tasks that they share, each held against the first. No Streamlit.

The work is that of ``hallmark compare``: the same items paired one by one, the same tests, Holm over the tasks' primary
metrics. `leaderboard.recovered` stands for the tasks, which the board does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from leaderboard import brackets, recovered
from suite import comparison
from suite.compared import Comparison, Row, TaskComparison
from suite.metrics.base import Columns
from suite.notes import shared
from suite.record import Measurement
from suite.sides import Side
from suite.store import Stored
from suite.task import AnyTask

Open = Callable[[Stored], Columns | str]


def side(name: str, records: Mapping[str, Stored]) -> Side:
    """A model as a side of a comparison; `records`: task -> its newest record."""
    return Side(name, name, records, {}, None, name)


def against(
    a: Side,
    b: Side,
    primaries: Mapping[str, str],
    described: Mapping[str, Mapping[str, Any]],
    opened: Open,
    chosen: Mapping[str, str] | None = None,
) -> Comparison:  # fmt: skip
    """B held against a.

    Args:
        a: the first model.
        b: another.
        primaries: task -> its primary metric.
        described: task -> its description, where there is one.
        opened: a record -> its outcomes, or why there are none.
        chosen: task -> metric whose parts and spreads are compared too.
    """
    tasks: dict[str, AnyTask] = {}
    for name in {*a.records} & {*b.records}:
        record, primary = b.records[name].record, primaries[name]
        whole = (chosen or {}).get(name)
        names = brackets.with_parts(record.measurements, whole) if whole else [primary]
        both = [opened(one.records[name]) for one in (a, b)]
        columns = None if any(isinstance(one, str) for one in both) else both[1]
        assert not isinstance(columns, str)
        known = recovered.task_of(described.get(name, {}), record, primary, names, columns, whole)
        if known is not None:
            tasks[name] = known
    return comparison.compare(a, b, tasks, (), None)  # all metrics: of a recovered task, those that were asked for


def primary_row(one: TaskComparison, primary: str) -> Row | None:
    """The row of the task's primary metric."""
    return next((row for row in one.rows if row.metric == primary), None)


def overview(found: Sequence[Comparison], primaries: Mapping[str, str]) -> pd.DataFrame:
    """A row a task and model: values of both with the paired change, its test, and what it says."""
    rows = [
        {"task": one.task, "model": compared.b.name, **_row(row)}
        for compared in found
        for one in compared.tasks
        if (row := primary_row(one, primaries[one.task])) is not None
    ]
    return _ordered(rows, "task")


def parts(found: Sequence[Comparison], task: str, metric: str) -> pd.DataFrame:
    """A row a class or group and model, of one task's metric; then its spreads over groups."""
    rows = []
    for compared in found:
        for one in compared.tasks:
            wanted = [row for row in one.rows if _about(row.metric, metric)] if one.task == task else []
            rows += [{"metric": row.metric, "model": compared.b.name, **_row(row)} for row in wanted]
    return _ordered(rows, "metric")


def relative(found: Sequence[Comparison], primaries: Mapping[str, str]) -> pd.DataFrame:
    """For a forest plot: the change in percent of the first model's value, turned so that more is better."""
    rows = []
    for compared in found:
        for one in compared.tasks:
            row = primary_row(one, primaries[one.task])
            turned = _turned(row) if row is not None else None
            if turned is not None:
                rows.append({"row": one.task, "who": compared.b.name, **turned})
    out = pd.DataFrame(rows, columns=["row", "who", "value", "low", "high"])
    return out.astype({"value": "float64", "low": "float64", "high": "float64"})


def _turned(row: Row) -> dict[str, float | None] | None:
    """The change of a row in percent of a's value, more is better; None where that cannot be said."""
    base, change = row.a.value if row.a is not None else None, row.difference.value
    if not base or change is None or row.higher_is_better is None:
        return None
    factor = (100.0 if row.higher_is_better else -100.0) / abs(base)
    ends = sorted(factor * end for end in (row.difference.low, row.difference.high) if end is not None)
    return {"value": factor * change, "low": ends[0] if ends else None, "high": ends[-1] if ends else None}


def flips(found: Sequence[Comparison], task: str) -> pd.DataFrame:
    """A row a model: what became of the first model's answers; empty where answers are not right or wrong."""
    rows = [
        {
            **{"model": compared.b.name, "n": f.n, "right → wrong": f.losses, "wrong → right": f.gains},
            **{"wrong → another wrong": f.other, "volume": f.volume, "direction": f.direction},
        }
        for compared in found
        for one in compared.tasks
        if one.task == task and (f := one.flips) is not None
    ]
    return pd.DataFrame(rows)


def kept(found: Sequence[Comparison]) -> pd.DataFrame:
    """A row a task and model: how much of the first model's score is left, and what it costs beside it."""
    rows = []
    for compared in found:
        for one in compared.tasks:
            left = one.recovery
            row: dict[str, Any] = {"task": one.task, "model": compared.b.name}
            row["recovery"] = left.raw if left else None
            row["above chance"] = left.above_chance if left else None
            whys = {left.reason} if left and left.reason else set()
            for name, (a, b, why) in one.costs.items():
                row[f"{name}: b / a"] = None if why else _ratio(a, b)
                whys |= {f"{name}: {why}"} if why else set()
            rows.append({**row, "why missing": "; ".join(sorted(whys)) or None})
    out = _ordered(rows, "task")
    return out.dropna(axis="columns", how="all") if len(out) else out


def _ratio(a: Measurement | None, b: Measurement | None) -> float | None:
    if a is None or b is None or not a.value or b.value is None:
        return None
    return b.value / a.value


def left_out(found: Sequence[Comparison]) -> pd.DataFrame:
    """What could not be compared: model, task, why."""
    rows = [
        {"model": compared.b.name, "task": task, "why": why}
        for compared in found
        for task, why in compared.left_out.items()
    ]
    return pd.DataFrame(rows, columns=["model", "task", "why"])


def notes(found: Sequence[Comparison]) -> list[str]:
    """What a reader must know, one line each; what is said of many tasks once."""
    return [
        f"{compared.b.name} on {line}"
        for compared in found
        for line in shared((one.task, note) for one in compared.tasks for note in one.notes)
    ]


def _about(name: str, metric: str) -> bool:
    said = brackets.part(name)
    return (said is not None and said.stem == metric) or (name.partition("[")[0] in _spreads(metric) and "[" in name)


def _spreads(metric: str) -> set[str]:
    return {f"worst_group_{metric}", f"{metric}_gap", f"{metric}_ratio", f"es_{metric}", f"es_std_{metric}"}


def _row(row: Row) -> dict[str, Any]:
    d = row.difference
    return {
        **{"of a": row.a.value if row.a else None, "of b": row.b.value if row.b else None},
        **{"change": d.value, "low": d.low, "high": d.high, "verdict": row.verdict},
        **{"p": row.p, "p (Holm)": row.p_holm, "test": row.test, "interval by": d.method, "n": d.n or None},
        **{"detects": row.detectable, "n needed": _count(row.n_needed), "why missing": d.reason},
    }


def _count(n: int | None) -> float | None:
    """A number of items, which may be larger than any integer of a table."""
    return None if n is None else float(n)


def _ordered(rows: Sequence[dict[str, Any]], by: str) -> pd.DataFrame:
    """Rows of one task (or metric) together, in the order in which they first came."""
    out = pd.DataFrame(rows)
    if out.empty:
        return out
    order = {name: i for i, name in enumerate(dict.fromkeys(out[by]))}
    return out.sort_values(by, key=lambda column: column.map(order), kind="stable").reset_index(drop=True)

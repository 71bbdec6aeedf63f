"""Compare: two to four models on the tasks that they share, each held against the first, item by item."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from leaderboard import agreed, brackets, data, differences, forest, grid, opened, picker, text, theme
from leaderboard.board import Board
from suite.compared import Comparison

Files = tuple[str, tuple[tuple[str, str, bool], ...]]  # a model and its records: task, file, are outcomes beside it
NAME = "compare"
MOST_TASKS, MOST_TOLD = 12, 5
FEWEST = 2
HOW = (
    "change: b minus a on the same items; p: of 'no difference', two-sided; Holm: over the tasks' primary metrics; "
    "better or worse: at 5 % after Holm where it applies; detects: the true change that these items find with power "
    "80 %; n needed: items that would decide if the change is the one seen. Recovery is b / a, or a / b where lower "
    "is better."
)


def main() -> None:
    """The page."""
    board = theme.head(NAME, "Compare", "models")
    if board is None:
        return
    names = board.submissions()
    models = picker.several("model", "models", names, data.MOST_COMPARED)
    if len(models) < FEWEST:
        st.text(f"Choose two to {data.MOST_COMPARED} models; the first is the one that the others are held against.")
        return
    first = picker.one("model to hold the others against", "against", models, default=models[0]) or models[0]
    _compare(board, [first, *(name for name in models if name != first)])
    data.remember(NAME)


def _compare(board: Board, models: list[str]) -> None:
    rows = {name: opened.newest(board, name) for name in models}
    shared = sorted({*rows[models[0]]}.intersection(*(set(rows[name]) for name in models[1:])))
    some = sorted({task for name in models[1:] for task in rows[name] if task in rows[models[0]]})
    _links(models)
    if not some:
        st.info("These models share no task that was scored as a whole:")
        st.text("\n".join(f"{name}: {', '.join(sorted(rows[name])) or 'none'}" for name in models))
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        task = picker.one("task in detail", "on", some, default=opened.quality_first(shared or some)[0])
        metric = _metric(board, rows, task) if task else None
    taken = [*([task] if task else []), *(name for name in [*shared, *some] if name != task)]
    taken = sorted(list(dict.fromkeys(taken))[:MOST_TASKS])
    if len(some) > MOST_TASKS:
        st.caption(f"{len(taken)} of {len(some)} shared tasks are compared here; choose another one to include it.")
    primaries = {one: str(rows[models[0]][one]["metric"]) for one in taken}
    found, unread = _found(board, models, {name: _paths(rows[name], some, taken) for name in models}, primaries,
                           {task: metric} if task and metric else {})  # fmt: skip
    _overview(found, primaries, unread)
    if task and metric:
        _task(board, found, {name: rows[name][task]["path"] for name in models if task in rows[name]}, task, metric)


def _metric(board: Board, rows: Mapping[str, Mapping[str, dict[str, Any]]], task: str) -> str | None:
    """The metric whose changes by class and group are shown: one that some model has by part, else the primary one."""
    read = [opened.record(board, of_model[task]["path"]) for of_model in rows.values() if task in of_model]
    primary = str(next(of_model[task]["metric"] for of_model in rows.values() if task in of_model))
    known = {primary: None}
    for one in read:
        if not isinstance(one, str):
            whole = {m.name for m in one.record.measurements}
            known |= dict.fromkeys(name for name in brackets.stems(one.record.measurements, primary) if name in whole)
    return picker.one("metric by class and group", "parts", list(known), default=primary)


def _paths(rows: Mapping[str, dict[str, object]], some: list[str], taken: list[str]) -> dict[str, str]:
    """Task -> file of the record, of the tasks that are compared or that only one side has."""
    return {name: str(row["path"]) for name, row in rows.items() if name in taken or name not in some}


def _links(models: list[str]) -> None:
    with st.container(horizontal=True):
        for name in models:
            data.link(name, "model", submission=name)
        data.back("Back to the leaderboard", "leaderboard")


def _found(
    board: Board, models: list[str], paths: Mapping[str, dict[str, str]], primaries: Mapping[str, str],
    chosen: Mapping[str, str],
) -> tuple[list[Comparison], list[str]]:  # fmt: skip
    """Every other model held against the first, and why records cannot be read; `chosen`: task -> metric by part."""
    unread = [
        why for name in models for path in paths[name].values() if isinstance(why := opened.record(board, path), str)
    ]
    described = json.dumps({one: board.tasks.get(one, {}) for one in primaries}, sort_keys=True, default=str)
    first, *others = [
        (name, tuple((one, path, opened.has_outcomes(board, path)) for one, path in sorted(paths[name].items())))
        for name in models
    ]
    with st.spinner("Comparing item by item"):
        known = tuple(sorted(primaries.items()))
        found = [
            _compared(str(board.root), (first, other), known, described, tuple(chosen.items()), board)
            for other in others
        ]
    return found, list(dict.fromkeys(unread))


@st.cache_resource(max_entries=24, show_spinner=False)
def _compared(
    root: str, both: tuple[Files, Files], primaries: tuple[tuple[str, str], ...], described: str,
    chosen: tuple[tuple[str, str], ...], _board: Board,
) -> Comparison:  # fmt: skip
    """B held against a, kept: records never change. All but the board are the key."""
    sides = []
    for name, files in both:
        read = {one: opened.record(_board, path) for one, path, _ in files}
        sides.append(differences.side(name, {one: kept for one, kept in read.items() if not isinstance(kept, str)}))
    a, b = sides
    return differences.against(a, b, dict(primaries), json.loads(described), opened.columns, dict(chosen))


def _overview(found: list[Comparison], primaries: Mapping[str, str], unread: list[str]) -> None:
    rows = differences.overview(found, primaries)
    if len(rows):
        st.subheader("All shared tasks")
        st.text(f"a: {found[0].a.name}; b: the model of the row.")
        grid.plain(rows, "Paired differences on all shared tasks", first="task", signed=("change", "low", "high"))
        drawn = differences.relative(found, primaries)
        if len(drawn):
            chart = forest.forest(drawn, f"Change from {found[0].a.name}, in percent of its value", "better →", 0.0)
            words = forest.describe(drawn, 0.0)
            grid.figure(chart, f"{words} To the right is better, whatever the metric's direction.", drawn)
        st.caption(HOW)
        left = differences.kept(found)
        if len(left.columns) > FEWEST:
            st.caption("What is left of the score, and costs as b / a")
            grid.plain(left, "Recovery and costs", first="task")
    out = differences.left_out(found)
    if len(out) or unread:
        st.subheader("What could not be compared")
        if len(out):
            grid.plain(out, "What could not be compared, and why")
        for why in unread[:MOST_TOLD]:
            st.text(why)
        if len(unread) > MOST_TOLD:
            st.caption(f"and {text.count(len(unread) - MOST_TOLD, 'more record')} that cannot be read")
    lines = differences.notes(found)
    if lines:
        st.subheader("To know")
        st.text("\n".join(lines))


def _task(board: Board, found: list[Comparison], paths: Mapping[str, str], task: str, metric: str) -> None:
    """One task in detail: changes by class and group, flips, agreement."""
    st.subheader("One task in detail")
    st.text(f"{task}: {metric} by class and group")
    data.link("About this task", "task", task=task)
    parts = differences.parts(found, task, metric)
    if len(parts):
        drawn = parts.rename(columns={"metric": "row", "model": "who", "change": "value"})
        chart = forest.forest(drawn, f"Change from {found[0].a.name} by class and group", f"change of {metric}", 0.0)
        grid.figure(chart, forest.describe(drawn, 0.0), parts)
    else:
        grid.note(
            f"no changes of {metric} by class or group: the records have none, or they cannot be made from the outcomes"
        )
    flips = differences.flips(found, task)
    if len(flips):
        st.caption(f"What became of the answers of {data.escaped(found[0].a.name)}")
        grid.plain(flips, "Flips", first="model")
    _agreement(board, paths)


def _agreement(board: Board, paths: Mapping[str, str]) -> None:
    read = {name: opened.record(board, path) for name, path in paths.items()}
    columns = {name: opened.columns(one) for name, one in read.items() if not isinstance(one, str)}
    known = {name: one for name, one in columns.items() if not isinstance(one, str)}
    for why in (one for one in columns.values() if isinstance(one, str)):
        grid.note(f"no agreement: {why}")
    if len(known) >= FEWEST:
        st.caption(
            "Agreement. Same verdict: both right or both wrong; error consistency: the same beyond what independent "
            "errors give, 1 at most; rank correlation (Spearman) of what each item is worth where answers are not "
            "right or wrong."
        )
        grid.plain(agreed.pairs(known), "Agreement of each pair of models")


if __name__ == "__main__":
    main()

"""Task: what it measures, on which data, how its models are spread, and majority against minority."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from leaderboard import brackets, data, distribution, grid, majority, opened, picker, tasksheet, text, theme
from leaderboard.board import Board
from leaderboard.majority import Parts
from suite.metrics.probit import cloud

NAME = "task"
MOST_READ = 300
TWO = 2


def main() -> None:
    """The page."""
    data.restore(NAME, "task")
    board = data.board()
    st.title("Task")
    theme.problems(board)
    names = sorted({*board.tasks, *board.rows["task"].astype("str").unique()})
    if not names:
        theme.nothing(board)
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = picker.one("task", "task", names)
        if name is not None:
            data.link("Its models on the leaderboard", "leaderboard", tasks=[name])
            data.link("Its trade-off", "tradeoff", chart=name, t_tasks=[name])
    if name is None:
        st.text("Choose a task.")
        return
    rows = board.rows[board.rows["task"] == name]
    described = board.tasks.get(name, {})
    st.text(text.task(described.get("title"), name, "generated" in set(rows["data"])))
    _sheet(described, rows)
    if len(rows):
        _spread(described, rows)
        _groups(board, rows)
    data.remember(NAME)


def _sheet(described: Mapping[str, object], rows: pd.DataFrame) -> None:
    grid.plain(tasksheet.facts(described, rows), "What the task is", first="what")
    st.subheader("To know")
    issues = tasksheet.issues(described, rows)
    st.text("\n".join(issues) if issues else "No issues are known of it.")
    measured = tasksheet.metrics(described)
    if len(measured):
        with st.expander(f"Everything that it reports ({text.count(len(measured), 'number')})"):
            grid.plain(measured, "The task's metrics and their conventions", first="metric")
    if len(rows):
        st.subheader("Versions, protocols and data on this board")
        grid.plain(tasksheet.sets(rows), "Versions, protocols and data; records of different rows do not compare")


def _spread(described: Mapping[str, object], rows: pd.DataFrame) -> None:
    one = tasksheet.largest(rows)
    metric, unit, better = (one[name].iloc[-1] for name in ("metric", "unit", "better"))
    axis = text.metric(str(metric), unit, better if isinstance(better, str) else None)
    st.subheader("Distribution of scores")
    st.caption("The newest record of each model, of the version, protocol and data that most models have.")
    chance = tasksheet.chance(described)
    words = distribution.describe(one, axis, chance)
    found = distribution.bins(one)
    if found.empty:
        st.text(words)
        return
    grid.figure(distribution.chart(found, f"Models by {metric}", axis, chance), words, found)


def _groups(board: Board, rows: pd.DataFrame) -> None:
    """The same metric on two groups, a point a model."""
    one = tasksheet.largest(rows)
    metric = str(one["metric"].iloc[-1])
    st.subheader("Majority against minority")
    read = one.tail(MOST_READ)
    parts = _parts(str(board.root), tuple(zip(read["submission"], read["path"], strict=True)), metric, board)
    known = majority.attributes(parts)
    if not known:
        grid.note("no record of this task has its primary metric in two groups")
        return
    with st.container(horizontal=True):
        by = picker.one("grouping", "by", known, default=known[0])
        if by is None:
            return
        names = majority.groups(parts[by])
        first = picker.one("group across", "first", names, default=names[0])
        second = picker.one("group up", "second", names, default=names[-1])
    if first is None or second is None or first == second:
        st.text("Choose two different groups.")
        return
    if len(one) > len(read):
        st.caption(f"The newest {len(read)} of {len(one):,} models are read.")
    found = cloud(majority.pairs(parts[by], first, second))
    words = majority.describe(found, first, second)
    if not found.points:
        st.text(words)
        return
    chart = majority.chart(found, f"{metric} by {by}", first, second)
    grid.figure(chart, words, majority.frame(found, first, second))


@st.cache_data(max_entries=8, show_spinner="Reading the records of the task")
def _parts(root: str, paths: tuple[tuple[str, str], ...], metric: str, _board: Board) -> dict[str, Parts]:
    """Grouping -> model -> group -> value and items of the metric; what cannot be read is passed over."""
    found: dict[str, dict[str, dict[str, tuple[float | None, int]]]] = {}
    for name, path in paths:
        stored = opened.record(_board, path)
        if isinstance(stored, str):
            continue
        for m in stored.record.measurements:
            said = brackets.part(m.name)
            if said is not None and said.stem == metric:
                found.setdefault(said.by, {}).setdefault(name, {})[said.value] = (m.value, m.n)
    return found  # type: ignore[return-value]  # dicts are mappings


if __name__ == "__main__":
    main()

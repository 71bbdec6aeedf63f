"""Trade-off: one task's models on any two columns, with the Pareto line of what the filters leave."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from leaderboard import charts, data, filters, grid, points, table, text, theme
from leaderboard.board import Board
from leaderboard.columns import COLUMNS
from leaderboard.points import Points

NAME = "tradeoff"
PREFIX = "t_"
X, Y = "bytes", "value"
CHOICE = 260
COSTS = ("bits_per_weight", "parameters", "latency_ratio")  # in this order, where records have no bytes
FIRST_SELECTED = "selected when the trade-off was opened"


def main() -> None:
    """The page."""
    data.restore(NAME)
    board = data.board()
    st.title("Trade-off")
    theme.problems(board)
    if board.rows.empty:
        theme.nothing(board)
        return
    rows = filters.filtered(board.rows, NAME, PREFIX)
    if rows.empty:
        st.info("No record passes these filters. Take one of them away.")
        return
    _task(board, rows)
    data.remember(NAME)


def _task(board: Board, rows: pd.DataFrame) -> None:
    names = sorted(rows["task"].astype("str").unique())
    data.say_unknown("task", data.parameters("chart"), names)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Task of the chart", names, key="chart", bind="query-params", width=CHOICE)
        of_task = rows[rows["task"] == name]
        offered = points.offered(of_task)
        x, y = _axis("Across", "x", X, offered), _axis("Up", "y", Y, offered)
    described = board.tasks.get(str(name), {})
    if x is None or y is None:
        st.text("Nothing to draw: no model here has any number.")
        return
    drawn = points.points(of_task, x, y)
    heading = text.task(described.get("title"), str(name), "generated" in set(of_task["data"]))
    if drawn.frame.empty:
        st.text(heading)
    else:
        _chart(drawn, heading)
    st.text(points.describe(drawn))
    _as_table(drawn)
    st.text("\n".join(table.facts(described)))
    with st.container(horizontal=True):
        data.link("These rows as a table", "leaderboard", **filters.state(PREFIX, ""))
        data.link("About this task", "task", task=str(name))


def _axis(label: str, key: str, default: str, offered: list[str]) -> str | None:
    """The column of an axis: the default where it is offered, else another cost, else the first one."""
    labels = {name: COLUMNS[name].label for name in offered}
    data.say_unknown("column", data.parameters(key), list(labels.values()))
    start = next((offered.index(name) for name in (default, *COSTS) if name in offered), 0)
    return st.selectbox(
        label, offered, index=start, key=key, bind="query-params", width=CHOICE, format_func=lambda n: labels.get(n, n)
    )


def _chart(drawn: Points, heading: str) -> None:
    known = list(drawn.frame["submission"])
    if FIRST_SELECTED not in st.session_state:  # later clicks live in the browser; another spec would undo them
        st.session_state[FIRST_SELECTED] = data.parameters("selected")
    data.say_unknown("model", data.parameters("selected"), known)
    first = [name for name in st.session_state[FIRST_SELECTED] if name in known]
    chart = charts.trade_off(drawn, heading, first)
    event: Any = st.altair_chart(grid.headed(chart), width="stretch", on_select="rerun", key="trade-off")
    if len(drawn.frame) > points.MOST_DRAWN:
        st.caption(
            f"Drawn: the Pareto line and a sample, {points.MOST_DRAWN:,} of {len(drawn.frame):,} models; the line is "
            "that of all of them."
        )
    clicked = [one["submission"] for one in event["selection"].get(charts.SELECTION, []) if "submission" in one]
    _selected(clicked or first)


def _selected(names: list[str]) -> None:
    if names != data.parameters("selected"):
        st.query_params["selected"] = names
    with st.container(horizontal=True, vertical_alignment="center"):
        if not names:
            st.caption("Click a point to select a model, with Shift for several.")
        for name in names:
            data.link(name, "model", submission=name)
        if 1 < len(names) <= data.MOST_COMPARED:
            data.link("Compare them", "compare", models=names)


def _as_table(drawn: Points) -> None:
    """The chart's numbers, for those who cannot or do not want to see it."""
    with st.expander("The chart as a table"):
        shown = points.thinned(drawn).sort_values(["on_line", "x"], ascending=[False, True])
        labels = {"x": f"across: {drawn.title('x')}", "y": f"up: {drawn.title('y')}"}
        for axis, said in (("x", "across"), ("y", "up")):
            labels |= {f"{axis}_low": f"{said}: low", f"{axis}_high": f"{said}: high"}
        columns = ["submission", "x", "x_low", "x_high", "y", "y_low", "y_high", "on_line", "parent", "family"]
        kept = [name for name in columns if shown[name].notna().any()]
        st.dataframe(
            shown[kept].rename(columns={**labels, "on_line": "on the Pareto line"}),
            hide_index=True, placeholder=text.MISSING, alt="The numbers of the chart",
        )  # fmt: skip


if __name__ == "__main__":
    main()

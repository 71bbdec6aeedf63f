"""The page: layout only. ``hallmark board`` opens it; the folder of records is in $HALLMARK_RESULTS.

Opened by Streamlit directly it works too, but the changes from parent to child need the tasks' metrics, which the board
does not know: where they were never computed, it says which command does.

What comes from a record is shown as plain text, in the data grid or in the chart, never through Markdown or HTML.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from leaderboard import charts, table, text
from leaderboard.table import Board
from suite.manifest import KINDS

RESULTS_VARIABLE = "HALLMARK_RESULTS"
PROBLEMS_SHOWN = 20
ROWS_SEEN = 25
ROW_PIXELS = 35
CHOICE = 360
CHARACTER, CELL_PADDING, WIDEST = 6.9, 19, 360


@st.cache_resource(max_entries=2, show_spinner="Reading the records")
def _read(root: str, signature: str) -> Board:
    """The board of a folder in the state that the signature stands for."""
    return table.load(Path(root))


def main() -> None:
    """The one page."""
    st.set_page_config(page_title=f"{text.TITLE} leaderboard", page_icon="🏷️", layout="wide")
    st.title(text.TITLE)
    st.markdown(text.SUBTITLE)
    root = Path(os.environ.get(RESULTS_VARIABLE) or "results")
    board = _read(str(root), table.signature(root))
    _problems(board)
    if board.rows.empty:
        _nothing(root, board)
        return
    rows = _filtered(board.rows)
    if rows.empty:
        st.info("No record passes these filters. Take one of them away.")
        return
    if not board.indexed and rows["parent"].notna().any():
        st.info(text.NOT_INDEXED)
        st.code(f"{text.BOARD_COMMAND} {shlex.quote(str(root))}", language="bash")
    _table(rows, board)
    _chart(rows, board.tasks)


def _problems(board: Board) -> None:
    if not board.problems:
        return
    st.warning(f"{text.count(len(board.problems), 'file')} cannot be read; the rest is shown.")
    with st.expander("Which ones, and why"):
        for problem in board.problems[:PROBLEMS_SHOWN]:
            st.text(problem)
        if len(board.problems) > PROBLEMS_SHOWN:
            st.text(f"and {len(board.problems) - PROBLEMS_SHOWN} more: hallmark verify")


def _nothing(root: Path, board: Board) -> None:
    if not root.is_dir():
        st.info("There is no folder of results here yet. Score something first:")
    elif board.limited:
        st.info(f"Only parts of tasks were scored ({text.count(board.limited, 'record')} with --limit). Next:")
    else:
        st.info("The folder of results holds no records yet. Score something first:")
    st.code(text.NEXT_COMMAND, language="bash")
    st.text(f"Folder: {root.absolute()}")


def _filtered(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that the filters leave; every filter is in the URL. A task or machine is offered if the others allow."""
    kinds = [kind for kind in KINDS if kind in set(rows["kind"])]
    with st.container(horizontal=True):
        kind = st.segmented_control("Kind", kinds, key="kind", bind="query-params")
        of_kind = rows[rows["kind"] == kind] if kind else rows
        options = sorted(of_kind["task"].unique())
        tasks = st.multiselect("Task", options, key="task", bind="query-params", placeholder="All tasks", width=CHOICE)
        options = sorted(rows["machine_label"].unique())
        machines = st.multiselect(
            "Machine", options, key="machine", bind="query-params", placeholder="All machines", width=CHOICE
        )
    return table.select(rows, [kind] if kind else [], tasks, machines)


def _table(rows: pd.DataFrame, board: Board) -> None:
    counts = {"model": "submission", "task": "task", "machine": "machine"}
    said = [text.count(rows[column].nunique(), noun) for noun, column in counts.items()]
    if board.limited:
        said.append(f"{text.count(board.limited, 'record')} of a part of a task left out")
    st.text(f"{', '.join(said)}; newest record of {rows['date'].max()}")
    height = (min(len(rows), ROWS_SEEN) + 1) * ROW_PIXELS + 3
    st.dataframe(
        table.shown(rows), hide_index=True, height=height, column_config=_columns(board), placeholder=text.MISSING
    )
    name = "hallmark-leaderboard"
    with st.container(horizontal=True):
        st.download_button("Download CSV", table.to_csv(rows), f"{name}.csv", "text/csv", on_click="ignore")
        st.download_button("Download JSON", table.to_json(rows), f"{name}.json", "application/json", on_click="ignore")
    st.caption(text.LEGEND)


def _columns(board: Board) -> dict[str, Any]:
    formats = {"number": "%.4g", "signed": "%+.3g", "bytes": "bytes"}
    made = {}
    for name, (label, look, tip) in text.COLUMNS.items():
        # fixed: fitted by the browser, a column keeps the width of the first view and cuts what a filter brings in
        width = int(board.lengths.get(name, 0) * CHARACTER) + CELL_PADDING
        width = min(max(width, int(len(label) * CHARACTER) + CELL_PADDING), WIDEST)
        made[name] = (
            st.column_config.TextColumn(label, help=tip, width=width, pinned=name == "submission")
            if look == "text"
            else st.column_config.NumberColumn(label, help=tip, width=width, format=formats[look])
        )
    return made


def _chart(rows: pd.DataFrame, tasks: Mapping[str, Mapping[str, Any]]) -> None:
    st.subheader("Quality against size")
    options = list(dict.fromkeys(rows["task"]))
    name = st.selectbox("Task of the chart", options, key="chart", bind="query-params", width=CHOICE)
    of_task = rows[rows["task"] == name]
    if of_task.empty:
        return
    described = tasks.get(str(name), {})
    heading = text.task(described.get("title"), str(name), "generated" in set(of_task["data"]))
    drawn = charts.points(of_task)
    if drawn.frame.empty:
        st.text(heading)
    else:
        st.altair_chart(charts.quality_against_size(drawn, heading), width="stretch")
    st.text(charts.describe(drawn))
    st.text("\n".join(table.facts(described)))


if __name__ == "__main__":
    main()

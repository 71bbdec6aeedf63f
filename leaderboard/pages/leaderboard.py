"""Leaderboard: every newest whole record in one table, children under their parents."""

from __future__ import annotations

import shlex
from functools import partial

import pandas as pd
import streamlit as st

from leaderboard import address, data, filters, grid, matrix, table, text, theme
from leaderboard.board import Board
from leaderboard.columns import COLUMNS, DEFAULT, NUMBERS
from leaderboard.derivation import UNKNOWN

NAME = "leaderboard"
SORTS = (table.FAMILY, "submission", "task", "rank", *NUMBERS, "date")
VIEWS = ("Results", "Models by tasks")
RULES = {"view": address.one_of(VIEWS), "ascending": address.SWITCH, "page": address.NUMBER}
ROWS_SEEN, ROW_PIXELS = 25, 35


def main() -> None:
    """The page."""
    data.restore(NAME)
    board = data.board()
    st.title(text.TITLE)
    st.markdown(text.SUBTITLE)
    theme.problems(board)
    if board.rows.empty:
        theme.nothing(board)
        return
    known = address.Rule(board.parents.__contains__, "a model of this board")
    rows = filters.filtered(board.rows, NAME, more={**RULES, "selected": known})
    if rows.empty:
        st.info("No record passes these filters. Take one of them away.")
        return
    _uncompared(board, rows)
    offered = [name for name in COLUMNS if name in board.present or name in DEFAULT]
    sorts = [name for name in SORTS if name in offered or name == table.FAMILY]
    data.say_unknown("column", data.parameters("columns"), [COLUMNS[name].label for name in offered])
    data.say_unknown("order", data.parameters("sort"), [_sort_label(name) for name in sorts])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = st.segmented_control("View", VIEWS, default=VIEWS[0], required=True, key="view", bind="query-params")
        choices = _choices(offered, sorts) if view != VIEWS[1] else None
    if choices is None:
        _matrix(rows)
    else:
        _results(board, rows, *choices)
    st.caption(text.LEGEND)
    data.remember(NAME)


def _uncompared(board: Board, rows: pd.DataFrame) -> None:
    if not board.indexed and not data.indexing() and rows["parent"].notna().any():
        st.info(text.NOT_INDEXED)
        st.code(f"{text.BOARD_COMMAND} {shlex.quote(board.root.absolute().name)}", language=None)


def _results(board: Board, rows: pd.DataFrame, columns: list[str], by: str, ascending: bool) -> None:
    rows = table.ordered(rows, by, ascending)
    number = _page_number(rows)
    part = table.page(rows, number)
    _summary(board, rows, part, number)
    depths = table.depths(part, rows, board.parents) if by == table.FAMILY else None
    shown = table.shown(part, columns, depths)
    names = list(part["submission"])
    hidden = [name for name in data.parameters("selected") if name in board.parents and name not in names]
    if hidden:
        st.text(f"Selected by the link, but not among the rows below: {', '.join(hidden)}")
    event = st.dataframe(
        shown,
        hide_index=True,
        height=(min(len(shown), ROWS_SEEN) + 1) * ROW_PIXELS + 3,
        column_config=grid.config(shown),
        placeholder=text.MISSING,
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": _selected(names)}},
        key=f"rows {number} {by} {ascending} {hash(tuple(names))}",
        alt="Results of models: one row a model, task, machine and device",
    )
    _downloads(rows, part, columns)
    _chosen(list(dict.fromkeys(names[row] for row in event["selection"]["rows"])))


def _sort_label(name: str) -> str:
    return COLUMNS[name].label if name in COLUMNS else name


def _choices(offered: list[str], sorts: list[str]) -> tuple[list[str], str, bool]:
    """Columns in their order, the column to sort by, and whether the smallest comes first."""
    by = st.selectbox("Sort by", sorts, key="sort", bind="query-params", width=200, format_func=_sort_label)
    ascending = st.toggle("Smallest first", key="ascending", bind="query-params", disabled=by == table.FAMILY)
    with st.popover("Columns"):
        columns = st.multiselect(
            "Columns", offered, default=list(DEFAULT), key="columns", bind="query-params",
            format_func=lambda name: COLUMNS[name].label, width=560,
        )  # fmt: skip
    wanted = set(columns) | {"submission"}
    return [name for name in COLUMNS if name in wanted], str(by), bool(ascending)


def _page_number(rows: pd.DataFrame) -> int:
    """Which page is shown; the state of the widget below the table stands for it."""
    count = table.pages(rows)
    if count == 1:
        return 1
    asked = next((int(one) for one in data.parameters("page") if address.NUMBER.holds(one)), 1)
    if asked > count:
        st.caption(f"There is no page {asked:,}; this is the last one.")
    return min(int(st.pagination(count, key="page", bind="query-params")), count)


def _summary(board: Board, rows: pd.DataFrame, part: pd.DataFrame, number: int) -> None:
    machines = rows.loc[rows["machine_label"] != UNKNOWN, "machine"].nunique()
    counts = {"model": rows["submission"].nunique(), "task": rows["task"].nunique(), "machine": machines}
    said = ", ".join(text.count(n, noun) for noun, n in counts.items() if n)
    first = (number - 1) * table.PAGE_ROWS + 1
    whole = len(part) == len(rows)
    said += "" if whole else f"; showing rows {first:,} to {first + len(part) - 1:,} of {len(rows):,}"
    days = rows["date"].dropna().astype("str")
    said += f"; newest record of {days.max()}" if len(days) else ""
    if board.limited:
        said += f"; {text.count(board.limited, 'record')} of a part of a task left out"
    st.text(said)


def _selected(names: list[str]) -> list[int]:
    """Rows to select at first: those of the submissions that the URL names."""
    wanted = data.parameters("selected")
    return [names.index(name) for name in wanted if name in names]


def _chosen(names: list[str]) -> None:
    """What can be done with the selected models; the selection goes into the URL."""
    if names != data.parameters("selected"):
        if names:
            st.query_params["selected"] = names
        else:
            st.query_params.pop("selected", None)
    with st.container(horizontal=True, vertical_alignment="center"):
        if not names:
            st.caption("Select rows (leftmost cells) to open a model, or two to four to compare them.")
        for name in names[: data.MOST_COMPARED]:
            data.link(name, "model", submission=name)
        if 1 < len(names) <= data.MOST_COMPARED:
            data.link("Compare them", "compare", models=names)
        elif len(names) > data.MOST_COMPARED:
            st.caption(f"At most {data.MOST_COMPARED} can be compared.")
        data.link("These rows as a trade-off", "tradeoff", **filters.state("", "t_"))


def _downloads(rows: pd.DataFrame, part: pd.DataFrame, columns: list[str]) -> None:
    """Made only when clicked. With several pages, the page on the screen or all rows."""
    offers = [("", part)] if len(part) == len(rows) else [(" (this page)", part), (f" (all {len(rows):,})", rows)]
    with st.container(horizontal=True):
        for said, frame in offers:
            for label, suffix, mime, make in (
                ("CSV", "csv", "text/csv", table.to_csv),
                ("JSON", "json", "application/json", table.to_json),
            ):
                st.download_button(
                    f"Download {label}{said}", partial(make, frame, columns), f"hallmark-leaderboard.{suffix}", mime,
                    on_click="ignore", key=f"{label}{said}",
                )  # fmt: skip


def _matrix(rows: pd.DataFrame) -> None:
    found = matrix.by_task(rows)
    number = _page_number(found)
    st.text(matrix.describe(found, rows))
    shown = table.page(found, number)
    grid.plain(shown, "Models by tasks: the primary metric of each", first="submission")
    with st.container(horizontal=True):
        for label, suffix, mime, make in (
            ("CSV", "csv", "text/csv", matrix.to_csv),
            ("JSON", "json", "application/json", matrix.to_json),
        ):
            st.download_button(
                f"Download {label}", partial(make, found), f"hallmark-models.{suffix}", mime, on_click="ignore"
            )
    st.caption(matrix.RULE)


if __name__ == "__main__":
    main()

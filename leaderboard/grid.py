"""Grids: tables and charts as all pages show them, every chart with its words and its table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from leaderboard import data, text, theme
from leaderboard.columns import COLUMNS

CHARACTER, CELL_PADDING, WIDEST = 6.9, 19, 360
ROWS_SEEN, ROW_PIXELS = 25, 35
MOST_PINNED = 240
AS_TABLE = "The chart as a table"


def config(shown: pd.DataFrame) -> dict[str, Any]:
    """How the board's columns look, of a table that `leaderboard.table` made."""
    return {name: look(name, shown[name]) for name in shown}


def look(name: str, cells: pd.Series) -> Any:
    """Fixed widths: fitted by the browser, a column keeps the width of the first view and cuts what a filter brings."""
    formats = {"number": "%.4g", "signed": "%+.3g", "bytes": "bytes", "count": "localized"}
    column = COLUMNS[name]
    longest = max((column.length(value) for value in cells.dropna()), default=0)
    width = int(max(longest, len(column.label)) * CHARACTER) + CELL_PADDING
    width = min(width, WIDEST)
    fits = width <= MOST_PINNED  # a wider one would leave a narrow screen no room for numbers
    if column.look == "text":
        return st.column_config.TextColumn(
            column.label, help=column.help, width=width, pinned=fits and name == "submission"
        )
    return st.column_config.NumberColumn(column.label, help=column.help, width=width, format=formats[column.look])


def board_rows(shown: pd.DataFrame, alt_text: str) -> None:
    """A table of the board's columns, as `leaderboard.table.shown` made it."""
    st.dataframe(shown, hide_index=True, column_config=config(shown), placeholder=text.MISSING, alt=alt_text)


def plain(rows: pd.DataFrame, alt_text: str, first: str | None = None, signed: tuple[str, ...] = ()) -> None:
    """Any table: numbers with four digits, missing cells as a dash.

    Args:
        rows: the table; its headings are shown as they are.
        alt_text: what it holds, for those who cannot see it.
        first: a column that stays in view.
        signed: columns whose numbers show their sign.
    """
    rows = rows.apply(lambda cells: cells.map(_public) if _has_words(cells) else cells)
    st.dataframe(
        rows,
        hide_index=True,
        height=(min(len(rows), ROWS_SEEN) + 1) * ROW_PIXELS + 3,
        column_config={name: _plain(name, rows[name], name == first, name in signed) for name in rows},
        placeholder=text.MISSING,
        alt=alt_text,
    )


def _has_words(cells: pd.Series) -> bool:
    return bool(pd.api.types.is_object_dtype(cells) or pd.api.types.is_string_dtype(cells))


def _public(cell: Any) -> Any:
    return data.public(cell) if isinstance(cell, str) else cell


def _plain(name: str, cells: pd.Series, pinned: bool, signed: bool) -> Any:
    number = pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells)
    write: Callable[[Any], str] = (lambda v: f"{v:.4g}") if number else str
    longest = max((len(write(value)) for value in cells.dropna()), default=0)
    width = min(int(max(longest, len(name)) * CHARACTER) + CELL_PADDING, WIDEST)
    pinned = pinned and width <= MOST_PINNED
    if pd.api.types.is_bool_dtype(cells):
        return st.column_config.CheckboxColumn(name, width=max(width, 60), pinned=pinned)
    if not number:
        return st.column_config.TextColumn(name, width=width, pinned=pinned)
    whole = pd.api.types.is_integer_dtype(cells)
    return st.column_config.NumberColumn(
        name, width=width, pinned=pinned, format="localized" if whole else "%+.4g" if signed else "%.4g"
    )


def headed(chart: Any) -> Any:
    """The chart without its title, which is written above it: a chart's own is cut on a narrow screen.

    Its other words in a colour that stands out more than Streamlit's.
    """
    st.text(chart.title)
    words = {"labelColor": theme.ink(), "titleColor": theme.ink()}
    return chart.properties(title="").configure_axis(**words).configure_legend(**words)


def figure(chart: Any, words: str, rows: pd.DataFrame | None = None) -> None:
    """A chart with its words below it and, for those who cannot or do not want to see it, its table."""
    st.altair_chart(headed(chart), width="stretch", alt=words)
    st.text(words)
    if rows is not None:
        with st.expander(AS_TABLE):
            plain(rows, "The numbers of the chart")


def note(words: str) -> None:
    """Why something is not shown. The words may come from a record."""
    words = data.public(words)
    st.text(words[:1].upper() + words[1:])

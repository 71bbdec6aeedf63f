"""Opened records: a record and its outcomes, read from their files when a page needs them and kept for a while.

A record's files never change once they are there, so they are cached by their path. What cannot be read is said in
words, never raised: the index may know records whose files are not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from leaderboard import data
from leaderboard.board import Board
from suite import outcomes
from suite.compare import incomparable
from suite.errors import HallmarkError
from suite.metrics.base import Columns
from suite.store import Stored, load

EFFICIENCY = "efficiency-"


@st.cache_resource(max_entries=64, show_spinner=False)
def _record(path: str) -> Stored:
    return load(Path(path))


@st.cache_resource(max_entries=8, show_spinner="Reading the outcomes of the items")
def _columns(path: str) -> Columns:
    return outcomes.to_columns(_record(path).outcomes())


def record(board: Board, path: str) -> Stored | str:
    """The record in that file, named as the index names it, or why it cannot be read."""
    try:
        return _record(str(board.root / path))
    except HallmarkError as error:
        return data.public(str(error))


def columns(stored: Stored) -> Columns | str:
    """The record's outcomes, or why there are none. Do not change them."""
    try:
        return _columns(str(stored.path))
    except HallmarkError as error:
        return data.public(str(error))


def has_outcomes(board: Board, path: str) -> bool:
    """Whether a record's outcomes lie beside it now; they may come later where a folder is being copied."""
    return (board.root / path).with_suffix(".parquet").is_file()


def quality_first(tasks: Iterable[str]) -> list[str]:
    """The tasks, each once, in their order, those that only time a model last.

    >>> quality_first(["efficiency-language", "perplexity"])
    ['perplexity', 'efficiency-language']
    """
    return sorted(dict.fromkeys(tasks), key=lambda task: task.startswith(EFFICIENCY))


def parent(board: Board, stored: Stored) -> Stored | str:
    """The record of the parent that a record is compared with, or why there is none: the newest comparable one."""
    name = stored.record.manifest.parent
    if name is None:
        return "it has no parent"
    rows = whole(board, name, stored.record.task)
    why = f"its parent {name} has no record of {stored.record.task} here"
    for path in reversed(rows["path"].tolist()):
        found = record(board, path)
        if isinstance(found, str):
            why = found
            continue
        other = incomparable(found.record, stored.record)
        if other is None:
            return found
        why = f"its parent {name} was scored with {other}"
    return why


def whole(board: Board, name: str, task: str | None = None) -> pd.DataFrame:
    """Whole records of a model that no other one replaces, on one task or all, oldest first."""
    rows = board.records(name, task)
    return rows[rows["limit"].isna() & ~rows["stem"].isin(set(rows["supersedes"].dropna()))]


def whole_ever(board: Board, names: Sequence[str]) -> pd.DataFrame:
    """All whole records of these models, replaced ones too, oldest first."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = board.table.filter(pc.is_in(board.table.column("submission"), pa.array(list(names), pa.string())))
    found = found.filter(pc.and_(pc.is_null(found.column("limit")), pc.is_null(found.column("problem"))))
    return found.to_pandas().sort_values("started", kind="stable").reset_index(drop=True)


def newest(board: Board, name: str) -> dict[str, Any]:
    """Task -> the row of the newest whole record of a model, whatever the machine."""
    rows = whole(board, name).drop_duplicates("task", keep="last")
    return {str(line["task"]): line for line in rows.to_dict("records")}


def listed(board: Board, name: str) -> pd.DataFrame:
    """A row a task, machine and device of a model: its newest whole record, or a limited one where there is no other.

    Ordered by task; of one task the newest last.
    """
    rows = board.records(name)
    replaced = set(rows["supersedes"].dropna())
    rows = rows.assign(whole=rows["limit"].isna() & ~rows["stem"].isin(replaced))
    rows = rows.sort_values(["whole", "started"], kind="stable")
    rows = rows.drop_duplicates(["task", "machine", "device"], keep="last")
    with_whole = set(rows.loc[rows["whole"], "task"])
    rows = rows[rows["whole"] | ~rows["task"].isin(with_whole)]
    return rows.sort_values(["task", "started"], kind="stable").reset_index(drop=True)

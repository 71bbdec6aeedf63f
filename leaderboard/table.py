"""The table: rows of the board -> sorted, cut into pages, written for the screen and for files. Pure, no Streamlit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from leaderboard import text
from leaderboard.columns import COLUMNS

FAMILY = "family order"
PAGE_ROWS = 100
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_RANK = ("rank_low", "rank_high")


def ordered(rows: pd.DataFrame, by: str = FAMILY, ascending: bool = False) -> pd.DataFrame:
    """Rows in the order of a column, missing ones last, equal ones as they stood; `FAMILY` keeps the board's order."""
    if by == FAMILY:
        return rows
    key = "rank_low" if by == "rank" else by
    order = rows[key].astype("str") if isinstance(rows[key].dtype, pd.CategoricalDtype) else rows[key]
    where = order.reset_index(drop=True).sort_values(ascending=ascending, kind="stable", na_position="last").index
    return rows.iloc[where]


def pages(rows: pd.DataFrame) -> int:
    """How many pages the rows take; an empty table has one."""
    return max(1, math.ceil(len(rows) / PAGE_ROWS))


def page(rows: pd.DataFrame, number: int) -> pd.DataFrame:
    """One page of the rows, counted from 1."""
    return rows.iloc[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]


def written(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Those columns of the rows as they are saved: rank as "1–3", everything else as it is."""
    out = pd.DataFrame(index=rows.index)
    for name in columns:
        out[name] = ranks(rows) if name == "rank" else rows[name]
    for name in out.columns[out.dtypes == "category"]:
        out[name] = out[name].astype("str")
    return out


def ranks(rows: pd.DataFrame) -> pd.Series:
    """Rank intervals in words; missing where there is none."""
    low, high = (rows[name].astype("str") for name in _RANK)
    return low.where(rows["rank_low"] == rows["rank_high"], low + "–" + high).where(rows["rank_low"].notna())


def shown(rows: pd.DataFrame, columns: Sequence[str], depths: Sequence[int] | None = None) -> pd.DataFrame:
    """A page as it stands on the screen: children indented by their depth, directions as arrows, units of metrics."""
    out = written(rows, columns)
    if depths is not None and "submission" in out:
        out["submission"] = [text.indented(name, depth) for name, depth in zip(out["submission"], depths, strict=True)]
    if "metric" in out:
        out["metric"] = [text.metric(*about) for about in rows[["metric", "unit", "better"]].itertuples(index=False)]
    if "better" in out:
        out["better"] = [text.direction(b if isinstance(b, str) else None) for b in rows["better"]]
    return out.reset_index(drop=True)


def depths(part: pd.DataFrame, rows: pd.DataFrame, parents: Mapping[str, Any]) -> list[int]:
    """For each row of a page how many of its ancestors are among the rows of the same task.

    Args:
        part: the page.
        rows: all rows that pass the filters, the page among them.
        parents: name -> parent, of all models.
    """
    lines = [(str(t), ancestors(n, parents)) for t, n in zip(part["task"], part["submission"], strict=True)]
    wanted = {name for _, above in lines for name in above}
    here = rows.loc[rows["submission"].isin(wanted), ["task", "submission"]]
    present = set(zip(here["task"].astype("str"), here["submission"], strict=True))
    return [sum((task, name) in present for name in above) for task, above in lines]


def ancestors(name: str, parents: Mapping[str, Any]) -> list[str]:
    """Ancestors, nearest first, as far as records name them; none for a model that is its own ancestor."""
    above: list[str] = []
    parent = parents.get(name)
    while isinstance(parent, str) and parent not in above:
        if parent == name:
            return []
        above.append(parent)
        parent = parents.get(parent)
    return above


def to_csv(rows: pd.DataFrame, columns: Sequence[str]) -> bytes:
    """Those rows and columns; missing values are empty, a text that a spreadsheet would run is quoted by '."""
    safe = written(rows, columns)
    for name in columns:
        if COLUMNS[name].look == "text":
            safe[name] = [f"'{v}" if isinstance(v, str) and v.startswith(_FORMULA) else v for v in safe[name]]
    return str(safe.to_csv(index=False)).encode()


def to_json(rows: pd.DataFrame, columns: Sequence[str]) -> bytes:
    """Those rows and columns as a list of objects; missing values are null."""
    records = written(rows, columns).astype(object).to_dict("records")
    clean = [{k: None if pd.isna(v) else v for k, v in record.items()} for record in records]
    return (json.dumps(clean, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def facts(described: Mapping[str, Any]) -> list[str]:
    """What is known of a task, one line each: chance level, source and licence of its data."""
    about = described.get("data")
    about = about if isinstance(about, dict) else {}
    chance = described.get("chance")
    known = isinstance(chance, (int, float)) and math.isfinite(chance)
    said = [f"Chance level: {text.number(chance)}"] if known else []
    said += [f"Data: {about['source']}"] if isinstance(about.get("source"), str) else []
    return said + ([f"Licence of the data: {about['licence']}"] if isinstance(about.get("licence"), str) else [])

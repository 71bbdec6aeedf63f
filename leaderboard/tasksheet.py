"""Task sheets: what a task is, from its description and from the records of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from leaderboard import text

SET = ["task_version", "protocol", "data_sha256"]
FEW_ITEMS = 100


def facts(described: Mapping[str, Any], rows: pd.DataFrame) -> pd.DataFrame:
    """What, value: what it measures, of how much, on which data. What is not stated is left out."""
    about = described.get("data")
    about = about if isinstance(about, Mapping) else {}
    measures = described.get("metrics")
    primary = described.get("primary")
    stated = measures.get(primary) if isinstance(measures, Mapping) and primary else None
    found: dict[str, Any] = {
        "title": described.get("title"),
        "kind of model": described.get("kind") or _only(rows, "kind"),
        "primary metric": primary or _only(rows, "metric"),
        "which is": stated.get("reference") if isinstance(stated, Mapping) else None,
        "better": {"higher": "higher", "lower": "lower"}.get(str(_only(rows, "better"))),
        "version": described.get("version"),
        "observations": _span(rows["n"]) if len(rows) else None,
        "chance level": text.number(level) if (level := chance(described)) is not None else None,
        "data": about.get("name"),
        "source of the data": about.get("source"),
        "licence of the data": about.get("licence"),
        "sha256 of the data": about.get("sha256"),
        "generated": "yes: by a generator in the package, not from the world" if about.get("generated") else None,
    }
    kept = {name: str(value) for name, value in found.items() if isinstance(value, str) and value}
    return pd.DataFrame({"what": list(kept), "value": list(kept.values())})


def chance(described: Mapping[str, Any]) -> float | None:
    """Value of the primary metric by guessing, if the task states one."""
    level = described.get("chance")
    known = isinstance(level, (int, float)) and not isinstance(level, bool) and math.isfinite(level)
    return float(level) if known and level is not None else None


def metrics(described: Mapping[str, Any]) -> pd.DataFrame:
    """A row a metric: metric, unit, better, convention."""
    measures = described.get("metrics")
    rows = [
        {
            "metric": str(name),
            "unit": m.get("unit"),
            "better": _better(m.get("higher_is_better")),
            "convention": m.get("reference"),
        }
        for name, m in (measures.items() if isinstance(measures, Mapping) else ())
        if isinstance(m, Mapping)
    ]
    return pd.DataFrame(rows, columns=["metric", "unit", "better", "convention"]).astype("str")


def _better(higher: object) -> str | None:
    return "higher" if higher is True else "lower" if higher is False else None


def sets(rows: pd.DataFrame) -> pd.DataFrame:
    """What is on the board, a row a version, protocol and data: records of different rows are never compared."""
    named = rows[[*SET, "submission", "date"]].astype("str")
    found = (
        named.groupby(SET, sort=False, dropna=False)
        .agg(models=("submission", "nunique"), newest=("date", "max"))
        .reset_index()
    )
    heads = {"task_version": "version", "data_sha256": "sha256 of the data"}
    found = found.sort_values(["models", "newest"], ascending=False).rename(columns=heads).reset_index(drop=True)
    return found.where(found != "")  # imported records state no digest


def largest(rows: pd.DataFrame) -> pd.DataFrame:
    """The newest row a model of the version, protocol and data that most models have."""
    if rows.empty:
        return rows
    keys = rows[[*SET, "metric"]].astype("str").agg("\0".join, axis=1)
    models = rows.groupby(keys)["submission"].nunique()
    mine = rows[keys == models.idxmax()].sort_values("started", kind="stable")
    return mine.drop_duplicates("submission", keep="last")


def issues(described: Mapping[str, Any], rows: pd.DataFrame) -> list[str]:
    """What to know before believing a number of this task: stated by the task, and seen in its records."""
    stated = described.get("known_issues")
    said = [str(one) for one in stated] if isinstance(stated, list) else []
    about = described.get("data")
    if isinstance(about, Mapping) and about.get("generated"):
        said.append("Its data come from a generator: they show that the machinery works, not how a model does outside.")
    if not described:
        said.append("The task's description is not in this folder of results (tasks/<task>.json).")
    if rows.empty:
        return [*said, "No whole record of it is here."]
    n_sets = len(sets(rows))
    if n_sets > 1:
        said.append(f"{n_sets} versions, protocols or data sets of it are here, which are never compared.")
    said += _of_values(described, largest(rows))
    other = int((rows["source"] != "measured").sum())
    if other:
        were = text.counted(other, len(rows), "row", ("was", "were"))
        said.append(f"{were} imported or scored from predictions, not measured here.")
    return said


def _of_values(described: Mapping[str, Any], one: pd.DataFrame) -> list[str]:
    said = []
    if (one["n"] < FEW_ITEMS).any():
        said.append(f"It has fewer than {FEW_ITEMS} observations: intervals are wide.")
    level = chance(described)
    if level is not None:
        guessing = int((one["low"] <= level).sum())
        if guessing:
            said.append(f"{text.counted(guessing, len(one), 'model', ('is', 'are'))} not shown to be above chance.")
    missing = int(one["value"].isna().sum())
    if missing:
        said.append(f"{text.counted(missing, len(one), 'model', ('has', 'have'))} no value.")
    return said


def _only(rows: pd.DataFrame, column: str) -> str | None:
    found = rows[column].dropna().astype("str").unique() if len(rows) else []
    return ", ".join(sorted(found)) if len(found) else None


def _span(counts: pd.Series) -> str | None:
    known = counts.dropna()
    if known.empty:
        return None
    low, high = int(known.min()), int(known.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"

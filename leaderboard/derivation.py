"""Derivation: what a row of the board says beyond its record: changes, ratios, families, words for the filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from suite import derived_index
from suite.entry import NO_DAY

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN = "unknown"  # the machine of imported records that name none
COMPARABLE = ["task", "task_version", "protocol", "data_sha256"]
RUNTIME = ["format", "machine", "device", "threads"]


def derived(rows: pd.DataFrame, frame: pd.DataFrame, parents: Mapping[str, Any], changes: pa.Table) -> pd.DataFrame:
    """Rows with the change from the parent, retention, latency ratio, family, size in MB and words for the filters."""
    rows = rows.reset_index(drop=True).assign(metric=rows["metric"].astype("str").array, **_changes(rows, changes))
    rows["retention"] = _retention(rows)
    rows["latency_ratio"] = rows["latency_ratio"].fillna(_latency_ratio(rows))
    rows["data"] = np.where(rows["generated"].fillna(False).astype(bool), "generated", "real")
    day = rows["started"].str.slice(0, 10)
    rows["date"] = day.where(day > NO_DAY)  # missing where a file without a date was imported
    rows = rows.astype({"data": "category", "date": "category"})
    rows["family"], rows["position"] = _families(rows["submission"], parents)
    rows["machine_label"] = _machines(rows)
    rows["verdict"] = _verdicts(rows)
    rows["note"] = _notes(rows, frame)
    return rows


def _changes(rows: pd.DataFrame, changes: pa.Table) -> dict[str, Any]:
    """Paired changes on the primary metrics, in the rows' order; missing where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    at_N = np.full(len(rows), -1)
    stems_N = pa.array(rows["stem"], pa.string())
    for metric in changes.column("metric").unique():
        own = np.flatnonzero(pc.equal(changes.column("metric"), metric))
        where = pc.index_in(stems_N, changes.column("child").take(own)).to_numpy(zero_copy_only=False)
        hit = ~np.isnan(where) & (rows["metric"] == metric.as_py()).to_numpy()
        at_N[hit] = own[where[hit].astype(np.int64)]
    found = changes.take(pa.array(at_N, mask=at_N < 0))
    wanted = {"change": "value", "change_low": "low", "change_high": "high", "change_reason": "reason"}
    return {name: found.column(column).to_pandas().array for name, column in wanted.items()}


def _machines(rows: pd.DataFrame) -> pd.Series:
    """Machines in words; "unknown" where an imported record names none."""
    about = rows[["cpu", "gpu", "cores", "machine"]]
    each = about.groupby([*about], observed=True, dropna=False, sort=False).ngroup().to_numpy()
    one = about.iloc[np.unique(each, return_index=True)[1]]
    gpu = ", " + one["gpu"].astype("str")
    said = one["cpu"].astype("str") + ", " + one["cores"].astype("str") + " cores"
    said += gpu.where(one["gpu"].notna(), "") + " (" + one["machine"].astype("str") + ")"
    said = said.where(one["cores"].fillna(0) > 0, UNKNOWN).astype("category")
    return pd.Series(said.array.take(each), index=rows.index)


def weighed(rows: pd.DataFrame, figures: pa.Table) -> pd.DataFrame:
    """Rows with the derived figures of their records, see `suite.derived_index`; missing where there is none."""
    found: dict[str, dict[str, float]] = {name: {} for name in derived_index.NAMES}
    for one in figures.to_pylist():
        if one["value"] is not None and one["name"] in found:
            found[one["name"]][one["stem"]] = one["value"]
    for name, values in found.items():
        rows[name] = [values.get(stem, np.nan) for stem in rows["stem"]] if values else np.nan
    return rows


def _parents(rows: pd.DataFrame, on: list[str], column: str) -> pd.Series:
    """For each row the parent's newest number of that column, under the same `on`; aligned with the rows."""
    terms_N = rows.groupby(on, observed=True, dropna=False, sort=False).ngroup().to_numpy()
    both_N, models = pd.factorize(pd.concat([rows["submission"].astype("str"), rows["parent"].astype("str")]))
    own_N, above_N = both_N.reshape(2, -1)
    number_N = rows[column].to_numpy(dtype=np.float64, na_value=np.nan)
    held = ~np.isnan(number_N)
    known = pd.Series(number_N[held], (terms_N * len(models) + own_N)[held])
    known = known[~known.index.duplicated(keep="last")]
    return pd.Series(known.reindex(np.where(above_N >= 0, terms_N * len(models) + above_N, -1)).to_numpy(), rows.index)


def _retention(rows: pd.DataFrame) -> pd.Series:
    """Child / parent of comparable records, parent / child where lower is better; missing where either is not > 0."""
    parent = _parents(rows, [*COMPARABLE, "metric"], "value")
    ratio = (rows["value"] / parent).where(rows["better"] != "lower", parent / rows["value"])
    return ratio.where((rows["value"] > 0) & (parent > 0) & rows["better"].notna())


def _latency_ratio(rows: pd.DataFrame) -> pd.Series:
    """Child / parent of the median latency, in one runtime on one machine, where the record has no ratio of its own."""
    return rows["latency_p50_s"] / _parents(rows, ["task", *RUNTIME], "latency_p50_s")


def _verdicts(rows: pd.DataFrame) -> pd.Series:
    low, high, better = rows["change_low"], rows["change_high"], rows["better"]
    known = low.notna() & high.notna() & better.notna()
    up = (better == "higher").to_numpy()
    said = np.where(low > 0, np.where(up, "better", "worse"), np.where(up, "worse", "better"))
    said = np.where((low <= 0) & (high >= 0), "unclear", said)
    return pd.Series(said, index=rows.index, dtype="str").where(known)


def _notes(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.Series:
    """Why something is missing, in one line."""
    formats = frame.drop_duplicates("submission", keep="last").set_index("submission")["format"]
    runtime = rows["parent"].map(formats.astype("object"))
    alone = rows["parent"].notna() & rows["change"].isna() & rows["change_reason"].isna()
    elsewhere = runtime.notna() & (runtime.astype("object") != rows["format"].astype("object"))
    some = rows["reason"].notna() | rows["change_reason"].notna() | alone | elsewhere
    one = rows.loc[some, ["reason", "change_reason", "parent", "format"]].astype("str")  # few: words take long
    said = one["reason"].fillna("") + ";" + one["change_reason"].fillna("") + ";"
    said += ("not compared with " + one["parent"]).where(alone[some], "") + ";"
    speed = "speed and memory: " + one["format"] + " beside its parent's " + runtime[some].astype("str")
    said += speed.where(elsewhere[some], "")
    said = said.str.replace(r";+", "; ", regex=True).str.strip("; ")
    return said.where(said != "").reindex(rows.index)


def _families(names: pd.Series, parents: Mapping[str, Any]) -> tuple[pd.Series, pd.Series]:
    """Of these models the oldest known ancestor, and the place in the order in which every model follows its parent."""
    order, roots = family_order(parents)
    place = {name: i for i, name in enumerate(order)}
    each, models = pd.factorize(names)
    family = pd.Series([roots[name] for name in models], dtype="str").astype("category")
    position = np.array([place[name] for name in models], np.int64)
    return pd.Series(family.array.take(each), names.index), pd.Series(position[each], names.index)


def family_order(parents: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Names so that each follows the one it came from, siblings by name; and name -> top of its family.

    A model whose parent is unknown, or which is its own ancestor, stands at the top.

    >>> family_order({"b": "a", "a": None, "c": "gone", "aa": None})
    (['a', 'b', 'aa', 'c'], {'a': 'a', 'b': 'a', 'aa': 'aa', 'c': 'c'})
    """
    children: dict[str | None, list[str]] = {}
    for name in sorted(parents):
        above = parents[name] if parents[name] in parents and parents[name] != name else None
        children.setdefault(above, []).append(name)
    order: list[str] = []
    roots: dict[str, str] = {}
    for top in [*children.get(None, []), *sorted(parents)]:  # the second part: circles
        stack = [] if top in roots else [top]
        while stack:
            name = stack.pop()
            if name not in roots:
                roots[name] = top
                order.append(name)
                stack += reversed(children.get(name, []))
    return order, roots

"""Board: the index as one frame, ready to filter. Knows no task and no Streamlit.

A row is the newest whole record of one submission, task, machine and device. Rows stand in their order on the page:
by kind, task and family, every model after the one it came from, so that any filtered part is in family order too.
Missing numbers stay missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leaderboard import placing
from suite import derived_index, index, paired_index
from suite.entry import COLUMNS, NO_DAY
from suite.manifest import KINDS
from suite.store import TASKS, Store, Stored, folder_name, load

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN = "unknown"  # the machine of imported records that name none
COMPARABLE = ["task", "task_version", "protocol", "data_sha256"]
RUNTIME = ["format", "machine", "device", "threads"]
REPEATED = (
    *("task", "kind", "format", "method", "licence", "task_version", "protocol", "data_sha256", "machine", "cpu"),
    *("gpu", "device", "source", "sandbox", "primary", "metric", "unit", "better", "reason", "calibration_metric"),
    *("worst_group_metric", "gap_metric", "parent", "series", "operating_point"),
)


@dataclass(frozen=True)
class Board:
    """Everything that the pages show, and where the rest lies.

    Attributes:
        root: folder of the records.
        rows: one row a line of the table: the columns of `suite.entry`, and those that `_derived` adds.
        table: every row of the index, old, limited and unreadable records included.
        tasks: task name -> its description as a run wrote it; tasks without one are absent.
        problems: files that cannot be read, one line each.
        limited: records left out because they are of a part of their task only.
        indexed: whether the paired changes were ever computed for this folder.
        parents: name -> parent or None, of all models.
        present: columns of the table in which some row has something.
    """

    root: Path
    rows: pd.DataFrame
    table: pa.Table
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    limited: int = 0
    indexed: bool = True
    parents: Mapping[str, Any] = field(default_factory=dict)
    present: frozenset[str] = frozenset()

    def submissions(self) -> list[str]:
        """Names of all that have a readable record, sorted."""
        return sorted(name for name in self.table.column("submission").unique().to_pylist() if name is not None)

    def records(self, submission: str | None = None, task: str | None = None) -> pd.DataFrame:
        """All readable records of a submission and a task (None: of all), oldest first, limited and old ones too."""
        import pyarrow.compute as pc

        found = self.table.filter(pc.is_null(self.table.column("problem")))
        for name, wanted in (("submission", submission), ("task", task)):
            if wanted is not None:
                found = found.filter(pc.equal(found.column(name), wanted))
        return found.to_pandas().sort_values("started", kind="stable").reset_index(drop=True)

    def stored(self, stem: str) -> Stored | None:
        """The record of that file stem, read from its file; None when the index has none.

        Raises:
            InputError: the file is gone or cannot be read.
        """
        import pyarrow.compute as pc

        found = self.table.filter(pc.equal(self.table.column("stem"), stem)).column("path").to_pylist()
        return load(self.root / found[0]) if found else None


def open_board(root: Path) -> Board:
    """The board of a folder's index; what cannot be read is told in `problems`."""
    store = Store(root)
    table = index.records(store)
    problems = [problem for problem in table.column("problem").unique().to_pylist() if problem is not None]
    frame = _frame(table)
    newest = _newest(frame)
    tasks = {}
    for name in newest["task"].unique():
        described = _description(root / TASKS / f"{folder_name(str(name))}.json", problems)
        if described is not None:
            tasks[str(name)] = described
    rows = _derived(newest, frame, paired_index.changes(store, newest["metric"].unique()))
    rows = _weighed(rows, derived_index.read(store))
    rows = placing.placed(rows, placing.ranked(store))
    limited, indexed = int(frame["limit"].notna().sum()), paired_index.path(store).is_file()
    parents = _last_of_each(frame, "parent")
    rows = _ordered(rows)
    present = frozenset("rank" if name == "rank_low" else name for name in rows if rows[name].notna().any())
    return Board(root, rows, table, tasks, tuple(sorted(problems)), limited, indexed, parents, present)


def _frame(table: pa.Table) -> pd.DataFrame:
    """Readable records, oldest first; columns with few different values as categories."""
    import pyarrow.compute as pc

    table = table.filter(pc.is_null(table.column("problem"))).sort_by("started").drop(["problem", "mtime_ns"])
    for name in REPEATED:
        table = table.set_column(table.schema.get_field_index(name), name, table.column(name).dictionary_encode())
    frame = table.to_pandas()
    for name, kind in COLUMNS.items():
        if kind == "int64" and name in frame:
            frame[name] = frame[name].astype("Int64")
    return frame


def _newest(frame: pd.DataFrame) -> pd.DataFrame:
    """The last whole record per submission, task, machine and device that no other one replaces."""
    whole = frame[frame["limit"].isna()]
    whole = whole[~whole["stem"].isin(set(whole["supersedes"].dropna()))]
    return whole.drop_duplicates(["submission", "task", "machine", "device"], keep="last")


def _derived(rows: pd.DataFrame, frame: pd.DataFrame, changes: pa.Table) -> pd.DataFrame:
    """Rows with the change from the parent, retention, latency ratio, family, size in MB and words for the filters."""
    wanted = {"child": "stem", "value": "change", "low": "change_low", "high": "change_high"}
    paired = changes.to_pandas()[[*wanted, "metric", "reason"]].rename(columns={**wanted, "reason": "change_reason"})
    rows = rows.assign(metric=rows["metric"].astype("str")).merge(paired, how="left", on=["stem", "metric"])
    rows["retention"] = _retention(rows)
    rows["latency_ratio"] = rows["latency_ratio"].fillna(_latency_ratio(rows))
    rows["data"] = np.where(rows["generated"].fillna(False).astype(bool), "generated", "real")
    day = rows["started"].str.slice(0, 10)
    rows["date"] = day.where(day > NO_DAY)  # missing where a file without a date was imported
    rows = rows.astype({"data": "category", "date": "category"})
    rows["family"], rows["position"] = _families(frame)(rows["submission"])
    rows["machine_label"] = _machines(rows)
    rows["verdict"] = _verdicts(rows)
    rows["note"] = _notes(rows, frame)
    return rows


def _machines(rows: pd.DataFrame) -> pd.Series:
    """Machines in words; "unknown" where an imported record names none."""
    gpu = ", " + rows["gpu"].astype("str")
    said = rows["cpu"].astype("str") + ", " + rows["cores"].astype("str") + " cores"
    said += gpu.where(rows["gpu"].notna(), "") + " (" + rows["machine"].astype("str") + ")"
    return said.where(rows["cores"].fillna(0) > 0, UNKNOWN).astype("category")


def _weighed(rows: pd.DataFrame, figures: pa.Table) -> pd.DataFrame:
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
    keys = [*on, "submission"]
    known = rows.loc[rows[column].notna(), [*keys, column]].drop_duplicates(keys, keep="last")
    child = rows[[*on, "parent"]].rename(columns={"parent": "submission"}).astype({"submission": "str"})
    found = child.merge(known.astype({"submission": "str"}), how="left", on=keys)
    return found[column].set_axis(rows.index)


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
    formats = frame.drop_duplicates("submission", keep="last").set_index("submission")["format"].astype("str")
    above, own = rows["parent"].astype("str"), rows["format"].astype("str")
    runtime = above.map(formats)
    said = rows["reason"].astype("str").fillna("") + ";"
    alone = rows["parent"].notna() & rows["change"].isna() & rows["change_reason"].isna()
    said += rows["change_reason"].astype("str").fillna("") + ";"
    said += ("not compared with " + above).where(alone, "") + ";"
    elsewhere = rows["parent"].notna() & runtime.notna() & (runtime != own)
    said += ("speed and memory: " + own + " beside its parent's " + runtime).where(elsewhere, "").fillna("")
    said = said.str.replace(r";+", "; ", regex=True).str.strip("; ")
    return said.where(said != "")


def _families(frame: pd.DataFrame) -> Any:
    """Names -> (the oldest known ancestor, place in the order in which every model follows its parent)."""
    order, roots = family_order(_last_of_each(frame, "parent"))
    place = {name: i for i, name in enumerate(order)}
    return lambda names: (names.map(roots).astype("category"), names.map(place))


def _last_of_each(frame: pd.DataFrame, column: str) -> dict[str, Any]:
    """Name -> that column of its newest record."""
    last = frame.drop_duplicates("submission", keep="last")
    return dict(zip(last["submission"], last[column].astype("object"), strict=True))


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


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    kinds = rows["kind"].map({kind: i for i, kind in enumerate(KINDS)}).astype("int64")
    rows = rows.assign(_kind=kinds, _task=rows["task"].astype("str"), _machine=rows["machine"].astype("str"))
    rows = rows.sort_values(["_kind", "_task", "position", "_machine", "device"], kind="stable")
    return rows.drop(columns=["_kind", "_task", "_machine"]).reset_index(drop=True)


def _description(path: Path, problems: list[str]) -> Mapping[str, Any] | None:
    """What a run wrote of a task; None when it is not there or not readable."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problems.append(f"{path} cannot be read: {error}")
        return None
    if isinstance(found, dict):
        return found
    problems.append(f"{path} does not describe a task")
    return None

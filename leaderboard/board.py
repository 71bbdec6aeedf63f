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
from numpy.typing import NDArray

from leaderboard import derivation, placing
from suite import derived_index, index, paired_index
from suite.entry import COLUMNS
from suite.manifest import KINDS
from suite.store import TASKS, Store, Stored, folder_name, load

if TYPE_CHECKING:
    import pyarrow as pa

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
        rows: one row a line of the table: the columns of `suite.entry`, and those that `leaderboard.derivation` adds.
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
    parents = _last_of_each(frame, "parent")
    changes = paired_index.changes(store, newest["metric"].unique())
    rows = derivation.derived(newest, frame, parents, changes)
    rows = derivation.weighed(rows, derived_index.read(store))
    rows = placing.placed(rows, placing.ranked(store))
    limited, indexed = int(frame["limit"].notna().sum()), paired_index.path(store).is_file()
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


def _last_of_each(frame: pd.DataFrame, column: str) -> dict[str, Any]:
    """Name -> that column of its newest record."""
    last = frame.drop_duplicates("submission", keep="last")
    return dict(zip(last["submission"], last[column].astype("object"), strict=True))


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    kinds = rows["kind"].map({kind: i for i, kind in enumerate(KINDS)}).astype("int64")
    by = (kinds, *(_rank(rows[name]) for name in ("task", "position", "machine", "device")))
    return rows.iloc[np.lexsort([np.asarray(one) for one in reversed(by)])].reset_index(drop=True)


def _rank(column: pd.Series) -> pd.Series | NDArray[np.int64]:
    """Numbers in the order of the values: of a category's names, missing ones last."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    names = column.cat.categories.astype("str")
    place = np.empty(len(names) + 1, np.int64)
    place[names.argsort()], place[-1] = np.arange(len(names)), len(names)
    return place[column.cat.codes.to_numpy()]


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

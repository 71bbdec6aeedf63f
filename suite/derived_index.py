"""Derived figures for the board: scores that weigh quality against cost (`suite.derived`), of segmentation records.

They lie in the index (`suite.index`) as ``derived.parquet``, a row a record and figure: stem, name, value, reason, and
``made_of``: the stems of the parent's and the speed record and the data set's name in U-Bench, by which a row that
still holds is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite import index, paired_index
from suite.derived import EFFICIENCY, derived
from suite.errors import HallmarkError
from suite.index import Told
from suite.store import Store, load
from suite.task import AnyTask

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "derived.parquet"
NAMES = ("u_score", "u_score_bits", "bits_score")
_COLUMNS = ("stem", "name", "value", "reason", "made_of")
_READ = (*paired_index.NEEDED, "kind", "weights_sha256")
Line = Mapping[str, Any]


def path(store: Store) -> Path:
    """The file, once `refresh` has run."""
    return index.folder(store) / NAME


def read(store: Store) -> pa.Table:
    """Columns stem, name, value, reason, made_of; no rows when there is no readable file."""
    from pyarrow import ArrowException, parquet

    try:
        return parquet.read_table(path(store)).cast(schema())
    except (OSError, ValueError, ArrowException):
        return schema().empty_table()


def schema() -> pa.Schema:
    """Columns of the file with their types."""
    import pyarrow as pa

    return pa.schema([(name, pa.float64() if name == "value" else pa.string()) for name in _COLUMNS])


def refresh(store: Store, tasks: Mapping[str, AnyTask], told: Told | None = None) -> None:
    """Make the figures of new segmentation records, of known tasks; the rows must be in date.

    Args:
        store: whose.
        tasks: by name.
        told: called after each record.
    """
    import pyarrow as pa

    if index.kept_elsewhere(store):
        return
    rows = [line for line in index.records(store, _READ).to_pylist() if line["problem"] is None]
    known: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in read(store).to_pylist():
        known.setdefault((one["stem"], one["made_of"]), []).append(one)
    parents = {pair.child["stem"]: pair.parent for pair in paired_index.pairs(rows)}
    speeds = _speeds(rows)
    mine = [one for one in rows if one["kind"] == "segmentation" and one["task"] != EFFICIENCY and one["task"] in tasks]
    made: list[dict[str, Any]] = []
    missing = []
    for line in mine:
        parent, speed = parents.get(line["stem"]), speeds.get((line["submission"], line["weights_sha256"]))
        ubench = tasks[line["task"]].ubench
        key = (line["stem"], "\0".join([*(one["stem"] if one else "" for one in (parent, speed)), ubench or ""]))
        if key in known:
            made += known[key]
        else:
            missing.append((key, (line, parent, speed), ubench))
    for done, (key, lines, ubench) in enumerate(missing, start=1):
        made += _made(store, key, lines, ubench)
        if told:
            told(done, len(missing))
    if made or path(store).exists():
        new = pa.Table.from_pylist(made, schema=schema())
        if not new.equals(read(store)):
            index.save(path(store), new)


def _speeds(rows: Iterable[Line]) -> dict[tuple[str, str | None], Line]:
    """Submission and weights -> the newest whole speed record of them."""
    timed = [line for line in rows if line["task"] == EFFICIENCY and line["limit"] is None]
    return {(line["submission"], line["weights_sha256"]): line for line in sorted(timed, key=lambda x: x["started"])}


def _made(
    store: Store, key: tuple[str, str], lines: tuple[Line, Line | None, Line | None], ubench: str | None
) -> list[dict[str, Any]]:
    """The figures of a record; none where a file is damaged: `hallmark verify` tells."""
    try:
        record, parent, speed = (load(store.root / one["path"]).record if one else None for one in lines)
    except HallmarkError:
        return []
    assert record is not None
    found = derived(record, parent, ubench, speed)
    return [{"stem": key[0], "name": m.name, "value": m.value, "reason": m.reason, "made_of": key[1]} for m in found]

"""The index of a store: what a board reads instead of the records. It can be deleted at any time.

    records.parquet   one row a record file, see `suite.entry`; only new and changed files are read again
    paired.parquet    changes of primary metrics from parent to child, see `suite.paired_index`
    derived.parquet   scores that weigh quality against cost, see `suite.derived_index`
    rankings.json     rank intervals, see `suite.rankings`

The files lie in ``<results>/.index/``, or under ``$XDG_CACHE_HOME/hallmark`` where the results cannot be written. The
board knows no task, so it cannot compare; `suite.indexing` makes the other three where the tasks are known (``hallmark
run`` and ``hallmark board``). `sync` knows no task either, and brings only the rows up to date.

An index that is marked so (`write` with ``elsewhere``) is used as it is: its records are not here.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.disk import disk_errors, write_synced
from suite.entry import COLUMNS, row
from suite.errors import InputError
from suite.store import TASKS, Store, load

if TYPE_CHECKING:
    import pyarrow as pa

Told = Callable[[int, int], None]  # things done, things to do
RECORDS = "records.parquet"
FILES = (RECORDS, "paired.parquet", "derived.parquet", "rankings.json")
_ELSEWHERE = b"hallmark.kept_elsewhere"
_VERSION, _FORMAT = b"hallmark.index_version", b"2"
_FIRST_SAVE_S = 3.0


def folder(store: Store) -> Path:
    """Where a store's index lies: beside the records, or in the user's cache if that cannot be written."""
    inside = store.root / ".index"
    if os.access(inside if inside.is_dir() else store.root, os.W_OK):
        return inside
    if (inside / RECORDS).is_file() and _metadata(inside / RECORDS).get(_ELSEWHERE):
        return inside
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "hallmark" / hashlib.sha256(str(store.root.resolve()).encode()).hexdigest()[:16]


def digest(store: Store) -> str:
    """Changes whenever something changes that a board reads of this index and of the tasks' descriptions."""
    seen = hashlib.sha256(str(store.root.resolve()).encode())
    files = [folder(store) / name for name in FILES]
    for file in [*files, *sorted((store.root / TASKS).glob("*.json"))]:
        try:
            stat = file.stat()
        except OSError:  # gone since it was listed
            continue
        seen.update(f"{file}\0{stat.st_mtime_ns}\0{stat.st_size}\n".encode(errors="surrogateescape"))
    return seen.hexdigest()


class Pace:
    """When unfinished work is saved, so that a board can show it: at growing distances, as each costs the whole."""

    def __init__(self) -> None:
        self._next, self._step = time.monotonic() + _FIRST_SAVE_S, _FIRST_SAVE_S

    def due(self) -> bool:
        """Whether it is time to save; says so once."""
        if time.monotonic() < self._next:
            return False
        self._step *= 2
        self._next = time.monotonic() + self._step
        return True


def sync(store: Store, told: Told | None = None) -> pa.Table:
    """Bring the rows up to date with the record files; gives them. An unreadable file has a row with its `problem`.

    Args:
        store: whose.
        told: called after each file that is read.
    """
    import pyarrow as pa

    target = folder(store) / RECORDS
    if kept_elsewhere(store):
        return records(store)
    old = records(store)
    primaries = _primaries(store.root)
    here = dict(_files(store.root))
    names = ("path", "mtime_ns", "file_bytes", "task", "primary")
    known = zip(*(old.column(name).to_pylist() for name in names), strict=True)
    fresh = [here.get(file) == (mtime, size) and primaries.get(task) == by for file, mtime, size, task, by in known]
    kept = old.filter(pa.array(fresh, pa.bool_()))
    held = set(kept.column("path").to_pylist())
    missing = [(name, stat) for name, stat in here.items() if name not in held]
    if not missing and len(kept) == len(old) and (target.exists() or not here):
        return old
    read: list[dict[str, Any]] = []
    pace = Pace()
    for done, (name, stat) in enumerate(missing, start=1):
        read.append(_row(store.root, name, stat, primaries))
        if told:
            told(done, len(missing))
        if pace.due():
            write(store, _joined(kept, read))
    new = _joined(kept, read)
    write(store, new)
    return new


def unread(store: Store) -> int:
    """How many record files the rows do not hold yet; changed ones are not counted."""
    held = set(records(store, ["path"]).column("path").to_pylist())
    return sum(name not in held for name, _ in _files(store.root))


def _joined(kept: pa.Table, read: Sequence[Mapping[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables([kept, pa.Table.from_pylist(list(read), schema=schema())]).sort_by("path")


def records(store: Store, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows as they were last written; none if there is no readable index of this version."""
    from pyarrow import ArrowException, parquet

    target = folder(store) / RECORDS
    if _metadata(target).get(_VERSION) != _FORMAT:
        return schema(columns).empty_table()
    try:
        return parquet.read_table(target, columns=None if columns is None else list(columns)).cast(schema(columns))
    except (OSError, ValueError, ArrowException):
        return schema(columns).empty_table()


def schema(columns: Sequence[str] | None = None) -> pa.Schema:
    """Columns of `records` with their types."""
    import pyarrow as pa

    return pa.schema([(name, getattr(pa, COLUMNS[name].replace("bool", "bool_"))()) for name in columns or COLUMNS])


def kept_elsewhere(store: Store) -> bool:
    """Whether the index was marked as one whose records are not here."""
    return bool(_metadata(folder(store) / RECORDS).get(_ELSEWHERE))


def write(store: Store, rows: pa.Table, elsewhere: bool = False) -> None:
    """Replace the rows of the index.

    Args:
        store: whose index.
        rows: a table of `schema`.
        elsewhere: the records themselves are not under this folder, so the files here do not decide.

    Raises:
        InfrastructureError: the disk is full or the folder cannot be written.
    """
    metadata = {_VERSION: _FORMAT, **({_ELSEWHERE: b"1"} if elsewhere else {})}
    save(folder(store) / RECORDS, rows.cast(schema()).replace_schema_metadata(metadata))


def _files(root: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Relative path, time and size of every record file."""
    for submission in _entries(root):
        if not submission.name.startswith(".") and submission.name != TASKS and submission.is_dir():
            for task in (entry for entry in _entries(submission.path) if entry.is_dir()):
                for file in _entries(task.path):
                    if file.name.endswith(".json") and not file.name.startswith("."):
                        stat = file.stat()
                        yield f"{submission.name}/{task.name}/{file.name}", (stat.st_mtime_ns, stat.st_size)


def _entries(where: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(where) as found:
            return list(found)
    except OSError:  # gone, or not ours to read
        return []


def _primaries(root: Path) -> dict[str, str | None]:
    """Task -> primary metric, of the tasks whose description says one."""
    found: dict[str, str | None] = {}
    for file in (root / TASKS).glob("*.json"):
        try:
            described = json.loads(file.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(described, dict) and isinstance(described.get("primary"), str):
            found[str(described.get("name"))] = described["primary"]
    return found


def _row(root: Path, name: str, stat: tuple[int, int], primaries: Mapping[str, str | None]) -> dict[str, Any]:
    try:
        record = load(root / name).record
        found = row(record, primaries.get(record.task))
    except InputError as error:
        found = {**dict.fromkeys(COLUMNS), "problem": str(error)}
    found |= {"path": name, "stem": Path(name).stem, "mtime_ns": stat[0], "file_bytes": stat[1]}
    return found


def _metadata(file: Path) -> Mapping[bytes, bytes]:
    from pyarrow import ArrowException, parquet

    try:
        return dict(parquet.read_schema(file).metadata or {})
    except (OSError, ValueError, ArrowException):
        return {}


def save(target: Path, table: pa.Table) -> None:
    """Write a file of the index, whole or not at all."""
    import pyarrow as pa
    from pyarrow import parquet

    buffer = pa.BufferOutputStream()
    parquet.write_table(table, buffer, compression="zstd")
    with disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_synced(target, buffer.getvalue())

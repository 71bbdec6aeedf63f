"""The index of a store: what a board reads instead of the records. It can be deleted at any time.

    records.parquet   one row a record file, see `suite.entry`; only new and changed files are read again
    paired.parquet    paired differences of records whose parent has one: child, parent, metric, value, low, high ...

The files lie in ``<results>/.index/``, or under ``$XDG_CACHE_HOME/hallmark`` where the results cannot be written. The
board knows no task, so it cannot compare; `refresh` runs where the tasks are known (``hallmark run`` and ``hallmark
board``). `sync` knows no task either, and brings only the rows up to date.

An index that is marked so (`write` with ``elsewhere``) is used as it is: its records are not here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.compare import Paired, beside_parent
from suite.disk import disk_errors, write_synced
from suite.entry import COLUMNS, row
from suite.errors import HallmarkError, InputError
from suite.store import TASKS, Store, load
from suite.task import AnyTask

if TYPE_CHECKING:
    import pyarrow as pa

Index = dict[str, dict[str, Any]]
RECORDS, PAIRED = "records.parquet", "paired.parquet"
_ELSEWHERE = b"hallmark.kept_elsewhere"
_VERSION, _FORMAT = b"hallmark.index_version", b"1"
_DIFFERENCE = ("value", "low", "high", "method", "n", "n_clusters", "reason")


def folder(store: Store) -> Path:
    """Where a store's index lies: beside the records, or in the user's cache if that cannot be written."""
    inside = store.root / ".index"
    if os.access(inside if inside.is_dir() else store.root, os.W_OK):
        return inside
    if (inside / RECORDS).is_file() and _metadata(inside / RECORDS).get(_ELSEWHERE):
        return inside
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "hallmark" / hashlib.sha256(str(store.root.resolve()).encode()).hexdigest()[:16]


def path(store: Store) -> Path:
    """The file of paired differences, once `refresh` has run."""
    return folder(store) / PAIRED


def digest(store: Store) -> str:
    """Changes whenever something changes that a board reads of this index and of the tasks' descriptions."""
    seen = hashlib.sha256(str(store.root.resolve()).encode())
    files = [folder(store) / name for name in (RECORDS, PAIRED, "rankings.json")]
    for file in [*files, *sorted((store.root / TASKS).glob("*.json"))]:
        try:
            stat = file.stat()
        except OSError:  # gone since it was listed
            continue
        seen.update(f"{file}\0{stat.st_mtime_ns}\0{stat.st_size}\n".encode(errors="surrogateescape"))
    return seen.hexdigest()


def sync(store: Store) -> pa.Table:
    """Bring the rows up to date with the record files; gives them. An unreadable file has a row with its `problem`."""
    import pyarrow as pa

    target = folder(store) / RECORDS
    old = records(store)
    if kept_elsewhere(store):
        return old
    primaries = _primaries(store.root)
    here = dict(_files(store.root))
    names = ("path", "mtime_ns", "file_bytes", "task", "primary")
    known = zip(*(old.column(name).to_pylist() for name in names), strict=True)
    fresh = [here.get(file) == (mtime, size) and primaries.get(task) == by for file, mtime, size, task, by in known]
    kept = old.filter(pa.array(fresh, pa.bool_()))
    held = set(kept.column("path").to_pylist())
    read_again = [_row(store.root, name, stat, primaries) for name, stat in here.items() if name not in held]
    if not read_again and len(kept) == len(old) and (target.exists() or not here):
        return old
    new = pa.concat_tables([kept, pa.Table.from_pylist(read_again, schema=schema())]).sort_by("path")
    write(store, new)
    return new


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
    _write(folder(store) / RECORDS, rows.cast(schema()).replace_schema_metadata(metadata))


def read(store: Store) -> Index:
    """Record stem -> {"parent": stem, "differences": {metric: difference}}; empty when there is no readable index."""
    return _grouped(_paired(store))


def differences(store: Store, stem: str) -> dict[str, Any]:
    """The entry of `read` for one record, without reading the others; empty when it was not compared."""
    return _grouped(_paired(store, [("child", "=", stem)])).get(stem, {})


def changes(store: Store, metrics: Iterable[str]) -> pa.Table:
    """Paired differences of these metrics, all records: child, parent, metric, value, low, high, reason."""
    wanted = sorted(set(metrics))
    columns = ["child", "parent", "metric", "value", "low", "high", "reason"]
    return _paired(store, [("metric", "in", wanted)] if wanted else None).select(columns)


def refresh(store: Store, tasks: Mapping[str, AnyTask]) -> Index:
    """Bring the whole index up to date, comparing new records with their parents'; gives the paired differences."""
    rows = sync(store)
    if kept_elsewhere(store) or (not len(rows) and not path(store).exists()):
        return {}
    old = read(store)
    names = ("path", "stem", "submission", "task", "task_version", "parent", "limit", "started", "problem")
    lines = [line for line in rows.select(names).to_pylist() if line["problem"] is None]
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for line in sorted(lines, key=lambda line: (line["limit"] is None, line["started"])):
        newest[line["submission"], line["task"]] = line
    new = {}
    for line in lines:
        entry = _entry(store, line, newest, tasks, old)
        if entry is not None:
            new[line["stem"]] = entry
    if new != old or not path(store).exists():
        _write(path(store), _as_table(new))
    return new


def _entry(
    store: Store,
    child: Mapping[str, Any],
    newest: Mapping[tuple[str, str], Mapping[str, Any]],
    tasks: Mapping[str, AnyTask],
    old: Index,
) -> dict[str, Any] | None:
    above = newest.get((child["parent"], child["task"])) if child["parent"] else None
    if above is None:
        return None
    known = old.get(child["stem"])
    if known is not None and known["parent"] == above["stem"]:
        return known
    task = tasks.get(child["task"])
    if task is None or task.version != child["task_version"]:
        return None
    try:
        paired = beside_parent(load(store.root / child["path"]), store, task.scored)
    except HallmarkError:  # a damaged record: `hallmark verify` tells, the board shows it without a comparison
        return None
    if not isinstance(paired, Paired):
        return None
    found = {name: dataclasses.asdict(d) for name, d in paired.differences.items()}
    return {"parent": paired.parent.path.stem, "differences": found}


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


def _paired_schema() -> pa.Schema:
    import pyarrow as pa

    text, number, count = pa.string(), pa.float64(), pa.int64()
    return pa.schema(
        [
            *((name, text) for name in ("child", "parent", "metric")),
            *((name, number) for name in ("value", "low", "high")),
            ("method", text),
            ("n", count),
            ("n_clusters", count),
            ("reason", text),
        ]
    )


def _as_table(index: Index) -> pa.Table:
    import pyarrow as pa

    rows = [
        {"child": child, "parent": entry["parent"], "metric": metric, **{k: found.get(k) for k in _DIFFERENCE}}
        for child, entry in sorted(index.items())
        for metric, found in (entry["differences"] or {None: {}}).items()
    ]
    return pa.Table.from_pylist(rows, schema=_paired_schema())


def _paired(store: Store, filters: list[tuple[str, str, Any]] | None = None) -> pa.Table:
    from pyarrow import ArrowException, parquet

    try:
        return parquet.read_table(path(store), filters=filters).cast(_paired_schema())
    except (OSError, ValueError, ArrowException):
        return _paired_schema().empty_table()


def _grouped(table: pa.Table) -> Index:
    found: Index = {}
    for line in table.to_pylist():
        entry = found.setdefault(line["child"], {"parent": line["parent"], "differences": {}})
        if line["metric"] is not None:
            entry["differences"][line["metric"]] = {name: line[name] for name in _DIFFERENCE}
    return found


def _metadata(file: Path) -> Mapping[bytes, bytes]:
    from pyarrow import ArrowException, parquet

    try:
        return dict(parquet.read_schema(file).metadata or {})
    except (OSError, ValueError, ArrowException):
        return {}


def _write(target: Path, table: pa.Table) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = pa.BufferOutputStream()
    parquet.write_table(table, buffer, compression="zstd")
    with disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_synced(target, buffer.getvalue())

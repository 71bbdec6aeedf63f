"""Paired changes for the board: child minus parent on a task's primary metric, of every record whose parent has one.

They lie in the index (`suite.index`) as ``paired.parquet``, a row a record and metric: child, parent, metric, value,
low, high, method, n, n_clusters, reason. A pair is compared once: it is known by the stems of its two records, which
hold digests of their content. Every other metric is compared where somebody asks for it (``hallmark compare``, the
pages Model, Compare and History).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from suite import index
from suite.compare import differences
from suite.errors import HallmarkError, IncomparableError
from suite.index import Pace, Told
from suite.metrics.base import Columns, Metric
from suite.paired import Difference
from suite.store import Store, load
from suite.task import AnyTask

if TYPE_CHECKING:
    import pyarrow as pa

Index = dict[str, dict[str, Any]]
NAME = "paired.parquet"
_DIFFERENCE = ("value", "low", "high", "method", "n", "n_clusters", "reason")
_SAME = ("task", "task_version", "protocol", "data_sha256", "limit")
NEEDED = (*_SAME, "path", "stem", "submission", "parent", "seed", "started", "problem", "outcomes_sha256")
Line = Mapping[str, Any]


class Pair(NamedTuple):
    """A record and the newest comparable one of its parent, as rows of the index."""

    child: Line
    parent: Line


def path(store: Store) -> Path:
    """The file, once `refresh` has run."""
    return index.folder(store) / NAME


def read(store: Store) -> Index:
    """Record stem -> {"parent": stem, "differences": {metric: difference}}; empty when there is no readable file."""
    found: Index = {}
    for line in _read(store).to_pylist():
        entry = found.setdefault(line["child"], {"parent": line["parent"], "differences": {}})
        entry["differences"][line["metric"]] = {name: line[name] for name in _DIFFERENCE}
    return found


def changes(store: Store, metrics: Iterable[str]) -> pa.Table:
    """Paired differences of these metrics, all records: child, parent, metric, value, low, high, reason."""
    wanted = sorted(set(metrics))
    columns = ["child", "parent", "metric", "value", "low", "high", "reason"]
    return _read(store, [("metric", "in", wanted)] if wanted else None).select(columns)


def refresh(store: Store, tasks: Mapping[str, AnyTask], told: Told | None = None) -> Index:
    """Compare the records that were not yet compared with their parent's; gives all. The rows must be in date.

    Args:
        store: whose.
        tasks: by name; records of other tasks, or of another version, keep what is known of them.
        told: called after each comparison.
    """
    if index.kept_elsewhere(store):
        return {}
    rows = index.records(store, NEEDED).to_pylist()
    if not rows and not path(store).exists():
        return {}
    old = read(store)
    new, missing = _known(rows, old, tasks)
    pace = Pace()
    for done, (pair, task) in enumerate(missing, start=1):
        entry = _entry(store, pair, task)
        if entry is not None:
            new[pair.child["stem"]] = entry
        if told:
            told(done, len(missing))
        if pace.due():
            write(store, new)
    if new != old or not path(store).exists():
        write(store, new)
    return new


def _known(rows: Iterable[Line], old: Index, tasks: Mapping[str, AnyTask]) -> tuple[Index, list[tuple[Pair, AnyTask]]]:
    """What holds of the old entries, and the pairs that are to be compared."""
    new, missing = Index(), list[tuple[Pair, AnyTask]]()
    for pair in pairs(rows):
        known = old.get(pair.child["stem"])
        if known is not None and known["parent"] == pair.parent["stem"]:
            new[pair.child["stem"]] = known
        elif _both_keep_outcomes(pair):
            task = _task(pair, tasks)
            missing += [(pair, task)] if task is not None else []
    return new, missing


def pairs(rows: Iterable[Line]) -> Iterator[Pair]:
    """Every readable record with the newest one of its parent that has its task, version, protocol, data and limit.

    Limited records draw their items by the seed, so theirs must be the same too.
    """
    readable = [line for line in rows if line["problem"] is None]
    newest: dict[Any, Line] = {}
    for line in sorted(readable, key=lambda line: str(line["started"])):
        newest[line["submission"], _terms(line)] = line
    for line in readable:
        above = newest.get((line["parent"], _terms(line))) if line["parent"] else None
        if above is not None:
            yield Pair(line, above)


def write(store: Store, found: Index) -> None:
    """Replace the file."""
    import pyarrow as pa

    rows = [
        {"child": child, "parent": entry["parent"], "metric": metric, **{k: one.get(k) for k in _DIFFERENCE}}
        for child, entry in sorted(found.items())
        for metric, one in entry["differences"].items()
    ]
    index.save(path(store), pa.Table.from_pylist(rows, schema=schema()))


def schema() -> pa.Schema:
    """Columns of the file with their types."""
    import pyarrow as pa

    text, number, count = pa.string(), pa.float64(), pa.int64()
    kinds = {"value": number, "low": number, "high": number, "n": count, "n_clusters": count}
    return pa.schema([(name, kinds.get(name, text)) for name in ("child", "parent", "metric", *_DIFFERENCE)])


def _terms(line: Line) -> tuple[Any, ...]:
    return (*(line[name] for name in _SAME), line["seed"] if line["limit"] else 0)


def _both_keep_outcomes(pair: Pair) -> bool:
    return all(line["outcomes_sha256"] is not None for line in pair)


def _task(pair: Pair, tasks: Mapping[str, AnyTask]) -> AnyTask | None:
    """The task of a pair in the version that it was scored with; None where that is not known here."""
    task = tasks.get(pair.child["task"])
    return task if task is not None and task.version == pair.child["task_version"] else None


def _entry(store: Store, pair: Pair, task: AnyTask) -> dict[str, Any] | None:
    """The change of the primary metric, or why there is none; None where a file is damaged or still to come."""
    try:
        child, parent = (load(store.root / line["path"]) for line in (pair.child, pair.parent))
        if child.record.parent_sha256 is not None:
            raise IncomparableError("the task itself compares it with its parent")
        found = differences(parent, child, lambda columns: _primary(task, columns)).get(task.primary)
        reason = f"its task scores no {task.primary} on these outcomes"
    except IncomparableError as error:
        found, reason = None, str(error)
    except HallmarkError:  # `hallmark verify` tells; the board shows the record without a comparison
        return None
    found = found or Difference(None, None, None, "none", 0, 0, reason)
    return {"parent": pair.parent["stem"], "differences": {task.primary: dataclasses.asdict(found)}}


def _primary(task: AnyTask, columns: Columns) -> list[Metric]:
    return [metric for metric in task.scored(columns) if metric.name == task.primary]


def _read(store: Store, filters: list[tuple[str, str, Any]] | None = None) -> pa.Table:
    from pyarrow import ArrowException, parquet

    try:
        return parquet.read_table(path(store), filters=filters).cast(schema())
    except (OSError, ValueError, ArrowException):
        return schema().empty_table()

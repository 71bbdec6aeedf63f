"""Records -> rows of the table, as a pandas frame. Knows no task and no Streamlit.

A row is the newest whole record of one submission, task, machine and device. Missing numbers stay missing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from leaderboard import text
from suite import index
from suite.manifest import KINDS
from suite.record import Measurement, Record
from suite.store import TASKS, Store, Stored

SHOWN = tuple(text.COLUMNS)
HIDDEN = ("kind", "machine_label", "lineage", "family", "comparable", "started")
COUNTS = ("bytes", "peak_rss_bytes")
NUMBERS = ("value", "low", "high", "change", "change_low", "change_high", "bits_per_weight", "items_per_s")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Board:
    """Everything that the board shows.

    Attributes:
        rows: one row a line of the table, columns `SHOWN` and `HIDDEN`.
        tasks: task name -> its description as a run wrote it; tasks without one are absent.
        problems: files that cannot be read, one line each.
        limited: records left out because they are of a part of their task only.
        lengths: column -> characters of its longest cell.
        indexed: whether the paired changes were ever computed for this folder.
    """

    rows: pd.DataFrame
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    limited: int = 0
    lengths: Mapping[str, int] = field(default_factory=dict)
    indexed: bool = True


def signature(root: Path) -> str:
    """Digest of the names, times and sizes of all files that the board reads: it changes when they do."""
    seen = hashlib.sha256()
    for pattern in ("*/*/*.json", f"{TASKS}/*.json", ".index/*.json"):
        for path in sorted(root.glob(pattern)):
            try:
                stat = path.stat()
            except OSError:  # gone since it was listed
                continue
            seen.update(f"{path}\0{stat.st_mtime_ns}\0{stat.st_size}\n".encode(errors="surrogateescape"))
    return seen.hexdigest()


def load(root: Path) -> Board:
    """Read a folder of records; what cannot be read is told in `problems`."""
    store, problems = Store(root), list[str]()
    stored = sorted(store.scan(on_problem=problems.append), key=lambda s: s.record.provenance.started)
    newest = _newest(stored)
    tasks = {}
    for task, folder in {s.record.task: s.path.parent.name for s in newest}.items():
        described = _description(root / TASKS / f"{folder}.json", problems)
        if described is not None:
            tasks[task] = described
    parents = {s.record.manifest.name: s.record.manifest.parent for s in stored}
    changes = index.read(store)
    formats = {s.record.manifest.name: s.record.manifest.format for s in stored}
    rows = [_row(s, tasks.get(s.record.task), changes, parents, formats) for s in newest]
    limited = sum(s.record.limit is not None for s in stored)
    frame = _frame(rows)
    return Board(frame, tasks, tuple(problems), limited, _lengths(frame), index.path(store).is_file())


def select(
    rows: pd.DataFrame, kinds: Collection[str] = (), tasks: Collection[str] = (), machines: Collection[str] = ()
) -> pd.DataFrame:
    """The rows that pass the filters (an empty one lets all pass), in family order, with the column `depth`."""
    for column, wanted in (("kind", kinds), ("task", tasks), ("machine_label", machines)):
        if wanted:
            rows = rows[rows[column].isin(wanted)]
    place: dict[tuple[str, str], tuple[int, int]] = {}
    for task, part in rows.groupby("task"):
        lineage = dict(zip(part["submission"], part["lineage"], strict=True))
        place |= {(task, name): (i, depth) for i, (name, depth) in enumerate(family_order(lineage))}
    places = [place[key] for key in zip(rows["task"], rows["submission"], strict=True)]
    rows = rows.assign(
        depth=pd.Series([depth for _, depth in places], index=rows.index, dtype="int64"),
        position=[position for position, _ in places],
        order=rows["kind"].map({kind: i for i, kind in enumerate(KINDS)}),
    )
    rows = rows.sort_values(["order", "task", "position", "machine_label", "device"], kind="stable")
    return rows.drop(columns=["order", "position"]).reset_index(drop=True)


def family_order(lineage: Mapping[str, Sequence[str]]) -> list[tuple[str, int]]:
    """Names with their depth, every model right after the one it came from; siblings by name.

    A model stands under the nearest of its ancestors that is here, and at the top when none is.

    Args:
        lineage: name -> its ancestors, nearest first.
    """
    children: dict[str | None, list[str]] = {}
    for name in sorted(lineage):
        above = next((a for a in lineage[name] if a in lineage), None)
        children.setdefault(above, []).append(name)
    order: list[tuple[str, int]] = []
    stack = [(name, 0) for name in reversed(children.get(None, []))]
    while stack:
        name, depth = stack.pop()
        order.append((name, depth))
        stack += [(child, depth + 1) for child in reversed(children.get(name, []))]
    return order


def shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Selected rows as they stand on the screen: shown columns, children indented, directions as arrows."""
    names = [text.indented(name, depth) for name, depth in zip(rows["submission"], rows["depth"], strict=True)]
    arrows = [text.direction(b if isinstance(b, str) else None) for b in rows["better"]]
    return rows[list(SHOWN)].assign(submission=names, better=arrows)


def to_csv(rows: pd.DataFrame) -> bytes:
    """The shown rows and columns; missing values are empty, a text that a spreadsheet would run is quoted by '."""
    safe = rows[list(SHOWN)].copy()
    for name, column in text.COLUMNS.items():
        if column.look == "text":
            safe[name] = [f"'{v}" if isinstance(v, str) and v.startswith(_FORMULA) else v for v in safe[name]]
    return str(safe.to_csv(index=False)).encode()


def to_json(rows: pd.DataFrame) -> bytes:
    """The shown rows and columns as a list of objects; missing values are null."""
    records = rows[list(SHOWN)].astype(object).to_dict("records")
    clean = [{k: None if pd.isna(v) else v for k, v in record.items()} for record in records]
    return (json.dumps(clean, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def facts(described: Mapping[str, Any]) -> list[str]:
    """What is known of a task, one line each: chance level, source and licence of its data."""
    data = described.get("data")
    data = data if isinstance(data, dict) else {}
    chance = _finite(described.get("chance"))
    said = [f"Chance level: {text.number(chance)}"] if chance is not None else []
    said += [f"Data: {data['source']}"] if isinstance(data.get("source"), str) else []
    return said + ([f"Licence of the data: {data['licence']}"] if isinstance(data.get("licence"), str) else [])


def _newest(stored: Iterable[Stored]) -> list[Stored]:
    """The last whole record per submission, task, machine and device of records in the order of their start."""
    whole = [s for s in stored if s.record.limit is None]
    replaced = {s.record.supersedes for s in whole}
    kept = {}
    for s in whole:
        if s.path.stem not in replaced:
            machine = s.record.machine
            kept[s.record.manifest.name, s.record.task, machine.id, machine.device] = s
    return list(kept.values())


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


def _row(
    stored: Stored,
    described: Mapping[str, Any] | None,
    changes: Any,
    parents: Mapping[str, str | None],
    formats: Mapping[str, str],
) -> dict[str, Any]:
    record = stored.record
    manifest, machine = record.manifest, record.machine
    lineage = _lineage(manifest.name, parents)
    primary, why = _primary(record, described)
    better = {True: "higher", False: "lower", None: None}[primary.higher_is_better]
    value = _finite(primary.value)
    low, high = (None, None) if value is None else (_finite(primary.low), _finite(primary.high))
    change = _change(changes, stored.path.stem, primary.name)
    delta_low, delta_high = _finite(change.get("low")), _finite(change.get("high"))
    runtime = text.elsewhere(manifest.format, formats.get(manifest.parent or ""))
    notes = [why or primary.reason, change.get("reason") if change else _uncompared(manifest.parent), runtime]
    return {
        "submission": manifest.name,
        "task": record.task,
        "data": "generated" if record.generated_data else "real",
        "metric": primary.name + (f" ({primary.unit})" if primary.unit else ""),
        "better": better,
        "value": value,
        "low": low,
        "high": high,
        "change": _finite(change.get("value")),
        "change_low": delta_low,
        "change_high": delta_high,
        "verdict": text.verdict(delta_low, delta_high, better),
        **{name: _reading(record, name) for name in (*COUNTS, "bits_per_weight", "items_per_s")},
        "format": manifest.format,
        "method": manifest.compression.method if manifest.compression else None,
        "title": manifest.title,
        "parent": manifest.parent,
        "task_version": record.task_version,
        "protocol": record.protocol,
        "machine": machine.id,
        "device": machine.device,
        "date": record.provenance.started[:10],
        "source": record.source,
        "note": "; ".join(str(n) for n in notes if n) or None,
        "kind": manifest.kind,
        "machine_label": text.machine(machine.id, machine.cpu, machine.cores, machine.gpu),
        "lineage": lineage,
        "family": lineage[-1] if lineage else manifest.name,
        "comparable": (record.task_version, record.protocol, record.data_sha256),
        "started": record.provenance.started,
    }


def _primary(record: Record, described: Mapping[str, Any] | None) -> tuple[Measurement, str | None]:
    """The task's primary measurement, and why there is none; without a description the record's first."""
    name = described.get("primary") if described else None
    if isinstance(name, str):
        found, why = record.measurement(name), f"the record has no {name}"
    else:
        name, why = "(none)", "the record has no measurements"
        found = record.measurements[0] if record.measurements else None
    return (found, None) if found else (Measurement(name=name, value=None, unit="", higher_is_better=None, n=0), why)


def _lineage(name: str, parents: Mapping[str, str | None]) -> tuple[str, ...]:
    """Ancestors, nearest first, as far as records name them; none for a model that is its own ancestor."""
    above: list[str] = []
    parent = parents.get(name)
    while parent is not None and parent not in above:
        if parent == name:
            return ()
        above.append(parent)
        parent = parents.get(parent)
    return tuple(above)


def _change(changes: Any, stem: str, metric: str) -> Mapping[str, Any]:
    """The paired difference that the index holds; empty when it has none. The index may be damaged."""
    found = changes
    for key in (stem, "differences", metric):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _uncompared(parent: str | None) -> str | None:
    return f"not compared with {parent} (no comparable record, or not yet indexed: hallmark board)" if parent else None


def _lengths(rows: pd.DataFrame) -> dict[str, int]:
    """Characters of the longest cell of each column as `shown` gives it."""
    seen = shown(rows.assign(depth=[len(above) for above in rows["lineage"]]))
    return {name: max(map(column.length, seen[name].dropna()), default=0) for name, column in text.COLUMNS.items()}


def _reading(record: Record, name: str) -> float | None:
    measurement = record.measurement(name)
    return None if measurement is None else _finite(measurement.value)


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[*SHOWN, *HIDDEN], dtype=object)
    for name in NUMBERS:
        frame[name] = frame[name].astype("float64")
    for name in COUNTS:
        frame[name] = frame[name].astype("float64").round().astype("Int64")
    return frame

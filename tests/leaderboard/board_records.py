"""Stores of records for the board's tests: each number is chosen by the test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support import REPOSITORY

from suite import paired_index, record
from suite.store import Store

TEMPLATE = json.loads((REPOSITORY / "tests" / "fixtures" / "record.json").read_text())


def measurement(name: str, value: float | None, unit: str = "", higher: bool | None = True, **more: Any) -> Any:
    return {"name": name, "value": value, "unit": unit, "higher_is_better": higher, "n": 100, **more}


def put(
    root: Path,
    name: str,
    *,
    parent: str | None = None,
    task: str = "digits",
    kind: str = "classification",
    value: float | None = 0.9,
    low: float | None = None,
    high: float | None = None,
    size: float | None = 1000,
    metric: str = "accuracy",
    higher: bool | None = True,
    started: str = "2026-01-01T00:00:00Z",
    machine: str = "aaaa",
    device: str = "cpu",
    manifest: dict[str, Any] | None = None,
    **more: Any,
) -> str:
    """Publish a record; gives its file stem."""
    about = {**TEMPLATE["manifest"], "name": name, "title": f"{name} for a test", "kind": kind, "parent": parent}
    readings = [measurement("bytes", size, "B", higher=False)] if size is not None else []
    fields = {
        **TEMPLATE,
        "manifest": {**about, **(manifest or {})},
        "task": task,
        "machine": {**TEMPLATE["machine"], "id": machine, "device": device},
        "measurements": [measurement(metric, value, "", higher, low=low, high=high), *readings],
        "provenance": {**TEMPLATE["provenance"], "started": started},
        **more,
    }
    new, store = record.Record.model_validate(fields), Store(root)
    with store.unit(new.unit_key) as journal:
        return store.publish(new, {}, journal).stem


def describe(root: Path, task: str = "digits", primary: str = "accuracy", **more: Any) -> None:
    """What a run writes of a task."""
    data = {"source": "somewhere", "licence": "CC0-1.0", "generated": False}
    Store(root).describe_task(task, {"name": task, "title": f"The {task}", "primary": primary, "data": data, **more})


def compare(root: Path, stem: str, metric: str = "accuracy", **change: Any) -> None:
    """Put a paired difference into the index."""
    store = Store(root)
    known = paired_index.read(store)
    entry = {"parent": "x", "differences": {metric: {"method": "bootstrap", "n": 100, "n_clusters": 100, **change}}}
    paired_index.write(store, {**known, stem: entry})


def family(root: Path) -> None:
    """A parent of 4 MB, a child, and the child's child, on one task with a description and paired changes."""
    describe(root, chance=0.1)
    put(root, "zebra", value=0.95, low=0.93, high=0.97, size=4_000_000)
    child = put(root, "int8", parent="zebra", value=0.94, low=0.92, high=0.96, size=1_000_000)
    put(root, "int8-pruned", parent="int8", value=0.80, low=0.77, high=0.83, size=2_000_000)
    compare(root, child, value=-0.01, low=-0.02, high=-0.001, reason=None)

"""Paired differences of every record that has a parent, kept in ``<results>/.index/paired.json`` for the board.

The board knows no task, so it cannot compute them; `refresh` runs where the tasks are known (``hallmark run`` and
``hallmark board``), computes only what is new, and can be deleted at any time.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suite.compare import Paired, beside_parent
from suite.disk import disk_errors
from suite.errors import HallmarkError
from suite.store import Store, Stored
from suite.task import AnyTask

Index = dict[str, dict[str, Any]]


def path(store: Store) -> Path:
    """Where a store's index lies, once `refresh` has run."""
    return store.root / ".index" / "paired.json"


def read(store: Store) -> Index:
    """Record stem -> {"parent": stem, "differences": {metric: difference}}; empty when there is no readable index."""
    try:
        found: Index = json.loads(path(store).read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def refresh(store: Store, tasks: Mapping[str, AnyTask]) -> Index:
    """Bring the index up to date with the records; gives it."""
    old, stored = read(store), list(store.scan())
    new = {s.path.stem: entry for s in stored if (entry := _entry(s, store, tasks, old))}
    target = path(store)
    if new != old or (stored and not target.exists()):
        with disk_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(new, sort_keys=True))
            temporary.replace(target)
    return new


def _entry(child: Stored, store: Store, tasks: Mapping[str, AnyTask], old: Index) -> dict[str, Any] | None:
    task, parent_name = tasks.get(child.record.task), child.record.manifest.parent
    if task is None or parent_name is None or task.version != child.record.task_version:
        return None
    known = old.get(child.path.stem)
    newest = store.latest(parent_name, child.record.task)
    if known is not None and newest is not None and known["parent"] == newest.path.stem:
        return known
    try:
        paired = beside_parent(child, store, task.scored)
    except HallmarkError:  # a damaged record: `hallmark verify` tells, the board shows it without a comparison
        return None
    if not isinstance(paired, Paired):
        return None
    changes = {name: dataclasses.asdict(d) for name, d in paired.differences.items()}
    return {"parent": paired.parent.path.stem, "differences": changes}

"""Rankings: rank intervals of every task's records, kept in ``<results>/.index/rankings.json`` for the board.

The board knows no task, so it cannot resample; `refresh` runs in ``hallmark board``. A task is ranked again when its
set of records has changed. A task with more than `MOST` models is not ranked here: all pairs are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from suite import index
from suite.disk import disk_errors, write_synced
from suite.errors import HallmarkError
from suite.standing import stand
from suite.store import Store
from suite.task import AnyTask

MOST = 500
_FEWEST = 2
_COLUMNS = ("stem", "submission", "task", "limit", "started", "outcomes_sha256", "problem")
Ranked = dict[str, Any]


def read(store: Store) -> list[Ranked]:
    """One entry a ranked record: stem, rank_low, rank_high, group_first, group_last (no group: 1 to 0)."""
    return [line for entry in _kept(store).values() for line in entry["places"]]


def refresh(store: Store, tasks: Mapping[str, AnyTask], announce: Callable[[str], None] | None = None) -> None:
    """Rank the records of every known task on its primary metric, if they changed; the index must be in date."""
    if index.kept_elsewhere(store):
        return
    old, new = _kept(store), {}
    for name, stems in _ranked_stems(store).items():
        known = old.get(name)
        task = tasks.get(name)
        if known is not None and known["stems"] == stems:
            new[name] = known
        elif task is not None and _FEWEST <= len(stems) <= MOST:
            if announce:
                announce(f"ranking {len(stems)} models on {name}")
            new[name] = {"stems": stems, "places": _places(store, task, stems)}
            _write(store, {**old, **new})  # each task's ranks are shown as soon as they are there
    if new != _kept(store):
        _write(store, new)


def _write(store: Store, ranked: Mapping[str, Any]) -> None:
    target = index.folder(store) / "rankings.json"
    with disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_synced(target, json.dumps(ranked).encode())


def _places(store: Store, task: AnyTask, stems: Mapping[str, str]) -> list[Ranked]:
    try:
        standing = stand(store, (), [task])
    except HallmarkError:  # fewer than two comparable ones, or damaged outcomes: `hallmark rank` tells
        return []
    return [
        {
            "stem": stems[place.submission],
            "rank_low": place.rank_low,
            "rank_high": place.rank_high,
            "group_first": min(place.groups, default=1),
            "group_last": max(place.groups, default=0),
        }
        for place in standing.places
        if place.submission in stems
    ]


def _ranked_stems(store: Store) -> dict[str, dict[str, str]]:
    """Task -> submission -> file stem of the record that `stand` takes: the newest whole one with outcomes."""
    found: dict[str, dict[str, str]] = {}
    rows = index.records(store, _COLUMNS).to_pylist()
    for line in sorted((r for r in rows if r["problem"] is None), key=lambda r: str(r["started"])):
        if line["limit"] is None and line["outcomes_sha256"] is not None:
            found.setdefault(line["task"], {})[line["submission"]] = line["stem"]
    return {task: dict(sorted(stems.items())) for task, stems in sorted(found.items())}


def _kept(store: Store) -> dict[str, Any]:
    try:
        found = json.loads((index.folder(store) / "rankings.json").read_bytes())
        return {task: {"stems": dict(e["stems"]), "places": list(e["places"])} for task, e in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}

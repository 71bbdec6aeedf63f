"""Entrants: the records of a set of submissions and tasks that can be ranked together, and why others cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.outcomes import ITEM
from suite.store import Store, Stored
from suite.task import AnyTask


@dataclass
class Entrants:
    """Records that can be ranked together.

    Attributes:
        found: task -> submission -> its newest complete record.
        excluded: submission -> why it cannot be ranked.
    """

    found: dict[str, dict[str, Stored]] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """All that were found, the first task's first."""
        return list(dict.fromkeys(name for found in self.found.values() for name in found))


def collect(store: Store, names: Sequence[str], tasks: Sequence[AnyTask]) -> Entrants:
    """The newest complete records of submissions (empty: of all) on tasks, as far as they can be compared."""
    collected = Entrants()
    for task in tasks:
        newest = _newest(store, task.name, names)
        common = Counter(_terms_of(stored) for stored in newest.values()).most_common(1)
        for name, stored in list(newest.items()):
            if stored.record.contended:
                collected.excluded.setdefault(name, f"{task.name}: contended: {stored.record.contended}")
            if _terms_of(stored) != common[0][0]:
                collected.excluded.setdefault(name, f"{task.name}: another version, protocol or data than most")
        collected.found[task.name] = newest
    for name in [*names, *collected.names()]:
        absent = next((task.name for task in tasks if name not in collected.found[task.name]), None)
        if absent is not None:
            collected.excluded.setdefault(name, f"no complete record of {absent} with outcomes")
    _same_items(collected)
    return collected


def _newest(store: Store, task: str, names: Sequence[str]) -> dict[str, Stored]:
    newest: dict[str, Stored] = {}
    for stored in store.scan(task=task):
        record = stored.record
        name = record.manifest.name
        if record.limit is not None or record.outcomes_sha256 is None or (names and name not in names):
            continue
        if record.source == "imported":  # its items have another tool's columns
            continue
        if name not in newest or newest[name].record.provenance.started <= record.provenance.started:
            newest[name] = stored
    return newest


def _terms_of(stored: Stored) -> tuple[str, str, str]:
    return stored.record.task_version, stored.record.protocol, stored.record.data_sha256


def _same_items(collected: Entrants) -> None:
    """Leave out whoever has other items than the first one of a task."""
    for task, found in collected.found.items():
        items: NDArray[Any] | None = None
        for name, stored in found.items():
            if name in collected.excluded:
                continue
            own = np.asarray(stored.outcomes().column(ITEM).to_pylist(), dtype=str)
            items = own if items is None else items
            if not np.array_equal(items, own):
                collected.excluded[name] = f"{task}: other items (another tokenizer cuts the text differently)"

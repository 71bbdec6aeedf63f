"""Costs of a model: size, speed, memory and energy beside the parent's, as tables of a record. Pure.

Numbers that depend on the machine are held beside the parent's only where both were measured on the same one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from suite import timings
from suite.record import Measurement, Record

_MARK = "[scenario="
_SIZES = frozenset({"B", "bit", "J", "W", "s", "1/s"})
_COUNTS = frozenset({"parameters", "unpacked_parameters", "nonzero_weights", "distinct_values", "sparsity"})


def is_cost(m: Measurement) -> bool:
    """Whether a measurement is one of size, speed, memory or energy, not of quality."""
    return m.unit in _SIZES or m.name in _COUNTS or timings.of_machine(m)


def readings(record: Record, parent: Record | None) -> pd.DataFrame:
    """A row a number: number, unit, value, low, high, parent's, child / parent, why something is missing."""
    rows: list[dict[str, Any]] = []
    for m in record.measurements:
        if is_cost(m) and _MARK not in m.name:
            theirs, why = _beside(record, parent, m)
            ratio = m.value / theirs if m.value is not None and theirs else None
            rows.append(
                {
                    **{"number": m.name, "unit": m.unit, "value": m.value, "low": m.low, "high": m.high},
                    **{"parent's": theirs, "child / parent": ratio, "why missing": m.reason or why},
                }
            )
    names = ["number", "unit", "value", "low", "high", "parent's", "child / parent", "why missing"]
    out = pd.DataFrame(rows, columns=names)
    return out.astype(dict.fromkeys(("value", "low", "high", "parent's", "child / parent"), "float64"))


def scenarios(record: Record) -> pd.DataFrame:
    """Timings: a row a scenario, a column a measurement with its unit; empty where nothing was timed."""
    found: dict[str, dict[str, Any]] = {}
    for m in _timed(record.measurements):
        stem, _, scenario = m.name.partition(_MARK)
        heading = f"{stem} ({m.unit})" if m.unit else stem
        row = found.setdefault(scenario.removesuffix("]"), {})
        row[heading] = m.value
        if m.low is not None and stem.endswith("_ratio"):
            row[f"{stem}: low"], row[f"{stem}: high"] = m.low, m.high
    out = pd.DataFrame([{"scenario": name, **row} for name, row in found.items()])
    return out.dropna(axis="columns", how="all") if len(out) else out


def missing(record: Record) -> list[str]:
    """Timings that could not be had, one line a reason."""
    by_reason: dict[str, list[str]] = {}
    for m in _timed(record.measurements):
        if m.value is None:
            by_reason.setdefault(m.reason or "no reason given", []).append(m.name)
    return [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]


def _timed(measurements: Iterable[Measurement]) -> list[Measurement]:
    return [m for m in measurements if _MARK in m.name]


def _beside(record: Record, parent: Record | None, m: Measurement) -> tuple[float | None, str | None]:
    if parent is None:
        return None, None
    theirs = timings.baseline_value(parent, record, m.name)
    if theirs is None or theirs.value is None:
        return None, None
    why = timings.elsewhere(parent, record) if timings.of_machine(m) else None
    return (None, f"the parent was {why}") if why else (theirs.value, None)

"""Entry: one record as one flat row of the index, so that a board can show a hundred thousand without opening a file.

What a row keeps of the measurements: the task's primary metric with its interval, calibration, the worst group and the
widest gap of the primary metric, and the readings of size, speed and memory. Everything else stays in the record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Literal

from suite.record import Measurement, Record

Type = Literal["string", "float64", "int64", "bool"]
READINGS = (
    *("bytes", "bits_per_weight", "parameters", "items_per_s", "latency_p50_s", "latency_ratio"),
    *("peak_rss_bytes", "energy_j"),
)
CALIBRATION = ("ece_15", "ece_15[scope=band]", "ece_15[scope=all]", "ece_15_case")
_NORMALISED = "_norm"  # of choices: scores by the character have a calibration of their own
_STRINGS = (
    *("path", "stem", "problem", "submission", "task", "kind", "format", "method", "title", "parent", "series"),
    *("licence", "operating_point", "weights_sha256", "task_version", "protocol", "data_sha256", "machine", "cpu"),
    *("gpu", "device", "started", "source", "sandbox", "supersedes", "primary", "metric", "unit", "better", "reason"),
    *("calibration_metric", "worst_group_metric", "gap_metric", "outcomes_sha256"),
)
_NUMBERS = (
    *("bits", "sparsity", "value", "low", "high", "calibration", "worst_group", "gap"),
    *READINGS,
)
_COUNTS = ("mtime_ns", "file_bytes", "cores", "threads", "seed", "limit", "n")
COLUMNS: dict[str, Type] = {
    **dict.fromkeys(_STRINGS, "string"),
    **dict.fromkeys(_COUNTS, "int64"),
    **dict.fromkeys(_NUMBERS, "float64"),
    "generated": "bool",
}
TIMED = ("latency_p50_s", "latency_ratio")  # where a task times scenarios, of the first one
NO_DAY = "1980-01-01"  # the zero of zip archives; that of tar archives is ten years before
_SCENARIO = "[scenario="
_GROUPED = re.compile(r"^(?:worst_group_(?P<worst>[^\[]+)|(?P<gap>[^\[]+)_gap)\[(?P<by>[^\]=]+)\]$")


def day(started: str) -> str | None:
    """The day of a run; None where a file without a date was imported, whose time is the zero of its archive's clock.

    >>> day("2026-01-02T03:04:05Z"), day("1970-01-01T00:00:00.000000Z")
    ('2026-01-02', None)
    """
    return started[:10] if started[:10] > NO_DAY else None


def row(record: Record, primary: str | None) -> dict[str, Any]:
    """The flat row of a record; absent numbers are None. The index adds the file's path, stem, time and size.

    Args:
        record: any record.
        primary: the task's primary metric as its description names it; None takes the record's first measurement.
    """
    manifest, machine = record.manifest, record.machine
    compression, main = manifest.compression, _primary(record, primary)
    return {
        **dict.fromkeys(COLUMNS),
        "submission": manifest.name,
        "task": record.task,
        "kind": manifest.kind,
        "format": manifest.format,
        "method": compression.method if compression else None,
        "bits": compression.bits if compression else None,
        "sparsity": compression.sparsity if compression else None,
        "title": manifest.title,
        "parent": manifest.parent,
        "series": manifest.series,
        "licence": manifest.licence,
        "operating_point": json.dumps(manifest.operating_point, sort_keys=True) if manifest.operating_point else None,
        "weights_sha256": manifest.sha256,
        "task_version": record.task_version,
        "protocol": record.protocol,
        "data_sha256": record.data_sha256,
        "generated": record.generated_data,
        "machine": machine.id,
        "cpu": machine.cpu,
        "gpu": machine.gpu,
        "cores": machine.cores,
        "threads": machine.threads,
        "device": machine.device,
        "started": record.provenance.started,
        "source": record.source,
        "sandbox": record.sandbox,
        "seed": record.seed,
        "limit": record.limit,
        "supersedes": record.supersedes,
        "outcomes_sha256": record.outcomes_sha256,
        "primary": primary,
        **_quality(main),
        **_calibration(record, main.name),
        **_groups(record.measurements, main.name),
        **{name: _value(record, name) for name in READINGS},
    }


def _primary(record: Record, name: str | None) -> Measurement:
    found = record.measurement(name) if name else next(iter(record.measurements), None)
    if found is not None:
        return found
    why = f"the record has no {name}" if name else "the record has no measurements"
    return Measurement(name=name or "(none)", value=None, unit="", higher_is_better=None, n=0, reason=why)


def _quality(main: Measurement) -> dict[str, Any]:
    known = main.value is not None
    return {
        "metric": main.name,
        "unit": main.unit,
        "better": {True: "higher", False: "lower", None: None}[main.higher_is_better],
        "value": main.value,
        "low": main.low if known else None,
        "high": main.high if known else None,
        "reason": main.reason,
        "n": main.n or None,  # imported figures say 0 where their source does not say
    }


def _calibration(record: Record, primary: str) -> dict[str, Any]:
    """The first calibration error of `CALIBRATION` that the record has a value of."""
    names = ("ece_15_norm", *CALIBRATION) if primary.endswith(_NORMALISED) else CALIBRATION
    for name in names:
        value = _value(record, name)
        if value is not None:
            return {"calibration": value, "calibration_metric": name}
    return {}


def _groups(measurements: Iterable[Measurement], primary: str) -> dict[str, Any]:
    """The worst of the worst groups, and the widest of the gaps, over all groupings of the primary metric."""
    worst: list[Measurement] = []
    gaps: list[Measurement] = []
    for m in measurements:
        match = _GROUPED.match(m.name)
        if match and m.value is not None and primary in (match["worst"], match["gap"]):
            (worst if match["worst"] else gaps).append(m)
    found: dict[str, Any] = {}
    if worst:
        sign = -1 if worst[0].higher_is_better is False else 1
        lowest = min(worst, key=lambda m: sign * (m.value or 0.0))
        found |= {"worst_group": lowest.value, "worst_group_metric": lowest.name}
    if gaps:
        widest = max(gaps, key=lambda m: m.value or 0.0)
        found |= {"gap": widest.value, "gap_metric": widest.name}
    return found


def _value(record: Record, name: str) -> float | None:
    measurement = record.measurement(name)
    if measurement is None and name in TIMED:
        measurement = next((m for m in record.measurements if m.name.startswith(name + _SCENARIO)), None)
    return None if measurement is None else measurement.value

"""Records as a flat table, one line a measurement: CSV that `hallmark import` reads again, and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from suite.record import Record


def lines(records: Iterable[Record]) -> list[dict[str, Any]]:
    """One mapping a measurement, the columns of an import first."""
    return [
        {
            "submission": record.manifest.name,
            "kind": record.manifest.kind,
            "task": record.task,
            "metric": m.name,
            "value": m.value,
            "low": m.low,
            "high": m.high,
            "unit": m.unit,
            "higher_is_better": m.higher_is_better,
            "n": m.n,
            "parent": record.manifest.parent,
            "title": record.manifest.title,
            "method": record.manifest.compression.method if record.manifest.compression else None,
            "bits": record.manifest.compression.bits if record.manifest.compression else None,
            "licence": record.manifest.licence,
            "task_version": record.task_version,
            "protocol": record.protocol,
            "reason": m.reason,
            "source": record.source,
            "machine": record.machine.id,
            "threads": record.machine.threads,
            "format": record.manifest.format,
            "data_sha256": record.data_sha256,
            "started": record.provenance.started,
            "limit": record.limit,
            "unit_key": record.unit_key,
        }
        for record in records
        for m in record.measurements
    ]


def to_csv(records: Iterable[Record]) -> str:
    """CSV text; an empty cell is a value that is missing, and then `reason` says why. Numbers keep every digit."""
    found = lines(records)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(found[0]) if found else [], lineterminator="\n")
    writer.writeheader()
    for line in found:
        writer.writerow({name: _cell(value) for name, value in line.items()})
    return out.getvalue()


def to_parquet(records: Iterable[Record]) -> bytes:
    """The same as Parquet bytes."""
    from suite import outcomes

    return outcomes.to_parquet(outcomes.to_table(lines(records)))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)

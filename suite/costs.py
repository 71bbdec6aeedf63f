"""Costs: what a unit's batches took, as the probes see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from suite.check import readings
from suite.probes.base import Batch, Observed, Probe
from suite.unit import Unit

if TYPE_CHECKING:
    import pyarrow as pa

COST = b"hallmark.batch"


def observed(unit: Unit, tables: list[pa.Table], rss_before: int | None, resumed: bool) -> Observed:
    """What the probes may read: the files' facts, and the cost of every batch."""
    prepared, costs = unit.prepared, []
    for table in tables:
        items, seconds, cpu, peak = (table.schema.metadata or {})[COST].decode().split()
        costs.append(Batch(int(items), float(seconds), float(cpu), int(peak) or None))
    return Observed(
        file_bytes=prepared.file_bytes,
        tensor_bytes=prepared.description.tensor_bytes,
        parameters=prepared.description.parameters,
        parent_parameters=prepared.parent_parameters,
        rss_before_load_bytes=rss_before,
        batches=costs,
        resumed=resumed,
        alone=unit.parent is None,
        static=readings(unit.prepared).series,
        instead={"clock": "an item is a burst of calls here; see latency and throughput"} if unit.task.timed else {},
        computed=not unit.prepared.predictions,
    )


def read(probes: Sequence[Probe], observed: Observed) -> tuple[dict[str, list[float]], dict[str, str]]:
    """All raw series, and why some probes have none."""
    series: dict[str, list[float]] = {}
    why_not: dict[str, str] = {}
    for probe in probes:
        why = probe.unavailable() if observed.computed else "predictions only: no model was run"
        why = observed.instead.get(probe.name, why)
        if why:
            why_not[probe.name] = why
        else:
            series |= {name: values for name, values in probe.read(observed).items() if values}
    return series, why_not

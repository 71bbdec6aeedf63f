"""Time inside the model's process: throughput of the scoring run itself. It is no latency protocol."""

from __future__ import annotations

from suite.probes.base import Observed, Probe, Reading, Series


def _rate(series: Series) -> float:
    """Items per second over all batches but the first, which warms up, if there are others."""
    first = 1 if len(series["batch_seconds"]) > 1 else 0
    return sum(series["batch_items"][first:]) / sum(series["batch_seconds"][first:])


class Clock(Probe):
    """Wall and processor time of every batch, measured in the child."""

    name = "clock"
    title = "wall and processor time of every batch in the model's process"
    readings = (
        Reading("items_per_s", "1/s", True, ("batch_seconds", "batch_items"), _rate),
        Reading(
            "cpu_s_per_item",
            "s",
            False,
            ("batch_cpu_seconds", "batch_items"),
            lambda s: sum(s["batch_cpu_seconds"]) / sum(s["batch_items"]),
        ),
    )

    def read(self, observed: Observed) -> dict[str, list[float]]:
        """Seconds, processor seconds and items of every batch."""
        return {
            "batch_seconds": [b.seconds for b in observed.batches],
            "batch_cpu_seconds": [b.cpu_seconds for b in observed.batches],
            "batch_items": [float(b.items) for b in observed.batches],
        }

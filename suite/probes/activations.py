"""Activations: how many are zero on a sample, and which units never fire; counted in the child by `suite.formats`."""

from __future__ import annotations

from suite.probes.base import Observed, Probe, Reading


class Activations(Probe):
    """Share of activations that are exactly 0, and of units that are 0 on all of up to 32 items."""

    name = "activations"
    title = "share of zero activations and of dead units on a sample of 32 items (hallmark run --activations)"
    readings = (
        Reading(
            "activation_sparsity",
            "",
            None,
            ("activation_zeros", "activations"),
            lambda s: sum(s["activation_zeros"]) / sum(s["activations"]),
        ),
        Reading("dead_unit_rate", "", False, ("dead_units", "units"), lambda s: sum(s["dead_units"]) / sum(s["units"])),
    )

    def read(self, observed: Observed) -> dict[str, list[float]]:
        """One sample for every place that activates."""
        return {name: list(values) for name, values in observed.activations.items()}

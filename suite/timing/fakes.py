"""Metronome: a stopwatch whose calls take what a seeded clock says, so that ratios are known beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from suite.model import Facts
from suite.timing.scenario import Answer

NOISE = 0.07  # standard deviation of ln(seconds): what an idle machine showed for calls of 34 ms
DRIFT = 0.10  # of all calls of a burst together
LAYOUT = 0.01  # of all calls of a process


class Metronome:
    """Calls take `seconds` x lognormal noise: one factor a call, one a burst, one a process; all of it processor time.

    Args:
        seconds: median of one call.
        seed: of the noise.
        waiting: wall time over processor time.
        load: load average that it reports.
    """

    def __init__(self, seconds: float, seed: int = 0, waiting: float = 1.0, load: float = 0.0) -> None:
        self.facts = Facts(dtype="none")
        self._seconds, self._waiting, self._load = seconds, waiting, load
        self._rng = np.random.default_rng(seed)
        self.restart()

    def restart(self) -> None:
        """See `suite.timing.scenario.Stopwatch.restart`."""
        self._layout = self._rng.normal(scale=LAYOUT)

    def loaded(self) -> None:
        """At once."""

    def timed(self, orders: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """See `suite.timing.scenario.Stopwatch.timed`."""
        return [self._answer(order) for order in orders]

    def _answer(self, order: Mapping[str, Any]) -> Answer:
        if order["what"] == "memory":
            return {"load_peak": np.array([100.0]), "forward_peak": np.array([150.0]), "stored": np.array([80.0])}
        if order["what"] == "energy":
            nothing: Any = {"energy_source": [""], "energy_reason": ["a fake uses no energy"]}
            return dict(nothing)
        calls = max(1, round(order["seconds"] / self._seconds))
        burst = self._layout + self._rng.normal(scale=DRIFT)
        cpu = self._seconds * np.exp(burst + self._rng.normal(scale=NOISE, size=calls))
        wall = cpu * self._waiting
        tokens = {"first_seconds": wall / order["new"], "last_seconds": wall} if order["new"] else {}
        facts = {"batch": max(1, order["batch"]), "warmups": 10, "stable": 1, "load": self._load}
        facts |= {"threads": 1, "cores": 2}
        return {"seconds": wall, "cpu_seconds": cpu, **tokens,
                **{name: np.array([float(value)]) for name, value in facts.items()}}  # fmt: skip

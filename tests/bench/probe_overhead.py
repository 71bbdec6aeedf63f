"""What the probes cost the run that they measure: the same unit with probes on and off, in turns.

    python tests/bench/probe_overhead.py [--quick] [--json]      # 16 pairs, or as many as begin within four minutes

Two figures, for the second is below what a busy machine can resolve in the first: the median over pairs of (wall time
with probes / without - 1) with its 95 % bootstrap interval, and the time spent inside the probes' own methods as a
share of the run with them. Within a pair, either way takes its turn to be first. The target is below 0.02.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from suite import measure, submission
from suite import run as runs
from suite.probes import PROBES
from suite.probes.base import Observed, Probe
from suite.store import Store
from suite.unit import Options, units
from tasks import TASKS

SPENT = [0.0]
PAIRS, LIMIT_S, TARGET = 16, 240.0, 0.02


def interval(ratios: list[float]) -> list[float]:
    """95 % percentile bootstrap interval of the median over pairs."""
    draws = np.random.default_rng(0).choice(ratios, size=(2000, len(ratios)))
    return [float(end) for end in np.quantile(np.median(draws, axis=1), (0.025, 0.975))]


class Metered(Probe):
    """A probe, with a clock around all that it does."""

    def __init__(self, make: Any) -> None:
        self._inner: Probe = self._timed(make)
        self.name = self._inner.name

    def unavailable(self) -> str | None:
        return self._timed(self._inner.unavailable)

    def __enter__(self) -> Metered:
        self._timed(self._inner.__enter__)
        return self

    def __exit__(self, *error: object) -> None:
        self._timed(lambda: self._inner.__exit__(*error))

    def read(self, observed: Observed) -> dict[str, list[float]]:
        return self._timed(lambda: self._inner.read(observed))

    @staticmethod
    def _timed(call: Any) -> Any:
        start = time.perf_counter()
        try:
            return call()
        finally:
            SPENT[0] += time.perf_counter() - start


def once(folder: Path, task: str, probes: dict[str, Any]) -> float:
    """Seconds of one run."""
    with tempfile.TemporaryDirectory() as results, mock.patch.object(runs, "PROBES", probes):
        (unit,) = units([submission.load(folder)], [TASKS[task]], named=True, options=Options(threads=1))
        start = time.perf_counter()
        runs.run(unit, Store(Path(results)))
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 pairs")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    given = parser.parse_args()
    folder, task, pairs = submission.find("embedded-digits").folder, "digits", 2 if given.quick else PAIRS
    on = {name: (lambda make=make: Metered(make)) for name, make in PROBES.items()}
    once(folder, task, {})  # warms the file cache up
    ratios, shares, seconds, began = list[float](), list[float](), list[float](), time.perf_counter()
    for number in range(pairs):
        if ratios and time.perf_counter() - began > LIMIT_S:
            break
        took = {}
        for probes in ({}, on) if number % 2 else (on, {}):
            SPENT[0] = 0.0
            took[bool(probes)] = once(folder, task, probes)
            if probes:
                shares.append(SPENT[0] / took[True])
        ratios.append(took[True] / took[False] - 1)
        seconds += took.values()
    figures = {
        "submission": folder.name, "task": task, "pairs": len(ratios), "probes": len(measure.PROBES),
        "overhead_wall": statistics.median(ratios), "overhead_interval": interval(ratios),
        "share_inside_probes": statistics.median(shares), "target": TARGET,
        "met_by_share": statistics.median(shares) < TARGET, "met_by_wall": interval(ratios)[1] < TARGET,
        "seconds_a_run": statistics.median(seconds), "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name:20} {value}")
    if given.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

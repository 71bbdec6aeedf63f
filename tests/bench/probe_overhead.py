"""What the probes cost the run that they measure: the same unit with probes on and off, in turns.

    python tests/bench/probe_overhead.py [--quick] [--json]

Two figures, for the second is below what a busy machine can resolve in the first: the median over pairs of (wall time
with probes / without - 1), and the time spent inside the probes' own methods as a share of the run with them. The
target is below 0.02.
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

from suite import measure, submission
from suite import run as runs
from suite.probes import PROBES
from suite.probes.base import Observed, Probe
from suite.store import Store
from suite.unit import Options, units
from tasks import TASKS

SPENT = [0.0]


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
    folder, task, pairs = submission.find("embedded-digits").folder, "digits", 2 if given.quick else 10
    on = {name: (lambda make=make: Metered(make)) for name, make in PROBES.items()}
    once(folder, task, {})  # warms the file cache up
    ratios, shares = [], []
    for number in range(pairs):
        took = {}
        for probes in ({}, on) if number % 2 else (on, {}):
            SPENT[0] = 0.0
            took[bool(probes)] = once(folder, task, probes)
            if probes:
                shares.append(SPENT[0] / took[True])
        ratios.append(took[True] / took[False] - 1)
    figures = {
        "submission": folder.name, "task": task, "pairs": pairs, "probes": len(measure.PROBES),
        "overhead_wall": statistics.median(ratios), "share_inside_probes": statistics.median(shares),
        "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name:20} {value}")
    if given.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

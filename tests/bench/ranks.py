"""How long ranks of many submissions on many tasks take: 1,000 x 50 x 1,000 resamples by default.

Usage: python tests/bench/ranks.py [--quick] [--json]

Target: under 5 s of wall time on the default setting, from the outcomes' terms to ranks, intervals and tie groups.
Several threads share the work, so the wall time depends on the number of cores and on what else runs on them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from suite import ranks
from suite.metrics.base import ratio

TARGET_S = 5.0


class Clock:
    """Seconds by part, of wall time and of processor."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.cpu: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add what happens inside to part `name`."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[name] += time.perf_counter() - wall
        self.cpu[name] += time.process_time() - cpu


def rounded(seconds: dict[str, float]) -> dict[str, float]:
    """Seconds to the hundredth."""
    return {name: round(value, 2) for name, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 submissions on 5 tasks")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    asked = parser.parse_args()
    models, tasks, items = (100, 5, 1000) if asked.quick else (1000, 50, 1000)
    rng = np.random.default_rng(0)
    skill = rng.normal(scale=0.3, size=(models, 1))
    clock, samples = Clock(), []
    for _ in range(tasks):  # one task's outcomes at a time: those of all would fill 800 MB
        right = rng.random((models, items)) < 1 / (1 + np.exp(-(skill + rng.normal(size=items))))
        terms = np.stack([right, np.ones_like(right)], axis=2).astype(np.float64)
        with clock.part("resampling"):
            samples.append(ranks.sample(terms, ratio, np.arange(items), larger_is_better=True))
    with clock.part("ranking"):
        found = ranks.ranking(samples)
    scores = found.score_M, found.score_RM
    wall = sum(clock.wall.values())
    with clock.part("of which all pairs"):
        ranks.surely_better(*scores)
    every = np.concatenate([one.resampled_RM for one in samples])
    with clock.part("of which ranks on every task"):
        ranks.average_ranks(every)
    figures = {
        "submissions": models, "tasks": tasks, "items": items, "resamples": ranks.RESAMPLES,
        "wall_s": round(wall, 2), "cpu_s": round(clock.cpu["resampling"] + clock.cpu["ranking"], 2),
        "target_s": TARGET_S, "met": wall < TARGET_S, "cores": os.cpu_count(),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "tie_groups": len(found.groups),
        "parts_wall_s": rounded(clock.wall), "parts_cpu_s": rounded(clock.cpu),
    }  # fmt: skip
    print(f"{models} submissions x {tasks} tasks x {ranks.RESAMPLES} resamples on {os.cpu_count()} cores: "
          f"{figures['wall_s']} s wall, {figures['cpu_s']} s of processor")  # fmt: skip
    for name, seconds in clock.wall.items():
        print(f"  {name}: {seconds:.2f} s wall, {clock.cpu[name]:.2f} s of processor")
    print(f"under {TARGET_S:g} s of wall time: {'yes' if figures['met'] else 'no'}")
    if asked.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

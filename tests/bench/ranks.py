"""How long ranks of many submissions on many tasks take: 1,000 x 50 x 1,000 resamples by default.

Usage: python tests/bench/ranks.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from suite import ranks
from suite.metrics.base import ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 submissions on 5 tasks")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    asked = parser.parse_args()
    models, tasks, items = (100, 5, 1000) if asked.quick else (1000, 50, 1000)
    rng = np.random.default_rng(0)
    skill = rng.normal(scale=0.3, size=(models, 1))
    terms = []
    for _ in range(tasks):
        right = rng.random((models, items)) < 1 / (1 + np.exp(-(skill + rng.normal(size=items))))
        terms.append(np.stack([right, np.ones_like(right)], axis=2).astype(np.float64))
    wall, cpu = time.perf_counter(), time.process_time()
    samples = [ranks.sample(one, ratio, np.arange(items), larger_is_better=True) for one in terms]
    sampled = time.perf_counter() - wall
    found = ranks.ranking(samples)
    figures = {
        "submissions": models, "tasks": tasks, "items": items, "resamples": ranks.RESAMPLES,
        "wall_s": round(time.perf_counter() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2),
        "resampling_s": round(sampled, 2), "tie_groups": len(found.groups),
    }  # fmt: skip
    print(f"{models} submissions x {tasks} tasks x {ranks.RESAMPLES} resamples: {figures['wall_s']} s")
    if asked.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

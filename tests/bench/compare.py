"""How long `hallmark compare` takes for two submissions with 20 tasks and 100,000 items in all, files included.

    python tests/bench/compare.py --json            # three times each; --quick: once
    python tests/bench/compare.py --quick --json

Three mixtures of tasks: right or wrong answers only; a mixture (12 right or wrong, 4 of real values item by item, 4 of
real values in 50 documents); and, at worst, 20 tasks of real values with 5,000 independent items, each a bootstrap of
10,000 resamples. Target: each in under 5 s of wall time, the start of the program included: what a user waits. That
depends on the number of cores and on what else runs on them, so the processor's seconds stand beside it; they do not
count for the target.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [
    str(Path(__file__).resolve().parents[2]),
    str(Path(__file__).resolve().parents[1]),
    str(Path(__file__).resolve().parents[1] / "suite"),
]

TASKS_N, ITEMS = 20, 5_000
MIXTURES = {"right or wrong": (20, 0, 0), "mixture": (12, 4, 4), "real values": (0, 20, 0)}
TARGET_S = 5.0


def rows(draw: np.random.Generator, documents: int | None) -> list[dict[str, Any]]:
    """Outcomes of a classifier of ten classes that is right on about 80 %."""
    from gate_records import digits_columns

    labels = draw.integers(0, 10, ITEMS)
    said = np.where(draw.random(ITEMS) < 0.8, labels, (labels + 1) % 10)
    made = digits_columns(said, labels)
    for i, row in enumerate(made):
        row["nll"] = row["nll"] + float(draw.gamma(2.0, 0.1))
        if documents:
            row["cluster"] = f"d{i % documents}"
    return made


def build(root: Path, counts: tuple[int, int, int]) -> dict[str, Any]:
    """Records of submissions a and b on 20 tasks; the tasks."""
    from gate_records import FIXTURE

    from suite import measure, outcomes, record
    from tasks import TASKS

    kinds = [("accuracy", None)] * counts[0] + [("nll", None)] * counts[1] + [("nll", 50)] * counts[2]
    tasks: dict[str, Any] = {}
    for number, (primary, documents) in enumerate(kinds):
        task = copy.copy(TASKS["digits"])
        task.name, task.primary = f"task{number:02d}", primary
        task.metrics = tuple(m for m in task.metrics if m.name == primary)
        tasks[task.name] = task
        for side in ("a", "b"):
            table = outcomes.to_table(rows(np.random.default_rng([number, ord(side)]), documents))
            content = outcomes.to_parquet(table)
            scores = measure.scores(task.metrics, outcomes.to_columns(table), 0)
            manifest = FIXTURE["manifest"] | {"name": side, "kind": "classification", "sha256": side * 64}
            fields = FIXTURE | {"task": task.name, "task_version": task.version, "manifest": manifest}
            fields |= {"measurements": [m.model_dump() for m in scores], "outcomes_sha256": outcomes.digest(content)}
            folder = root / side / task.name
            folder.mkdir(parents=True)
            (folder / "r.json").write_bytes(record.write(record.Record.model_validate(fields)))
            (folder / "r.parquet").write_bytes(content)
    return tasks


def timed(root: Path, tasks: dict[str, Any]) -> float:
    """Seconds of a comparison, from the names to the printed table."""
    from suite import comparison, sides
    from suite.reports import terminal

    begin = time.perf_counter()
    found = comparison.compare(sides.find("a", root), sides.find("b", root), tasks)
    terminal.comparison(found)
    if len(found.tasks) != TASKS_N or found.left_out:
        raise SystemExit(f"compared {len(found.tasks)} tasks, left out {dict(found.left_out)}")
    return time.perf_counter() - begin


def start_up() -> tuple[float, float]:
    """Seconds of wall time and of processor that the command line takes before it does anything."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "suite", "--version"], check=True, capture_output=True)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Build, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="once each, without the worst case")
    options = parser.parse_args()
    start, start_cpu = start_up()
    report: dict[str, Any] = {"tasks": TASKS_N, "items": TASKS_N * ITEMS, "target_s": TARGET_S, "seconds": {}}
    report |= {"cores": os.cpu_count(), "start_up": {"wall": round(start, 2), "cpu": round(start_cpu, 2)}}
    for name, counts in MIXTURES.items():
        if options.quick and name == "real values":
            continue
        with tempfile.TemporaryDirectory() as folder:
            tasks = build(Path(folder), counts)
            cpu = time.process_time()
            seconds = [timed(Path(folder), tasks) for _ in range(1 if options.quick else 3)]
            cpu = (time.process_time() - cpu) / len(seconds)
        report["seconds"][name] = {"wall": round(float(np.median(seconds)), 2), "cpu": round(cpu, 2)}
        print(f"{name}: {np.median(seconds):.2f} s wall, {cpu:.2f} s of processor")
    report["met"] = all(one["wall"] + start < TARGET_S for one in report["seconds"].values())
    print(f"start of the program: {start:.2f} s wall, {start_cpu:.2f} s of processor")
    met = "yes" if report["met"] else "no"
    print(f"each in under {TARGET_S:g} s of wall time on {os.cpu_count()} cores, start included: {met}")
    if options.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()

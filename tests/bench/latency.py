"""Do repeated latency runs of one pair agree, and does a model against itself have ratio 1?

    python tests/bench/latency.py --json                     # 20 trials of a pair and 5 of the parent against itself
    python tests/bench/latency.py --child my-int8 --trials 20

Every trial starts six fresh pairs of processes and times `batch-1` (language models: `prefill-128`) by the protocol of
``--suite efficiency``: 30 pairs of bursts, 10 s, the model and its parent in turns. Reported: in how many trials the
interval of the ratio overlaps that of the median trial (19 of 20 are wanted on an idle machine), in how many trials of
the model against itself it contains 1, the load average before and after, and what contention says.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from suite import submission
from suite.metrics import contention
from suite.outcomes import to_columns
from suite.run import run
from suite.store import Store
from suite.unit import Options, units
from tasks import efficiency
from tasks.efficiency import Classification, Efficiency, Language, Segmentation

KINDS: dict[str, type[Efficiency]] = {
    "language": Language, "classification": Classification, "segmentation": Segmentation
}  # fmt: skip


def against_itself(folder: Path, root: Path) -> Path:
    """A copy of a submission whose parent is the submission."""
    for name in (folder.name, f"{folder.name}-again"):
        shutil.copytree(folder, root / name, dirs_exist_ok=True)
    manifest = root / f"{folder.name}-again" / "submission.toml"
    lines = [line for line in manifest.read_text().splitlines() if not line.startswith(("name", "parent"))]
    own = [f'name = "{folder.name}-again"', f'parent = "{folder.name}"']
    manifest.write_text("\n".join([*own, *lines]) + "\n")
    return manifest.parent


def trials(folder: Path, count: int) -> list[dict[str, Any]]:
    """The ratio of every trial with its interval."""
    loaded = submission.load(folder)
    kind = loaded.manifest.kind
    scenarios = efficiency.LANGUAGE if kind == "language" else efficiency.VISION
    task = KINDS[kind](scenarios[:1], "items/s")
    found = []
    with tempfile.TemporaryDirectory() as results:
        for _ in range(count):
            (unit,) = units([loaded], [task], named=True, options=Options(again=True, threads=1))
            stored = run(unit, Store(Path(results))).stored
            m = stored.record.measurement(task.primary)
            assert m is not None
            assert m.value is not None, m.reason
            waited = contention.busy()[0](to_columns(stored.outcomes()))
            found.append(
                {"ratio": m.value, "low": m.low or m.value, "high": m.high or m.value, "wall_over_cpu": waited}
            )
    return found


def overlapping(found: list[dict[str, Any]]) -> int:
    """Trials whose interval overlaps that of the trial with the median ratio."""
    middle = sorted(found, key=lambda one: one["ratio"])[len(found) // 2]
    return sum(one["low"] <= middle["high"] and middle["low"] <= one["high"] for one in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", default="embedded-volumes-int8", help="a submission with a parent in its format")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="3 trials of each with bursts of 1 s in all")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    given = parser.parse_args()
    count, same = (3, 3) if given.quick else (given.trials, 5)
    if given.quick:
        efficiency.BURST_S = 1 / 60
    child = submission.find(given.child)
    parent = child.parent()
    if parent is None:
        parser.error(f"{given.child} has no parent")
    before = os.getloadavg()[0]
    pair = trials(child.folder, count)
    with tempfile.TemporaryDirectory() as root:
        itself = trials(against_itself(parent.folder, Path(root)), same)
    figures = {
        "child": child.name, "parent": parent.name, "trials": count, "overlapping": overlapping(pair),
        "against_itself": same, "containing_1": sum(one["low"] <= 1 <= one["high"] for one in itself),
        "load_before": round(before, 2), "load_after": round(os.getloadavg()[0], 2),
        "ratios": pair, "ratios_against_itself": itself,
    }  # fmt: skip
    for name in ("trials", "overlapping", "against_itself", "containing_1", "load_before", "load_after"):
        print(f"{name:16} {figures[name]}")
    if given.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

"""How long the command line takes to start: the verbs that load no model, beside the libraries that all of them need.

    python tests/bench/start.py [--times 11] [--json]

Every start is a process of its own, the kinds in turn, and the median counts: wall time, and processor time of the
process. The first turn compiles what is not compiled yet and is not counted. ``libraries`` is ``python -c 'import
numpy, pydantic, click'``: what no start can be faster than; ``python`` is an empty program.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
STARTS = {
    "python": ["-c", ""],
    "libraries": ["-c", "import numpy, pydantic, click"],
    "hallmark --help": ["-m", "suite", "--help"],
    "hallmark list": ["-m", "suite", "list"],
    "hallmark list --json": ["-m", "suite", "list", "--json"],
}


def start(arguments: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of one start."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": ""}
    before, began = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, env=environment, cwd=REPOSITORY, check=True)
    wall, after = time.perf_counter() - began, os.times()
    return wall, after.children_user - before.children_user + after.children_system - before.children_system


def main() -> None:
    """Run, print, and with `--json` end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=11, help="starts of each kind")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    turns = [{name: start(arguments) for name, arguments in STARTS.items()} for _ in range(options.times + 1)][1:]
    found = {}
    for name in STARTS:
        wall_s, cpu_s = (statistics.median(turn[name][i] for turn in turns) for i in (0, 1))
        found[name] = {"wall_s": round(wall_s, 3), "cpu_s": round(cpu_s, 3)}
        print(f"{name:21s} {wall_s:6.3f} s wall {cpu_s:6.3f} s processor")
    if options.json:
        print(json.dumps({"times": options.times, "starts": found}))


if __name__ == "__main__":
    main()

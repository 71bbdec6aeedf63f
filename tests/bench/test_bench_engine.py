"""The engine's benchmark runs from end to end on a tiny model; nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("engine.py")
SHAPES = {"hellaswag", "fixed_shots", "drawn_shots", "rolling"}


@pytest.mark.slow
def test_the_last_line_reports_both_sides_on_the_same_requests() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--tiny", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert set(report["cpu_ratio"]) == set(report["memory_ratio"]) == set(report["floors"]) == SHAPES
    assert report["max_abs_diff"] <= 2e-4
    for shape, found in report["shapes"].items():
        theirs, ours = found["positions"]
        assert found["greedy_differs"] == 0
        assert found["distinct"] <= ours
        assert ours == theirs if shape == "rolling" else ours < theirs
        assert min(found["cpu_s"]) > 0
    assert all(0 < share < 1 for share in report["body_share"].values())
    growth = report["growth"]
    assert growth["items"] == [2, 8, 32]
    assert growth["positions"][2] - growth["positions"][1] < 4 * (growth["distinct"][2] - growth["distinct"][1])

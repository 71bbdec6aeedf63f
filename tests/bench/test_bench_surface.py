"""The surface benchmark runs from end to end on tiny maps; nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("surface.py")


@pytest.mark.slow
def test_the_last_line_compares_every_value() -> None:
    pytest.importorskip("monai")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--tiny", "--json", "--shape", "128x1", "--shape", "128x20"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert set(report["cpu_ratio"]) == {"128x1", "128x20"}
    assert set(report["floors"]) == {"128x1", "128x20", "256x1", "256x20"}
    assert report["max_rel_diff"] <= 1e-6
    assert report["memory_ratio"] > 0
    assert not report["met"]
    assert report["growth"]["surface"] == sorted(report["growth"]["surface"])

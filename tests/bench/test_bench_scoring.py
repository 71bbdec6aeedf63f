"""The scoring benchmark runs from end to end on tiny shapes; nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("scoring.py")


@pytest.mark.slow
def test_the_last_line_compares_scoring_with_inference() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--tiny", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert set(report["ratio"]) == {"2d-64", "3d-32"}
    assert report["met"] == (max(report["ratio"].values()) <= report["ceiling"])
    assert min(report["ratio"].values()) > 0
    for shape in report["shapes"].values():
        assert shape["gmacs"] > 0
    assert report["intervals"]["3d"]["metrics"] > 260

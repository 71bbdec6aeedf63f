"""The benchmark of group frames runs, and all three agree on the gap; nothing here is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_three_agree() -> None:
    pytest.importorskip("fairlearn")
    pytest.importorskip("torchmetrics")
    script = Path(__file__).with_name("groups.py")
    found = json.loads(
        subprocess.run([sys.executable, script, "--quick", "--json"], capture_output=True, check=True).stdout
    )
    assert found["gap_minus_fairlearn"] == pytest.approx(0, abs=1e-9)
    assert found["gap_minus_torchmetrics"] == pytest.approx(0, abs=1e-6)
    assert found["fairlearn_over_ours"] > 0

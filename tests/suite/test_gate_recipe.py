"""The README's recipe for continuous integration: its YAML is valid, and its shell does what it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from gate_records import answers, digits_columns, put
from support import REPOSITORY

RECIPE = next(
    block
    for block in re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "README.md").read_text(), flags=re.DOTALL)
    if "hallmark gate" in block
)
WORKFLOW: dict[Any, Any] = yaml.safe_load(RECIPE)
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["gate"]["steps"]
POLICY = """
schema_version = 1
baseline = "my-model"
[[metric]]
task = "digits"
name = "accuracy"
margin = 0.02
unit = "absolute"
primary = true
"""


def test_the_workflow_is_one() -> None:
    assert WORKFLOW[True] == "pull_request"  # YAML 1.1 reads `on` as true; GitHub does not
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert all(("run" in step) != ("uses" in step) for step in STEPS)
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in STEPS if "uses" in step)
    order = [step["run"].split()[:2] for step in STEPS if "run" in step]
    assert order == [["pip", "install"], ["hallmark", "run"], ["hallmark", "gate"], ["cat", "gate.md"]]
    after = STEPS[[step.get("run", "").startswith("hallmark gate") for step in STEPS].index(True) + 1 :]
    assert all("!cancelled()" in step["if"] and "hashFiles('gate.md')" in step["if"] for step in after)


@pytest.mark.parametrize(("lost", "code"), [(0, 0), (60, 1)])
def test_its_gate_lets_pass_and_stops(tmp_path: Path, lost: int, code: int) -> None:
    """The steps as they stand there, in the shell that GitHub runs them in."""
    for name, spoilt in (("my-model", 0), ("my-model-int8", lost)):
        said, labels = answers(600, 540)
        said[:spoilt] = (labels[:spoilt] + 3) % 10
        put(tmp_path / "results", name, digits_columns(said, labels))
    (tmp_path / "gate.toml").write_text(POLICY)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "hallmark"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m suite "$@"\n')
    program.chmod(0o755)
    summary = tmp_path / "summary.md"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "GITHUB_STEP_SUMMARY": str(summary)}
    environment["PATH"] = f"{program.parent}:{os.environ['PATH']}"

    def run(command: str) -> int:
        return subprocess.run(
            ["bash", "-e", "-c", command], cwd=tmp_path, env=environment, capture_output=True, check=False
        ).returncode

    gate, cat = (step["run"] for step in STEPS if "gate" in step.get("run", "") and "pip" not in step["run"])
    assert run(gate) == code
    assert run(cat) == 0
    assert ("FAIL" if code else "PASS") in summary.read_text()
    assert (tmp_path / "gate.xml").exists()

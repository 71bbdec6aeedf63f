"""A wheel, installed elsewhere and used from an empty folder, scores a model: a release engineer has no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY, write_submission


@pytest.mark.slow
def test_a_wheel_works_from_an_empty_folder(tmp_path: Path) -> None:
    def run(*command: str | Path, cwd: Path = REPOSITORY) -> str:
        environment = {k: v for k, v in os.environ.items() if k not in ("HALLMARK_DATA", "PYTHONPATH")}
        environment["PYTHONPATH"] = str(tmp_path / "site")
        done = subprocess.run(
            [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    build = ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path / "dist", REPOSITORY)
    run(sys.executable, *build)
    (wheel,) = (tmp_path / "dist").glob("hallmark_bench-*.whl")
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--target", tmp_path / "site", wheel)
    empty = tmp_path / "empty"
    empty.mkdir()
    folder = write_submission(tmp_path / "subs", "m", {"f.json": b'{"fake": "oracle"}'}, "f.json")
    hallmark = (sys.executable, "-P", "-m", "suite")
    where = run(sys.executable, "-P", "-c", "import suite; print(suite.__file__)", cwd=empty)
    assert str(tmp_path / "site") in where
    assert "digits" in run(*hallmark, "list", "tasks", cwd=empty)
    ran = json.loads(run(*hallmark, "run", folder, "-t", "digits", "--json", cwd=empty))
    assert ran["records"][0]["provenance"]["commit"] is None
    run(*hallmark, "verify", cwd=empty)
    assert "accuracy" in run(*hallmark, "show", "m", cwd=empty)
    assert {p.name for p in empty.iterdir()} == {"results"}

"""Fixtures: submissions made of fakes, and the command line in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY, Ran, write_submission

collect_ignore_glob = [
    "bad/*/recipe.py",
    "real/*/recipe.py",
    "conftest.py",
    "*/conftest.py",
]  # programs of their own, named alike


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., Path]:
    """Make a submission of a fake: fake("name", {"fake": "constant", ...}, kind=..., parent=...)."""

    def make(name: str, spec: dict[str, Any], **fields: Any) -> Path:
        content = json.dumps(spec).encode()
        return write_submission(tmp_path / "subs", name, {"fake.json": content}, "fake.json", **fields)

    return make


@pytest.fixture
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the resamples of metrics that are no function of sums: they are most of the time of a small unit.

    Modules whose commands read records of all 1,000 override this fixture.
    """
    from suite import rows

    monkeypatch.setattr(rows, "N_RESAMPLES", 100)


@pytest.fixture
def hallmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fewer_resamples: None
) -> Callable[..., Ran]:
    """Run the command line in this process, in an empty folder, with results under it."""
    from suite.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        code = 0
        try:
            main([str(a) for a in arguments])
        except SystemExit as done:
            code = int(done.code or 0)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Start the command line in a process of its own."""

    def call(*arguments: str | Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "suite", *map(str, arguments)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )

    return call


@pytest.fixture
def mirror() -> Path:
    """The local mirror of real data and models; the test is skipped without it."""
    value = os.environ.get("HALLMARK_DATA")
    if not value:
        pytest.skip("HALLMARK_DATA is not set: the mirror of real data and models is not here")
    return Path(value)

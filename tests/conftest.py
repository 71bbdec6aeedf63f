"""Fixtures: submissions made of fakes, and the command line in this process or in one of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
REAL = REPOSITORY / "tests" / "real"


class Ran(NamedTuple):
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


def write_submission(root: Path, name: str, files: dict[str, bytes], main: str, **fields: Any) -> Path:
    """A submission folder with the given weight files and a right digest, unless `fields` say otherwise."""
    from suite.files import digest

    folder = root / name
    folder.mkdir(parents=True)
    for relative, content in files.items():
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        (folder / relative).write_bytes(content)
    manifest = {
        "schema_version": 1,
        "name": name,
        "title": f"{name} for a test",
        "kind": "classification",
        "format": "fake",
        "weights": main,
        "sha256": digest(folder / main) if (folder / main).exists() else hashlib.sha256(b"").hexdigest(),
    } | fields
    (folder / "submission.toml").write_text("".join(f"{key} = {toml(value)}\n" for key, value in manifest.items()))
    return folder


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., Path]:
    """Make a submission of a fake: fake("name", {"fake": "constant", ...}, kind=..., parent=...)."""

    def make(name: str, spec: dict[str, Any], **fields: Any) -> Path:
        content = json.dumps(spec).encode()
        return write_submission(tmp_path / "subs", name, {"fake.json": content}, "fake.json", **fields)

    return make


@pytest.fixture
def hallmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
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


def one_line(ran: Ran, code: int, *words: str) -> None:
    """Assert a user's error: that exit code, one line on stderr with those words, no traceback."""
    assert ran.code == code, ran
    lines = ran.err.strip().splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("hallmark: ")
    for word in words:
        assert word in lines[0], (word, lines[0])
    assert "Traceback" not in ran.err + ran.out

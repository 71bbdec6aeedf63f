"""What tests import: paths, submissions made of files, and what a command gave."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

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


def one_line(ran: Ran, code: int, *words: str) -> None:
    """Assert a user's error: that exit code, one line on stderr with those words, no traceback."""
    assert ran.code == code, ran
    lines = ran.err.strip().splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("hallmark: ")
    for word in words:
        assert word in lines[0], (word, lines[0])
    assert "Traceback" not in ran.err + ran.out

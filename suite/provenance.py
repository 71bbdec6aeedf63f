"""Which code made a record: the git commit of the checkout that this package runs from."""

from __future__ import annotations

import functools
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

PRESENTATION = frozenset(
    f"{name}.py"
    for name in (
        "absent",
        "board",
        "catalogue",
        "check",
        "cli",
        "document",
        "family",
        "index",
        "progress",
        "shortlist",
        "speed_table",
        "text",
        "verify",
    )
)


@functools.cache
def code_digest(tasks_package: str) -> str:
    """sha256 over the sources that compute: this package without its presentation, and the tasks' package."""
    folders = [Path(__file__).parent, Path(sys.modules[tasks_package].__file__ or "").parent]
    state = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            if path.parent != folders[0] or path.name not in PRESENTATION:
                state.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


def source_state() -> dict[str, Any]:
    """Git commit of the checkout that this package runs from, and whether its code was changed; nulls elsewhere."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return {"commit": None, "dirty": None}
    try:
        commit = _git(root, "rev-parse", "HEAD")
        dirty = bool(_git(root, "status", "--porcelain", "--", "suite", "tasks", "pyproject.toml"))
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()

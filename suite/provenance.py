"""Which code made a record: the git commit of the checkout that this package runs from."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any


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

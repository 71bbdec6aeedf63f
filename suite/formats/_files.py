"""What the formats of one file share: which file it is, and reasons to refuse it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from suite.errors import InputError


def only_file(weights: Path, suffix: str) -> Path:
    """The file itself, or the only one with that suffix in a folder.

    Raises:
        InputError: none, or several (a model in parts is to be merged).
    """
    if weights.is_file():
        return weights
    found = sorted(weights.glob(f"*{suffix}")) if weights.is_dir() else []
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise InputError(f"{weights.name} must hold exactly one {suffix} file, found {names}")
    return found[0]


def reasons(look: Callable[[], list[str]]) -> list[str]:
    """What a look at a file finds, or why it could not be looked at."""
    try:
        return look()
    except (InputError, OSError) as error:
        return [str(error)]

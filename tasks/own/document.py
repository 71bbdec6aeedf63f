"""Writes the keys of users' data sets into ``tasks/examples/README.md``; ``make docs`` calls it and a test compares."""

from __future__ import annotations

from pathlib import Path

from suite.document import fields, with_generated
from tasks.own.description import Description

PAGE = Path(__file__).parent.parent / "examples" / "README.md"


def text() -> str:
    """The page as it must be."""
    return with_generated(PAGE.read_text(encoding="utf-8"), fields([Description]))


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")

from __future__ import annotations

import doctest
import importlib
import tomllib

import pytest
from support import REPOSITORY

from leaderboard import text
from leaderboard.columns import COLUMNS, DEFAULT

FILES = sorted((REPOSITORY / "leaderboard").glob("*.py"))
WITH_EXAMPLES = [path.stem for path in FILES if ">>>" in path.read_text()]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_in_the_docstrings(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"leaderboard.{name}"))
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_044_992, "1.045 MB"), (5e9, "5 GB"), (7e15, "7000 TB")],
)
def test_sizes_in_steps_of_a_thousand(count: float, shown: str) -> None:
    assert text.size(count) == shown


def test_labels_fit_a_column_and_differ() -> None:
    assert all(column.label and len(column.label) <= 18 and column.help for column in COLUMNS.values())
    assert len({column.label for column in COLUMNS.values()}) == len(COLUMNS)  # the URL names columns by their labels
    assert set(DEFAULT) <= set(COLUMNS)


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_white_on_a_button_can_be_read(theme: str) -> None:
    settings = tomllib.loads((REPOSITORY / "leaderboard" / ".streamlit" / "config.toml").read_text())
    assert 1.05 / (luminance(settings["theme"][theme]["primaryColor"]) + 0.05) >= 4.5

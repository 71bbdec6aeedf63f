from __future__ import annotations

import doctest

import pytest

from leaderboard import board, charts, data, placing, points, text
from leaderboard.columns import COLUMNS, DEFAULT


@pytest.mark.parametrize("module", [board, charts, data, placing, points, text])
def test_the_examples_in_the_docstrings(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
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

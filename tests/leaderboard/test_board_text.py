from __future__ import annotations

import doctest

import pytest

from leaderboard import charts, text


@pytest.mark.parametrize("module", [text, charts])
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


@pytest.mark.parametrize(
    ("low", "high", "better", "said"),
    [
        (0.1, 0.2, "higher", "better"),
        (0.1, 0.2, "lower", "worse"),
        (-0.2, -0.1, "higher", "worse"),
        (0.0, 0.2, "higher", "unclear"),
        (0.1, 0.2, None, None),
        (None, 0.2, "higher", None),
    ],
)
def test_the_verdict_follows_the_interval_and_the_direction(
    low: float | None, high: float | None, better: str | None, said: str | None
) -> None:
    assert text.verdict(low, high, better) == said


def test_labels_fit_a_column() -> None:
    assert all(column.label and len(column.label) <= 18 and column.help for column in text.COLUMNS.values())

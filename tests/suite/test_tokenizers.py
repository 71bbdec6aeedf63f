"""A child that cuts the text into other tokens than its parent is compared per byte, never per token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Ran

from suite import outcomes
from suite.compare import differences
from suite.errors import IncomparableError
from suite.metrics.choices import METRICS
from suite.metrics.language import BITS_PER_BYTE, NLL, PERPLEXITY


class Kept:
    """A record's outcomes, and the little that a comparison asks of the record."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self._table = outcomes.to_table(list(rows))
        self.record = type("Record", (), {"seed": 0})()

    def outcomes(self) -> Any:
        return self._table


def windows(sizes: Sequence[int], rate: float, section: Callable[[int], str], n_tokens: int = 7) -> Kept:
    return Kept(
        [
            {"item": f"window-{i}", "cluster": section(i), "nll": rate * n, "n_tokens": n_tokens, "n_bytes": n}
            for i, n in enumerate(sizes)
        ]
    )


@pytest.mark.parametrize("n_windows", [12, 20])
def test_windows_of_other_tokens_are_compared_by_section_per_byte(n_windows: int) -> None:
    parent = windows([10 + i % 3 for i in range(12)], 0.5, lambda i: f"section-{i // 3}")
    child = windows([20 + i % 2 for i in range(n_windows)], 0.6, lambda i: f"section-{i // 5}")
    found = differences(parent, child, (PERPLEXITY, NLL, BITS_PER_BYTE))  # type: ignore[arg-type]
    assert found["bits_per_byte"].value == pytest.approx(0.1 / np.log(2))
    assert found["bits_per_byte"].n_clusters == 4
    for name in ("perplexity", "nll"):  # though the windows bear the same names and hold the same number of tokens
        assert found[name].value is None
        assert "different tokenizers" in str(found[name].reason)


def test_the_interval_per_byte_is_that_of_resampled_sections() -> None:
    draw = np.random.default_rng(0)
    sides = []
    for n, rate in ((60, 0.5), (90, 0.55)):
        rates = rate + 0.05 * draw.normal(size=n)
        rows = [
            {"item": f"w{i}", "cluster": f"s{i * 30 // n}", "nll": rates[i] * 10, "n_tokens": 5, "n_bytes": 10}
            for i in range(n)
        ]
        sides.append(Kept(rows))
    found = differences(sides[0], sides[1], (BITS_PER_BYTE,))["bits_per_byte"]  # type: ignore[arg-type]
    sums = [np.zeros((30, 2)), np.zeros((30, 2))]
    for side, total in zip(sides, sums, strict=True):
        columns = outcomes.to_columns(side.outcomes())
        for cluster, nll, size in zip(columns["cluster"], columns["nll"], columns["n_bytes"], strict=True):
            total[int(cluster[1:])] += nll, size
    picks = draw.integers(0, 30, (4000, 30))
    values = [total[picks].sum(1) for total in sums]
    expected = values[1][:, 0] / values[1][:, 1] / np.log(2) - values[0][:, 0] / values[0][:, 1] / np.log(2)
    low, high = np.quantile(expected, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.1 * (high - low))
    assert found.high == pytest.approx(high, abs=0.1 * (high - low))


def test_documents_that_both_have_are_compared_per_item_where_a_metric_is_not_per_token() -> None:
    def kept(n_tokens: int, value: float) -> Kept:
        rows = [
            {
                "item": f"d{i}",
                "cluster": f"d{i}",
                "nll": value * (i + 1),
                "n_tokens": n_tokens,
                "n_bytes": 10,
                "x": value,
            }
            for i in range(6)
        ]
        return Kept(rows)

    from dataclasses import replace

    from suite.metrics.base import per_item

    per_document = replace(NLL, name="x", needs=("x",), terms=per_item("x"), observed=None)
    found = differences(kept(5, 1.0), kept(9, 1.5), (per_document, NLL))  # type: ignore[arg-type]
    assert found["x"].value == pytest.approx(0.5)
    assert found["nll"].value is None


def test_choices_are_compared_per_item_whatever_their_tokens() -> None:
    from suite.metrics.choices import outcomes as chosen

    def kept(gold: int, n: int) -> Kept:
        made = [chosen(np.log([0.6, 0.4]), ["a", "b"], [gold]) | {"n_tokens": np.array([n, n])} for _ in range(8)]
        return Kept([{"item": str(i), "cluster": str(i), **row} for i, row in enumerate(made)])

    found = differences(kept(0, 2), kept(1, 3), METRICS)  # type: ignore[arg-type]
    assert found["accuracy"].value == -1


def test_other_items_without_bytes_are_not_compared() -> None:
    from suite.metrics.classification import ACCURACY

    one = Kept([{"item": "a", "cluster": "a", "correct": 1}])
    two = Kept([{"item": "b", "cluster": "b", "correct": 1}])
    with pytest.raises(IncomparableError, match="same items"):
        differences(one, two, (ACCURACY,))  # type: ignore[arg-type]


def test_show_says_so(fake: Callable[..., Path], hallmark: Callable[..., Ran]) -> None:
    parent = fake("parent", {"fake": "uniform", "vocabulary": 256}, kind="language")
    child = fake("child", {"fake": "uniform", "vocabulary": 50, "context": 40}, kind="language", parent="parent")
    assert hallmark("run", parent, child, "-t", "generated-text").code == 0
    shown = hallmark("show", child).out
    assert "another protocol" in shown  # a shorter context is another protocol, and that is said first

"""The mean of a suite: MOVER by hand, and against a simulation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support import Ran, one_line

from suite.metrics.base import ratio
from suite.stats import interval
from suite.summary import combined


@dataclass
class Estimate:
    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None


def test_by_hand() -> None:
    found = combined({"a": Estimate(0.5, 0.4, 0.55), "b": Estimate(0.7, 0.7 - 0.3, 0.82)})
    assert found.value == pytest.approx(0.6)
    assert found.low == pytest.approx(0.6 - math.hypot(0.1, 0.3) / 2)
    assert found.high == pytest.approx(0.6 + math.hypot(0.05, 0.12) / 2)


@pytest.mark.parametrize(
    ("second", "value", "reason"),
    [
        ("no complete record", None, "b: no complete record"),
        (None, None, "b: no value"),
        (Estimate(None, None, None, "no items"), None, "b: no items"),
        (Estimate(0.7, None, None), 0.6, "b has no interval"),
    ],
)
def test_what_is_missing_is_said(second: object, value: float | None, reason: str) -> None:
    found = combined({"a": Estimate(0.5, 0.4, 0.6), "b": second})
    assert found.value == (None if value is None else pytest.approx(value))
    assert (found.low, found.reason) == (None, reason)


def test_coverage_of_the_mean_of_five_proportions() -> None:
    draw = np.random.default_rng(5)
    truth = np.array([0.5, 0.6, 0.75, 0.3, 0.85])
    sizes = [200, 120, 400, 90, 60]
    held = 0
    for _ in range(1000):
        parts = {}
        for k, (p, n) in enumerate(zip(truth, sizes, strict=True)):
            hits = draw.random(n) < p
            terms = np.stack([hits, np.ones(n)], axis=1)
            one = interval(terms, ratio, np.arange(n), seed=0, bounds=(0.0, 1.0), proportion=True)
            parts[str(k)] = Estimate(float(hits.mean()), one.low, one.high)
        found = combined(parts)
        assert found.low is not None and found.high is not None
        held += found.low <= truth.mean() <= found.high
    assert 0.93 <= held / 1000 <= 0.97


def test_show_prints_a_suites_mean(
    fake: Callable[..., Path], hallmark: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    import suite.cli

    monkeypatch.setitem(suite.cli.SUITES, "tiny", ("generated-choices", "digits"))
    monkeypatch.setitem(suite.cli.MEANS, "tiny", ("generated-choices",))
    fake("lm", {"fake": "uniform"}, kind="language")
    child = fake("lm-child", {"fake": "unigram", "probs": [0.6, 0.4]}, kind="language", parent="lm")
    parent = child.parent / "lm"
    assert hallmark("run", parent, child, "--suite", "tiny").code == 0
    shown = hallmark("show", child, "--suite", "tiny")
    assert "lm-child: mean of 1 tasks" in shown.out
    assert "change from the parent" in shown.out
    mean = hallmark("show", child, "--suite", "tiny", "--json").json["means"][0]
    assert mean["parts"]["generated-choices"][0] == "accuracy"
    assert mean["mean"]["low"] < mean["mean"]["value"] < mean["mean"]["high"]
    one_line(hallmark("show", child, "--suite", "tinny"), 2, "unknown suite 'tinny'", "tiny")


def test_a_suite_goes_on_without_the_tasks_whose_data_is_not_here(
    tmp_path: Path, fake: Callable[..., Path], hallmark: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    import suite.cli

    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setitem(suite.cli.SUITES, "half", ("tinystories", "generated-text"))
    folder = fake("lm", {"fake": "uniform"}, kind="language")
    ran = hallmark("run", folder, "--suite", "half")
    assert ran.code == 0
    assert ran.err.startswith("hallmark: passed over: tinystories: the data of task 'tinystories' is not here")
    assert "generated-text" in ran.out
    assert hallmark("run", folder, "-t", "tinystories").code == 2

"""Advice on the committed records and on records whose latencies are written in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import REPOSITORY, Ran, one_line

from suite import advise
from suite.errors import InputError

Hallmark = Callable[..., Ran]
RESULTS = REPOSITORY / "results"


@pytest.mark.parametrize(
    ("text", "value"), [("2GB", 2e9), ("500 MiB", 500 * 2**20), ("1e6", 1e6), ("100kb", 1e5), (".5 tb", 5e11)]
)
def test_sizes(text: str, value: float) -> None:
    assert advise.size(text) == value


@pytest.mark.parametrize(("text", "value"), [("50ms", 0.05), ("0.1 s", 0.1), ("20us", 2e-5), ("2", 2.0)])
def test_times(text: str, value: float) -> None:
    assert advise.seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "GB", "1XB", "-1GB", "2 parsecs"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match="is no size"):
        advise.size(text)


def test_how_sure_agrees_with_the_plain_rule() -> None:
    """In each resample: among those that keep enough, who is dominated by none."""
    rng = np.random.default_rng(0)
    costs = rng.integers(0, 3, (7, 2)).astype(float)
    quality, enough = rng.integers(0, 4, (60, 7)).astype(float), rng.random((60, 7)) < 0.7
    plain = np.zeros(7)
    for row, able in zip(quality, enough, strict=True):
        for j in np.flatnonzero(able):
            beaten = any(
                (costs[i] <= costs[j]).all() and row[i] >= row[j] and ((costs[i] < costs[j]).any() or row[i] > row[j])
                for i in np.flatnonzero(able)
            )
            plain[j] += not beaten
    assert np.allclose(advise._sure(costs.tolist(), quality, enough), plain / 60)


def test_the_committed_digits(hallmark: Hallmark) -> None:
    ran = hallmark("advise", "--kind", "classification", "--min-retention", "0.98", "--json", "--results", RESULTS)
    advice = ran.json["advice"]["classification"]
    chosen = [choice["submission"] for choice in advice["choices"]]
    assert chosen[0] == "embedded-digits-pruned"
    assert "keeps 0.96" in advice["excluded"]["embedded-digits-int2"]
    assert "another that meets the limits" in advice["excluded"]["embedded-digits"]
    small = hallmark("advise", "--kind", "classification", "--max-bytes", "50kB", "--results", RESULTS).out
    assert "embedded-digits-int2" in small.splitlines()[3]
    assert "not chosen: embedded-digits: 313" in small


def with_latency(results: Path, submission: str, seconds: float) -> str:
    """Write a latency into the newest digits record; gives the machine's id."""
    path = sorted((results / submission / "digits").glob("*.json"))[-1]
    record = json.loads(path.read_text())
    record["measurements"].append(
        {"name": "latency_p50_s", "value": seconds, "unit": "s", "higher_is_better": False, "n": 100}
    )
    path.write_text(json.dumps(record))
    return str(record["machine"]["id"])


def test_latency_of_one_machine(hallmark: Hallmark, tmp_path: Path) -> None:
    for name in ("embedded-digits", "embedded-digits-int8", "embedded-digits-pruned"):
        shutil.copytree(RESULTS / name, tmp_path / "r" / name)
    with_latency(tmp_path / "r", "embedded-digits", 0.2)
    machine = with_latency(tmp_path / "r", "embedded-digits-int8", 0.01)
    asked = ("advise", "-t", "digits", "--max-latency", "50ms", "--results", "r")
    advice = hallmark(*asked, "--machine", machine, "--json").json["advice"]["classification"]
    assert [(c["submission"], c["latency_s"]) for c in advice["choices"]] == [("embedded-digits-int8", 0.01)]
    assert "200 ms a call" in advice["excluded"]["embedded-digits"]
    assert "no latency measured" in advice["excluded"]["embedded-digits-pruned"]
    nowhere = hallmark(*asked, "--machine", "ffff", "--json").json["advice"]["classification"]
    assert nowhere["choices"] == []
    assert all("on machine ffff" in why for why in nowhere["excluded"].values())


def test_what_cannot_be_asked(hallmark: Hallmark) -> None:
    one_line(hallmark("advise", "--max-bytes", "1XB", "--results", RESULTS), 2, "is no size")
    one_line(hallmark("advise", "--max-latency", "fast", "--results", RESULTS), 2, "is no time")
    one_line(hallmark("advise", "--results", "nowhere"), 2, "nowhere has records")

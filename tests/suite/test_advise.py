"""Advice on the committed records and on records whose latencies are written in."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import REPOSITORY, Ran, one_line

from suite import advise
from suite.errors import InputError
from suite.latencies import names_for

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
    assert re.fullmatch(r"keeps 0\.96\d* of .* quality, less than 0\.98", advice["excluded"]["embedded-digits-int2"])
    assert "another that meets the limits" in advice["excluded"]["embedded-digits"]
    small = hallmark("advise", "--kind", "classification", "--max-bytes", "50kB", "--results", RESULTS).out
    assert "embedded-digits-int2" in small.splitlines()[3]
    assert "not chosen: embedded-digits: 313.9 kB on disk, more than 50 kB" in small


def with_latency(results: Path, submission: str, seconds: float, **changes: object) -> None:
    """Write a latency, as the efficiency tasks spell it, and other changes into the newest digits record."""
    path = sorted((results / submission / "digits").glob("*.json"))[-1]
    record = json.loads(path.read_text())
    machine = {**record["machine"], **({"id": changes.pop("machine")} if "machine" in changes else {})}
    record |= {"machine": machine, **changes}
    latency = {"name": "latency_p50_s[scenario=batch-1]", "value": seconds, "unit": "s", "higher_is_better": False}
    record["measurements"].append({**latency, "n": 100})
    path.with_name(f"timed-{path.name}").write_text(json.dumps(record))
    if record["limit"] is None:
        path.unlink()
        path.with_suffix(".parquet").rename(path.with_name(f"timed-{path.stem}.parquet"))


NAMES = ("embedded-digits", "embedded-digits-int8", "embedded-digits-pruned")
ASKED = ("advise", "-t", "digits", "--results", "r")
FAST = (*ASKED, "--max-latency", "50ms")


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    """Records of three classifiers; `with_latency` gives them latencies."""
    for name in NAMES:
        shutil.copytree(RESULTS / name, tmp_path / "r" / name)
    return tmp_path / "r"


def advice(ran: Ran) -> Any:
    assert ran.code == 0, ran
    return ran.json["advice"]["classification"]


def test_latency_of_one_machine(hallmark: Hallmark, timed: Path) -> None:
    with_latency(timed, "embedded-digits", 0.2, machine="aaaa1111")
    with_latency(timed, "embedded-digits-int8", 0.01, machine="aaaa1111")
    found = advice(hallmark(*FAST, "--machine", "aaaa", "--json"))
    assert [(c["submission"], c["latency_s"]) for c in found["choices"]] == [("embedded-digits-int8", 0.01)]
    assert "200 ms a call on machine aaaa1111, more than 50 ms" in found["excluded"]["embedded-digits"]
    assert "no latency measured on machine aaaa1111" in found["excluded"]["embedded-digits-pruned"]
    assert found == advice(hallmark(*FAST, "--json"))  # the only machine that has some
    assert found["machine"] == "aaaa1111"
    assert "latency: on machine aaaa1111" in hallmark(*FAST).out


def test_an_unknown_machine_is_one_line(hallmark: Hallmark, timed: Path) -> None:
    one_line(hallmark(*FAST, "--machine", "ffff"), 2, "'ffff'", "no record here has one")
    with_latency(timed, "embedded-digits", 0.2, machine="aaaa1111")
    with_latency(timed, "embedded-digits-int8", 0.2, machine="aaaa2222")
    one_line(hallmark(*FAST, "--machine", "ffff"), 2, "'ffff'", "aaaa1111, aaaa2222")
    one_line(hallmark(*FAST, "--machine", "aaaa"), 2, "begins the ids of 2 machines")


def test_machines_are_never_mixed(hallmark: Hallmark, timed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_latency(timed, "embedded-digits", 0.02, machine="aaaa1111")
    with_latency(timed, "embedded-digits-int8", 0.01, machine="bbbb2222")
    one_line(hallmark(*FAST), 2, "latencies of 2 machines do not compare", "--machine aaaa1111 or bbbb2222")
    chosen = advice(hallmark(*FAST, "--machine", "bbbb", "--json"))
    assert [c["submission"] for c in chosen["choices"]] == ["embedded-digits-int8"]
    free = advice(hallmark(*ASKED, "--json"))  # without a limit: nothing is compared by time, and that is said
    assert {c["latency_s"] for c in free["choices"]} == {None}
    assert "latencies are left out" in free["notes"][0]
    monkeypatch.setattr("suite.machine.observe", lambda: type("Here", (), {"id": "aaaa1111"}))
    mine = advice(hallmark(*FAST, "--json"))
    assert [c["submission"] for c in mine["choices"]] == ["embedded-digits"]
    assert "latencies of this machine (aaaa1111)" in mine["notes"][0]


def test_busy_and_limited_latencies_do_not_count_and_are_listed(hallmark: Hallmark, timed: Path) -> None:
    with_latency(timed, "embedded-digits", 0.02)
    with_latency(timed, "embedded-digits-int8", 0.001, limit=50)
    for path in (timed / "embedded-digits-pruned").rglob("*.json"):
        speed = json.loads(path.read_text()) | {"task": "efficiency-classification", "contended": "the load was 9"}
        named = {"name": "latency_p50_s[scenario=batch-1]", "value": 0.001, "unit": "s", "higher_is_better": False}
        speed["measurements"] = [{**named, "n": 9}]
        folder = path.parent.parent / "efficiency-classification"
        folder.mkdir(exist_ok=True)
        (folder / path.name).write_text(json.dumps(speed))
    found = advice(hallmark(*FAST, "--json"))
    assert [c["submission"] for c in found["choices"]] == ["embedded-digits"]
    assert "timed in a limited run (--limit 50)" in found["excluded"]["embedded-digits-int8"]
    assert "timed on a busy machine: the load was 9" in found["excluded"]["embedded-digits-pruned"]
    assert any("busy machine" in note for note in advice(hallmark(*ASKED, "--json"))["notes"])


def test_the_scenario_is_chosen(hallmark: Hallmark, timed: Path) -> None:
    with_latency(timed, "embedded-digits", 0.02)
    assert len(advice(hallmark(*FAST, "--scenario", "batch-1", "--json"))["choices"]) == 1
    assert advice(hallmark(*FAST, "--scenario", "batch-8", "--json"))["choices"] == []
    one_line(hallmark(*FAST, "--scenario", "bach-1"), 2, "did you mean 'batch-1'")
    assert names_for("language", None)[0] == "latency_p50_s[scenario=decode-64]"


def test_what_cannot_be_asked(hallmark: Hallmark) -> None:
    one_line(hallmark("advise", "--max-bytes", "1XB", "--results", RESULTS), 2, "is no size")
    one_line(hallmark("advise", "--max-latency", "fast", "--results", RESULTS), 2, "is no time")
    one_line(hallmark("advise", "--results", "nowhere"), 2, "nowhere has records")

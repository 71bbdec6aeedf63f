"""Times and memory in the gate and in a comparison: ratios to the parent, other machines, busy machines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_records import FIXTURE, answers, digits_columns, put
from support import Ran

TASK = "efficiency-classification"
RATIO, RATE = "latency_ratio[scenario=batch-1]", "throughput_ratio[scenario=offline]"
MEMORY, P50 = "memory_peak_bytes[after=forward]", "latency_p50_s[scenario=batch-1]"
POLICY = """
schema_version = 1
baseline = "old"
[[metric]]
task = "efficiency-classification"
name = "{name}"
margin = {margin}
unit = "{unit}"
primary = true
"""
WEIGHTS = "ab" * 32


def measured(name: str, value: float | None, low: float | None = None, high: float | None = None, n: int = 30) -> Any:
    unit = {"latency_p50": "s", "memory_peak": "B"}.get("_".join(name.split("_")[:2]), "")
    better = name.startswith("throughput")
    fields = {"name": name, "value": value, "low": low, "high": high, "unit": unit, "higher_is_better": better, "n": n}
    clusters = {"n_clusters": n, "method": "bootstrap"} if low is not None else {}
    return {**fields, **clusters, **({"reason": "it has no parent"} if value is None else {})}


@pytest.fixture
def timed(tmp_path: Path, hallmark: Callable[..., Ran]) -> Callable[..., Ran]:
    """Gate (or compare) a child with these numbers; the parent has a record of ``digits``, and `own` timings."""
    said, labels = answers(100, 80)
    old = {"manifest": {"sha256": WEIGHTS}}
    put(tmp_path / "results", "old", digits_columns(said, labels), readings={"bytes": 1000.0}, **old)

    def call(
        *numbers: Any, name: str = RATIO, margin: float = 0.1, unit: str = "absolute", own: Any = None,
        verb: tuple[str, ...] = ("gate", "new"), own_machine: str | None = None, **changes: Any,
    ) -> Ran:  # fmt: skip
        (tmp_path / "gate.toml").write_text(POLICY.format(name=name, margin=margin, unit=unit))
        for stale in ("new", f"old/{TASK}"):
            shutil.rmtree(tmp_path / "results" / stale, ignore_errors=True)
        facts = {"parent_sha256": WEIGHTS, "manifest": {"parent": "old"}} | changes
        put(tmp_path / "results", "new", None, TASK, measurements=list(numbers), **facts)
        if own is not None:
            machine = {"machine": {**FIXTURE["machine"], "id": own_machine}} if own_machine else {}
            put(tmp_path / "results", "old", None, TASK, measurements=list(own), **old, **machine)
        return hallmark(*verb)

    return call


@pytest.mark.parametrize(
    ("name", "numbers", "code"),
    [
        (RATIO, (0.77, 0.73, 0.81), 0),
        (RATIO, (1.05, 1.02, 1.08), 0),  # slower, within the margin
        (RATIO, (1.30, 1.25, 1.36), 1),
        (RATIO, (1.10, 1.00, 1.20), 3),
        (RATE, (2.4, 1.8, 3.0), 0),  # of a throughput more is better
        (RATE, (0.70, 0.66, 0.74), 1),
    ],
)
def test_a_ratio_is_gated_by_its_own_interval(
    timed: Callable[..., Ran], name: str, numbers: tuple[float, ...], code: int
) -> None:
    ran = timed(measured(name, *numbers), name=name)
    assert ran.code == code, ran


def test_the_interval_is_that_of_the_record(timed: Callable[..., Ran]) -> None:
    (verdict,) = timed(measured(RATIO, 1.30, 1.25, 1.36), verb=("gate", "new", "--json")).json["verdicts"]
    assert (verdict["baseline"], verdict["candidate"], verdict["margin"]) == (1.0, 1.3, 0.1)
    assert (verdict["value"], verdict["low"], verdict["high"]) == pytest.approx((0.30, 0.25, 0.36))
    assert verdict["method"] == "beside the parent"


def test_a_ratio_needs_no_record_of_the_parent_and_no_equal_machine(timed: Callable[..., Ran]) -> None:
    nothing = measured(RATIO, None)
    assert timed(measured(RATIO, 0.9, 0.85, 0.95)).code == 0
    assert timed(measured(RATIO, 0.9, 0.85, 0.95), own=(nothing,), own_machine="another").code == 0
    ran = timed(measured(RATIO, 0.9, 0.85, 0.95), own=(nothing,), parent_sha256="cd" * 32)
    assert ran.code == 4
    assert "a parent of its own" in " ".join(ran.out.split())


def test_what_cannot_be_compared_says_why(timed: Callable[..., Ran]) -> None:
    ran = timed(measured(RATIO, 0.9, 0.85, 0.95), contended="the load average was 7.6")
    assert ran.code == 4
    assert "busy machine: the load average was 7.6" in " ".join(ran.out.split())
    ran = timed(measured(RATIO, None))
    assert ran.code == 4
    assert "it has no parent" in " ".join(ran.out.split())
    one = json.loads(timed(measured(MEMORY, 2e7, n=1), name=MEMORY, verb=("gate", "new", "--json")).out)
    assert one["verdicts"][0]["reason"] == f"the baseline has no {MEMORY}"  # a file's or a memory's number needs both


def test_memory_and_seconds_of_two_records_need_one_quiet_machine(timed: Callable[..., Ran]) -> None:
    old = (measured(MEMORY, 2e7, n=1), measured(P50, 1e-3, 0.95e-3, 1.05e-3, n=600))
    grown = (measured(MEMORY, 2.5e7, n=1), measured(P50, 1.5e-3, 1.45e-3, 1.55e-3, n=600))
    relative = {"margin": 0.1, "unit": "relative", "own": old}
    assert timed(*old, name=MEMORY, **relative).code == 0
    assert timed(*grown, name=MEMORY, **relative).code == 1
    assert timed(*grown, name=P50, **relative).code == 1
    ran = timed(*grown, name=P50, machine={**FIXTURE["machine"], "id": "another"}, **relative)
    assert ran.code == 4
    assert "another machine" in ran.out


def test_compare_lists_timings_of_another_machine_as_not_compared(timed: Callable[..., Ran]) -> None:
    compare = ("compare", "old", "new", "--json")
    here = timed(measured(RATIO, 0.77, 0.73, 0.81), own=(measured(RATIO, None),), verb=compare).json
    (row,) = next(one for one in here["comparisons"] if one["task"] == TASK)["metrics"]
    assert (row["a"]["value"], row["b"]["value"], row["verdict"]) == (1.0, 0.77, "better")
    assert row["test"] == "z, beside the parent"
    machine = {**FIXTURE["machine"], "id": "another"}
    ran = timed(measured(RATIO, 0.77, 0.73, 0.81), own=(measured(RATIO, None),), verb=compare, machine=machine)
    assert ran.code == 4
    reasons = {one["task"]: one["reason"] for one in ran.json["incomparable"]}
    assert "measured with another machine" in reasons[TASK]


def test_a_margin_in_standard_errors_of_the_parent_makes_no_sense_of_a_ratio(timed: Callable[..., Ran]) -> None:
    ran = timed(measured(RATIO, 0.77, 0.73, 0.81), margin=1, unit="se")
    assert ran.code == 3
    assert "give the margin as absolute or relative" in " ".join(ran.out.split())

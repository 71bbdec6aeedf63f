"""A child that misbehaves fails its own unit with one line that names the item; the others go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from support import Ran

AT = 40
FAULTS = [
    ("nan", "NaN"),
    ("inf", "infinity"),
    ("shape", "sum to 1 within 1"),
    ("dtype", "int64"),
    ("error", "deliberate failure"),
    ("missing", "one each is needed"),
    ("die", "SIGKILL"),
]


def uniform(**more: object) -> dict[str, object]:
    return {"fake": "constant", "probs": [0.1] * 10, **more}


@pytest.mark.parametrize(("kind", "says"), FAULTS)
def test_a_fault_fails_its_unit_in_one_line_and_the_others_go_on(
    hallmark: Callable[..., Ran], fake: Callable[..., Path], kind: str, says: str
) -> None:
    bad = fake("bad", uniform(fault={"kind": kind, "at": AT}))
    good = fake("good", uniform())
    ran = hallmark("run", bad, good, "-t", "digits", "--json")
    assert ran.code == 1
    line = ran.err.strip()
    assert "\n" not in line
    assert line.startswith("hallmark: bad on digits failed: item 'digit-")
    assert says in line
    assert [r["manifest"]["name"] for r in ran.json["records"]] == ["good"]
    assert ran.json["failures"][0]["submission"] == "bad"
    assert not list(Path("results").glob("bad/**/*.json"))


def test_the_named_item_is_the_one_that_was_spoilt(hallmark: Callable[..., Ran], fake: Callable[..., Path]) -> None:
    """Two runs that differ only in where the fault sits blame different items; the same one blames the same."""

    def blamed(i: int, at: int) -> str:
        bad = fake(f"bad{i}", uniform(fault={"kind": "nan", "at": at}))
        return hallmark("run", bad, "-t", "digits").err.split("failed:")[1]

    lines = [blamed(i, at) for i, at in enumerate((AT, AT, AT + 1))]
    assert "item 'digit-" in lines[0]
    assert "more of its batch" not in lines[0]
    assert lines[0] != lines[2]


def test_a_hanging_child_is_ended_at_the_time_limit(hallmark: Callable[..., Ran], fake: Callable[..., Path]) -> None:
    bad = fake("hangs", uniform(fault={"kind": "hang", "at": 0}))
    began = time.monotonic()
    ran = hallmark("run", bad, "-t", "digits", "--time-limit", "4")
    assert ran.code == 1
    assert "limit of 4 s" in ran.err
    assert "--time-limit" in ran.err
    assert time.monotonic() - began < 60
    mine = psutil.Process().children(recursive=True)
    assert not [p for p in mine if "suite.worker" in " ".join(p.cmdline())]


def test_finished_batches_survive_a_failure_and_the_mended_run_uses_them(
    hallmark: Callable[..., Ran], fake: Callable[..., Path]
) -> None:
    folder = fake("mended", uniform(fault={"kind": "die", "at": 100}))
    assert hallmark("run", folder, "-t", "digits").code == 1
    kept = len(list(Path("results/.journal").glob("*/*.parquet")))
    assert kept == 100 // 32


def test_a_spoilt_language_model_names_the_document(hallmark: Callable[..., Ran], fake: Callable[..., Path]) -> None:
    bad = fake("lm", {"fake": "uniform", "fault": {"kind": "nan", "at": 3}}, kind="language")
    ran = hallmark("run", bad, "-t", "generated-text")
    assert ran.code == 1
    assert "item 'doc-" in ran.err
    assert "NaN" in ran.err

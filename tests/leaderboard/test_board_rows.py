"""The board's rows: what is derived from the index, and what is missing stays missing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from board_records import compare, describe, family, measurement, put

from leaderboard.board import Board, open_board
from leaderboard.derivation import family_order
from leaderboard.table import ancestors, depths
from suite import derived_index, index
from suite.store import Store


def opened(root: Path) -> Board:
    index.sync(Store(root))
    return open_board(root)


def row(root: Path, name: str) -> pd.Series:
    rows = opened(root).rows
    return rows[rows["submission"] == name].iloc[0]


def test_children_stand_under_their_parents_over_several_levels(tmp_path: Path) -> None:
    family(tmp_path)
    put(tmp_path, "apple")
    put(tmp_path, "int4", parent="zebra")
    board = opened(tmp_path)
    assert list(board.rows["submission"]) == ["apple", "zebra", "int4", "int8", "int8-pruned"]
    assert list(board.rows["family"]) == ["apple", "zebra", "zebra", "zebra", "zebra"]
    assert depths(board.rows, board.rows, board.parents) == [0, 0, 1, 1, 2]


def test_a_grandchild_whose_parent_is_filtered_away_stands_under_its_grandparent(tmp_path: Path) -> None:
    for name, parent in (("a", None), ("b", "a"), ("c", "b")):
        put(tmp_path, name, parent=parent)
    board = opened(tmp_path)
    left = board.rows[board.rows["submission"] != "b"]
    assert list(left["submission"]) == ["a", "c"]
    assert depths(left, left, board.parents) == [0, 1]


def test_an_orphan_and_a_circle_stand_at_the_top() -> None:
    assert family_order({"b": "a"}) == (["b"], {"b": "b"})
    circle = {"a": "b", "b": "a", "c": "a", "d": "d"}
    order, tops = family_order(circle)
    assert sorted(order) == ["a", "b", "c", "d"]
    assert order.index("a") < order.index("c")
    assert tops["d"] == "d"
    assert {name: ancestors(name, circle) for name in circle} == {"a": [], "b": [], "c": ["a", "b"], "d": []}


def test_a_circle_of_parents_loses_no_row_and_does_not_hang(tmp_path: Path) -> None:
    for name, parent in (("a", "b"), ("b", "a"), ("c", "a")):
        put(tmp_path, name, parent=parent)
    assert sorted(opened(tmp_path).rows["submission"]) == ["a", "b", "c"]


def test_the_newest_record_counts_and_limited_ones_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a", value=0.1, started="2026-01-01T00:00:00Z")
    put(tmp_path, "a", value=0.2, started="2026-01-03T00:00:00Z")
    put(tmp_path, "a", value=0.3, started="2026-01-02T00:00:00Z")
    put(tmp_path, "a", value=0.4, started="2026-01-04T00:00:00Z", limit=10)
    board = opened(tmp_path)
    assert list(board.rows["value"]) == [0.2]
    assert list(board.rows["date"]) == ["2026-01-03"]
    assert board.limited == 1
    assert list(board.records("a")["value"]) == [0.1, 0.3, 0.2, 0.4]


def test_every_machine_and_device_has_its_row(tmp_path: Path) -> None:
    put(tmp_path, "a")
    put(tmp_path, "a", machine="bbbb")
    put(tmp_path, "a", device="cuda")
    assert len(opened(tmp_path).rows) == 3


def test_a_replaced_record_is_left_out(tmp_path: Path) -> None:
    wrong = put(tmp_path, "a", value=0.1, machine="bbbb", started="2026-02-01T00:00:00Z")
    put(tmp_path, "a", value=0.2, supersedes=wrong)
    assert list(opened(tmp_path).rows["value"]) == [0.2]


def test_missing_is_missing_and_says_why(tmp_path: Path) -> None:
    describe(tmp_path)
    put(tmp_path, "a", parent="gone", measurements=[measurement("accuracy", None, reason="every answer was empty")])
    found = row(tmp_path, "a")
    for name in ("value", "low", "change", "change_low", "bytes", "items_per_s", "verdict", "retention", "rank_low"):
        assert pd.isna(found[name]), name
    assert found["note"] == "every answer was empty; not compared with gone"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_record_with_a_number_that_is_none_is_passed_over_and_told(tmp_path: Path, value: float) -> None:
    put(tmp_path, "a")
    put(tmp_path, "b")
    path = next(tmp_path.glob("a/*/*.json"))
    path.write_text(path.read_text().replace("0.9", json.dumps(value)))
    board = opened(tmp_path)
    assert list(board.rows["submission"]) == ["b"]
    assert len(board.problems) == 1
    assert str(path) in board.problems[0]


def test_the_primary_metric_is_the_described_one_else_the_first(tmp_path: Path) -> None:
    two = [measurement("nll", 1.5, "nats", False), measurement("accuracy", 0.75, low=0.7, high=0.8)]
    put(tmp_path, "a", measurements=two)
    before = row(tmp_path, "a")
    assert (before["metric"], before["unit"], before["better"], before["value"]) == ("nll", "nats", "lower", 1.5)
    describe(tmp_path)  # the index notices that the task has a description now
    after = row(tmp_path, "a")
    assert (after["metric"], after["better"], after["value"], after["low"]) == ("accuracy", "higher", 0.75, 0.7)


def test_a_record_without_the_primary_metric_or_without_any_says_so(tmp_path: Path) -> None:
    put(tmp_path, "a", measurements=[])
    assert row(tmp_path, "a")["note"] == "the record has no measurements"
    describe(tmp_path, primary="dice")
    assert row(tmp_path, "a")["note"] == "the record has no dice"


def test_the_change_and_its_verdict_come_from_the_index(tmp_path: Path) -> None:
    family(tmp_path)
    child, grandchild = row(tmp_path, "int8"), row(tmp_path, "int8-pruned")
    assert [child[k] for k in ("change", "change_low", "change_high", "verdict")] == [-0.01, -0.02, -0.001, "worse"]
    assert pd.isna(grandchild["change"])
    assert pd.isna(grandchild["verdict"])


@pytest.mark.parametrize(
    ("low", "high", "better", "said"),
    [
        (0.1, 0.2, True, "better"),
        (0.1, 0.2, False, "worse"),
        (-0.2, -0.1, True, "worse"),
        (-0.2, -0.1, False, "better"),
        (0.0, 0.2, True, "unclear"),
        (0.1, 0.2, None, None),
        (None, 0.2, True, None),
    ],
)
def test_the_verdict_follows_the_interval_and_the_direction(
    tmp_path: Path, low: float | None, high: float | None, better: bool | None, said: str | None
) -> None:
    stem = put(tmp_path, "a", higher=better)
    compare(tmp_path, stem, value=0.1, low=low, high=high, reason=None)
    found = row(tmp_path, "a")["verdict"]
    assert (None if pd.isna(found) else found) == said


def test_retention_is_what_is_left_of_the_parent_in_either_direction(tmp_path: Path) -> None:
    put(tmp_path, "a", value=0.8)
    put(tmp_path, "b", parent="a", value=0.6)
    put(tmp_path, "c", parent="a", value=0.6, protocol="another")
    put(tmp_path, "p", task="text", value=4.0, metric="perplexity", higher=False)
    put(tmp_path, "q", task="text", value=5.0, metric="perplexity", higher=False, parent="p")
    assert row(tmp_path, "b")["retention"] == pytest.approx(0.75)
    assert row(tmp_path, "q")["retention"] == pytest.approx(0.8)
    assert pd.isna(row(tmp_path, "a")["retention"])
    assert pd.isna(row(tmp_path, "c")["retention"])


def test_a_latency_ratio_only_within_one_runtime_and_machine(tmp_path: Path) -> None:
    def timed(name: str, seconds: float, parent: str | None, **more: str) -> None:
        found = [measurement("accuracy", 0.9), measurement("latency_p50_s", seconds, "s", False)]
        put(tmp_path, name, parent=parent, measurements=found, **more)  # type: ignore[arg-type]

    timed("a", 0.2, None)
    timed("b", 0.1, "a")
    timed("c", 0.1, "a", machine="bbbb")
    assert row(tmp_path, "b")["latency_ratio"] == pytest.approx(0.5)
    assert pd.isna(row(tmp_path, "c")["latency_ratio"])


def test_of_timed_scenarios_the_first_one_is_shown(tmp_path: Path) -> None:
    found = [
        measurement(f"{name}[scenario=batch-{size}]", value, unit, higher=False)
        for name, unit, values in (("latency_ratio", "", (0.5, 0.7)), ("latency_p50_s", "s", (0.1, 0.4)))
        for size, value in zip((1, 8), values, strict=True)
    ]
    put(tmp_path, "a", task="efficiency-language", measurements=found)
    seen = row(tmp_path, "a")
    assert (seen["latency_ratio"], seen["latency_p50_s"]) == (0.5, 0.1)


def test_the_u_score_comes_once_the_speed_of_these_weights_is_known(tmp_path: Path) -> None:
    store, seen = Store(tmp_path), {"unet": SimpleNamespace(ubench="BUSI", version="1")}
    inputs = {"inputs": {"shape": [3, 256, 256]}}
    readings = {"iou": 0.6557507, "parameters": 34.527041e6, "bytes": 4 * 34.527041e6, "macs": 65.522368512e9}
    found = [measurement(name, value) for name, value in {"dice": 0.7, **readings}.items()]
    put(tmp_path, "a", kind="segmentation", task="unet", measurements=found, manifest=inputs)
    index.sync(store)
    derived_index.refresh(store, seen)  # type: ignore[arg-type]
    assert pd.isna(row(tmp_path, "a")["u_score"])
    assert "u_score" not in opened(tmp_path).present
    timed = [measurement("latency_p50_s[scenario=batch-1]", 1 / 137.05495, "s", higher=False)]
    put(tmp_path, "a", kind="segmentation", task="efficiency-segmentation", measurements=timed, manifest=inputs)
    index.sync(store)
    derived_index.refresh(store, seen)  # type: ignore[arg-type]
    rows = opened(tmp_path).rows
    scores = rows[rows["task"] == "unet"].iloc[0]
    assert round(scores["u_score"], 2) == round(scores["u_score_bits"], 2) == 19.26  # the authors' figure of U-Net
    assert "u_score" in opened(tmp_path).present


def test_worst_group_gap_and_calibration_are_the_records(tmp_path: Path) -> None:
    found = [
        measurement("accuracy", 0.9),
        *(measurement(f"worst_group_accuracy[{by}]", value) for by, value in (("sex", 0.8), ("age", 0.7))),
        *(measurement(f"accuracy_gap[{by}]", value, higher=False) for by, value in (("sex", 0.15), ("age", 0.1))),
        measurement("worst_group_nll[sex]", 9.0, higher=False),
        measurement("ece_15", 0.03, higher=False),
    ]
    put(tmp_path, "a", measurements=found)
    seen = row(tmp_path, "a")
    assert (seen["worst_group"], seen["worst_group_metric"]) == (0.7, "worst_group_accuracy[age]")
    assert (seen["gap"], seen["gap_metric"]) == (0.15, "accuracy_gap[sex]")
    assert (seen["calibration"], seen["calibration_metric"]) == (0.03, "ece_15")


@pytest.mark.parametrize("name", ["paired.parquet", "rankings.json", "records.parquet"])
@pytest.mark.parametrize("damage", [b"", b"[]", b'{"digits": 3}', b"PAR1 and then nothing"])
def test_a_damaged_index_costs_no_row(tmp_path: Path, name: str, damage: bytes) -> None:
    family(tmp_path)
    index.sync(Store(tmp_path))
    (tmp_path / ".index" / name).write_bytes(damage)
    assert len(opened(tmp_path).rows) == 3


def test_unreadable_files_are_told_and_the_rest_is_there(tmp_path: Path) -> None:
    family(tmp_path)
    (tmp_path / "int8" / "digits" / "20260101-000000000000.json").write_text("{")
    (tmp_path / "tasks" / "digits.json").write_text("[")
    board = opened(tmp_path)
    assert len(board.rows) == 3
    assert len(board.problems) == 2
    assert board.tasks == {}


def test_an_absent_folder_has_no_rows(tmp_path: Path) -> None:
    assert opened(tmp_path / "absent").rows.empty
    assert not (tmp_path / "absent").exists()


def test_one_record_can_be_read_in_full(tmp_path: Path) -> None:
    stem = put(tmp_path, "a")
    board = opened(tmp_path)
    stored = board.stored(stem)
    assert stored is not None
    assert stored.record.manifest.name == "a"
    assert board.stored("gone") is None
    assert board.submissions() == ["a"]

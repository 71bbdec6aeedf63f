from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from board_records import compare, describe, family, measurement, put

from leaderboard import table
from leaderboard.table import family_order, load, select, shown, signature, to_csv, to_json


def row(root: Path, name: str) -> pd.Series:
    rows = load(root).rows
    return rows[rows["submission"] == name].iloc[0]


def test_children_stand_under_their_parents_over_several_levels(tmp_path: Path) -> None:
    family(tmp_path)
    put(tmp_path, "apple")
    put(tmp_path, "int4", parent="zebra")
    rows = select(load(tmp_path).rows)
    assert list(rows["submission"]) == ["apple", "zebra", "int4", "int8", "int8-pruned"]
    assert list(rows["depth"]) == [0, 0, 1, 1, 2]
    assert list(rows["family"]) == ["apple", "zebra", "zebra", "zebra", "zebra"]
    assert list(shown(rows)["submission"])[2:] == ["└ int4", "└ int8", "\u2003└ int8-pruned"]


def test_a_child_in_another_runtime_than_its_parent_is_noted(tmp_path: Path) -> None:
    put(tmp_path, "a", manifest={"format": "torch-export"})
    put(tmp_path, "b", parent="a", manifest={"format": "onnx"})
    put(tmp_path, "c", parent="b", manifest={"format": "onnx"})
    assert "items/s and memory: onnx beside its parent's torch-export" in row(tmp_path, "b")["note"]
    assert "items/s" not in row(tmp_path, "c")["note"]
    assert row(tmp_path, "a")["note"] is None


def test_a_grandchild_whose_parent_is_filtered_away_stands_under_its_grandparent(tmp_path: Path) -> None:
    put(tmp_path, "a")
    put(tmp_path, "b", parent="a", machine="bbbb")
    put(tmp_path, "c", parent="b")
    rows = load(tmp_path).rows
    machine = rows.loc[rows["submission"] == "a", "machine_label"].iloc[0]
    here = select(rows, machines=[machine])
    assert list(zip(here["submission"], here["depth"], strict=True)) == [("a", 0), ("c", 1)]


def test_an_orphan_and_a_circle_stand_at_the_top() -> None:
    assert family_order({"b": ("a",)}) == [("b", 0)]
    circle = {"a": "b", "b": "a", "c": "a", "d": "d"}
    assert {name: table._lineage(name, circle) for name in circle} == {"a": (), "b": (), "c": ("a", "b"), "d": ()}


def test_a_circle_of_parents_loses_no_row_and_does_not_hang(tmp_path: Path) -> None:
    put(tmp_path, "a", parent="b")
    put(tmp_path, "b", parent="a")
    put(tmp_path, "c", parent="a")
    rows = select(load(tmp_path).rows)
    assert list(zip(rows["submission"], rows["depth"], strict=True)) == [("a", 0), ("c", 1), ("b", 0)]


def test_the_newest_record_counts_and_limited_ones_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a", value=0.1, started="2026-01-01T00:00:00Z")
    put(tmp_path, "a", value=0.2, started="2026-01-03T00:00:00Z")
    put(tmp_path, "a", value=0.3, started="2026-01-02T00:00:00Z")
    put(tmp_path, "a", value=0.4, started="2026-01-04T00:00:00Z", limit=10)
    board = load(tmp_path)
    assert list(board.rows["value"]) == [0.2]
    assert list(board.rows["date"]) == ["2026-01-03"]
    assert board.limited == 1


def test_every_machine_and_device_has_its_row(tmp_path: Path) -> None:
    put(tmp_path, "a")
    put(tmp_path, "a", machine="bbbb")
    put(tmp_path, "a", device="cuda")
    assert len(select(load(tmp_path).rows)) == 3


def test_a_replaced_record_is_left_out(tmp_path: Path) -> None:
    wrong = put(tmp_path, "a", value=0.1, machine="bbbb", started="2026-02-01T00:00:00Z")
    put(tmp_path, "a", value=0.2, supersedes=wrong)
    assert list(load(tmp_path).rows["value"]) == [0.2]


def test_missing_is_missing_and_says_why(tmp_path: Path) -> None:
    describe(tmp_path)
    missing = measurement("accuracy", None, reason="every answer was empty")
    put(tmp_path, "a", parent="gone", measurements=[missing])
    found = row(tmp_path, "a")
    for name in ("value", "low", "high", "change", "change_low", "bytes", "bits_per_weight", "items_per_s", "verdict"):
        assert pd.isna(found[name]), name
    assert found["note"].startswith("every answer was empty; not compared with gone")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_record_with_a_number_that_is_none_is_passed_over_and_told(tmp_path: Path, value: float) -> None:
    put(tmp_path, "a")
    put(tmp_path, "b")
    path = next(tmp_path.glob("a/*/*.json"))
    path.write_text(path.read_text().replace("0.9", json.dumps(value)))
    board = load(tmp_path)
    assert list(board.rows["submission"]) == ["b"]
    assert len(board.problems) == 1
    assert str(path) in board.problems[0]


def test_the_primary_metric_is_the_described_one_else_the_first(tmp_path: Path) -> None:
    two = [measurement("nll", 1.5, "nats", False), measurement("accuracy", 0.75, low=0.7, high=0.8)]
    put(tmp_path, "a", measurements=two)
    before = row(tmp_path, "a")
    assert (before["metric"], before["better"], before["value"]) == ("nll (nats)", "lower", 1.5)
    describe(tmp_path)
    after = row(tmp_path, "a")
    assert (after["metric"], after["better"], after["value"], after["low"]) == ("accuracy", "higher", 0.75, 0.7)


def test_a_record_without_the_primary_metric_or_without_any_says_so(tmp_path: Path) -> None:
    put(tmp_path, "a", measurements=[])
    assert row(tmp_path, "a")["note"] == "the record has no measurements"
    describe(tmp_path, primary="dice")
    assert row(tmp_path, "a")["note"] == "the record has no dice"
    assert pd.isna(row(tmp_path, "a")["value"])


def test_the_paired_change_comes_from_the_index(tmp_path: Path) -> None:
    family(tmp_path)
    child, grandchild = row(tmp_path, "int8"), row(tmp_path, "int8-pruned")
    assert [child[k] for k in ("change", "change_low", "change_high", "verdict")] == [-0.01, -0.02, -0.001, "worse"]
    assert pd.isna(grandchild["change"])
    assert pd.isna(row(tmp_path, "zebra")["note"])


@pytest.mark.parametrize("damaged", ["[]", "{", '{"STEM": []}', '{"STEM": {"differences": {"accuracy": 3}}}'])
def test_a_damaged_index_costs_the_changes_only(tmp_path: Path, damaged: str) -> None:
    family(tmp_path)
    stem = next(tmp_path.glob("int8/*/*.json")).stem
    (tmp_path / ".index" / "paired.json").write_text(damaged.replace("STEM", stem))
    assert len(load(tmp_path).rows) == 3
    assert load(tmp_path).rows["change"].isna().all()


def test_unreadable_files_are_told_and_the_rest_is_there(tmp_path: Path) -> None:
    family(tmp_path)
    (tmp_path / "int8" / "digits" / "20260101-000000000000.json").write_text("{")
    (tmp_path / "tasks" / "digits.json").write_text("[")
    board = load(tmp_path)
    assert len(board.rows) == 3
    assert len(board.problems) == 2
    assert board.tasks == {}


def test_an_absent_folder_has_no_rows(tmp_path: Path) -> None:
    board = load(tmp_path / "absent")
    assert board.rows.empty
    assert select(board.rows).empty
    assert to_json(select(board.rows)) == b"[]\n"


def test_filters_and_the_order_of_kinds_and_tasks(tmp_path: Path) -> None:
    put(tmp_path, "c1", kind="classification", task="a-task")
    put(tmp_path, "s1", kind="segmentation", task="volumes")
    put(tmp_path, "l1", kind="language", task="texts")
    put(tmp_path, "l1", kind="language", task="choices")
    rows = load(tmp_path).rows
    assert list(select(rows)["task"]) == ["choices", "texts", "volumes", "a-task"]
    assert list(select(rows, kinds=["language"])["task"]) == ["choices", "texts"]
    assert list(select(rows, kinds=["language"], tasks=["texts", "volumes"])["task"]) == ["texts"]
    assert select(rows, machines=["nothing"]).empty


def test_the_files_hold_exactly_the_shown_rows_and_columns(tmp_path: Path) -> None:
    family(tmp_path)
    rows = select(load(tmp_path).rows)
    on_screen = shown(rows)
    lines = list(csv.DictReader(io.StringIO(to_csv(rows).decode())))
    objects = json.loads(to_json(rows))
    assert list(lines[0]) == list(objects[0]) == list(on_screen.columns) == list(table.SHOWN)
    assert len(lines) == len(objects) == len(on_screen) == 3
    assert [line["submission"] for line in lines] == ["zebra", "int8", "int8-pruned"]
    assert (lines[0]["change"], objects[0]["change"]) == ("", None)
    assert (lines[1]["bytes"], objects[1]["bytes"]) == ("1000000", 1_000_000)
    assert (float(lines[1]["change"]), objects[1]["change"]) == (-0.01, -0.01)


def test_a_text_that_a_spreadsheet_would_run_is_made_harmless(tmp_path: Path) -> None:
    put(tmp_path, "a", value=-1.0, manifest={"title": '=HYPERLINK("http://x")'})
    rows = select(load(tmp_path).rows)
    line = next(csv.DictReader(io.StringIO(to_csv(rows).decode())))
    assert (line["title"], line["value"]) == ('\'=HYPERLINK("http://x")', "-1.0")
    assert json.loads(to_json(rows))[0]["title"].startswith("=HYPER")


def test_the_longest_cells_are_measured_as_shown(tmp_path: Path) -> None:
    family(tmp_path)
    lengths = load(tmp_path).lengths
    assert lengths["submission"] == len("\u2003└ int8-pruned")
    assert lengths["better"] == len("↑ higher")
    assert (lengths["value"], lengths["change"], lengths["bytes"]) == (len("0.95"), len("-0.01"), len("1 MB"))
    assert lengths["method"] == 0


def test_the_signature_changes_with_the_files(tmp_path: Path) -> None:
    seen = [signature(tmp_path)]
    put(tmp_path, "a")
    seen.append(signature(tmp_path))
    describe(tmp_path)
    seen.append(signature(tmp_path))
    compare(tmp_path, "stem", value=0.0)
    seen.append(signature(tmp_path))
    assert len(set(seen)) == 4
    assert signature(tmp_path) == seen[-1]


def test_facts_of_a_task_are_plain_lines_and_survive_odd_descriptions() -> None:
    data = {"source": "somewhere", "licence": "MIT"}
    known = table.facts({"chance": 0.25, "data": data})
    assert known == ["Chance level: 0.25", "Data: somewhere", "Licence of the data: MIT"]
    assert table.facts({"chance": "high", "data": ["x"]}) == table.facts({}) == []

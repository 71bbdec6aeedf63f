from __future__ import annotations

import csv
import datetime
import io
import json
from pathlib import Path

import pytest
from board_records import family, put
from test_board_rows import opened

from leaderboard import filters, matrix, table
from leaderboard.columns import COLUMNS, DEFAULT


def test_a_family_as_it_stands_on_the_screen(tmp_path: Path) -> None:
    family(tmp_path)
    rows = opened(tmp_path).rows
    seen = table.shown(rows, ["submission", "metric", "rank", "value"], [0, 1, 2])
    assert list(seen.columns) == ["submission", "metric", "rank", "value"]
    assert list(seen["submission"]) == ["zebra", "└ int8", "\u2003└ int8-pruned"]
    assert list(seen["metric"]) == ["accuracy ↑"] * 3
    assert list(seen["rank"]) == ["1–2", "1–2", "3"]


def test_a_column_sorts_and_missing_ones_come_last_either_way(tmp_path: Path) -> None:
    for name, value in (("a", 0.5), ("b", None), ("c", 0.9)):
        put(tmp_path, name, value=value)
    rows = opened(tmp_path).rows
    assert list(table.ordered(rows, "value")["submission"]) == ["c", "a", "b"]
    assert list(table.ordered(rows, "value", ascending=True)["submission"]) == ["a", "c", "b"]
    assert list(table.ordered(rows)["submission"]) == ["a", "b", "c"]


def test_pages_cut_the_rows_without_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcde":
        put(tmp_path, name)
    rows = opened(tmp_path).rows
    monkeypatch.setattr(table, "PAGE_ROWS", 2)
    assert table.pages(rows) == 3
    assert [name for n in (1, 2, 3) for name in table.page(rows, n)["submission"]] == list("abcde")
    assert table.pages(rows.iloc[:0]) == 1


@pytest.mark.parametrize("columns", [list(DEFAULT), list(COLUMNS), ["submission", "value"]])
def test_the_files_hold_the_rows_and_columns_of_the_screen(tmp_path: Path, columns: list[str]) -> None:
    family(tmp_path)
    rows = opened(tmp_path).rows
    on_screen = table.shown(rows, columns)
    lines = list(csv.DictReader(io.StringIO(table.to_csv(rows, columns).decode())))
    objects = json.loads(table.to_json(rows, columns))
    assert list(lines[0]) == list(objects[0]) == list(on_screen.columns) == columns
    assert [line["submission"] for line in lines] == ["zebra", "int8", "int8-pruned"]
    assert [float(line["value"]) for line in lines] == [o["value"] for o in objects] == [0.95, 0.94, 0.8]
    if "change" in columns:
        assert (lines[0]["change"], objects[0]["change"]) == ("", None)
        assert (float(lines[1]["change"]), objects[1]["change"]) == (-0.01, -0.01)


def test_a_text_that_a_spreadsheet_would_run_is_made_harmless(tmp_path: Path) -> None:
    put(tmp_path, "a", value=-1.0, manifest={"title": '=HYPERLINK("http://x")'})
    rows = opened(tmp_path).rows
    line = next(csv.DictReader(io.StringIO(table.to_csv(rows, ["title", "value"]).decode())))
    assert (line["title"], line["value"]) == ('\'=HYPERLINK("http://x")', "-1.0")
    assert json.loads(table.to_json(rows, ["title"]))[0]["title"].startswith("=HYPER")


def test_each_filter_lets_pass_what_it_says(tmp_path: Path) -> None:
    compression = {"method": "gptq-int4", "bits": 4}
    put(tmp_path, "a", size=4_000_000, value=0.8, sandbox="bwrap")
    put(tmp_path, "b", parent="a", size=500_000, value=0.6, manifest={"compression": compression, "licence": "MIT"})
    put(tmp_path, "c", kind="segmentation", task="volumes", metric="dice", generated_data=True, source="predictions")
    put(tmp_path, "d", machine="bbbb", started="2026-05-01T00:00:00Z", size=None)
    rows = opened(tmp_path).rows
    machine = rows.loc[rows["submission"] == "d", "machine_label"].iloc[0]
    asked = {
        "kind": ("segmentation", "c"),
        "tasks": (["volumes"], "c"),
        "methods": (["gptq-int4"], "b"),
        "licences": (["MIT"], "b"),
        "machines": ([machine], "d"),
        "sources": (["predictions"], "c"),
        "data": (["generated"], "c"),
        "sandboxes": (["bwrap"], "a"),
        "since": (datetime.date(2026, 4, 30), "d"),
        "max_mb": (0.6, "bc"),  # d has no size, so it does not pass
        "min_retention": (0.7, "b"),
        "q": ("GPTQ", "b"),
    }
    for key, (value, expected) in asked.items():
        assert "".join(sorted(filters.passing(rows, {key: value})["submission"])) == expected, key
    assert {choice.key for choice in (*filters.FIRST, *filters.MORE)} <= set(asked)
    assert len(filters.passing(rows, {})) == 4
    assert list(filters.passing(rows, {"q": "b gptq"})["submission"]) == ["b"]
    assert list(filters.passing(rows, {"q": "[", "kind": None})["submission"]) == []


def test_means_over_tasks_leave_missing_cells_out_and_say_how_many_went_in(tmp_path: Path) -> None:
    for task, child in (("one", 0.4), ("two", 0.2)):
        put(tmp_path, "a", task=task, value=0.8)
        put(tmp_path, "b", parent="a", task=task, value=child)
    put(tmp_path, "c", parent="a", task="two", value=0.6)
    found = matrix.by_task(opened(tmp_path).rows).set_index("submission")
    assert list(found.index) == ["a", "b", "c"]
    assert found.loc["b", matrix.MEAN] == pytest.approx((0.5 + 0.25) / 2)
    assert found.loc["c", matrix.MEAN] == pytest.approx(0.75)
    assert found.loc["c", matrix.COUNTED] == "1 of 2"
    assert found["one"].isna().sum() == 1
    assert found[matrix.MEAN].isna().sum() == 1


def test_facts_of_a_task_are_plain_lines_and_survive_odd_descriptions() -> None:
    about = {"source": "somewhere", "licence": "MIT"}
    known = table.facts({"chance": 0.25, "data": about})
    assert known == ["Chance level: 0.25", "Data: somewhere", "Licence of the data: MIT"]
    assert table.facts({"chance": "high", "data": ["x"]}) == table.facts({}) == []

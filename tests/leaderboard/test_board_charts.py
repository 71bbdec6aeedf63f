from __future__ import annotations

import json
from pathlib import Path

import pytest
from board_records import describe, family, put
from hypothesis import given
from hypothesis import strategies as st

from leaderboard import charts
from leaderboard.charts import describe as in_words
from leaderboard.charts import non_dominated, points, quality_against_size
from leaderboard.table import load, select

# by hand: 2 is worse than 1; 3 is as good as 1 but larger; 4 and 5 are equal and better; 6 is worse than they
SIZES = [1.0, 2.0, 3.0, 4.0, 4.0, 5.0]
ACCURACY = [0.5, 0.4, 0.5, 0.7, 0.7, 0.6]


def test_the_pareto_set_by_hand() -> None:
    expected = [True, False, False, True, True, False]
    assert non_dominated(SIZES, ACCURACY, "higher") == expected
    assert non_dominated(SIZES, [-a for a in ACCURACY], "lower") == expected
    assert non_dominated(SIZES, ACCURACY, "lower") == [True, True, False, False, False, False]
    assert not any(non_dominated(SIZES, ACCURACY, None))


def dominated(i: int, sizes: list[int], losses: list[int]) -> bool:
    return any(
        sizes[j] <= sizes[i] and losses[j] <= losses[i] and (sizes[j] < sizes[i] or losses[j] < losses[i])
        for j in range(len(sizes))
    )


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(-3, 3)), max_size=12), st.sampled_from(["higher", "lower"]))
def test_the_pareto_set_against_all_pairs(models: list[tuple[int, int]], better: str) -> None:
    sizes, values = [m[0] for m in models], [m[1] for m in models]
    losses = [-v if better == "higher" else v for v in values]
    assert non_dominated(sizes, values, better) == [not dominated(i, sizes, losses) for i in range(len(models))]


def test_the_chart_and_its_words(tmp_path: Path) -> None:
    family(tmp_path)
    drawn = points(select(load(tmp_path).rows))
    assert [p.name for p in drawn.places()] == ["int8", "zebra"]
    said = in_words(drawn)
    assert "int8 (1 MB, 0.94), zebra (4 MB, 0.95)" in said
    assert "1 model is not on it" in said
    spec = quality_against_size(drawn, "The digits (generated data)").to_dict()
    text = json.dumps(spec, ensure_ascii=False)
    assert spec["description"] == said
    assert spec["title"] == "The digits (generated data)"
    assert '"type": "log"' in text
    assert '"interpolate": "step-after"' in text
    assert "accuracy ↑ higher is better" in text


def test_lower_is_better_turns_the_line(tmp_path: Path) -> None:
    for name, value, size in (("a", 10.0, 1000), ("b", 8.0, 2000), ("c", 9.0, 3000)):
        put(tmp_path, name, value=value, size=size, metric="perplexity", higher=False)
    drawn = points(select(load(tmp_path).rows))
    assert [p.name for p in drawn.places()] == ["a", "b"]
    assert "↓ lower is better" in json.dumps(quality_against_size(drawn, "t").to_dict(), ensure_ascii=False)


@pytest.mark.parametrize("higher", [True, None])
def test_one_model_without_interval_can_be_drawn(tmp_path: Path, higher: bool | None) -> None:
    put(tmp_path, "a", value=0.0, higher=higher)
    drawn = points(select(load(tmp_path).rows))
    assert quality_against_size(drawn, "t").to_dict()
    assert ("On the Pareto line" in in_words(drawn)) == (higher is True)


def test_models_that_cannot_be_drawn_are_named(tmp_path: Path) -> None:
    describe(tmp_path)
    put(tmp_path, "old", task_version="0", started="2025-01-01T00:00:00Z")
    put(tmp_path, "other", protocol="another", started="2025-01-01T00:00:00Z")
    put(tmp_path, "unsized", size=None)
    put(tmp_path, "empty", size=0)
    put(tmp_path, "unscored", value=None)
    put(tmp_path, "fine", started="2026-02-01T00:00:00Z")
    drawn = points(select(load(tmp_path).rows))
    assert list(drawn.frame["submission"]) == ["fine"]
    assert drawn.incomplete == ("empty", "unscored", "unsized")
    assert drawn.incomparable == ("old", "other")
    assert "another version, protocol or data of the task): old, other." in in_words(drawn)


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    put(tmp_path, "unsized", size=None)
    assert in_words(points(load(tmp_path).rows)).startswith("Nothing to draw")


def test_a_model_on_two_machines_is_one_point_its_newest(tmp_path: Path) -> None:
    put(tmp_path, "a", value=0.5, machine="new", started="2026-02-01T00:00:00Z")
    put(tmp_path, "a", value=0.6, machine="old")
    assert list(points(load(tmp_path).rows).frame["value"]) == [0.5]


def test_many_models_are_drawn_without_names(tmp_path: Path) -> None:
    for i in range(charts.LABELLED + 1):
        put(tmp_path, f"m{i:02}", size=1000 + i)
    layers = quality_against_size(points(load(tmp_path).rows), "t").to_dict()["layer"]
    assert not [layer for layer in layers if layer["mark"]["type"] == "text"]


def test_names_of_neighbours_do_not_overlap() -> None:
    names, sizes, values = ["embedded-a", "embedded-b", "embedded-c"], [200e3, 210e3, 220e3], [0.853, 0.856, 0.7]
    offsets = charts.name_offsets([*names, "small"], [*sizes, 1e3], [*values, 0.854])
    assert offsets[0] != offsets[1]
    assert offsets[2] == offsets[3] == charts.OFFSETS[0]
    assert charts.name_offsets(["a"] * 9, [1.0] * 9, [1.0] * 9)[-1] in charts.OFFSETS

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from board_records import describe, family, measurement, put
from hypothesis import given
from hypothesis import strategies as st
from test_board_rows import opened

from leaderboard import points
from leaderboard.charts import name_offsets, trade_off
from leaderboard.points import Points, non_dominated, thinned
from leaderboard.points import describe as in_words
from leaderboard.theme import GREY

# by hand: 2 is worse than 1; 3 is as good as 1 but larger; 4 and 5 are equal and better; 6 is worse than they
SIZES = [1.0, 2.0, 3.0, 4.0, 4.0, 5.0]
ACCURACY = [0.5, 0.4, 0.5, 0.7, 0.7, 0.6]


def drawn_of(root: Path, x: str = "bytes", y: str = "value") -> Points:
    return points.points(opened(root).rows, x, y)


def on_line(drawn: Points) -> list[str]:
    return list(drawn.frame.loc[drawn.frame["on_line"]].sort_values("x")["submission"])


def test_the_pareto_set_by_hand() -> None:
    expected = [True, False, False, True, True, False]
    assert non_dominated(SIZES, ACCURACY, ("lower", "higher")).tolist() == expected
    assert non_dominated(SIZES, [-a for a in ACCURACY], ("lower", "lower")).tolist() == expected
    assert non_dominated([-s for s in SIZES], ACCURACY, ("higher", "higher")).tolist() == expected
    assert non_dominated(SIZES, ACCURACY, ("lower", "lower")).tolist() == [True, True, False, False, False, False]
    assert not non_dominated(SIZES, ACCURACY, ("lower", None)).any()
    assert non_dominated([], [], ("lower", "higher")).tolist() == []


def dominated(i: int, sizes: list[int], losses: list[int]) -> bool:
    return any(
        sizes[j] <= sizes[i] and losses[j] <= losses[i] and (sizes[j] < sizes[i] or losses[j] < losses[i])
        for j in range(len(sizes))
    )


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(-3, 3)), max_size=12), st.sampled_from(["higher", "lower"]))
def test_the_pareto_set_against_all_pairs(models: list[tuple[int, int]], better: str) -> None:
    sizes, values = [m[0] for m in models], [m[1] for m in models]
    losses = [-v if better == "higher" else v for v in values]
    expected = [not dominated(i, sizes, losses) for i in range(len(models))]
    assert non_dominated(sizes, values, ("lower", better)).tolist() == expected


def test_the_chart_and_its_words(tmp_path: Path) -> None:
    family(tmp_path)
    drawn = drawn_of(tmp_path)
    assert on_line(drawn) == ["int8", "zebra"]
    said = in_words(drawn)
    assert "int8 (1 MB, 0.94), zebra (4 MB, 0.95)" in said
    spec = trade_off(drawn, "The digits (generated data)").to_dict()
    words = json.dumps(spec, ensure_ascii=False)
    assert spec["description"] == said
    assert spec["title"] == "The digits (generated data)"
    assert '"interpolate": "step-after"' in words
    assert "accuracy ↑ higher is better" in words
    assert "x2" in words  # lines from child to parent
    assert any(param["name"] == "model" for param in spec["params"])


def test_no_name_leaves_the_plot() -> None:
    names = ["first-of-the-family", "second-of-the-family", "last-of-the-family"]
    offsets = name_offsets(names, [0.0, 0.95, 1.0], [0.5, 0.52, 0.52])
    assert [side for side, _ in offsets] == [1, -1, -1]
    assert offsets[1] != offsets[2]  # one would lie upon the other


def test_any_two_columns_and_their_directions(tmp_path: Path) -> None:
    family(tmp_path)
    offered = points.offered(opened(tmp_path).rows)
    assert {"bytes", "value", "change", "retention"} <= set(offered)
    assert not {"low", "change_low", "energy_j", "u_score"} & set(offered)
    drawn = drawn_of(tmp_path, "value", "bytes")
    assert drawn.better == ("higher", "lower")
    assert on_line(drawn) == ["int8", "zebra"]
    assert drawn.frame["x_low"].notna().all()
    assert drawn.frame["y_low"].isna().all()
    assert '"interpolate": "step-before"' in json.dumps(trade_off(drawn, "t").to_dict())


def test_a_wide_axis_is_logarithmic_and_says_so(tmp_path: Path) -> None:
    for name, size in (("a", 1000), ("b", 8000)):
        put(tmp_path, name, size=size)
    words = json.dumps(trade_off(drawn_of(tmp_path), "t").to_dict())
    assert '"type": "log"' in words
    assert "(log scale)" in words


def test_lower_is_better_turns_the_line(tmp_path: Path) -> None:
    for name, value, size in (("a", 10.0, 1000), ("b", 8.0, 2000), ("c", 9.0, 3000)):
        put(tmp_path, name, value=value, size=size, metric="perplexity", higher=False)
    drawn = drawn_of(tmp_path)
    assert on_line(drawn) == ["a", "b"]
    assert "↓ lower is better" in json.dumps(trade_off(drawn, "t").to_dict(), ensure_ascii=False)


@pytest.mark.parametrize("higher", [True, None])
def test_one_model_without_interval_can_be_drawn(tmp_path: Path, higher: bool | None) -> None:
    put(tmp_path, "a", value=0.0, higher=higher)
    drawn = drawn_of(tmp_path)
    assert trade_off(drawn, "t", ["a"]).to_dict()
    assert ("On the Pareto line" in in_words(drawn)) == (higher is True)


def test_models_that_cannot_be_drawn_are_named(tmp_path: Path) -> None:
    describe(tmp_path)
    put(tmp_path, "old", task_version="0", started="2025-01-01T00:00:00Z")
    put(tmp_path, "other", protocol="another", started="2025-01-01T00:00:00Z")
    put(tmp_path, "unsized", size=None)
    put(tmp_path, "unscored", value=None)
    put(tmp_path, "fine", started="2026-02-01T00:00:00Z")
    drawn = drawn_of(tmp_path)
    assert list(drawn.frame["submission"]) == ["fine"]
    assert drawn.incomplete == ("unscored", "unsized")
    assert drawn.incomparable == ("old", "other")
    assert "another version, protocol or data of the task): old, other." in in_words(drawn)


def test_operating_points_of_one_checkpoint_are_joined(tmp_path: Path) -> None:
    for name, bits, size in (("a4", 4, 1000), ("a8", 8, 2000)):
        put(tmp_path, name, size=size, manifest={"series": "a", "operating_point": {"bits": bits}})
    put(tmp_path, "alone", manifest={"series": "b", "operating_point": {"bits": 2}})
    drawn = drawn_of(tmp_path)
    curves = dict(zip(drawn.frame["submission"], drawn.frame["curve"], strict=True))
    assert curves["a4"] == curves["a8"] == "a"
    assert pd.isna(curves["alone"])


def test_of_many_points_the_line_and_a_sample_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "MOST_DRAWN", 4)
    for i in range(8):
        put(tmp_path, f"m{i}", value=0.5 - i / 100, size=1000 + i)
    put(tmp_path, "best", value=0.9, size=1)
    drawn = drawn_of(tmp_path)
    left = thinned(drawn, keep=["m7"])
    assert len(left) == 4
    assert {"best", "m7"} <= set(left["submission"])
    assert thinned(drawn, keep=["m7"]).equals(left)


def test_families_beyond_the_palette_are_grey_and_called_other(tmp_path: Path) -> None:
    for i in range(points.FAMILIES + 2):
        put(tmp_path, f"m{i}", size=1000 + i)
    spec = json.dumps(trade_off(drawn_of(tmp_path), "t").to_dict())
    assert '"other"' in spec
    assert GREY in spec


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    put(tmp_path, "a", measurements=[measurement("accuracy", 0.5)])
    assert "Nothing to draw" in in_words(drawn_of(tmp_path))

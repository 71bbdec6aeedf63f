from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from board_records import describe, measurement, put
from page_records import charts_of, nothing_as_html, pair, said, turn
from scipy.stats import linregress, norm
from streamlit.testing.v1 import AppTest

from leaderboard import distribution, tasksheet, theme
from leaderboard.board import open_board
from suite import index
from suite.store import Store

Open = Callable[..., AppTest]


def groups(root: Path, values: dict[str, tuple[float, float]], **more: object) -> None:
    """Models with a value on the large group 'old' and on the small group 'new'."""
    for name, (old, new) in values.items():
        parts = [
            {**measurement("accuracy[age=old]", old), "n": 900},
            {**measurement("accuracy[age=new]", new), "n": 100},
        ]
        put(
            root, name, measurements=[measurement("accuracy", 0.9 * old + 0.1 * new, low=0.5, high=1.0), *parts], **more
        )


def test_without_records_and_unknown(open_app: Open, tmp_path: Path) -> None:
    assert turn(open_app(), "task").code[0].value.startswith("hallmark run ")
    put(tmp_path, "a")
    page = turn(open_app(), "task")
    assert "Choose a task" in said(page)
    page = turn(open_app(), "task", task="<b>gone</b>")
    assert "<b>gone</b>" in {element.value for element in page.text}
    assert not page.dataframe


def test_the_sheet_says_what_the_description_says(open_app: Open, tmp_path: Path) -> None:
    about = {"name": "d1", "source": "an archive", "licence": "CC-BY-4.0", "sha256": "ab" * 32, "generated": False}
    conventions = {"accuracy": {"unit": "", "higher_is_better": True, "reference": "share of right ones"}}
    issues = {"known_issues": ["3 labels are wrong"]}
    describe(tmp_path, chance=0.25, data=about, metrics=conventions, version="2", kind="classification", **issues)
    put(tmp_path, "good", value=0.9, low=0.8, high=0.95)
    put(tmp_path, "guess", value=0.26, low=0.2, high=0.3)
    page = turn(open_app(), "task", task="digits")
    facts = page.dataframe[0].value.set_index("what")["value"]
    assert facts["chance level"] == "0.25"
    assert facts["licence of the data"] == "CC-BY-4.0"
    assert facts["sha256 of the data"] == "ab" * 32
    assert facts["which is"] == "share of right ones"
    assert facts["observations"] == "100"
    assert "3 labels are wrong" in said(page)
    assert "1 of 2 models is not shown to be above chance" in said(page)
    assert "2 models, accuracy ↑: from 0.26 to 0.9" in said(page)


def test_versions_are_listed_and_only_the_commonest_is_drawn(open_app: Open, tmp_path: Path) -> None:
    describe(tmp_path)
    for name in "abc":
        put(tmp_path, name, value=0.5, task_version="2")
    put(tmp_path, "old", value=0.1, task_version="1")
    page = turn(open_app(), "task", task="digits")
    assert "2 versions, protocols or data sets of it are here" in said(page)
    sets = next(d.value for d in page.dataframe if "version" in d.value)
    assert sets["models"].tolist() == [3, 1]
    assert "3 models, accuracy" in said(page)


def test_a_task_without_a_description_or_with_generated_data_says_so(open_app: Open, tmp_path: Path) -> None:
    describe(tmp_path, "made", data={"generated": True})
    put(tmp_path, "a")
    put(tmp_path, "a", task="made")
    assert "description is not in this folder" in said(turn(open_app(), "task", task="digits"))
    assert "from a generator" in said(turn(open_app(), "task", task="made"))


def test_majority_against_minority_with_the_line(open_app: Open, tmp_path: Path) -> None:
    describe(tmp_path)
    values = {"a": (0.9, 0.7), "b": (0.8, 0.65), "c": (0.95, 0.9), "d": (0.7, 0.5), "perfect": (1.0, 0.9)}
    groups(tmp_path, values)
    page = turn(open_app(), "task", task="digits")
    fitted = [pair for name, pair in values.items() if name != "perfect"]
    line = linregress(norm.ppf([a for a, _ in fitted]), norm.ppf([b for _, b in fitted]))
    assert f"slope {line.slope:.4g}" in said(page)
    assert "5 models with a value on both old and new. Worse on new: 5." in said(page)
    points = next(d.value for d in page.dataframe if "above the line" in d.value).set_index("model")
    expected = 0.9 - norm.cdf(line.intercept + line.slope * norm.ppf(0.95))
    assert points.loc["c", "above the line"] == pytest.approx(expected)
    assert math.isnan(points.loc["perfect", "above the line"])
    specs = [json.loads(spec) for spec in charts_of(page)]
    assert [spec["title"] for spec in specs] == ["", ""]  # it stands above, where it is not cut
    assert {spec["config"]["axis"]["labelColor"] for spec in specs} == {theme.ink()}
    assert "Models by accuracy" in {element.value for element in page.text}


def test_groups_can_be_chosen_in_the_link_and_too_few_models_are_said(open_app: Open, tmp_path: Path) -> None:
    groups(tmp_path, {"a": (0.9, 0.7), "b": (0.8, 0.65)})
    page = turn(open_app(), "task", task="digits", first="new", second="old")
    assert "No line: 2 models: a line needs at least 3" in said(page)
    assert list(next(d.value for d in page.dataframe if "above the line" in d.value))[:3] == [
        "model",
        "across: new",
        "up: old",
    ]
    page = turn(open_app(), "task", task="digits", first="new", second="new")
    assert "Choose two different groups" in said(page)


def test_tasks_without_groups_say_so(open_app: Open, tmp_path: Path) -> None:
    put(tmp_path, "a")
    assert "No record of this task has its primary metric in two groups" in said(
        turn(open_app(), "task", task="digits")
    )
    pair(tmp_path)


def test_a_digest_that_no_record_states_is_missing(tmp_path: Path) -> None:
    put(tmp_path, "a", data_sha256="")
    index.sync(Store(tmp_path))
    found = tasksheet.sets(open_board(tmp_path).rows)
    assert found["sha256 of the data"].isna().all()
    assert list(found["models"]) == [1]


def test_bins_hold_every_model_once() -> None:
    rng = np.random.default_rng(0)
    values = pd.Series(rng.normal(size=500))
    rows = pd.DataFrame({"value": values.where(values < 2), "parent": np.where(rng.random(500) < 0.3, None, "p")})
    found = distribution.bins(rows)
    assert found["models"].sum() == rows["value"].notna().sum()
    assert (
        found.loc[found["who"] == distribution.PARENT, "models"].sum()
        == (rows["parent"].isna() & rows["value"].notna()).sum()
    )
    same = pd.DataFrame({"value": [0.5, 0.5], "parent": [None, None], "low": [0.4, 0.4]})
    assert distribution.bins(same)["models"].sum() == 2
    assert "No model" in distribution.describe(same.assign(value=np.nan), "accuracy", None)


def test_nothing_of_a_record_reaches_markdown(open_app: Open, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)> [x](javascript:alert(1))"
    describe(tmp_path, "digits", title=evil, data={"source": evil, "licence": evil}, known_issues=[evil])
    groups(tmp_path, {"a": (0.9, 0.7), "b": (0.8, 0.65), "c": (0.85, 0.6)}, protocol=evil)
    nothing_as_html(turn(open_app(), "task", task="digits"))

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from board_records import describe, measurement, put
from page_records import PLAIN, charts_of, nothing_as_html, pair, rows, said, score, turn
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score
from streamlit.testing.v1 import AppTest

from leaderboard import agreed
from leaderboard.recovered import agrees, task_of
from suite import outcomes
from suite.metrics import choices
from suite.store import load

Open = Callable[..., AppTest]


def table(page: AppTest, *columns: str) -> list[dict[str, object]]:
    found = next(d.value for d in page.dataframe if set(columns) <= set(d.value))
    return found.to_dict("records")  # type: ignore[no-any-return]


def test_without_records_the_page_says_what_to_do(open_app: Open) -> None:
    assert turn(open_app(), "compare").code[0].value.startswith("hallmark run ")


def test_fewer_than_two_models_and_unknown_ones(open_app: Open, tmp_path: Path) -> None:
    pair(tmp_path)
    page = turn(open_app(), "compare", models=["int8", "<i>gone</i>"])
    assert "Choose two to 4 models" in said(page)
    assert "<i>gone</i>" in {element.value for element in page.text}
    assert not page.dataframe


def test_a_pair_has_the_difference_its_test_flips_and_agreement(open_app: Open, tmp_path: Path) -> None:
    pair(tmp_path)
    page = turn(open_app(), "compare", models=["zebra", "int8"])
    row = table(page, "task", "change", "test")[0]
    assert row["change"] == pytest.approx(-6 / 60)
    assert row["test"] == "exact McNemar"
    assert row["p"] == pytest.approx(binomtest(2, 10).pvalue)
    assert row["verdict"] == "no difference shown"
    flips = table(page, "volume")[0]
    assert (flips["right → wrong"], flips["wrong → right"], flips["wrong → another wrong"]) == (8, 2, 0)
    pairs = table(page, "error consistency")[0]
    assert pairs["same verdict"] == pytest.approx(50 / 60)
    right = [np.isin(np.arange(60), wrong) for wrong in (range(6), [2, 3, 4, 5, *range(40, 48)])]
    assert pairs["error consistency"] == pytest.approx(cohen_kappa_score(*right))
    assert len(charts_of(page)) == 2


def test_changes_by_group_are_paired(open_app: Open, tmp_path: Path) -> None:
    pair(tmp_path)
    page = turn(open_app(), "compare", models=["zebra", "int8"])
    parts = {row["metric"]: row for row in table(page, "metric", "change")}
    assert parts["accuracy[site=north]"]["change"] == pytest.approx(2 / 30)
    assert parts["accuracy[site=south]"]["change"] == pytest.approx(-8 / 30)
    assert parts["accuracy_gap[site]"]["change"] == pytest.approx((26 - 22) / 30 - 6 / 30)
    assert parts["accuracy[site=south]"]["verdict"] == "worse"


def test_the_first_model_can_be_chosen(open_app: Open, tmp_path: Path) -> None:
    pair(tmp_path)
    page = turn(open_app(), "compare", models=["zebra", "int8"], against="int8")
    assert table(page, "task", "change", "test")[0]["change"] == pytest.approx(6 / 60)


def test_four_models_and_what_could_not_be_compared(open_app: Open, tmp_path: Path) -> None:
    pair(tmp_path)
    score(tmp_path, "other", rows([1]), task_version="7")
    score(tmp_path, "else", rows([1]), task="letters")
    page = turn(open_app(), "compare", models=["zebra", "int8", "other", "else"])
    left = {(row["model"], row["task"]): str(row["why"]) for row in table(page, "model", "why")}
    assert "another task version" in left["other", "digits"]
    assert "was not scored on it" in left["else", "digits"]
    assert "was not scored on it" in left["else", "letters"]
    assert len(table(page, "task", "change", "test")) == 1


def test_models_without_a_common_task(open_app: Open, tmp_path: Path) -> None:
    put(tmp_path, "a", task="one")
    put(tmp_path, "b", task="two")
    page = turn(open_app(), "compare", models=["a", "b"])
    assert "share no task" in page.info[0].value


def test_imported_records_are_compared_by_their_intervals(open_app: Open, tmp_path: Path) -> None:
    describe(tmp_path)
    for name, value in (("a", 0.9), ("b", 0.8)):
        put(tmp_path, name, value=value, low=value - 0.01, high=value + 0.01, source="imported", outcomes_sha256=None)
    page = turn(open_app(), "compare", models=["a", "b"])
    row = table(page, "task", "change", "test")[0]
    assert row["test"] == "unpaired z"
    half = math.hypot(0.01, 0.01)
    assert (row["low"], row["high"]) == pytest.approx((-0.1 - half, -0.1 + half))
    assert "UNPAIRED" in said(page)


def test_a_metric_that_nothing_here_computes_is_compared_by_intervals(open_app: Open, tmp_path: Path) -> None:
    odd = [measurement("odd_score", value, low=value - 0.1, high=value + 0.1, n_clusters=60) for value in (0.5, 0.7)]
    describe(tmp_path, primary="odd_score")
    for name, m in zip("ab", odd, strict=True):
        score(tmp_path, name, rows([1]), metrics=(), more=[m], grouped=False)
    page = turn(open_app(), "compare", models=["a", "b"])
    assert table(page, "task", "change", "test")[0]["change"] == pytest.approx(0.2)
    assert "is not known here" in said(page)


def test_only_a_metric_that_computes_the_records_value_is_taken(tmp_path: Path) -> None:
    _, child = pair(tmp_path)
    stored = load(child)
    columns = outcomes.to_columns(stored.outcomes())
    accuracy = stored.record.measurement("accuracy")
    assert accuracy is not None
    assert agrees(PLAIN[0], columns, accuracy)
    assert not agrees(PLAIN[0], columns, accuracy.model_copy(update={"value": 0.81}))
    assert not agrees(choices.METRICS[1], columns, accuracy)
    assert task_of({}, stored.record, "unheard_of", (), columns) is None
    found = task_of({"chance": 0.25}, stored.record, "accuracy", ["accuracy[site=north]"], columns)
    assert found is not None
    assert {metric.name for metric in found.scored(columns)} == {"accuracy", "accuracy[site=north]"}
    assert found.chance == 0.25


def test_agreement_of_tasks_without_right_and_wrong() -> None:
    rng = np.random.default_rng(0)
    loss = rng.random(50)
    a = {"item": np.arange(50).astype(str), "nll": loss, "n_tokens": np.ones(50)}
    found = agreed.pairs({"a": a, "b": {**a, "nll": loss**2}, "c": {**a, "nll": -loss}})
    assert found["rank correlation"].tolist() == pytest.approx([1.0, -1.0, -1.0])
    other = {**a, "item": np.arange(1, 51).astype(str)}
    assert "same items" in agreed.pairs({"a": a, "b": other})["why missing"].iloc[0]


def test_nothing_of_a_record_reaches_markdown(open_app: Open, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)> [x](javascript:alert(1))"
    for name, wrong in (("a", [1]), ("b", [2, 3])):
        score(tmp_path, name, rows(wrong), task=evil, manifest={"title": evil}, protocol=evil)
    nothing_as_html(turn(open_app(), "compare", models=["a", "b"]))

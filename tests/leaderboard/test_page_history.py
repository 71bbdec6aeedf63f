from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from board_records import describe, put
from page_records import charts_of, nothing_as_html, pair, rows, said, score, turn
from streamlit.testing.v1 import AppTest

Open = Callable[..., AppTest]
N = 200


def releases(page: AppTest) -> pd.DataFrame:
    """The table of records, oldest first."""
    found = next(d.value for d in page.dataframe if "verdict" in d.value)
    return found.iloc[::-1].reset_index(drop=True)


def three(root: Path) -> None:
    """A parent with 20 of 200 wrong; a child with 22, then 80, and at last 22 wrong again."""
    describe(root, chance=0.25)
    score(root, "zebra", rows(range(20), n=N))
    first = score(root, "int8", rows(range(22), n=N), parent="zebra", started="2026-02-01T00:00:00Z")
    later = {"parent": "zebra", "supersedes": first.stem}
    worse = score(root, "int8", rows(range(80), n=N), started="2026-03-01T00:00:00Z", **later)
    score(root, "int8", rows(range(22), n=N), started="2026-04-01T00:00:00Z", **{**later, "supersedes": worse.stem})


def test_without_records_nothing_chosen_and_unknown(open_app: Open, tmp_path: Path) -> None:
    assert turn(open_app(), "history").code[0].value.startswith("hallmark run ")
    put(tmp_path, "a")
    assert "Choose a model" in said(turn(open_app(), "history"))
    page = turn(open_app(), "history", history="<b>gone</b>")
    assert "<b>gone</b>" in {element.value for element in page.text}
    assert not page.dataframe


def test_steps_are_judged_as_a_gate_does(open_app: Open, tmp_path: Path) -> None:
    three(tmp_path)
    page = turn(open_app(), "history", history="int8", margin="0.05")
    found = releases(page)
    assert found["verdict"].tolist() == ["non-inferior", "regressed", "non-inferior"]
    assert found["change"].tolist() == pytest.approx([-0.01, -0.29, 0.29])
    assert found["against"].tolist() == ["zebra, 2026-01-01", "int8, 2026-02-01", "int8, 2026-03-01"]
    assert found["replaced"].tolist() == [True, True, False]
    assert "3 records of accuracy" in said(page)
    assert "from 2026-02-01 (int8 0.89) to 2026-04-01 (int8 0.89)" in said(page)
    assert len(charts_of(page)) == 1


def test_without_a_margin_it_is_one_standard_error_of_the_baseline(open_app: Open, tmp_path: Path) -> None:
    three(tmp_path)
    found = releases(turn(open_app(), "history", history="int8"))
    # Wilson of 180 of 200: half width / 1.96
    assert found["margin"].iloc[0] == pytest.approx(0.0212, abs=5e-4)
    assert found["verdict"].iloc[1] == "regressed"


def test_the_family_has_a_line_a_model(open_app: Open, tmp_path: Path) -> None:
    three(tmp_path)
    page = turn(open_app(), "history", history="int8", kin="true")
    found = releases(page)
    assert found["model"].tolist() == ["zebra", "int8", "int8", "int8"]
    assert found["verdict"].iloc[0] == "no baseline"
    assert found["why"].iloc[0] == "it has no parent"


def test_other_versions_are_not_compared_and_told_what_changed(open_app: Open, tmp_path: Path) -> None:
    score(tmp_path, "a", rows([1]))
    score(tmp_path, "a", rows([1]), started="2026-05-01T00:00:00Z", task_version="2", seed=5)
    found = releases(turn(open_app(), "history", history="a"))
    assert found["verdict"].tolist() == ["no baseline", "incomparable"]
    assert "another task version" in found["why"].iloc[1]
    assert found["what changed"].iloc[1] == "task version, seed"


def test_another_metric_and_an_unknown_one(open_app: Open, tmp_path: Path) -> None:
    pair(tmp_path)
    page = turn(open_app(), "history", history="int8", tracked="nll")
    assert releases(page)["verdict"].iloc[0] in ("regressed", "inconclusive", "non-inferior")
    assert "record of nll" in said(page)
    page = turn(open_app(), "history", history="int8", tracked="gone")
    assert "gone" in {element.value for element in page.text}


def test_only_limited_records_have_no_history(open_app: Open, tmp_path: Path) -> None:
    put(tmp_path, "a", limit=5)
    assert "no history of those" in said(turn(open_app(), "history", history="a"))


def test_an_unreadable_record_is_told_and_the_rest_is_shown(open_app: Open, tmp_path: Path) -> None:
    three(tmp_path)
    broken = sorted(tmp_path.glob("int8/digits/20260201-*.json"))[0]
    broken.write_text("{")
    page = turn(open_app(), "history", history="int8")
    assert len(releases(page)) == 2
    assert "1 file cannot be read" in page.warning[0].value


def test_nothing_of_a_record_reaches_markdown(open_app: Open, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)> [x](javascript:alert(1))"
    score(tmp_path, "a", rows([1]), task=evil, manifest={"title": evil}, protocol=evil)
    nothing_as_html(turn(open_app(), "history", history="a"))

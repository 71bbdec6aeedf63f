"""What a stranger meets: no folder of the server on any page, every wrong word of an address told by name."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from board_records import family, measurement, put
from page_records import pair, rows, said, score, turn
from streamlit.testing.v1 import AppTest

from leaderboard import address, data, matrix
from leaderboard.board import open_board
from suite import index, indexing, paired_index
from suite.store import Store

Open = Callable[..., AppTest]


def everything_of(page: AppTest) -> bytes:
    """All that is sent to the browser, tables and charts included."""
    protos = [getattr(block, "proto", None) for block in walk(page.main)]
    return b"\n".join(proto.SerializeToString() for proto in protos if proto is not None)


def walk(block: Any) -> list[Any]:
    children = getattr(block, "children", {})
    return [block, *(one for child in children.values() for one in walk(child))]


def broken(root: Path) -> None:
    """Records of which files are torn, missing or changed, so that every page has something to say of a file."""
    _, child = pair(root)
    score(root, "torn", rows([1]), parent="zebra").with_suffix(".parquet").write_text("{")
    score(root, "gone", rows([1]), parent="zebra").with_suffix(".parquet").unlink()
    (child.parent / "20260101-000000000000.json").write_text("{")
    (root / "tasks" / "other.json").write_text("[")


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("leaderboard", {}),
        ("leaderboard", {"view": "Models by tasks"}),
        ("tradeoff", {"chart": "digits"}),
        *(("model", {"submission": "gone", "part": part}) for part in ("Calibration", "Flips", "Worst cases")),
        ("model", {"submission": "torn", "part": "Provenance"}),
        ("compare", {"models": ["zebra", "torn", "gone"]}),
        ("task", {"task": "digits"}),
        ("history", {"history": "torn", "kin": "true"}),
        ("submit", {}),
        ("about", {}),
    ],
)
def test_no_page_shows_a_folder_of_the_server(open_app: Open, tmp_path: Path, name: str, query: dict[str, Any]) -> None:
    broken(tmp_path)
    page = turn(open_app(), name, **query)
    sent = everything_of(page)
    assert len(sent) > 500
    assert str(tmp_path).encode() not in sent
    assert str(Path.cwd()).encode() not in sent


def test_broken_files_are_still_told_by_name(open_app: Open, tmp_path: Path) -> None:
    broken(tmp_path)
    page = turn(open_app(), "compare", models=["zebra", "torn"])
    assert f"{tmp_path.name}/torn/digits/" in said(page)


def test_an_empty_folder_does_not_say_where_it_lies(open_app: Open, tmp_path: Path) -> None:
    assert str(tmp_path).encode() not in everything_of(turn(open_app(), "leaderboard"))


@pytest.mark.parametrize(
    ("name", "query", "told"),
    [
        ("leaderboard", {"since": "yesterday"}, "since=yesterday: not a day such as 2026-01-31"),
        ("leaderboard", {"max_bits": "few"}, "max_bits=few: not a number, 0 or more"),
        ("leaderboard", {"max_mb": "-1"}, "max_mb=-1: not a number, 0 or more"),
        ("leaderboard", {"view": "Sideways"}, "view=Sideways: not one of: Results, Models by tasks"),
        ("leaderboard", {"ascending": "up"}, "ascending=up: not true or false"),
        ("leaderboard", {"page": "last"}, "page=last: not a whole number from 1 on"),
        ("leaderboard", {"selected": "nobody"}, "selected=nobody: not a model of this board"),
        ("tradeoff", {"t_since": "2026-13-01"}, "t_since=2026-13-01: not a day such as 2026-01-31"),
        ("tradeoff", {"t_min_retention": "nan"}, "t_min_retention=nan: not a number, 0 or more"),
        ("history", {"history": "int8", "margin": "wide"}, "margin=wide: not a number, 0 or more"),
        ("history", {"history": "int8", "kin": "all"}, "kin=all: not true or false"),
        ("compare", {"models": ["zebra", "int8"], "parts": "beauty"}, "beauty"),
        ("model", {"submission": "int8", "detail": "gone"}, "gone"),
    ],
)
def test_a_wrong_word_of_the_address_is_told_and_the_rest_is_shown(
    open_app: Open, tmp_path: Path, name: str, query: dict[str, Any], told: str
) -> None:
    family(tmp_path)
    app = open_app()
    app.switch_page(f"pages/{name}.py")
    for key, value in query.items():
        app.query_params[key] = value
    page = app.run()
    assert not page.exception
    assert told in {line for element in page.text for line in element.value.splitlines()}
    assert len(page.info) == 1
    assert page.dataframe


def test_all_that_is_wrong_is_in_one_message(open_app: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = turn(open_app(), "leaderboard", since="x", view="y", selected="z", ascending="up")
    assert [one.value for one in page.info] == [address.MESSAGE]
    for name, value in (("since", "x"), ("view", "y"), ("selected", "z"), ("ascending", "up")):
        assert f"{name}={value}: not " in said(page)


def test_a_selected_model_that_is_filtered_away_is_told(open_app: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = turn(open_app(), "leaderboard", selected=["zebra", "int8"], q="int8")
    assert "Selected by the link, but not among the rows below: zebra" in said(page)


def test_more_models_than_can_be_compared_are_told(open_app: Open, tmp_path: Path) -> None:
    for name in "abcde":
        put(tmp_path, name)
    app = open_app()
    app.switch_page("pages/compare.py")
    app.query_params["models"] = list("abcde")
    page = app.run()
    assert not page.exception
    assert "The link names 5 models; at most 4 can be chosen." in [one.value for one in page.info]


def test_only_filters_that_hold_are_counted(open_app: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = turn(open_app(), "leaderboard", since="yesterday", max_bits="few", methods="gone", max_mb="3")
    assert "More filters (1 set)" in [one.label for one in page.expander]
    assert len(page.dataframe[0].value) == 2


def test_one_message_for_all_wrong_values(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"since": ["x"], "max_mb": ["3", "-2"]}
    monkeypatch.setattr(address.data, "parameters", lambda name: given.get(name, []))
    rules = {"since": address.DAY, "max_mb": address.AMOUNT, "page": address.NUMBER}
    assert address.wrong(rules) == [
        "since=x: not a day such as 2026-01-31",
        "max_mb=-2: not a number, 0 or more",
    ]


def test_another_metric_is_compared_by_class_and_group(open_app: Open, tmp_path: Path) -> None:
    pair(tmp_path)
    for name, wrong in (("zebra", range(6)), ("int8", range(12))):
        parts = [measurement(f"nll[site={site}]", value) for site, value in (("north", 0.5), ("south", 0.6))]
        score(tmp_path, name, rows(wrong), more=parts, started="2026-03-01T00:00:00Z")
    page = turn(open_app(), "compare", models=["zebra", "int8"], parts="nll")
    (picked,) = [one for one in page.selectbox if one.label == "Metric by class and group"]
    assert picked.options == ["accuracy", "nll"]
    assert picked.value == "nll"
    assert "digits: nll by class and group" in said(page)
    page = turn(open_app(), "compare", models=["zebra", "int8"])
    assert "digits: accuracy by class and group" in said(page)


def imported(root: Path) -> pd.Series:
    unknown = {"id": "elsewhere", "cpu": "unknown", "cores": 0, "ram_bytes": 0, "gpu": None, "device": "unknown"}
    put(root, "a", source="imported", started="1970-01-01T00:00:00.000000Z", outcomes_sha256=None,
        machine="elsewhere", measurements=[{**measurement("accuracy", 0.7), "n": 0}])  # fmt: skip
    (path,) = root.glob("a/*/*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "machine": {**unknown, "threads": 0}}))
    index.sync(Store(root))
    return open_board(root).rows.iloc[0]


def test_what_an_import_does_not_know_is_missing(tmp_path: Path) -> None:
    found = imported(tmp_path)
    assert pd.isna(found["n"])
    assert pd.isna(found["date"])
    assert found["machine_label"] == "unknown"
    assert found["value"] == 0.7


def test_without_a_day_no_filter_by_day_passes(open_app: Open, tmp_path: Path) -> None:
    imported(tmp_path)
    put(tmp_path, "b")
    page = turn(open_app(), "leaderboard", columns=["date", "n"])
    assert "newest record of 2026-01-01" in said(page)
    assert page.dataframe[0].value["n"].isna().tolist() == [True, False]
    page = turn(open_app(), "leaderboard", since="1990-01-01")
    assert page.dataframe[0].value["submission"].tolist() == ["b"]
    page = turn(open_app(), "history", history="a")
    assert "One record" not in said(page)
    assert "1 record without a date" in said(page)
    assert "1970-01-01" not in everything_of(page).decode(errors="replace")


def test_a_large_folder_is_read_while_the_page_is_there(
    open_app: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family(tmp_path)
    (tmp_path / ".index" / index.RECORDS).unlink(missing_ok=True)
    go, ended = threading.Event(), threading.Event()
    real = indexing.rows

    def rows_of(store: Store) -> None:
        (tmp_path / ".index").mkdir(exist_ok=True)
        told = {"what": "reading records", "done": 0, "total": 3, "pid": os.getpid()}
        (tmp_path / ".index" / indexing.NAME).write_text(json.dumps(told))
        go.wait(30)
        real(store)
        ended.set()

    monkeypatch.setattr(data, "FEW", 2)
    monkeypatch.setattr(indexing, "rows", rows_of)
    page = open_app().run()
    try:
        assert not page.exception
        assert not page.dataframe
        go.set()
        assert ended.wait(30)
    finally:
        go.set()
    page = page.run()
    assert len(page.dataframe[0].value) == 3
    assert indexing.read(Store(tmp_path)) is None


def test_nothing_is_not_said_while_records_are_read(open_app: Open, tmp_path: Path) -> None:
    (tmp_path / ".index").mkdir()
    told = {"what": "reading records", "done": 0, "total": 9, "pid": os.getpid()}
    (tmp_path / ".index" / indexing.NAME).write_text(json.dumps(told))
    page = turn(open_app(), "leaderboard")
    assert [one.value for one in page.info] == ["The records are still being read; this page fills by itself."]
    assert not page.code


def test_the_matrix_as_json(tmp_path: Path) -> None:
    family(tmp_path)
    index.sync(Store(tmp_path))
    found = matrix.by_task(open_board(tmp_path).rows)
    lines = json.loads(matrix.to_json(found))
    assert [line["submission"] for line in lines] == ["zebra", "int8", "int8-pruned"]
    assert lines[0] == {"submission": "zebra", matrix.MEAN: None, matrix.COUNTED: "0 of 1", "digits": 0.95}


def test_while_it_is_indexed_the_page_says_so(open_app: Open, tmp_path: Path) -> None:
    family(tmp_path)
    index.sync(Store(tmp_path))
    paired_index.path(Store(tmp_path)).unlink()
    told = {"what": "comparing records with their parents'", "done": 1, "total": 2, "pid": os.getpid()}
    (tmp_path / ".index" / indexing.NAME).write_text(json.dumps(told))
    page = turn(open_app(), "leaderboard")
    (bar,) = page.get("progress")
    assert bar.proto.text.replace("\\", "").startswith("Comparing records with their parents': 1 of 2")
    assert not page.info  # nobody is told to open the board again while it is being indexed
    (tmp_path / ".index" / indexing.NAME).unlink()
    page = turn(open_app(), "leaderboard")
    assert not page.get("progress")
    assert "not computed yet" in page.info[0].value

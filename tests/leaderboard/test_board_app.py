"""The page itself, run by Streamlit's AppTest on stores that the test makes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from board_records import describe, family, put
from streamlit.testing.v1 import AppTest
from support import REPOSITORY

from suite.index import refresh
from suite.store import Store

Open = Callable[..., AppTest]


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the board on a folder, with parameters in the URL."""

    def run(folder: Path = tmp_path, **parameters: str | list[str]) -> AppTest:
        monkeypatch.setenv("HALLMARK_RESULTS", str(folder))
        page = AppTest.from_file(str(REPOSITORY / "leaderboard" / "app.py"), default_timeout=60)
        for name, value in parameters.items():
            page.query_params[name] = value
        return healthy(page.run())

    return run


def healthy(page: AppTest) -> AppTest:
    assert not page.exception, [e.value for e in page.exception]
    return page


def rows(page: AppTest) -> pd.DataFrame:
    frame = page.dataframe[0].value
    assert isinstance(frame, pd.DataFrame)
    return frame


def names(page: AppTest) -> list[str]:
    return [name.strip("\u2003└ ") for name in rows(page)["submission"]]


def plain(page: AppTest) -> str:
    return "\n".join(element.value for element in page.text)


def charts_of(page: AppTest) -> list[str]:
    return [element.proto.spec for element in page.get("vega_lite_chart")]


def two_kinds(root: Path) -> None:
    family(root)
    described = {"source": "a generator", "licence": "Apache-2.0", "generated": True}
    describe(root, "volumes", "dice", data=described)
    put(root, "unet", kind="segmentation", task="volumes", metric="dice", generated_data=True, machine="bbbb")


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_without_records_the_page_says_what_to_do(board: Open, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    page = board(tmp_path / name)
    assert len(page.info) == 1
    assert page.code[0].value.startswith("hallmark run ")
    assert not page.dataframe


def test_records_of_parts_only_are_told(board: Open, tmp_path: Path) -> None:
    put(tmp_path, "a", limit=5)
    assert "Only parts of tasks" in board().info[0].value


def test_one_record_without_interval_or_description(board: Open, tmp_path: Path) -> None:
    put(tmp_path, "alone", size=None)
    page = board()
    only = rows(page).iloc[0]
    assert only["value"] == 0.9
    assert pd.isna(only["low"])
    assert pd.isna(only["bytes"])
    assert "Nothing to draw" in plain(page)


def test_a_family_of_three_in_order_with_its_chart(board: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = board()
    assert names(page) == ["zebra", "int8", "int8-pruned"]
    assert list(rows(page)["better"]) == ["↑ higher"] * 3
    assert list(rows(page)["verdict"])[1] == "worse"
    assert len(charts_of(page)) == 1
    assert "On the Pareto line" in plain(page)
    assert "Chance level: 0.1" in plain(page)
    assert [button.proto.label for button in page.get("download_button")] == ["Download CSV", "Download JSON"]


def test_changed_filters_change_table_and_chart(board: Open, tmp_path: Path) -> None:
    two_kinds(tmp_path)
    page = board()
    assert len(rows(page)) == 4
    healthy(page.segmented_control(key="kind").set_value("segmentation").run())
    assert names(page) == ["unet"]
    assert page.multiselect(key="task").options == ["volumes"]
    assert page.selectbox(key="chart").value == "volumes"
    healthy(page.segmented_control(key="kind").set_value(None).run())
    healthy(page.multiselect(key="task").set_value(["digits"]).run())
    assert names(page) == ["zebra", "int8", "int8-pruned"]
    other = next(o for o in page.multiselect(key="machine").options if "bbbb" in o)
    healthy(page.multiselect(key="machine").set_value([other]).run())
    assert "No record passes these filters" in page.info[0].value


def test_the_chart_can_show_another_task(board: Open, tmp_path: Path) -> None:
    two_kinds(tmp_path)
    page = board()
    assert "dice" in charts_of(page)[0]
    healthy(page.selectbox(key="chart").set_value("digits").run())
    assert "accuracy" in charts_of(page)[0]
    assert len(rows(page)) == 4


def test_a_link_reopens_the_view(board: Open, tmp_path: Path) -> None:
    two_kinds(tmp_path)
    page = board(kind="classification", task=["digits"])
    assert page.segmented_control(key="kind").value == "classification"
    assert page.multiselect(key="task").value == ["digits"]
    assert names(page) == ["zebra", "int8", "int8-pruned"]
    assert "dice" in charts_of(board(chart="volumes"))[0]
    assert "accuracy" in charts_of(board(chart="digits"))[0]


def test_a_link_to_unknown_things_shows_everything(board: Open, tmp_path: Path) -> None:
    two_kinds(tmp_path)
    page = board(kind="<b>", task=["gone", "<script>"], machine="none", chart="gone")
    assert len(rows(page)) == 4


def test_generated_data_is_labelled_in_table_and_chart(board: Open, tmp_path: Path) -> None:
    two_kinds(tmp_path)
    page = board(kind="segmentation")
    assert list(rows(page)["data"]) == ["generated"]
    assert "The volumes (generated data)" in charts_of(page)[0]
    assert "generated data" not in charts_of(board(kind="classification"))[0]


def test_an_unreadable_record_is_told_and_the_rest_is_shown(board: Open, tmp_path: Path) -> None:
    family(tmp_path)
    broken = tmp_path / "int8" / "digits" / "20260101-000000000000.json"
    broken.write_text('{"schema_version": 1')
    page = board()
    assert "1 file cannot be read" in page.warning[0].value
    assert str(broken) in plain(page)
    assert len(rows(page)) == 3


def test_new_records_appear_without_a_restart(board: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = board()
    put(tmp_path, "int4", parent="zebra")
    healthy(page.run())
    assert names(page) == ["zebra", "int4", "int8", "int8-pruned"]


def test_changes_that_were_never_computed_are_told_with_the_command(board: Open, tmp_path: Path) -> None:
    put(tmp_path, "parent")
    assert not board().info
    put(tmp_path, "child", parent="parent")
    page = board()
    assert "not computed yet" in page.info[0].value
    assert page.code[0].value == f"hallmark board --results {tmp_path}"
    assert names(page) == ["parent", "child"]
    refresh(Store(tmp_path), {})
    assert not board().info


def test_nothing_of_a_record_reaches_markdown(board: Open, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) :red[y] $z$"
    describe(tmp_path, "evil", title=evil, data={"source": evil, "licence": evil})
    put(tmp_path, "a", task="evil", protocol=evil, manifest={"title": evil, "compression": {"method": evil}})
    put(
        tmp_path,
        "b",
        task=evil,
        measurements=[{"name": evil, "value": 1.0, "unit": evil, "higher_is_better": True, "n": 1}],
    )
    page = board()
    written = [*page.markdown, *page.caption, *page.title, *page.subheader, *page.info, *page.warning]
    assert written
    assert not [element for element in written if "alert" in element.value]
    assert all(not element.proto.allow_html for element in [*page.markdown, *page.caption])


def test_the_board_imports_no_model_runtime() -> None:
    heavy = {"torch", "transformers", "onnxruntime", "tasks"}
    code = f"import sys, leaderboard.app; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_of_the_board_hides_a_standard_module() -> None:
    files = (REPOSITORY / "leaderboard").rglob("*.py")
    assert not {path.stem for path in files} & set(sys.stdlib_module_names)

"""The page itself, run by Streamlit's AppTest on stores that the test makes."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from board_records import describe, family, put
from streamlit.testing.v1 import AppTest
from support import REPOSITORY

from suite import paired_index
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


def tradeoff(page: AppTest, **parameters: str | list[str]) -> AppTest:
    page.switch_page("pages/tradeoff.py")
    for name, value in parameters.items():
        page.query_params[name] = value
    return healthy(page.run())


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
    only = rows(board()).iloc[0]
    assert only["value"] == 0.9
    assert pd.isna(only["low"])
    assert pd.isna(only["bytes"])
    assert "Nothing to draw" in plain(tradeoff(board(), x="value", y="value")) or charts_of(tradeoff(board()))


def test_a_family_of_three_in_order(board: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = board()
    assert names(page) == ["zebra", "int8", "int8-pruned"]
    assert list(rows(page)["verdict"])[1] == "worse"
    assert [button.proto.label for button in page.get("download_button")] == ["Download CSV", "Download JSON"]


def test_the_trade_off_has_a_chart_its_words_and_its_table(board: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = tradeoff(board())
    assert len(charts_of(page)) == 1
    assert "On the Pareto line" in plain(page)
    assert "Chance level: 0.1" in plain(page)
    assert len(rows(page)) == 3


def test_changed_filters_change_the_table(board: Open, tmp_path: Path) -> None:
    two_kinds(tmp_path)
    page = board()
    assert len(rows(page)) == 4
    healthy(page.segmented_control(key="kind").set_value("segmentation").run())
    assert names(page) == ["unet"]
    healthy(page.segmented_control(key="kind").set_value(None).run())
    healthy(page.multiselect(key="tasks").set_value(["digits"]).run())
    assert names(page) == ["zebra", "int8", "int8-pruned"]
    healthy(page.text_input(key="q").set_value("pruned").run())
    assert names(page) == ["int8-pruned"]
    healthy(page.number_input(key="max_mb").set_value(0.1).run())
    assert "No record passes these filters" in page.info[0].value


def test_the_chart_can_show_another_task_and_other_columns(board: Open, tmp_path: Path) -> None:
    two_kinds(tmp_path)
    page = tradeoff(board())
    healthy(page.selectbox(key="chart").set_value("volumes").run())
    assert "dice" in charts_of(page)[0]
    healthy(page.selectbox(key="chart").set_value("digits").run())
    assert "accuracy" in charts_of(page)[0]
    healthy(page.selectbox(key="y").set_value("retention").run())
    assert "retention ↑ higher is better" in plain(page)


def test_a_link_reopens_the_view(board: Open, tmp_path: Path) -> None:
    two_kinds(tmp_path)
    page = board(kind="classification", tasks=["digits"], sort="on disk", ascending="true", columns=["task", "value"])
    assert page.segmented_control(key="kind").value == "classification"
    assert page.multiselect(key="tasks").value == ["digits"]
    assert names(page) == ["int8", "int8-pruned", "zebra"]
    assert list(rows(page).columns) == ["submission", "task", "value"]
    assert not page.info
    assert "dice" in charts_of(tradeoff(board(), chart="volumes"))[0]


def test_a_link_to_unknown_things_says_so_and_shows_the_rest(board: Open, tmp_path: Path) -> None:
    two_kinds(tmp_path)
    page = board(kind="<b>", tasks=["gone", "<script>"], machines="none", columns="nothing", sort="odd")
    assert len(rows(page)) == 4
    assert len(page.info) == 5
    assert {"<b>", "gone\n<script>", "none", "nothing", "odd"} <= {element.value for element in page.text}
    page = tradeoff(board(), chart="gone", x="y", selected="nobody")
    assert len(page.info) == 3
    assert charts_of(page)


def test_the_selection_of_a_link_offers_the_model(board: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = board(selected=["int8"])
    assert page.query_params["selected"] in ("int8", ["int8"])


def test_large_tables_come_in_pages(board: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leaderboard.table.PAGE_ROWS", 2)
    family(tmp_path)
    page = board(page="2")
    assert names(page) == ["int8-pruned"]
    assert "showing rows 3 to 3 of 3" in plain(page)
    labels = [button.proto.label for button in page.get("download_button")]
    assert labels[:2] == ["Download CSV (this page)", "Download JSON (this page)"]
    assert labels[2:] == ["Download CSV (all 3)", "Download JSON (all 3)"]


def test_models_by_tasks_with_the_rule_of_their_means(board: Open, tmp_path: Path) -> None:
    two_kinds(tmp_path)
    page = board(view="Models by tasks")
    assert list(rows(page).columns) == ["submission", "mean retention", "of tasks", "digits", "volumes"]
    assert any("left out, never counted as 0" in caption.value for caption in page.caption)


def test_generated_data_is_labelled_in_table_and_chart(board: Open, tmp_path: Path) -> None:
    two_kinds(tmp_path)
    page = board(kind="segmentation")
    assert list(rows(page)["data"]) == ["generated"]
    drawn = tradeoff(board(), chart="volumes")  # the title stands above the chart
    assert len(charts_of(drawn)) == 1
    assert "The volumes (generated data)" in {element.value for element in drawn.text}
    assert not any("generated data" in element.value for element in tradeoff(board(), chart="digits").text)


@pytest.mark.parametrize("content", ['{"schema_version": 1', '{"schema_version": 0}', '{"schema_version": 99}', "[]"])
def test_a_broken_older_or_newer_record_is_told_and_the_rest_is_shown(
    board: Open, tmp_path: Path, content: str
) -> None:
    family(tmp_path)
    broken = tmp_path / "int8" / "digits" / "20260101-000000000000.json"
    broken.write_text(content)
    for page in (board(), tradeoff(board())):
        assert "1 file cannot be read" in page.warning[0].value
        assert f"{tmp_path.name}/int8/digits/{broken.name}" in plain(page)
        assert str(tmp_path) not in plain(page)
        assert len(rows(page)) == 3


def test_a_half_copied_folder_shows_what_is_there(board: Open, tmp_path: Path) -> None:
    family(tmp_path)
    for file in [*tmp_path.glob("zebra/*/*.json"), *tmp_path.glob("tasks/*"), *tmp_path.glob("*/*/*.parquet")]:
        file.unlink()
    (tmp_path / "empty" / "digits").mkdir(parents=True)
    assert names(board()) == ["int8", "int8-pruned"]


def test_new_records_appear_without_a_restart(board: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = board()
    put(tmp_path, "int4", parent="zebra")
    time.sleep(0.5)  # the board looks again after a pause that is a multiple of what looking took
    healthy(page.run())
    assert names(page) == ["zebra", "int4", "int8", "int8-pruned"]


def test_changes_that_were_never_computed_are_told_with_the_command(board: Open, tmp_path: Path) -> None:
    put(tmp_path, "parent")
    assert not board().info
    put(tmp_path, "child", parent="parent")
    page = board()
    assert "not computed yet" in page.info[0].value
    assert page.code[0].value == f"hallmark board --results {tmp_path.name}"
    assert names(page) == ["parent", "child"]
    paired_index.refresh(Store(tmp_path), {})
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
    for page in (board(), tradeoff(board()), tradeoff(board(), chart=evil)):
        written = [*page.markdown, *page.caption, *page.title, *page.subheader, *page.info, *page.warning]
        assert written or page.title
        assert not [element for element in written if "alert" in element.value]
        assert all(not element.proto.allow_html for element in [*page.markdown, *page.caption])


def test_no_two_pages_bind_one_parameter() -> None:
    """Streamlit drops a parameter that a widget of another page is bound to."""
    from leaderboard.filters import KEYS

    bound = re.compile(r'key="([a-z_]+)", bind="query-params"|picker\.(?:one|several)\(\s*"[a-z ]+", "([a-z_]+)"')
    pages = (REPOSITORY / "leaderboard" / "pages").glob("*.py")
    used = {f.stem: {a or b for a, b in bound.findall(f.read_text())} for f in pages}
    assert {"submission", "detail", "part"} <= used["model"]
    used["leaderboard"] |= set(KEYS)
    used["tradeoff"] |= {f"t_{key}" for key in KEYS}
    names = [key for keys in used.values() for key in keys]
    assert len(names) == len(set(names)), used


def test_the_board_imports_no_model_runtime() -> None:
    heavy = {"torch", "transformers", "onnxruntime", "tasks"}
    code = f"import sys, leaderboard.app; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_of_the_board_hides_a_standard_module() -> None:
    files = (REPOSITORY / "leaderboard").glob("*.py")  # this folder is on the import path, pages/ is not
    assert not {path.stem for path in files} & set(sys.stdlib_module_names)

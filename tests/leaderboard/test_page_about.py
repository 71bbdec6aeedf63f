from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

from board_records import family, put
from page_records import nothing_as_html, said, turn
from streamlit.testing.v1 import AppTest

from leaderboard.pages import about
from suite import stats

Open = Callable[..., AppTest]


def test_every_section_has_its_formulas(open_app: Open, tmp_path: Path) -> None:
    family(tmp_path)
    page = turn(open_app(), "about")
    titles = [element.value for element in page.subheader]
    assert titles == [*(section.title for section in about.SECTIONS), "This board"]
    assert len(page.latex) == sum(
        len(about.BREAK.split(formula)) for section in about.SECTIONS for formula in section.formulas
    )
    assert "3 record files, 0 of them unreadable" in said(page)


def test_an_empty_folder_has_the_page_too(open_app: Open) -> None:
    assert "0 record files" in said(turn(open_app(), "about"))


def test_numbers_in_the_words_are_those_of_the_code() -> None:
    words = " ".join(section.words for section in about.SECTIONS)
    assert f"{stats.N_RESAMPLES:,} resamples" in words
    assert inspect.signature(stats.interval_rows).parameters["n_resamples"].default == about.ROWS_RESAMPLES
    assert f"{stats.LEVEL:.0%}".replace("%", " %") in words


def test_nothing_of_a_record_reaches_markdown(open_app: Open, tmp_path: Path) -> None:
    put(tmp_path, "a", task="<img src=x onerror=alert(1)>")
    nothing_as_html(turn(open_app(), "about"))

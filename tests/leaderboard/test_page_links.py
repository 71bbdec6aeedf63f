from __future__ import annotations

from pathlib import Path

import pytest
from board_records import family
from page_records import said
from streamlit.testing.v1 import AppTest
from support import REPOSITORY


@pytest.mark.parametrize(
    ("name", "query"),
    [("model", {"submission": "int8"}), ("task", {"task": "digits"}), ("compare", {"models": ["zebra", "int8"]})],
)
def test_the_first_link_that_a_fresh_server_is_asked_for(
    name: str, query: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page was opened before, so Streamlit starts the page alone, without the navigation."""
    family(tmp_path)
    monkeypatch.setenv("HALLMARK_RESULTS", str(tmp_path))
    page = AppTest.from_file(str(REPOSITORY / "leaderboard" / "app.py"), default_timeout=60)
    page.switch_page(f"pages/{name}.py")
    for key, value in query.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception, [e.value for e in page.exception]
    assert page.session_state["shown"] == name.capitalize()
    assert [title.value for title in page.title] == [name.capitalize()]
    assert "int8" in said(page) or page.dataframe

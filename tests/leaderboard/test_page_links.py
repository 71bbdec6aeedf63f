from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from board_records import family
from page_records import said, turn
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


def back_of(page: AppTest) -> dict[str, list[str]]:
    """The query of the page's link back to the leaderboard."""
    (link,) = [one for one in page.get("page_link") if "Back" in one.proto.label]
    return parse_qs(link.proto.query_string)


def test_the_link_back_keeps_the_filters(open_app: Callable[..., AppTest], tmp_path: Path) -> None:
    family(tmp_path)
    app = open_app()
    app.session_state["view of leaderboard"] = {"kind": ["classification"], "columns": ["task", "on disk"]}
    page = turn(app, "model", submission="int8")
    assert back_of(page) == {"kind": ["classification"], "columns": ["task", "on disk"]}
    assert page.query_params["back"] in (kept := "kind=classification&columns=task&columns=on+disk", [kept])


def test_the_link_back_of_an_address_that_was_sent(open_app: Callable[..., AppTest], tmp_path: Path) -> None:
    family(tmp_path)
    page = turn(open_app(), "model", submission="int8", back="kind=classification&tasks=a&tasks=b&name=x&label=y")
    assert json.dumps(back_of(page)) == json.dumps({"kind": ["classification"], "tasks": ["a", "b"]})

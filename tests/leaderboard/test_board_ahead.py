"""The board that is read while the server starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from board_records import put
from streamlit.web import cli
from support import REPOSITORY

from leaderboard import ahead, board, server
from suite import index
from suite.store import Store


def state(root: Path) -> str:
    index.sync(Store(root))
    return index.digest(Store(root))


def test_what_was_begun_is_given_once(tmp_path: Path) -> None:
    put(tmp_path, "a")
    here = state(tmp_path)
    begun = ahead.begin(tmp_path).result(60)
    assert ahead.taken(tmp_path, here) is begun
    again = ahead.taken(tmp_path, here)
    assert again is not begun
    assert list(again.rows["submission"]) == list(begun.rows["submission"]) == ["a"]


def test_a_record_that_came_in_since_is_on_the_board(tmp_path: Path) -> None:
    put(tmp_path, "a")
    state(tmp_path)
    ahead.begin(tmp_path)
    put(tmp_path, "b")
    assert list(ahead.taken(tmp_path, state(tmp_path)).rows["submission"]) == ["a", "b"]


def test_what_goes_wrong_ahead_is_raised_where_the_board_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(root: Path) -> None:
        raise MemoryError("too large")

    with monkeypatch.context() as changed:
        changed.setattr(board, "open_board", broken)
        assert isinstance(ahead.begin(tmp_path).exception(60), MemoryError)
    with pytest.raises(MemoryError, match="too large"):
        ahead.taken(tmp_path, index.digest(Store(tmp_path)))


def test_the_server_begins_to_read_and_hands_over_to_streamlit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setenv("HALLMARK_RESULTS", str(tmp_path))
    monkeypatch.setattr(ahead, "begin", lambda root: called.append([str(root)]))
    monkeypatch.setattr(cli, "main", lambda given, prog_name: called.append(given))
    server.main(["--server.port=8501"])
    assert called == [[str(tmp_path)], ["run", str(REPOSITORY / "leaderboard" / "app.py"), "--server.port=8501"]]

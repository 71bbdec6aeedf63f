from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from support import REPOSITORY


@pytest.fixture
def open_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """The board on a folder, by default the test's own, before any page was opened; `page_records.turn` opens one."""

    def run(folder: Path = tmp_path) -> AppTest:
        monkeypatch.setenv("HALLMARK_RESULTS", str(folder))
        st.cache_resource.clear()
        return AppTest.from_file(str(REPOSITORY / "leaderboard" / "app.py"), default_timeout=60)

    return run

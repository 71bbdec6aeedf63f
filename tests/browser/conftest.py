"""A real board in a real browser: ``hallmark board`` on committed records, headless Chromium through Playwright."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from served import Served, end, start
from support import REPOSITORY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

START_S = 180
PATIENCE_MS = 90_000
FAMILY = ("embedded-digits", "embedded-digits-int2", "embedded-digits-int8", "embedded-digits-pruned")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; skipped with what is missing."""
    pytest.importorskip("playwright", reason="playwright is missing: pip install -e '.[dev]'")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium, or name one in $CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The board on the committed records of one family."""
    folder = tmp_path_factory.mktemp("board")
    for name in (*FAMILY, "tasks"):
        shutil.copytree(REPOSITORY / "results" / name, folder / "results" / name)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    log = folder / "board.log"
    process = start("board", "--port", str(port), folder=folder, log=log)
    deadline = time.monotonic() + START_S
    while True:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"no answer in {START_S} s: {log.read_text()}"
        time.sleep(0.2)
    yield Served(folder, port)
    end(process)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh visitor; an error in the page's own scripts, a dialog, or a traceback on the page fails the test."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
    yield opened
    errors += opened.get_by_test_id("stException").all_inner_texts()
    context.close()
    assert not errors, errors

"""What a visitor does on the board, in a real browser: open, filter, follow links, compare, download, submit."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from contrast import faint
from served import Served, start
from support import REPOSITORY, write_submission

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    Scheme = Literal["light", "dark"]

PARENT, INT2, INT8, PRUNED = (
    *("embedded-digits", "embedded-digits-int2", "embedded-digits-int8", "embedded-digits-pruned"),
)
GRID = "table[role=grid]"  # the accessible table behind the canvas


def expect(locator: Locator):  # type: ignore[no-untyped-def]
    from playwright.sync_api import expect as expecting

    expecting.set_options(timeout=90_000)
    return expecting(locator)


def rows(page: Page) -> list[list[str]]:
    """Cells of the first table on the page."""
    page.locator(GRID).first.wait_for(state="attached")
    found: list[list[str]] = page.locator(GRID).first.evaluate(
        "t => [...t.querySelectorAll('tbody tr')].map(r => [...r.querySelectorAll('td')].map(c => c.innerText))"
    )
    return found


def names(page: Page) -> list[str]:
    cells = [[cell for cell in row if cell.strip()] for row in rows(page)]
    return [row[0].strip("\u2003└ ") for row in cells if row]


def wait_for_names(page: Page, wanted: list[str]) -> None:
    for _ in range(180):
        if names(page) == wanted:
            return
        page.wait_for_timeout(500)
    assert names(page) == wanted


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def accuracy(name: str) -> float:
    """The newest committed accuracy of a model."""
    records = [json.loads(p.read_text()) for p in (REPOSITORY / "results" / name / "digits").glob("*.json")]
    newest = max(records, key=lambda record: record["provenance"]["started"])
    return next(float(m["value"]) for m in newest["measurements"] if m["name"] == "accuracy")


def test_it_opens_with_families_in_order(served: Served, page: Page) -> None:
    page.goto(served.url())
    expect(page.get_by_role("heading", name="Hallmark")).to_be_visible()
    wait_for_names(page, [PARENT, INT2, INT8, PRUNED])
    assert page.title()
    for cells in rows(page):
        name = next(c for c in cells if c.strip()).strip("\u2003└ ")
        assert str(accuracy(name)) in cells


def test_a_filter_answers_and_is_in_the_address(served: Served, page: Page) -> None:
    page.goto(served.url())
    wait_for_names(page, [PARENT, INT2, INT8, PRUNED])
    box = page.get_by_test_id("stTextInputField").first
    box.fill("pruned")
    box.press("Enter")
    wait_for_names(page, [PRUNED])
    assert query(page) == {"q": ["pruned"]}
    page.reload()
    wait_for_names(page, [PRUNED])


def test_a_strangers_link_opens_the_same_view(served: Served, page: Page) -> None:
    page.goto(served.url(q="digits", sort="on disk", ascending="true", columns=["task", "value"]))
    wait_for_names(page, [INT2, PRUNED, INT8, PARENT])
    header = page.locator(f"{GRID} thead").first.inner_text()
    assert "verdict" not in header
    evil = "<img src=x onerror=alert(1)>"
    page.goto(served.url(q="digits", columns=["task", evil], tasks=evil))
    expect(page.get_by_text(evil).first).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    wait_for_names(page, [PARENT, INT2, INT8, PRUNED])


@pytest.mark.parametrize(
    ("where", "query", "words"),
    [
        ("tradeoff", {"chart": "digits"}, "On the Pareto line"),
        ("compare", {"models": [PARENT, INT2, INT8, PRUNED]}, INT2),
        ("task", {"task": "digits"}, "digits"),
        ("history", {"submission": PARENT}, "History"),
        ("about", {}, "interval"),
    ],
)
def test_every_page_opens(served: Served, page: Page, where: str, query: dict[str, str], words: str) -> None:
    page.goto(served.url(where, **query))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_test_id("stMain").get_by_text(words).first).to_be_visible()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)  # it has come to its end


def test_a_model_opens_from_the_table_and_back_keeps_the_filter(served: Served, page: Page) -> None:
    page.goto(served.url(q="int", selected=INT8))
    page.get_by_test_id("stPageLink-NavLink").filter(has_text=INT8).click()
    expect(page.get_by_role("heading", name="Model", exact=True)).to_be_visible()
    expect(page.get_by_text("digits").first).to_be_visible()
    assert query(page)["submission"] == [INT8]
    page.get_by_test_id("stPageLink-NavLink").filter(has_text="Back to the leaderboard").click()
    wait_for_names(page, [INT2, INT8])
    assert query(page)["q"] == ["int"]


def test_two_are_compared(served: Served, page: Page) -> None:
    page.goto(served.url(selected=[PARENT, INT2]))
    page.get_by_test_id("stPageLink-NavLink").filter(has_text="Compare them").click()
    expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
    page.locator(GRID).first.wait_for(state="attached")
    assert sum((sorted(values) == [PARENT, INT2]) for values in query(page).values()) == 1
    change = accuracy(INT2) - accuracy(PARENT)
    expect(page.get_by_test_id("stMain")).to_contain_text(re.compile("accuracy"))
    cells = " ".join(cell for row in every_cell(page) for cell in row)
    assert f"{change:.3g}"[:6] in cells or f"{-change:.3g}"[:5] in cells, cells


def every_cell(page: Page) -> list[list[str]]:
    found: list[list[str]] = page.locator(GRID).evaluate_all(
        "ts => ts.flatMap(t => [...t.querySelectorAll('tbody tr')].map(r => [...r.cells].map(c => c.innerText)))"
    )
    return found


def test_the_csv_holds_the_rows_and_columns_on_the_screen(served: Served, page: Page, tmp_path: Path) -> None:
    page.goto(served.url(q="int", columns=["task", "value", "on disk"]))
    wait_for_names(page, [INT2, INT8])
    with page.expect_download() as event:
        page.get_by_role("button", name="Download CSV").click()
    event.value.save_as(tmp_path / "board.csv")
    with (tmp_path / "board.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["submission"] for line in lines] == [INT2, INT8]
    assert [float(line["value"]) for line in lines] == [accuracy(INT2), accuracy(INT8)]
    assert list(lines[0]) == ["submission", "task", "value", "bytes"]


def test_while_it_is_indexed_the_page_says_so_and_looks_again_by_itself(served: Served, page: Page) -> None:
    told = {"what": "comparing records with their parents'", "done": 2, "total": 5, "pid": os.getpid()}
    progress = served.folder / "results" / ".index" / "progress.json"
    progress.write_text(json.dumps(told))
    words = page.get_by_text("Comparing records with their parents': 2 of 5")
    try:
        page.goto(served.url())
        expect(words).to_be_visible()
        wait_for_names(page, [PARENT, INT2, INT8, PRUNED])
    finally:
        progress.unlink()
    expect(words).to_have_count(0)  # without a click


def send(page: Page, served: Served, how: str, files: list[Path] | Path) -> None:
    page.goto(served.url("submit", how=how))
    box = page.locator("input[type=file]").first
    box.wait_for(state="attached")
    box.set_input_files(files)
    expect(page.get_by_role("button", name=re.compile("^Remove ")).first).to_be_visible()  # it has arrived
    page.get_by_role("button", name="Check and submit").click()


def test_a_bad_submission_is_refused_with_every_reason(served: Served, page: Page, tmp_path: Path) -> None:
    folder = write_submission(
        tmp_path, "bad-one", {"f.json": b"\x80\x04]\x94."}, "f.json", tasks=["digitz"], parent="nobody", sha256="1" * 64
    )
    send(page, served, "Folder", folder)
    expect(page.get_by_text("Refused; nothing was queued")).to_be_visible()
    for words in ("did you mean 'digits'", "parent = 'nobody'", "a pickle renamed .json"):
        expect(page.get_by_text(words).first).to_be_visible()
    assert not (served.folder / "results" / ".queue" / "submissions" / "bad-one").exists()


@pytest.mark.slow
def test_a_good_submission_is_queued_scored_and_on_the_board(served: Served, page: Page, tmp_path: Path) -> None:
    oracle = b'{"fake": "oracle", "confidence": 0.7}'
    folder = write_submission(tmp_path, "sent-in-a-browser", {"f.json": oracle}, "f.json", tasks=["digits"])
    archive = Path(shutil.make_archive(str(tmp_path / "sent"), "gztar", tmp_path, folder.name))
    send(page, served, "Archive", archive)
    expect(page.get_by_text("Checked and queued.")).to_be_visible()
    expect(page.get_by_text("No worker is running")).to_be_visible()
    wait_for_names(page, ["1"])  # its place in the queue
    log = tmp_path / "worker.log"
    worker = start("worker", "--once", "--threads", "1", folder=served.folder, log=log)
    assert worker.wait(timeout=200) == 0, log.read_text()
    expect(page.get_by_role("heading", name="Finished")).to_be_visible()  # without a click: the page looks by itself
    expect(page.locator(GRID).first).to_contain_text("sent-in-a-browser")
    assert any("sent-in-a-browser" in row and "done" in row for row in every_cell(page)), every_cell(page)
    page.goto(served.url(q="browser"))
    wait_for_names(page, ["sent-in-a-browser"])
    (record,) = (served.folder / "results" / "sent-in-a-browser" / "digits").glob("*.json")
    assert json.loads(record.read_text())["manifest"]["name"] == "sent-in-a-browser"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("where", "chosen"), [("", ["classification", "Results"]), ("submit", ["Folder"])])
def test_all_words_stand_out(served: Served, page: Page, scheme: Scheme, where: str, chosen: list[str]) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(served.url(where, **({} if where else {"kind": chosen[0]})))
    for name in chosen:
        expect(page.get_by_role("radio", name=name, checked=True)).to_be_visible()
    last = page.get_by_role("heading", name="Queue") if where else page.get_by_text("In family order")
    expect(last).to_be_visible()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    for _ in range(20):  # what a page has just drawn fades in
        seen, found = faint(page)
        if seen > 20 and not found:
            break
        page.wait_for_timeout(500)
    assert seen > 20
    assert not found


def test_what_is_faint_is_seen(page: Page) -> None:
    page.set_content(
        "<p style='color:#777'>4.48</p><p style='color:#767676'>4.54</p><h1 style='color:#949494'>3.03</h1>"
    )
    assert faint(page) == (3, ["4.48: 4.48"])

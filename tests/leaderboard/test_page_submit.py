"""The page Submit, run by Streamlit's AppTest on a queue that the test makes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest
from support import REPOSITORY, write_submission

from suite import intake
from suite.errors import InfrastructureError
from suite.intake import Answer
from suite.manifest import Manifest
from suite.queue import Entry, Progress, Queue

GOOD = b'{"fake": "oracle"}'
Open = Callable[..., AppTest]


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "results")


@pytest.fixture
def submit(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the page in an empty folder, with parameters in the URL."""
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HALLMARK_RESULTS", str(queue.results))

    def run(**parameters: str) -> AppTest:
        page = AppTest.from_file(str(REPOSITORY / "leaderboard" / "app.py"), default_timeout=120)
        healthy(page.run())
        page.switch_page("pages/submit.py")
        for name, value in parameters.items():
            page.query_params[name] = value
        return healthy(page.run())

    return run


def healthy(page: AppTest) -> AppTest:
    assert not page.exception, [e.value for e in page.exception]
    return page


def plain(page: AppTest) -> str:
    return "\n".join(element.value for element in page.text)


def press(page: AppTest) -> AppTest:
    (button,) = [one for one in page.button if one.label == "Check and submit"]
    return healthy(button.click().run())


def made(tmp_path: Path, name: str = "sent", **fields: Any) -> Path:
    return write_submission(tmp_path / "made", name, {"f.json": GOOD}, "f.json", **fields)


def answered(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    monkeypatch.setattr(intake, "submit_files", lambda queue, bring: answer)


def put(queue: Queue, name: str) -> Entry:
    about = {"schema_version": 1, "name": name, "title": name, "kind": "classification", "format": "fake"}
    return queue.add(Manifest.model_validate({**about, "weights": "f.json", "sha256": "0" * 64}))


def test_an_archive_is_checked_and_queued(submit: Open, queue: Queue, tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for file in made(tmp_path).iterdir():
            out.write(file, f"sent/{file.name}")
    page = submit(how="Archive")
    page.file_uploader[0].upload("sent.zip", archive.getvalue())
    press(page)
    assert [e.value for e in page.success] == ["Checked and queued."]
    assert [e.name for e in queue.entries("queued")] == ["sent"]
    assert list(page.dataframe[-1].value["submission"]) == ["sent"]
    assert "No worker is running" in page.info[-1].value
    assert page.code[-1].value == f"hallmark worker --results {queue.results.name}"


def test_a_folder_with_a_wrong_manifest_is_refused_in_the_words_of_the_check(
    submit: Open, queue: Queue, tmp_path: Path
) -> None:
    page = submit()
    for file in made(tmp_path, tasks=["digitz"], sha256="1" * 64).iterdir():
        page.file_uploader[0].upload(f"sent/{file.name}", file.read_bytes())
    press(page)
    assert "Refused" in page.error[0].value
    assert "did you mean 'digits'" in plain(page)
    assert f"the manifest says {'1' * 64}" in plain(page)
    assert not queue.entries("queued")


def test_a_manifest_and_files_sent_one_by_one(submit: Open, queue: Queue, tmp_path: Path) -> None:
    folder = made(tmp_path)
    page = submit(how="Manifest and files")
    page.file_uploader[0].upload("my.toml", (folder / "submission.toml").read_bytes())
    page.file_uploader[1].upload("f.json", GOOD)
    press(page)
    assert [e.value for e in page.success] == ["Checked and queued."]
    assert [e.name for e in queue.entries("queued")] == ["sent"]


def test_a_folder_on_the_server(submit: Open, queue: Queue, tmp_path: Path) -> None:
    folder = made(tmp_path)
    page = submit(how="On the server")
    page.text_input[0].set_value("nowhere")
    press(page)
    assert "no submission at 'nowhere'" in plain(page)
    assert page.text_input[0].value == "nowhere", "to be corrected"
    page.text_input[0].set_value(str(folder.relative_to(tmp_path)))
    press(page)
    assert [e.name for e in queue.entries("queued")] == ["sent"]
    press(page)
    assert "waiting already" in page.info[0].value


@pytest.mark.parametrize("how", ["Folder", "Archive", "Manifest and files", "On the server"])
def test_sending_nothing_is_told(submit: Open, queue: Queue, how: str) -> None:
    page = press(submit(how=how))
    assert "nothing was sent" in plain(page)
    assert not queue.root.exists()


def test_a_broken_archive_and_a_full_disk(submit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    page = submit(how="Archive")
    page.file_uploader[0].upload("x.zip", b"hello")
    press(page)
    assert "this is no zip, tar or tar.gz archive" in plain(page)

    def full(queue: Queue, bring: Any) -> Answer:
        raise InfrastructureError("cannot write: no space left")

    monkeypatch.setattr(intake, "submit_files", full)
    page.file_uploader[0].upload("x.zip", b"hello")
    press(page)
    assert "no space left" in plain(page)


def test_leaks_are_told_and_nothing_that_was_sent_is_markup(
    submit: Open, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) :red[y] $z$"
    page = submit(how="Archive")
    for answer in (
        Answer("a", (evil,)),
        Answer("a", (), (evil,), put(queue, "a")),
        Answer("a", (), (evil,), None, True),
    ):
        answered(monkeypatch, answer)
        page.file_uploader[0].upload("x.zip", b"hello")
        press(page)
        assert evil in plain(page)
        shown = [*page.markdown, *page.caption, *page.error, *page.success, *page.warning, *page.info]
        assert not [one for one in shown if "alert" in one.value]


def test_what_another_visit_was_answered_is_gone(submit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    answered(monkeypatch, Answer("a", ("refused for a reason",)))
    page = submit(how="Archive")
    page.file_uploader[0].upload("x.zip", b"hello")
    assert "refused for a reason" in plain(press(page))
    assert "refused for a reason" in plain(healthy(page.run()))
    page.session_state["entered"] = True  # what the navigation notes of a new visit; AppTest runs pages without it
    assert "refused for a reason" not in plain(healthy(page.run()))


def test_queue_running_and_finished_work_are_shown(submit: Open, queue: Queue) -> None:
    page = submit()
    assert "Nothing is waiting." in plain(page)
    for name in ("done", "failed", "running", "waiting"):
        put(queue, name)
    for name, failures in (("done", []), ("failed", ["on digits: **bold** it broke"])):
        entry = queue.take()
        assert entry is not None
        assert entry.name == name
        queue.finish(entry, [] if failures else ["done on digits: accuracy 0.9"], failures)
    entry = queue.take()
    assert entry is not None
    healthy(page.run())
    assert "running: its worker was stopped" in plain(page)
    with queue.worker():
        healthy(page.run())
        assert "No worker" not in plain(page)
        queue.report(entry, Progress(task="digits", done=25, total=100, nth=2, tasks=2))
        healthy(page.run())
    (bar,) = page.get("progress")
    assert bar.proto.value == 62
    assert "25 of 100 items" in bar.proto.text
    waiting, finished = (frame.value for frame in page.dataframe)
    assert list(waiting["submission"]) == ["waiting"]
    assert sorted(zip(finished["submission"], finished["state"], strict=True)) == [
        ("done", "done"),
        ("failed", "failed"),
    ]
    assert "failed: on digits: **bold** it broke" in plain(page)
    assert not [one for one in page.markdown if "broke" in one.value]


def test_a_closed_board_takes_nothing(submit: Open, queue: Queue) -> None:
    put(queue, "earlier")
    before = config.get_option("server.maxUploadSize")
    config.set_option("server.maxUploadSize", 0)
    try:
        page = submit()
    finally:
        config.set_option("server.maxUploadSize", before)
    assert "closed" in page.info[0].value
    assert not page.button
    assert list(page.dataframe[0].value["submission"]) == ["earlier"]


def test_an_unknown_way_to_send_in_the_url_is_told(submit: Open) -> None:
    page = submit(how="<b>pigeon</b>")
    assert "way to send" in page.info[0].value
    assert "<b>pigeon</b>" in plain(page)

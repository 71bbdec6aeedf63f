"""What is sent to the board is checked as ``hallmark check`` does, and queued or refused in plain words."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY, Ran, write_submission

from suite import intake
from suite.files import digest
from suite.intake import Answer, submit_files, submit_folder
from suite.manifest import Manifest
from suite.queue import Queue
from suite.record import Record
from suite.store import Store
from suite.upload import place, unpack

GOOD = b'{"fake": "oracle"}'
Sends = Callable[..., Answer]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.delenv("HALLMARK_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return Queue(tmp_path / "results")


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, hallmark: Callable[..., Ran], queue: Queue) -> None:
    """The same command without a process of its own, which costs a second each."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[:3] == [sys.executable, "-m", "suite"]
        ran = hallmark(*command[3:])
        return subprocess.CompletedProcess(command, ran.code, ran.out, ran.err)

    monkeypatch.setattr(intake.subprocess, "run", run)


@pytest.fixture
def send(queue: Queue, tmp_path: Path) -> Sends:
    """Make a submission and send its files."""

    def sent(call: str, content: bytes = GOOD, files: dict[str, bytes] | None = None, **fields: Any) -> Answer:
        wrong = fields.pop("name", call)
        made = write_submission(
            tmp_path / f"made{len(list(tmp_path.iterdir()))}", call, {"f.json": content}, "f.json", **fields
        )
        text = (made / "submission.toml").read_text()
        (made / "submission.toml").write_text(text.replace(f'name = "{call}"', f'name = "{wrong}"'))
        every = {p.name: p.read_bytes() for p in made.iterdir()} | (files or {})
        return submit_files(queue, partial(place, [(k, io.BytesIO(v)) for k, v in every.items()]))

    return sent


def queued(queue: Queue) -> list[str]:
    return [entry.name for entry in queue.entries("queued")]


def refused(answer: Answer, queue: Queue, *words: str) -> None:
    said = "\n".join(answer.problems)
    assert all(word in said for word in words), said
    assert answer.entry is None
    assert str(queue.results) not in said, "a folder that the sender does not know"
    assert not list((queue.root / "incoming").iterdir()), "something was left behind"


def test_a_good_one_is_stored_and_queued(send: Sends, queue: Queue) -> None:
    answer = send("good", files={"recipe.py": b"raise SystemExit('executed')"})
    assert (answer.name, answer.problems, answer.known) == ("good", (), False)
    assert answer.entry is not None
    assert queued(queue) == ["good"]
    assert sorted(p.name for p in queue.folder("good").iterdir()) == ["f.json", "recipe.py", "submission.toml"]


@pytest.mark.usefixtures("in_process")
def test_an_archive_in_a_folder_of_another_name(queue: Queue, tmp_path: Path) -> None:
    made = write_submission(tmp_path / "made", "good", {"f.json": GOOD}, "f.json")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for file in made.iterdir():
            out.write(file, f"good-main/{file.name}")
    assert submit_files(queue, partial(unpack, archive)).problems == ()
    assert queued(queue) == ["good"]


def test_several_problems_are_told_at_once_as_the_command_tells_them(
    send: Sends, queue: Queue, tmp_path: Path, hallmark: Callable[..., Ran]
) -> None:
    fields = {"tasks": ["digitz"], "parent": "nobody", "sha256": "0" * 64}
    answer = send("bad", **fields)
    refused(answer, queue, "did you mean 'digits'", "parent = 'nobody' was not sent before", "sha256")
    made = write_submission(tmp_path / "again", "bad", {"f.json": GOOD}, "f.json", **fields)
    ran = hallmark("check", made)
    assert ran.code == 2
    for line in answer.problems:
        start = line.split(";")[0].split(" was not")[0].split(" at ")[0]
        assert start in ran.err, (start, ran.err)


CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a misspelt key": ({"titel": "x"}, ("unknown key 'titel'", "did you mean 'title'")),
    "a wrong name": ({"name": "../../x"}, ("name = ", "pattern")),
    "a reserved name": ({"name": "tasks"}, ("reserved",)),
    "a pickle": ({"content": b"\x80\x04]\x94."}, ("pickle",)),
    "no fake named": ({"content": b"{}"}, ("names no fake",)),
    "an unknown format": ({"format": "magic"}, ("unknown format",)),
    "weights outside": ({"weights": "../../../../etc/hostname"}, ("leaves the submission's folder",)),
    "a parent outside": ({"parent": "../../x"}, ("is no name of a submission",)),
    "its own parent": ({"parent": "bad"}, ("it names itself",)),
    "a claim": ({"compression": {"method": "rtn", "bits": 4}}, ("parent",)),
}


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("case", CASES)
def test_bad_ones_are_refused(case: str, send: Sends, queue: Queue) -> None:
    fields, words = CASES[case]
    refused(send("bad", **fields), queue, *words)
    assert queued(queue) == []
    assert not queue.folder("bad").exists()


def test_no_manifest_or_a_broken_one(queue: Queue) -> None:
    sent = partial(place, [("f.json", io.BytesIO(GOOD))])
    refused(submit_files(queue, sent), queue, "no submission.toml")
    sent = partial(place, [("submission.toml", io.BytesIO(b"\xff = ["))])
    refused(submit_files(queue, sent), queue, "not valid TOML")


def test_a_check_that_breaks_or_hangs_is_told(send: Sends, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(intake, "CHECK_LIMIT_S", 0.01)
        refused(send("slow"), queue, "took more than")
    monkeypatch.setattr(intake.sys, "executable", "/bin/false")
    monkeypatch.setattr(intake, "_FINDINGS", 99)
    refused(send("broken"), queue, "broke on these files")


@pytest.mark.usefixtures("in_process")
def test_a_child_finds_the_parent_that_was_sent_before(send: Sends, queue: Queue) -> None:
    assert send("parent").problems == ()
    assert send("child", b'{"fake": "oracle", "confidence": 0.9}', parent="parent").problems == ()
    assert queued(queue) == ["parent", "child"]


@pytest.mark.usefixtures("in_process")
def test_names_that_are_taken(send: Sends, queue: Queue, tmp_path: Path) -> None:
    write_submission(tmp_path / "submissions", "mine", {"f.json": GOOD}, "f.json", title="another")
    refused(send("mine"), queue, "lies under submissions/")
    assert send("a").problems == ()
    again = send("a")
    assert (again.known, queued(queue)) == (True, ["a"])
    refused(send("a", title="other"), queue, "was sent before")
    entry = queue.take()
    assert entry is not None
    refused(send("a", title="other"), queue, "was sent before")
    queue.finish(entry, [], ["it broke"])
    assert send("a", title="other").problems == (), "a failed one may be mended"
    assert queued(queue) == ["a"]


@pytest.mark.usefixtures("in_process")
def test_the_name_of_another_model_with_records_is_taken(send: Sends, queue: Queue) -> None:
    assert send("scored").problems == ()
    (entry,) = queue.entries("queued")
    template = json.loads((REPOSITORY / "tests" / "fixtures" / "record.json").read_text())
    about = Manifest.load(queue.folder("scored")).model_dump(mode="json")
    Store(queue.results).add(Record.model_validate({**template, "manifest": about}), {})
    assert queue.take() is not None
    queue.finish(entry, [], ["the second task broke"])
    refused(send("scored", title="another"), queue, "has records of another")
    assert send("scored").problems == ()


@pytest.mark.usefixtures("in_process")
def test_a_folder_on_the_server_stays_where_it_is(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_submission(tmp_path / "submissions", "here", {"f.json": GOOD}, "f.json")
    for given in ("here", " submissions/here ", str(folder), str(folder / "submission.toml")):
        assert submit_folder(queue, given).problems == (), given
    assert queued(queue) == ["here"]
    assert queue.folder("here").resolve() == folder.resolve()
    write_submission(tmp_path / "mirror", "there", {"f.json": GOOD}, "f.json")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path / "mirror"))
    assert submit_folder(queue, str(tmp_path / "mirror" / "there")).problems == ()
    for given in (str(folder), "../submissions/here", "/etc", "", "\0", "x" * 5000, "nowhere"):
        answer = submit_folder(queue, given)
        assert "no submission at" in answer.problems[0], given


@pytest.mark.usefixtures("in_process")
def test_a_claim_that_the_files_contradict_is_refused(queue: Queue, tmp_path: Path) -> None:
    for name in ("embedded-digits", "embedded-digits-int8"):
        shutil.copytree(REPOSITORY / "submissions" / name, tmp_path / "submissions" / name)
    manifest = tmp_path / "submissions" / "embedded-digits-int8" / "submission.toml"
    manifest.write_text(manifest.read_text().replace("bits = 8", "bits = 2"))
    answer = submit_folder(queue, "embedded-digits-int8")
    assert answer.entry is None
    assert any("bits" in line for line in answer.problems), answer.problems
    assert submit_folder(queue, "embedded-digits").problems == ()


@pytest.mark.usefixtures("in_process")
def test_a_manifest_alone_names_weights_in_the_mirror(
    send: Sends, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mirror" / "models").mkdir(parents=True)
    weights = tmp_path / "mirror" / "models" / "f.json"
    weights.write_bytes(GOOD)
    sha256 = digest(weights)
    refused(send("far", weights="data:models/f.json", sha256=sha256), queue, "HALLMARK_DATA is not set")
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path / "mirror"))
    refused(send("far", weights="data:../x", sha256=sha256), queue, "leaves the mirror")
    assert send("far", weights="data:models/f.json", sha256=sha256).problems == ()
    assert queued(queue) == ["far"]

"""Everything that is committed: submissions, records, and no trace of the machine that made them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import REPOSITORY, Ran

from suite import submission
from suite.files import total_bytes
from suite.store import Store
from suite.verify import verify
from tasks import SUITES, TASKS

FOLDERS = sorted(p.parent for p in (REPOSITORY / "submissions").glob("*/submission.toml"))
RECORDS = list(Store(REPOSITORY / "results").scan())
MAX_WEIGHTS_BYTES = 20_000_000


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_every_submission_checks_and_says_how_it_was_made(folder: Path) -> None:
    from suite.check import check

    found = check(submission.load(folder), TASKS)
    assert found.problems == ()
    assert found.mismatches == ()
    assert found.leaks == ()
    assert '"""' in (folder / "recipe.py").read_text()
    manifest = found.submission.manifest
    assert manifest.licence
    assert manifest.authors
    if manifest.parent:
        assert manifest.compression is not None


def test_all_weights_together_are_small() -> None:
    assert sum(total_bytes(submission.load(folder).weights()) for folder in FOLDERS) < MAX_WEIGHTS_BYTES


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_every_submission_has_its_records_on_the_embedded_suite(folder: Path) -> None:
    kind = submission.load(folder).manifest.kind
    scored = {s.record.task for s in RECORDS if s.record.manifest.name == folder.name}
    assert {name for name in SUITES["embedded"] if TASKS[name].kind == kind} <= scored


@pytest.mark.parametrize("stored", RECORDS, ids=lambda s: f"{s.record.manifest.name}-{s.record.task}")
def test_every_committed_record_verifies_and_the_newest_is_of_the_submission_as_it_is(stored: object) -> None:
    from suite.store import Stored

    assert isinstance(stored, Stored)
    assert verify(stored, TASKS) == []
    newest = Store(REPOSITORY / "results").latest(stored.record.manifest.name, stored.record.task)
    now = submission.find(stored.record.manifest.name).manifest  # older states may stay
    assert newest is not None
    assert now.fingerprint() == newest.record.manifest.fingerprint()
    assert stored.record.generated_data == TASKS[stored.record.task].dataset.generated


def test_a_fresh_run_of_another_submission_disagrees(
    hallmark: Callable[..., Ran], fake: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the pull request's workflow does: the same submission agrees, a record of other weights does not."""
    monkeypatch.chdir(tmp_path)
    honest = fake("m", {"fake": "constant", "probs": [0.1] * 10})
    hallmark("run", honest, "-t", "digits")
    hallmark("run", honest, "-t", "digits", "--results", "fresh")
    assert hallmark("verify", "--against", "fresh").code == 0
    assert hallmark("verify", "--against", "elsewhere").code == 1
    content = (honest / "submission.toml").read_text()
    (honest / "fake.json").write_text('{"fake": "oracle"}')
    from suite.files import digest

    old = submission.load(honest).manifest.sha256
    (honest / "submission.toml").write_text(content.replace(old, digest(honest / "fake.json")))
    hallmark("run", honest, "-t", "digits", "--results", "fresh")
    ran = hallmark("verify", "--against", "fresh")
    assert ran.code == 1
    assert "other weights" in ran.err


def tracked() -> list[Path]:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    return [REPOSITORY / name for name in listed.decode().split("\0") if name and (REPOSITORY / name).is_file()]


def test_no_committed_file_names_the_machine_that_made_it() -> None:
    here = re.escape(str(REPOSITORY.parent)).encode()
    traces = re.compile(rb"/root/|/home/[a-z]|site-packages/|" + here + rb"/")
    found = [p.name for p in tracked() if p != Path(__file__) and traces.search(p.read_bytes())]
    assert not found

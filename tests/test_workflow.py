"""The pull request's workflow: its shell, as it stands in the file, on small repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import REPOSITORY

WORKFLOW: dict[str, Any] = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "submission.yml").read_text())
STEPS = {step["name"]: step for step in WORKFLOW["jobs"]["score"]["steps"] if "name" in step}
Touch = Callable[..., tuple[int, str, str]]


@pytest.fixture
def touched(tmp_path: Path) -> Touch:
    """Commit a change to a repository with one submission; gives exit code, names and output of the workflow's step."""
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = {f"GIT_{role}_{what}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    output = tmp_path / "output"
    environment = {"PATH": os.environ["PATH"], **quiet, **who, "GITHUB_BASE_REF": "main", "GITHUB_OUTPUT": str(output)}
    root = tmp_path / "repository"

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=root, env=environment, check=True, capture_output=True)

    def change(files: dict[str, str | None]) -> None:
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).unlink() if content is None else (root / name).write_text(content)
        git("add", "-A")
        git("commit", "-m", "x")

    def run(files: dict[str, str | None]) -> tuple[int, str, str]:
        root.mkdir()
        git("init", "-b", "main")
        change({"submissions/old/submission.toml": "", "submissions/README.md": "", "results/old/digits/1.json": "1"})
        git("update-ref", "refs/remotes/origin/main", "HEAD")
        change(files)
        script = STEPS["Which submissions are touched"]["run"]
        done = subprocess.run(
            ["bash", "-e", "-c", script], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        lines = output.read_text().splitlines() if output.exists() else [""]
        return done.returncode, lines[-1], done.stdout + done.stderr

    return run


def test_new_and_changed_submissions_are_named(touched: Touch) -> None:
    code, names, said = touched(
        {
            "submissions/new/submission.toml": "x",
            "submissions/new/weights/model.safetensors": "x",
            "results/old/digits/2.json": "2",
            "submissions/README.md": "new",
            "results/tasks/digits.json": "{}",
        }
    )
    assert (code, names) == (0, "names=new old"), said


def test_a_deleted_record_counts(touched: Touch) -> None:
    assert touched({"results/old/digits/1.json": None})[:2] == (0, "names=old")


def test_other_changes_name_nothing(touched: Touch) -> None:
    assert touched({"submissions/README.md": "new", "results/tasks/digits.json": "{}"})[:2] == (0, "names=")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"results/ghost/digits/1.json": "1"}, "no submissions/ghost/submission.toml"),
        ({"submissions/new/Submission.toml": "x"}, "no submissions/new/submission.toml"),
        ({"submissions/old/submission.toml": None}, "no submissions/old/submission.toml"),
        ({"submissions/a b/submission.toml": "x"}, "'a b' cannot be a submission's name"),
        ({"submissions/-rf/submission.toml": "x"}, "'-rf' cannot be a submission's name"),
        ({"submissions/é/submission.toml": "x"}, "'é' cannot be a submission's name"),
        ({"submissions/a$(touch b)/submission.toml": "x"}, "cannot be a submission's name"),
    ],
)
def test_what_cannot_be_checked_fails(touched: Touch, files: dict[str, str | None], said: str) -> None:
    code, _, output = touched(files)
    assert code != 0
    assert said in output


def test_a_missing_base_fails(touched: Touch, monkeypatch: pytest.MonkeyPatch) -> None:
    step = STEPS["Which submissions are touched"]
    monkeypatch.setitem(step, "run", step["run"].replace("$GITHUB_BASE_REF", "gone"))
    assert touched({"submissions/new/submission.toml": "x"})[0] != 0


def test_the_workflow_may_only_read_and_compares_every_touched_submission() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    commands = STEPS["Check, score again, compare"]["run"]
    for verb in ("check $NAMES", "run $NAMES --suite embedded --results fresh", "verify $NAMES --against fresh"):
        assert f"hallmark {verb}" in commands

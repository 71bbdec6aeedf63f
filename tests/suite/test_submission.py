from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support import write_submission

from suite import submission
from suite.errors import InputError
from suite.unit import prepare

CONSTANT = {"fake": "constant", "probs": [0.5, 0.5]}


def test_a_parent_beside_the_folder_wins_over_submissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: Callable[..., Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    child = fake("child", CONSTANT, parent="parent")
    write_submission(tmp_path / "submissions", "parent", {"f.json": b'{"fake": "oracle"}'}, "f.json", title="far")
    parent = submission.load(child).parent()
    assert parent is not None
    assert parent.manifest.title == "far"
    fake("parent", CONSTANT, title="near")
    parent = submission.load(child).parent()
    assert parent is not None
    assert parent.manifest.title == "near"
    assert submission.find("parent").manifest.title == "far"
    assert [folder.name for folder in submission.folders()] == ["parent"]


def test_weights_in_the_mirror_may_not_leave_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: Callable[..., Path]
) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "secret").write_text("x")
    one = submission.load(fake("one", CONSTANT, weights="data:../secret"))
    monkeypatch.delenv("HALLMARK_DATA", raising=False)
    with pytest.raises(InputError, match="HALLMARK_DATA is not set"):
        one.weights()
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path / "mirror"))
    with pytest.raises(InputError, match="leaves the mirror"):
        one.weights()


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text('{"fake": "oracle"}')
    folder = write_submission(tmp_path / "subs", "m", {"w/a.json": b"{}"}, "w")
    os.symlink(tmp_path / "outside.json", folder / "w" / "b.json")
    from suite.files import digest

    manifest = (folder / "submission.toml").read_text()
    old = submission.load(folder).manifest.sha256
    (folder / "submission.toml").write_text(manifest.replace(old, digest(folder / "w")))
    with pytest.raises(InputError, match="link"):
        prepare(submission.load(folder))


def test_a_recipe_beside_the_manifest_is_allowed_and_never_imported(tmp_path: Path, fake: Callable[..., Path]) -> None:
    folder = fake("m", CONSTANT)
    (folder / "recipe.py").write_text("raise SystemExit('imported')")
    prepare(submission.load(folder))


def test_code_inside_the_weights_folder_is_refused(tmp_path: Path) -> None:
    files = {"w/config.json": b"{}", "w/modeling.py": b"import os"}
    folder = write_submission(tmp_path / "subs", "m", files, "w", kind="language", format="transformers")
    with pytest.raises(InputError, match=r"modeling\.py"):
        prepare(submission.load(folder))

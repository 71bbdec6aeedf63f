"""Bad input of a segmentation, walked by the command line: one line, what was given, what is allowed; no record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scan_folders import cube, describe, volumes, write
from support import one_line

Change = Callable[[Path], Any]
LABELS, IMAGE = Path("labels") / "b.nii.gz", Path("images") / "b.nii.gz"


def spoilt(path: Path, value: float) -> Change:
    """The first voxel of a file gets another value."""

    def change(folder: Path) -> None:
        values = np.asanyarray(nibabel.load(folder / path).dataobj).astype(np.float32)
        values[0, 0, 0] = value
        write(folder / path, values)

    return change


def emptied(folder: Path) -> None:
    for path in (*folder.glob("images/*"), *folder.glob("labels/*")):
        path.unlink()


def table(rows: str) -> Change:
    return lambda folder: (folder / "patients.csv").write_text(f"id,site\n{rows}")


SITES = {"table": "patients.csv", "groups": ["site"]}
DATA: dict[str, tuple[Change | None, dict[str, Any], tuple[str, ...]]] = {
    "shape": (lambda f: write(f / LABELS, cube()[:-1]), {}, ("b.nii.gz", "[6, 7, 8]", "[6, 7, 7]", "one grid")),
    "spacing": (lambda f: write(f / LABELS, cube(), (1, 1, 2)), {}, ("spacing 1 x 1 x 1 mm", "2 x 1 x 1 mm")),
    "orientation": (lambda f: write(f / LABELS, cube(), (-1, 1, 1)), {}, ("oriented RAS", "LAS")),
    "label": (spoilt(LABELS, 7), {}, ("holds label 7", "declared: 0, 1")),
    "fraction": (spoilt(LABELS, 0.5), {}, ("b.nii.gz", "labels are whole numbers")),
    "nan in the labels": (spoilt(LABELS, np.nan), {}, ("b.nii.gz", "NaN")),
    "nan in the image": (spoilt(IMAGE, np.nan), {}, ("b.nii.gz", "1 values that are NaN")),
    "tolerance": (None, {"tolerance_mm": 0.5}, ("tolerance_mm = 0.5 is below", "a.nii.gz, 1 mm", "give at least that")),
    "no nifti": (lambda f: (f / IMAGE).write_bytes(b"no"), {}, ("b.nii.gz", "not a readable NIfTI")),
    "no bytes": (lambda f: (f / LABELS).write_bytes(b""), {}, ("b.nii.gz", "not a readable NIfTI")),
    "no row": (table("a,x\nc,y\n"), SITES, ("patients.csv has no row for 'b'",)),
    "two rows": (table("a,x\nb,x\nb,y\nc,y\n"), SITES, ("'b' is given twice",)),
    "no table": (None, SITES, ("no table at",)),
    "no data": (emptied, {}, ("empty data set", "no image")),
    "no labels": (lambda f: (f / LABELS).unlink(), {}, ("no labels of 'b'", "unlabelled = 'skip'")),
    "no rater": (None, {"raters": ["second"]}, ("no folder", "second")),
    "policy": (None, {"policy": "worst"}, ("policy", "'exclude', 'best' or 'brats'")),
    "ubench": (None, {"ubench": "busi"}, ("ubench", "'BUSI'")),
    "key": (None, {"tolerance": 2}, ("unknown key 'tolerance'; did you mean 'tolerance_",)),
}


@pytest.mark.parametrize("name", DATA)
def test_data_that_cannot_be_scored_are_refused_before_anything_runs(name, tmp_path, hallmark, fake) -> None:
    change, fields, words = DATA[name]
    folder = volumes(tmp_path / "set")
    if change:
        change(folder)
    model = fake("half", {"fake": "threshold"}, kind="segmentation")
    one_line(hallmark("run", model, "--data", describe(folder, **fields)), 2, *words)
    assert not list(tmp_path.glob("results/**/*.json"))


ANSWERS = {
    "nan": "NaN",
    "inf": "infinit",
    "half": "sum to",
    "shape": "sum to",  # twice the classes
}


@pytest.mark.parametrize("fault", ANSWERS)
def test_an_answer_that_is_no_distribution_fails_the_unit_and_names_the_case(fault, tmp_path, hallmark, fake) -> None:
    folder = volumes(tmp_path / "set")
    model = fake("bad", {"fake": "threshold", "fault": {"kind": fault, "at": 1}}, kind="segmentation")
    ran = hallmark("run", model, "--data", describe(folder))
    assert ran.code == 1, ran
    assert ANSWERS[fault] in ran.err
    assert "failed: item '" in ran.err
    assert "Traceback" not in ran.err
    assert not list(tmp_path.glob("results/bad/**/*.json"))

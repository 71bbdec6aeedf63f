"""Published data sets: each layout on a tiny folder in the original layout, what is said without it, and the pins."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scan_folders import cube, write
from support import one_line

from suite.errors import AbsentDataError, InputError
from tasks import TASKS, medical
from tasks.own.lazy import now
from tasks.own.table import MISSING

LAYOUTS = {layout.name: layout for layout in medical.layouts()}
MIRRORED = ("seg_msd_hippocampus", "seg_dsb2018_nuclei")
FLAT = np.zeros((6, 5), np.uint8)
SQUARE = FLAT.copy()
SQUARE[2:4, 2:4] = 255
COLOUR = np.full((6, 5, 3), 100, np.uint8)
IMAGE = np.ones((8, 7, 6), np.float32)


def decathlon(folder: str, channels: int, classes: int) -> Callable[[Path], None]:
    def make(top: Path) -> None:
        image = IMAGE if channels == 1 else np.ones((8, 7, 6, channels), np.float32)
        for item in ("case_001", "case_002"):
            write(top / folder / "imagesTr" / f"{item}.nii.gz", image)
            write(top / folder / "labelsTr" / f"{item}.nii.gz", cube(value=classes))
        (top / folder / "imagesTr" / "._case_001.nii.gz").write_bytes(b"macOS")
        write(top / folder / "imagesTs" / "case_003.nii.gz", image)

    return make


def acdc(top: Path) -> None:
    patient = top / "ACDC" / "database" / "testing" / "patient101"
    write(patient / "patient101_4d.nii.gz", np.ones((8, 7, 6, 3), np.float32))
    for frame in ("frame01", "frame14"):
        write(patient / f"patient101_{frame}.nii.gz", IMAGE)
        write(patient / f"patient101_{frame}_gt.nii.gz", cube(value=3))


def btcv(top: Path) -> None:
    for item in ("0001", "0002", *LAYOUTS["synapse"].ids):
        write(top / "btcv" / "RawData" / "Training" / "img" / f"img{item}.nii.gz", IMAGE)
        write(top / "btcv" / "RawData" / "Training" / "label" / f"label{item}.nii.gz", cube(value=8) + cube(5, 6, 13))
    write(top / "btcv" / "RawData" / "Testing" / "img" / "img0061.nii.gz", IMAGE)


def brats(top: Path) -> None:
    for case, suffix in (("BraTS20_Training_001", ".nii"), ("BraTS2021_00002", ".nii.gz")):
        for part in ("t1", "t1ce", "t2", "flair"):
            write(top / "brats" / "TrainingData" / case / f"{case}_{part}{suffix}", IMAGE)
        write(top / "brats" / "TrainingData" / case / f"{case}_seg{suffix}", cube(value=4))


def lits(top: Path) -> None:
    for batch, number in ((1, 0), (2, 28)):
        write(top / "LiTS" / f"Training Batch {batch}" / f"volume-{number}.nii", IMAGE)
        write(top / "LiTS" / f"Training Batch {batch}" / f"segmentation-{number}.nii", cube(value=2))
    write(top / "LiTS" / "test-volume-0.nii", IMAGE)


def drive(top: Path) -> None:
    for number in ("01", "02"):
        write(top / "DRIVE/test/images" / f"{number}_test.tif", COLOUR)
        write(top / "DRIVE/test/1st_manual" / f"{number}_manual1.gif", SQUARE)
        write(top / "DRIVE/test/2nd_manual" / f"{number}_manual2.gif", SQUARE[::-1])
        write(
            top / "DRIVE/test/mask" / f"{number}_test_mask.gif", np.where(np.arange(5) < 4, 255, FLAT).astype(np.uint8)
        )
    write(top / "DRIVE/training/images/21_training.tif", COLOUR)


def isic(top: Path) -> None:
    for item in ("ISIC_0012169", "ISIC_0012236"):
        write(top / "ISIC2018/ISIC2018_Task1-2_Test_Input" / f"{item}.jpg", COLOUR)
        write(top / "ISIC2018/ISIC2018_Task1_Test_GroundTruth" / f"{item}_segmentation.png", SQUARE)
    (top / "ISIC2018/ISIC2018_Task1-2_Test_Input/LICENSE.txt").write_text("")


def totalsegmentator(top: Path) -> None:
    folder = top / "Totalsegmentator_dataset_v201"
    for item in ("s0000", "s0011"):
        write(folder / item / "ct.nii.gz", IMAGE)
        for name in LAYOUTS["totalsegmentator"].classes:
            write(folder / item / "segmentations" / f"{name}.nii.gz", cube() * (name == "sternum"))
    (folder / "meta.csv").write_text("image_id;age;gender;split\ns0000;44;m;train\ns0011;81;;test\n")


MAKERS: dict[str, Callable[[Path], None]] = {
    "acdc": acdc, "btcv": btcv, "synapse": btcv, "brats": brats, "lits": lits, "drive": drive, "isic2018": isic,
    "totalsegmentator": totalsegmentator,
} | {
    name: decathlon(layout.dataset, layout.channels, len(layout.classes))
    for name, layout in LAYOUTS.items() if layout.dataset.startswith("Task")
}  # fmt: skip


@pytest.fixture
def top(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path))
    return tmp_path


def task_of(name: str):
    """A fresh one: a task keeps what it has found."""
    return medical.task_of(LAYOUTS[name])


def test_every_layout_is_tried():
    assert {*MAKERS, *MIRRORED} == set(LAYOUTS)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_the_original_layout_is_read(name, top):
    task, layout = task_of(name), LAYOUTS[name]
    MAKERS[name](top)
    assert task.dataset.missing() is None
    task.fetch()
    examples = task.examples(None)
    assert examples
    for example in examples:
        image, reference = now(example.input), now(example.label)
        assert image.pixels.shape == (layout.channels, *reference.labels.shape)
        assert image.pixels.ndim - 1 == layout.axes
        assert 0 < np.unique(reference.labels).max() <= 255
        assert len(reference.raters) == len(layout.raters)
        assert set(example.groups) == set(layout.groups)
    assert re.fullmatch("[0-9a-f]{64}", task.data_sha256())


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_the_right_answer_scores_one_on_every_layout(name, top):
    task, layout = task_of(name), LAYOUTS[name]
    MAKERS[name](top)
    rows = []
    for example in task.examples(None):
        labels = now(example.label).labels
        answer = np.stack([labels == label for label in range(len(layout.classes) + 1)]).astype(np.float32)
        answer[0] += labels == 255
        rows.append({"item": example.item, "cluster": example.cluster, **task.row(example, answer)})
    columns = {column: np.array([row[column] for row in rows]) for column in rows[0]}
    for key in ("intersection", "true"):
        assert np.array_equal(columns[key], columns["predicted"])
    assert columns["true"].sum() > 0


def test_layouts_give_the_labels_that_they_promise(top):
    for make in (acdc, btcv, brats, drive, totalsegmentator):
        make(top)
    found = {name: task_of(name).examples(None) for name in ("acdc", "synapse", "btcv", "brats", "drive")}
    assert [(e.item, e.cluster) for e in found["acdc"]] == [
        ("patient101_frame01", "patient101"),
        ("patient101_frame14", "patient101"),
    ]
    assert np.unique(now(found["synapse"][0].label).labels).tolist() == [0, 1]  # aorta; the other organ is background
    assert np.unique(now(found["btcv"][0].label).labels).tolist() == [0, 8, 13]
    assert len(found["synapse"]) == 12
    assert np.unique(now(found["brats"][0].label).labels).tolist() == [0, 3]
    assert np.unique(now(found["drive"][0].label).labels).tolist() == [0, 1, 255]
    (case,) = task_of("totalsegmentator").examples(None)
    assert (case.item, case.groups) == ("s0011", {"gender": MISSING, "age": ">=65"})
    assert now(case.label).labels.max() == LAYOUTS["totalsegmentator"].classes.index("sternum") + 1


def test_the_second_observer_is_a_rater(top):
    drive(top)
    reference = now(task_of("drive").examples(None)[0].label)
    assert (reference.labels[:, :4] == (SQUARE[:, :4] > 0)).all()
    assert (reference.raters[0] == (SQUARE[::-1] > 0)).all()


def test_skin_types_come_from_the_archives_table(top):
    isic(top)
    assert set(task_of("isic2018").examples(None)[0].groups.values()) == {MISSING}
    lines = "isic_id,fitzpatrick_skin_type,sex,age_approx\nISIC_0012169,III,female,35\nISIC_0012236,,male,70\n"
    (top / "ISIC2018" / "metadata.csv").write_text(lines)
    first, second = task_of("isic2018").examples(None)
    assert first.groups == {"fitzpatrick_skin_type": "III", "sex": "female", "age_approx": "<40"}
    assert second.groups["fitzpatrick_skin_type"] == MISSING


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_absent_data_are_said_with_licence_and_source(name, top, monkeypatch):
    task, layout = task_of(name), LAYOUTS[name]
    with pytest.raises(AbsentDataError) as error:
        task.fetch()
    assert layout.licence in str(error.value)
    assert layout.source in str(error.value)
    assert "\n" not in str(error.value)
    monkeypatch.delenv("HALLMARK_DATA")
    assert "HALLMARK_DATA is not set" in (TASKS[name].dataset.missing() or "")


def test_an_absent_set_is_one_line_of_the_command_line(top, hallmark, fake):
    model = fake("half", {"fake": "threshold"}, kind="segmentation")
    one_line(hallmark("run", model, "-t", "lits"), 2, "LiTS/ under $HALLMARK_DATA", "CC BY-NC-ND", "codalab")


def test_an_empty_folder_is_no_data_set(top):
    (top / "LiTS").mkdir()
    with pytest.raises(InputError, match="empty data set"):
        task_of("lits").fetch()


def test_the_pinned_sets_are_the_mirrors(mirror):
    for name, cases in zip(MIRRORED, (12, 42), strict=True):
        task = task_of(name)
        task.fetch()
        assert len(task.examples(None)) == cases
        source = (mirror / name / "SOURCE.txt").read_text()
        stated = dict(re.findall(r"^  (dev/\S+) \| \d+ \| ([0-9a-f]{64})$", source, re.MULTILINE))
        files = task._found()
        used = [*files.beside, *(path for case in files.cases for path in case.paths)]
        lines = sorted(
            f"{stated[p.relative_to(mirror / name).as_posix()]}  {p.relative_to(mirror / name)}\n" for p in used
        )
        assert files.digest == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_another_pinned_set_is_refused(top, mirror_copy):
    with pytest.raises(InputError, match=r"has sha256 .* expected"):
        task_of("seg_msd_hippocampus").fetch()


@pytest.fixture
def mirror_copy(top) -> None:
    for item in LAYOUTS["seg_msd_hippocampus"].ids:
        write(top / "seg_msd_hippocampus/dev/images" / f"{item}.nii.gz", IMAGE)
        write(top / "seg_msd_hippocampus/dev/labels" / f"{item}.nii.gz", cube())

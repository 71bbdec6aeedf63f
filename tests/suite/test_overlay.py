"""Overlays: the three worst cases, small, named, the same after a resumed run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import REPOSITORY

from suite.overlay import KEPT, MAX_BYTES, Picture, Worst, drawn, said, worst_in
from tasks.pictures import sliced
from tasks.scans import Reference

RED, BLUE, YELLOW = (255, 60, 60), (70, 130, 255), (255, 220, 60)


def picture(seed=0, shape=(20, 24)):
    rng = np.random.default_rng(seed)
    return Picture(rng.random(shape), rng.integers(0, 3, shape), rng.integers(0, 3, shape), 1.0, f"slice {seed}")


def test_the_three_worst_stay_in_order_whatever_order_they_come_in(tmp_path):
    scores = {"a": 0.9, "b": 0.2, "c": 0.5, "d": 0.1, "e": 0.5, "f": 0.95}
    for order in (sorted(scores), sorted(scores, reverse=True)):
        worst = Worst(tmp_path / "".join(order))
        (tmp_path / "".join(order)).mkdir()
        for item in order:
            if worst.wants(scores[item], item):
                worst.keep(("dice", scores[item]), item, picture())
        texts = []
        for suffix, content in worst.files().items():
            (tmp_path / suffix).write_bytes(content)
            texts.append((suffix, said(tmp_path / suffix)["item"], said(tmp_path / suffix)["score"]))
        assert texts == [
            (".worst-1.png", "d", "dice 0.1"),
            (".worst-2.png", "b", "dice 0.2"),
            (".worst-3.png", "c", "dice 0.5"),  # of equal scores the smaller id
        ]


def test_a_case_that_is_asked_again_is_kept_once(tmp_path):
    worst = Worst(tmp_path)
    for _ in range(3):
        assert worst.wants(0.5, "a")
        worst.keep(("dice", 0.5), "a", picture())
    assert len(worst.files()) == 1
    assert KEPT == 3


def test_a_run_begun_without_them_has_none_and_one_without_wish_forgets_them(tmp_path):
    folder = tmp_path / "worst"
    assert worst_in(folder, True, True) is None
    assert worst_in(folder, True, False) is not None
    assert worst_in(folder, True, True) is not None
    assert worst_in(folder, False, True) is None
    assert not folder.exists()


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (500, 700)])
def test_any_shape_is_small(shape):
    noise = np.random.default_rng(0).random((*shape, 3))
    labels = np.random.default_rng(1).integers(0, 5, shape)
    content = drawn(Picture(noise, labels, labels[::-1], 2.5), {"item": "x"})
    assert len(content) <= MAX_BYTES
    assert Image.open(io.BytesIO(content)).size[1] >= 1


def test_the_difference_says_what_is_missed_made_up_and_confused():
    reference, prediction = np.zeros((2, 60, 60), dtype=int)
    reference[:20], prediction[20:40] = 1, 1
    reference[40:], prediction[40:] = 1, 2
    image = Image.open(io.BytesIO(drawn(Picture(np.zeros((60, 60)), reference, prediction), {}))).convert("RGB")
    pixels = np.asarray(image).astype(int)
    panel = pixels[:, -(pixels.shape[1] // 3) + 4 :]
    for part, colour in zip(np.array_split(panel, 3), (RED, BLUE, YELLOW), strict=True):
        middle = part[len(part) // 2, 20]
        assert np.abs(middle - colour).max() <= 8  # of a palette


def test_the_slice_with_most_errors_across_the_coarsest_axis():
    labels = np.zeros((4, 5, 6), dtype=np.uint8)
    prediction = labels.copy()
    prediction[2, 1:4, 1:4] = 1
    prediction[:, 0, 0] = 1
    shown = sliced(np.random.default_rng(0).random((1, 4, 5, 6)), Reference(labels, (3.0, 1.0, 0.5)), prediction)
    assert shown.where == "axis 0, slice 2"
    assert shown.aspect == 2.0
    assert np.array_equal(shown.prediction, prediction[2])


def test_ignored_voxels_are_no_errors():
    labels = np.zeros((4, 5, 6), dtype=np.uint8)
    labels[1] = 255
    prediction = np.zeros_like(labels)
    prediction[1], prediction[3, 0, 0] = 1, 1
    shown = sliced(np.zeros((1, 4, 5, 6)), Reference(labels), prediction, 255)
    assert shown.where == "axis 0, slice 3"


def test_a_flat_picture_is_shown_whole_and_in_colour():
    shown = sliced(np.zeros((3, 5, 6)), Reference(np.zeros((5, 6), dtype=int)), np.zeros((5, 6), dtype=int))
    assert (shown.image.shape, shown.where) == ((5, 6, 3), "")


def test_a_run_publishes_them_beside_the_record_unless_told_not_to(hallmark):
    made = REPOSITORY / "submissions" / "embedded-volumes-third"
    assert hallmark("run", made, "-t", "generated-volumes", "--limit", "4").code == 0
    (record,) = Path("results").glob("embedded-volumes-third/generated-volumes/*.json")
    pictures = sorted(record.parent.glob("*.png"))
    assert [path.name for path in pictures] == [f"{record.stem}.worst-{rank}.png" for rank in (1, 2, 3)]
    scores = [float(said(path)["order"]) for path in pictures]
    assert scores == sorted(scores)
    assert hallmark("verify", "embedded-volumes-third").code == 0
    hallmark("run", made, "-t", "generated-volumes", "--limit", "4", "--no-overlays", "--results", "without")
    assert list(Path("without").rglob("*.parquet"))
    assert not list(Path("without").rglob("*.png"))

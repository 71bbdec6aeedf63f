"""A user's segmentations by group: any declared metric, and a group is as large as it has cases with a value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scan_folders import describe, write
from support import Ran, one_line

Hallmark = Callable[..., Ran]
ASKED = ("hd95_max_voxel", "assd_pooled_voxel", "dice[class=organ]")
PICTURES: dict[str, Any] = {"table": "t.csv", "groups": ["site"], "tolerance_mm": None, "label_values": [255]}


def square(left: int) -> np.ndarray:
    """A picture with one square of 3 x 3 pixels, or with none."""
    pixels = np.zeros((9, 12), np.uint8)
    if left >= 0:
        pixels[3:6, left : left + 3] = 255
    return pixels


@pytest.fixture
def sites(tmp_path: Path) -> Path:
    """Site A: 20 right cases and 5 that lie 2 pixels off; B: 18 right ones and 4 empty ones; C: 3, 1 pixel off."""
    cases = [("A", 4, 4)] * 20 + [("A", 4, 6)] * 5 + [("B", 4, 4)] * 18 + [("B", -1, -1)] * 4 + [("C", 4, 5)] * 3
    for number, (_, image, label) in enumerate(cases):
        write(tmp_path / "images" / f"{number}.png", square(image))
        write(tmp_path / "labels" / f"{number}.png", square(label))
    rows = [f"{number},{site}" for number, (site, _, _) in enumerate(cases)]
    (tmp_path / "t.csv").write_text("\n".join(["id,site", *rows]))
    return tmp_path


def measured(ran: Ran) -> dict[str, dict[str, Any]]:
    assert ran.code == 0, ran.err
    return {m["name"]: m for m in ran.json["records"][0]["measurements"]}


def test_any_metric_is_taken_by_group_and_small_groups_are_shown_and_merged(
    sites: Path, hallmark: Hallmark, fake: Callable[..., Path]
) -> None:
    """A square that lies k pixels off has HD95 k. Of B 18 cases have a value: too few, so B and C are (small)."""
    model = fake("half", {"fake": "threshold"}, kind="segmentation")
    path = describe(sites, **PICTURES, by_group=list(ASKED))
    made = measured(hallmark("run", model, "--data", path, "--json", "--no-overlays"))
    assert made["hd95_max_voxel"]["value"] == pytest.approx((5 * 2 + 3) / 46)
    at_a, at_b, small = (made[f"hd95_max_voxel[site={site}]"] for site in ("A", "B", "(small)"))
    assert (at_a["value"], at_a["n"], at_a["unit"]) == (pytest.approx(10 / 25), 25, "px")
    assert at_a["low"] < at_a["value"] < at_a["high"]
    assert at_b["value"] is None
    assert "18 items" in at_b["reason"]
    assert "20 needed" in at_b["reason"]
    assert (small["value"], small["n"]) == (pytest.approx(3 / 21), 21)
    assert made["hd95_max_voxel_gap[site]"]["value"] == pytest.approx(10 / 25 - 3 / 21)
    assert made["worst_group_hd95_max_voxel[site]"]["value"] == pytest.approx(10 / 25)
    assert made["n_left_out_hd95_max_voxel[site]"]["value"] == 0
    assert made["dice[class=organ,site=A]"]["value"] == pytest.approx((20 + 5 / 3) / 25)
    assert {"assd_pooled_voxel_gap_p[site]", "iou_gap[site]", "dice_gap[class=organ,site]"} <= made.keys()
    assert hallmark("verify").code == 0


def test_the_least_size_of_a_group_is_the_users_to_set(
    sites: Path, hallmark: Hallmark, fake: Callable[..., Path]
) -> None:
    model = fake("half", {"fake": "threshold"}, kind="segmentation")
    path = describe(sites, **PICTURES, least_group=3)
    made = measured(hallmark("run", model, "--data", path, "--json", "--no-overlays"))
    assert [made[f"dice[site={site}]"]["n"] for site in "ABC"] == [25, 18, 3]
    assert made["dice[site=C]"]["value"] == pytest.approx(2 / 3)
    assert "dice[site=(small)]" not in made


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"by_group": ["hd59_max_voxel"]}, ("'hd59_max_voxel'", "'hd95_max_voxel'")),
        ({"by_group": ["hd95_max_voxel"], "groups": []}, ("by_group", "add groups")),
        ({"least_group": 1}, ("least_group", "2")),
    ],
)
def test_what_cannot_be_taken_by_group_is_refused(
    sites: Path, hallmark: Hallmark, fake: Callable[..., Path], changed: dict[str, Any], words: tuple[str, ...]
) -> None:
    model = fake("half", {"fake": "threshold"}, kind="segmentation")
    one_line(hallmark("run", model, "--data", describe(sites, **PICTURES | changed)), 2, *words)

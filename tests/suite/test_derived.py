"""Scores that are made of several records: U-Score, by parameters and by bits, filled or null with what is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import REPOSITORY

from suite import record
from suite.derived import EFFICIENCY, LATENCY, WORK, derived
from suite.masks.uscore import IOU_PERCENTILES, u_score
from suite.record import Record

FIXTURE = REPOSITORY / "tests" / "fixtures" / "record.json"
UNET = {"iou": 0.6557507, "parameters": 34527041.0, "bytes": 4 * 34527041.0, "macs": 65.522368512e9}
FPS = 137.05495


def made(numbers: dict[str, float | None], inputs: dict[str, Any] | None = None, **fields: Any) -> Record:
    """A record of these numbers; None is a null with the reason "because"."""
    content = json.loads(FIXTURE.read_bytes())
    measured = [
        {"name": name, "value": value, "unit": "", "higher_is_better": None, "n": 1}
        | ({"reason": "because"} if value is None else {})
        for name, value in numbers.items()
    ]
    manifest = content["manifest"] | {"kind": "segmentation", "inputs": inputs or {"shape": [3, 256, 256]}}
    return record.read(json.dumps(content | {"manifest": manifest, "measurements": measured} | fields).encode(), "r")


def speed(**fields: Any) -> Record:
    return made({LATENCY: 1 / FPS}, task=EFFICIENCY, **fields)


def scores(numbers: dict[str, float | None], ubench: str | None = "BUSI", at: Record | None = None, **fields: Any):
    return {m.name: m for m in derived(made(numbers, **fields), None, ubench, at)}


def test_the_authors_unet_from_its_records() -> None:
    found = scores(UNET, at=speed())
    assert round(found["u_score"].value, 2) == 19.26
    assert found["u_score"].value == found["u_score_bits"].value  # float32: 32 bits a parameter
    assert "BUSI" in found["u_score"].method
    assert "137.1 images/s on this cpu" in found["u_score"].method


def test_eight_bits_count_as_a_quarter_of_the_parameters_where_asked() -> None:
    small = UNET | {"parameters": 8e6, "unpacked_parameters": 10e6, "bytes": 10e6, "macs": 20e9}
    found = scores(small, at=speed())
    rest = (20.0, FPS, IOU_PERCENTILES["BUSI"])
    assert found["u_score"].value == pytest.approx(u_score(UNET["iou"], 10.0, *rest))
    assert found["u_score_bits"].value == pytest.approx(u_score(UNET["iou"], 2.5, *rest))


@pytest.mark.parametrize("inputs", [{"patch": [256, 256]}, {"shape": [1, 1, 256, 256]}, {"patch": [1, 256, 256]}])
def test_a_patch_and_a_slice_are_images_of_that_size(inputs) -> None:
    assert scores(UNET, at=speed(), inputs=inputs)["u_score"].value is not None


@pytest.mark.parametrize(
    ("change", "given", "words"),
    [
        ({}, {"ubench": None}, ["20 data sets of U-Bench", "as ubench"]),
        ({}, {"at": None}, ["no record of efficiency-segmentation", "hallmark run stories260k -t"]),
        ({}, {"at": speed(contended="busy")}, ["CONTENDED"]),
        ({}, {"at": made({}, task=EFFICIENCY)}, [f"has no {LATENCY}"]),
        ({"macs": None}, {}, ["macs has no value: because"]),
        ({"iou": None, "macs": None}, {"at": None}, ["iou has no value", "macs has no value", "no record of"]),
        ({}, {"inputs": {"shape": [3, 64, 64]}}, ["256 x 256 pixels there, those of this record at 64 x 64"]),
        ({}, {"inputs": {"classes": 2}}, ["does not say", "inputs.shape = [C, 256, 256]"]),
    ],
)
def test_what_is_missing_is_named_and_all_of_it(change, given, words) -> None:
    found = scores(UNET | change, **({"at": speed()} | given))
    for name in ("u_score", "u_score_bits"):
        assert found[name].value is None
        for word in words:
            assert word in found[name].reason


def test_macs_of_the_speed_record_stand_in() -> None:
    """Of a .pt2, whose graph takes a process of its own to count."""
    counted = made({LATENCY: 1 / FPS, WORK: UNET["macs"]}, task=EFFICIENCY)
    assert round(scores(UNET | {"macs": None}, at=counted)["u_score"].value, 2) == 19.26


def test_a_record_from_before_macs_says_so() -> None:
    old = {name: value for name, value in UNET.items() if name != "macs"}
    assert "no macs: run it again" in scores(old, at=speed())["u_score"].reason

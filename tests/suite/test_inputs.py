"""``[inputs]``: contradictions are told before anything runs, and what is not set changes no fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support import Ran, one_line

from suite.claims import Files, contradictions
from suite.formats.base import Description, Signature
from suite.inputs import Inputs
from suite.manifest import Manifest
from suite.static import report

Fake = Callable[..., Path]
Hallmark = Callable[..., Ran]
FIELDS = {
    **{"schema_version": 1, "name": "m", "title": "m", "kind": "segmentation", "format": "onnx"},
    **{"weights": "m.onnx", "sha256": "0" * 64},
}
THRESHOLD = {"fake": "threshold", "level": 0.5}


def manifest(**inputs: Any) -> Manifest:
    return Manifest.model_validate({**FIELDS, "inputs": inputs})


def test_what_is_not_set_leaves_the_fingerprints_of_older_records_valid() -> None:
    """Computed by version 0.1.0 before these keys were there."""
    older = {"shape": [1, 4, 4], "spacing": [1.0, 2.0], "normalisation": {"mean": [0.5], "std": [0.25]}, "classes": 3}
    assert manifest().fingerprint() == "b18827cc9a32357e05e4ef6771a133f2e574dc904ff8d9ee45499a6a0766cac9"
    assert manifest(**older).fingerprint() == "c6aa81ed9c67cc7ce1a9376d6449ee468e0d0f9541e40bea551b99cad2cabb06"


def files(said: Manifest, signature: Signature) -> Files:
    """A submission whose files state a signature."""
    return Files(said, Path("m"), Description(1, 4, {"float32": 4}, signature), lambda: report(Path("m"), said.format))


CHANGES: list[dict[str, Any]] = [
    {},
    *({"patch": [4, 4]}, {"patch": [4, 4], "overlap": 0.25}, {"pad_to_multiple": 4}, {"ensemble": ["a.onnx"]}),
    *({"flips": [0]}, {"flips": [[1]]}, {"flips": [0, 1]}),
    *({"normalisation": {key: value}} for key, value in (("clip", [0, 1]), ("clip_percentiles", [0, 99]))),
    *({"normalisation": {key: value}} for key, value in (("window", [0, 1]), ("zscore", "image"))),
    *({"normalisation": {"zscore": "nonzero"}}, {"normalisation": {}}),
]


def test_whatever_decides_the_answers_is_in_the_fingerprint() -> None:
    assert len({manifest(**change).fingerprint() for change in CHANGES}) == len(CHANGES)


def test_a_manifest_survives_the_way_to_the_child_and_into_a_record() -> None:
    for change in CHANGES:
        inputs = manifest(**change).inputs
        assert Inputs.model_validate(inputs.model_dump(mode="json")) == inputs


def test_flips() -> None:
    assert manifest(flips=[0, 1, 2]).inputs.flip_axes == ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
    assert manifest(flips=[[0], [0, 2]]).inputs.flip_axes == ((), (0,), (0, 2))
    assert manifest().inputs.flip_axes == ((),)


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"patch": [8, 8], "overlap": 1.0}, "less than 1"),
    ({"patch": [8, 8], "overlap": -0.1}, "inputs.overlap = -0.1: want at least 0"),
    ({"overlap": 0.5}, "say their size in patch"),
    ({"patch": [8, 0]}, "above 0"),
    ({"spacing": [1.0, -1.0]}, "above 0"),
    ({"patch": [8, 8], "spacing": [1.0, 1.0, 1.0]}, "one entry for each spatial axis"),
    ({"patch": [8, 8], "shape": [1, 8, 8, 8]}, "one entry for each spatial axis"),
    ({"patch": [8, 8], "shape": [1, 8, 16]}, "remove one"),
    ({"patch": [8, 8], "pad_to_multiple": 8}, "keep one of them"),
    ({"shape": [1, 8, 8], "pad_to_multiple": 8}, "keep one of them"),
    ({"pad_to_multiple": 1}, "inputs.pad_to_multiple = 1: want more than 1"),
    ({"flips": [3]}, "allowed are 0 to 2"),
    ({"flips": [-1]}, "unknown axis"),
    ({"flips": [2], "patch": [8, 8]}, "allowed are 0 to 1"),
    ({"flips": [[0, 0]]}, "different axes"),
    ({"flips": [[]]}, "one or more"),
    ({"flips": [[0], [0]]}, "named twice"),
    ({"flips": [[0, 1], [1, 0]]}, "named twice"),
    ({"ensemble": ["../a.onnx"]}, "inside the weights folder"),
    ({"ensemble": ["/a.onnx"]}, "inside the weights folder"),
    ({"ensemble": ["a.onnx", "a.onnx"]}, "named twice"),
    ({"normalisation": {"clip": [1, 0]}}, "below the second"),
    ({"normalisation": {"clip_percentiles": [1, 101]}}, "lie in [0, 100]"),
    ({"normalisation": {"window": [40, 0]}}, "width must be above 0"),
    ({"normalisation": {"zscore": "mask"}}, "'image' or 'nonzero'"),
    ({"normalisation": {"zscore": "image", "mean": [0.5]}}, "zscore takes the image's own mean"),
    ({"normalisation": {"clip": [0, 1], "window": [0, 1]}}, "clip and window say the same step twice"),
]


@pytest.mark.parametrize(("inputs", "words"), CONTRADICTIONS, ids=[words for _, words in CONTRADICTIONS])
def test_check_refuses_a_contradiction_in_one_line(
    hallmark: Hallmark, fake: Fake, inputs: dict[str, Any], words: str
) -> None:
    folder = fake("m", THRESHOLD, kind="segmentation", inputs=inputs)
    one_line(hallmark("check", folder), 2, words, "inputs")
    one_line(hallmark("run", folder, "-t", "generated-volumes"), 2, words)


@pytest.mark.parametrize("kind", ["classification", "language"])
def test_windows_are_for_segmentation(kind: str) -> None:
    with pytest.raises(ValidationError, match=r"inputs\.patch is for segmentation"):
        Manifest.model_validate({**FIELDS, "kind": kind, "inputs": {"patch": [8, 8]}})
    with pytest.raises(ValidationError, match=r"inputs\.ensemble is for networks"):
        Manifest.model_validate({**FIELDS, "kind": "language", "inputs": {"ensemble": ["a"]}})


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"patch": [8, 8, 4]}, None),
        ({"patch": [8, 16, 4]}, "inputs.patch = [8, 16, 4], but the file takes [8, 8, any]"),
        ({"patch": [8, 8]}, "inputs.patch = [8, 8], but the file takes"),
        ({"spacing": [1.0, 1.0]}, "but the file takes 3 spatial axes"),
        ({"pad_to_multiple": 16}, "which are no multiples of it"),
        ({"pad_to_multiple": 4}, None),
        ({"flips": [0, 1, 2]}, None),
    ],
)
def test_check_holds_the_inputs_against_the_file(inputs: dict[str, Any], words: str | None) -> None:
    signature = Signature((None, 1, 8, 8, None), (None, 2, 8, 8, None))
    found = contradictions(files(manifest(**inputs), signature), None)
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_flips_of_a_flat_file() -> None:
    signature = Signature((None, 1, None, None), (None, 2, None, None))
    (line,) = contradictions(files(manifest(flips=[2]), signature), None)
    assert "flips names axis 2" in line

"""Ensembles: the mean of their members, described, checked and timed as what they are."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import Ran, one_line, write_submission

from suite.child import Child
from suite.formats import LOADERS, loader_for
from suite.formats.base import Place
from suite.manifest import Inputs, Kind
from suite.remote import RemoteSegmenter
from suite.static import report
from tasks.inference import segment
from tasks.scans import Image

Hallmark = Callable[..., Ran]


def save(file: Path, seed: int, classes: int = 4, axes: int = 3) -> bytes:
    """A 1x1x1 convolution of one channel with random weights."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(classes, 1, *(1,) * axes)).astype(np.float32)
    names = ["n", *"dhw"[-axes:]]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w", "b"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [names[0], 1, *names[1:]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [names[0], classes, *names[1:]])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(rng.normal(size=classes).astype("f"), "b")],
    )
    file.parent.mkdir(exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)
    return file.read_bytes()


def load(folder: Path, *members: str, kind: Kind = "segmentation") -> Any:
    inputs = Inputs(ensemble=members)
    return loader_for("onnx", inputs).load(folder, kind, inputs, Place())


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    for seed in range(3):
        save(tmp_path / f"fold{seed}.onnx", seed)
    return tmp_path


@pytest.fixture
def images() -> list[Any]:
    return list(np.random.default_rng(9).normal(size=(2, 1, 5, 6, 7)).astype(np.float32))


def test_the_answer_is_the_mean(folds: Path, images: list[Any]) -> None:
    each = [LOADERS["onnx"].load(folds / f"fold{n}.onnx", "segmentation", Inputs(), Place()) for n in range(3)]
    wanted = np.mean([model.segment(images) for model in each], axis=0, dtype=np.float64)  # type: ignore[union-attr]
    found = load(folds, "fold0.onnx", "fold1.onnx", "fold2.onnx").segment(images)
    assert {answer.dtype for answer in found} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(np.stack(found), wanted.astype(np.float32))


def test_a_network_with_itself_is_itself(folds: Path, images: list[Any]) -> None:
    for copy in ("again.onnx", "thrice.onnx"):
        shutil.copy(folds / "fold0.onnx", folds / copy)
    alone = LOADERS["onnx"].load(folds / "fold0.onnx", "segmentation", Inputs(), Place()).segment(images)  # type: ignore[union-attr]
    for members in (("fold0.onnx",), ("fold0.onnx", "again.onnx"), ("fold0.onnx", "again.onnx", "thrice.onnx")):
        np.testing.assert_array_equal(load(folds, *members).segment(images), alone)


def test_it_is_described_and_counted_as_all_its_members(folds: Path) -> None:
    one = LOADERS["onnx"].describe(folds / "fold0.onnx")
    both = loader_for("onnx", Inputs(ensemble=("fold0.onnx", "fold1.onnx"))).describe(folds)
    assert (both.parameters, both.tensor_bytes) == (2 * one.parameters, 2 * one.tensor_bytes)
    assert (both.dtypes, both.signature) == ({"float32": 2 * one.tensor_bytes}, one.signature)
    assert report(folds, "onnx", ("fold0.onnx", "fold1.onnx")).weights == 2 * 4


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (["fold0.onnx", "fold9.onnx"], "inputs.ensemble names 'fold9.onnx', which is not in weights"),
        (["fold0.onnx", "flat.onnx"], "flat.onnx does not take and give the shapes of fold0.onnx"),
        (["fold0.onnx", "more.onnx"], "more.onnx does not take and give the shapes of fold0.onnx"),
        (["fold0.onnx", "text.onnx"], "text.onnx is not a readable ONNX file"),
    ],
)
def test_bad_members_are_refused_in_one_line(
    hallmark: Hallmark, tmp_path: Path, members: list[str], words: str
) -> None:
    made = tmp_path / "made"
    files = {
        "weights/fold0.onnx": save(made / "a.onnx", 0),
        "weights/flat.onnx": save(made / "b.onnx", 0, axes=2),
        "weights/more.onnx": save(made / "c.onnx", 0, classes=5),
        "weights/text.onnx": b"no network",
    }
    fields: dict[str, Any] = {"kind": "segmentation", "format": "onnx", "inputs": {"ensemble": members}}
    folder = write_submission(tmp_path, "folds", files, "weights", **fields)
    one_line(hallmark("check", folder), 2, words)


def test_windows_flips_and_folds_from_the_command_line(hallmark: Hallmark, tmp_path: Path) -> None:
    """Both voxelwise: cut, flipped and averaged with itself, a network scores what it scores alone."""
    network = save(tmp_path / "made" / "a.onnx", 1, classes=6)
    fields: dict[str, Any] = {"kind": "segmentation", "format": "onnx"}
    alone = write_submission(tmp_path, "alone", {"m.onnx": network}, "m.onnx", **fields)
    inputs = {"patch": [16, 16, 20], "flips": [0, 1], "ensemble": ["a.onnx", "b.onnx"]}
    folds = {"weights/a.onnx": network, "weights/b.onnx": network}
    every = write_submission(tmp_path, "every", folds, "weights", inputs=inputs, **fields)
    ran = hallmark("run", alone, every, "-t", "generated-volumes", "--limit", "2", "--json")
    assert ran.code == 0, ran
    one, two = ({m["name"]: m["value"] for m in record["measurements"]} for record in ran.json["records"])
    assert one["dice"] == pytest.approx(two["dice"], abs=1e-12)
    assert one["dice"] > 0
    assert one["items_per_s"] > 2 * two["items_per_s"]
    assert one["bytes"] * 2 == two["bytes"]
    assert hallmark("verify").code == 0


def test_every_forward_is_on_the_childs_clock(tmp_path: Path) -> None:
    """Sixteen windows go in two calls, and each call of this model sleeps."""
    weights = tmp_path / "fake.json"
    weights.write_text('{"fake": "threshold", "level": 0.5, "delay_s": 0.2}')
    order = {"format": "fake", "weights": str(weights), "kind": "segmentation", "device": "cpu", "threads": 1}
    image = Image(np.random.default_rng(0).random((1, 32, 32)).astype(np.float32))
    with Child({**order, "inputs": Inputs().model_dump(mode="json")}, 60) as child:
        model = RemoteSegmenter(child)
        (whole,) = segment(model, [image], Inputs())
        once, _ = child.take_cost()
        (cut,) = segment(model, [image], Inputs(patch=(8, 8), overlap=0.0))
        twice, _ = child.take_cost()
    np.testing.assert_allclose(cut, whole, atol=1e-6)
    assert once >= 0.2
    assert twice >= 0.4

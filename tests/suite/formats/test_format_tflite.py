"""TFLite: the network against torch's, codes at its ends, the real MLPerf Tiny pair, refusals."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="needs the extra: pip install 'hallmark-bench[tflite]'")

import torch
from format_samples import CLASSES, SHAPE, Net
from tflite_samples import Writer, save_tflite

from suite.errors import HallmarkError, InputError, UnitError
from suite.formats import LOADERS, loader_for
from suite.formats._tflite_file import End
from suite.formats.base import Place
from suite.manifest import Inputs
from suite.model import Array

LOADER = LOADERS["tflite"]
IMAGE = Inputs(shape=SHAPE, classes=CLASSES, layout="channels_last")


def torchs(net: Net, images: list[Array]) -> Array:
    with torch.no_grad():
        return net(torch.from_numpy(np.stack(images))).double().softmax(dim=1).numpy()


@pytest.mark.parametrize("kind", ["classification", "segmentation"])
def test_answers_are_those_of_torch(tmp_path: Path, nets: dict[str, Net], images: list[Array], kind: str) -> None:
    file = save_tflite(nets[kind], tmp_path / "net.tflite")
    model = LOADER.load(file, kind, IMAGE, Place())  # type: ignore[arg-type]
    found = model.predict_proba(images) if kind == "classification" else model.segment(images)  # type: ignore[union-attr]
    np.testing.assert_allclose(np.stack(found), torchs(nets[kind], images), atol=1e-5)


def test_codes_at_both_ends_are_values_of_their_scales(tmp_path: Path, nets: dict[str, Net]) -> None:
    """Inputs on the grid of the input's codes lose nothing; outputs are rounded to the grid of the output's."""
    net, scale = nets["classification"], 0.125
    file = save_tflite(net, tmp_path / "net.tflite", given=(0.0625, -3), made=(scale, 5))
    grid = np.random.default_rng(1).integers(-100, 100, size=(4, *SHAPE)).astype(np.float32) * 0.0625
    model = LOADER.load(file, "classification", IMAGE, Place())
    with torch.no_grad():
        logits = net(torch.from_numpy(grid)).numpy().astype(np.float64)
    rounded = np.round(logits / scale) * scale
    wanted = np.exp(rounded) / np.exp(rounded).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.stack(model.predict_proba(list(grid))), wanted, atol=1e-6)  # type: ignore[union-attr]
    assert "int8 (scale 0.0625, zero point -3)" in model.facts.notes[0]


def test_values_beyond_the_codes_are_held_within_them() -> None:
    end = End((None, 4), "int8", 2.0, 10)
    assert end.codes(np.array([-1e9, -277, 3, 1e9], np.float32)).tolist() == [-128, -128, 12, 127]
    assert end.values(np.array([-128, 10, 127], np.int8)).tolist() == [-276.0, 0.0, 234.0]


def test_probabilities_that_were_codes_sum_to_one(tmp_path: Path) -> None:
    write = Writer()
    first = write.tensor([1, 4], "FLOAT32")
    soft = write.operator("SOFTMAX", [first], write.tensor([1, 4], "FLOAT32"), "SoftmaxOptions", beta=1.0)
    last = write.operator("QUANTIZE", [soft], write.tensor([1, 4], "INT8", (1 / 37, -10)))
    file = write.save(tmp_path / "soft.tflite", first, last)
    inputs = Inputs(classes=4, output="probabilities")
    model = LOADER.load(file, "classification", inputs, Place())
    (found,) = model.predict_proba([np.array([0.3, 0.2, 0.1, 0.0], np.float32)])  # type: ignore[union-attr]
    exact = np.exp([0.3, 0.2, 0.1, 0.0]) / np.exp([0.3, 0.2, 0.1, 0.0]).sum()
    codes = np.round(exact * 37)
    assert codes.sum() != 37, "else there is nothing to divide"
    np.testing.assert_allclose(found, codes / codes.sum(), atol=1e-7)
    with pytest.raises(UnitError, match=r"inputs\.output"):
        LOADER.load(file, "classification", Inputs(classes=4), Place())


def test_shapes_are_told_channels_first_where_the_manifest_says_last(tmp_path: Path, nets: dict[str, Net]) -> None:
    file = save_tflite(nets["segmentation"], tmp_path / "net.tflite")
    plain, turned = LOADER.describe(file).signature, loader_for("tflite", IMAGE).describe(file).signature
    assert plain is not None and plain.input_shape == (None, 8, 8, 3)
    assert turned is not None and turned.input_shape == (None, *SHAPE)
    assert turned.output_shape == (None, CLASSES, 8, 8)


def test_describe_counts_what_is_stored(tmp_path: Path, nets: dict[str, Net]) -> None:
    found = LOADER.describe(save_tflite(nets["classification"], tmp_path / "net.tflite"))
    weights = sum(p.numel() for p in nets["classification"].parameters())
    assert found.parameters == weights + 2  # the axes of the mean
    assert dict(found.dtypes) == {"float32": 4 * weights, "int32": 8}


def test_custom_operators_are_refused(tmp_path: Path) -> None:
    write = Writer()
    first = write.tensor([1, 4], "FLOAT32")
    last = write.operator("CUSTOM", [first], write.tensor([1, 4], "FLOAT32"), custom="FlexErf")
    found = LOADER.check(write.save(tmp_path / "c.tflite", first, last))
    assert found == ["c.tflite uses the custom operator 'FlexErf'; allowed are TFLite's builtin operators"]


def test_other_types_at_the_ends_are_refused(tmp_path: Path) -> None:
    write = Writer()
    first = write.tensor([1, 4], "INT32")
    last = write.operator("CAST", [first], write.tensor([1, 4], "FLOAT32"))
    assert "another type" in LOADER.check(write.save(tmp_path / "i.tflite", first, last))[0]


def test_broken_files_are_refused_in_one_line(tmp_path: Path, nets: dict[str, Net]) -> None:
    whole = save_tflite(nets["classification"], tmp_path / "net.tflite").read_bytes()
    draw = np.random.default_rng(0)
    for number in range(60):
        broken = bytearray(whole[: int(draw.integers(8, len(whole)))] if number % 2 else whole)
        for at in draw.integers(8, len(broken), size=4):
            broken[at] = int(draw.integers(0, 256))
        file = tmp_path / "broken.tflite"
        file.write_bytes(broken)
        found = LOADER.check(file)  # may be nothing: a flipped weight is no damage
        assert all("\n" not in line for line in found)
    absurd = bytearray(whole)
    root = struct.unpack_from("<I", absurd, 0)[0]
    struct.pack_into("<i", absurd, root, 2**30)
    file.write_bytes(absurd)
    assert "cannot be read" in LOADER.check(file)[0]
    with pytest.raises(InputError):
        LOADER.describe(file)


def test_other_devices_are_refused(tmp_path: Path, nets: dict[str, Net]) -> None:
    file = save_tflite(nets["classification"], tmp_path / "net.tflite")
    with pytest.raises(UnitError, match="--device cpu"):
        LOADER.load(file, "classification", IMAGE, Place("cuda"))


def test_a_wrong_shape_is_one_line(tmp_path: Path, nets: dict[str, Net]) -> None:
    file = save_tflite(nets["classification"], tmp_path / "net.tflite")
    model = LOADER.load(file, "classification", Inputs(layout="channels_last"), Place())
    with pytest.raises(HallmarkError) as refused:
        model.predict_proba([np.zeros((5, 8, 8), np.float32)])  # type: ignore[union-attr]
    assert "\n" not in str(refused.value)


def test_the_real_pair_of_mlperf_tiny(mirror: Path) -> None:
    """The float network scores 0.900, the int8 one 0.902, as its source says."""
    with np.load(mirror / "cv_mlperf_tiny" / "kws01.npz") as arrays:
        x, y = arrays["x"], arrays["y"]
    features = list(((x.astype(np.float32) - np.float32(83)) * np.float32(0.5847029)).reshape(-1, 49, 10, 1))
    inputs = Inputs(shape=(49, 10, 1), classes=12, output="probabilities")
    for name, accuracy in (("kws_ref_model_float32", 0.9), ("kws_ref_model", 0.902)):
        model = LOADER.load(mirror / "cv_mlperf_tiny" / f"{name}.tflite", "classification", inputs, Place())
        found = np.stack(model.predict_proba(features))  # type: ignore[union-attr]
        assert float((found.argmax(axis=1) == y).mean()) == pytest.approx(accuracy, abs=1e-9)


def test_the_real_images_turn_their_axes(mirror: Path) -> None:
    """ResNet-8 of MLPerf Tiny takes [H, W, C] from 0 to 255: 0.88, and 0.86 in int8, as its source says."""
    table = np.loadtxt(mirror / "data_cifar10_test100/cifar10_test.csv", delimiter=",", dtype=np.float32)
    labels, pixels = table[:, 0], table[:, 1:].reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)
    inputs = Inputs(shape=(3, 32, 32), classes=10, output="probabilities", layout="channels_last")
    for name, accuracy in (("pretrainedResnet", 0.88), ("pretrainedResnet_quant", 0.86)):
        model = LOADER.load(mirror / "cv_mlperf_tiny" / f"{name}.tflite", "classification", inputs, Place())
        found = np.stack(model.predict_proba(list(pixels)))  # type: ignore[union-attr]
        assert float((found.argmax(axis=1) == labels).mean()) == pytest.approx(accuracy, abs=1e-9)

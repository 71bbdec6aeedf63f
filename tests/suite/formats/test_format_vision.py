"""ONNX and .pt2 vision models: against torch, at any batch, and refused where they do not fit their manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from format_samples import CLASSES, SHAPE, Net, save_onnx, save_pt2

from suite.errors import AnswerError, UnitError
from suite.formats import LOADERS, _vision
from suite.formats.base import Place
from suite.manifest import Inputs, Kind
from suite.model import Array, Facts

SUFFIX = {"onnx": "onnx", "torch-export": "pt2"}
IMAGE = Inputs(shape=SHAPE, classes=CLASSES)


def expected(net: Net, images: list[Array]) -> Array:
    with torch.no_grad():
        found: Array = net(torch.from_numpy(np.stack(images))).double().softmax(dim=1).numpy()
    return found


@pytest.mark.parametrize("format", SUFFIX)
class TestBothFormats:
    def test_classification(self, made: Path, nets: dict[str, Net], images: list[Array], format: str) -> None:
        model = LOADERS[format].load(made / f"classification.{SUFFIX[format]}", "classification", IMAGE, Place())
        for count in (1, 2, 5):
            found = model.predict_proba(images[:count])  # type: ignore[union-attr]
            np.testing.assert_allclose(np.stack(found), expected(nets["classification"], images[:count]), atol=1e-6)
            assert {probs.dtype for probs in found} == {np.dtype(np.float64)}
        assert model.predict_proba([]) == []  # type: ignore[union-attr]

    def test_segmentation(self, made: Path, nets: dict[str, Net], images: list[Array], format: str) -> None:
        model = LOADERS[format].load(made / f"segmentation.{SUFFIX[format]}", "segmentation", IMAGE, Place())
        found = model.segment(images)  # type: ignore[union-attr]
        np.testing.assert_allclose(np.stack(found), expected(nets["segmentation"], images), atol=1e-6)
        assert {mask.dtype for mask in found} == {np.dtype(np.float32)}

    @pytest.mark.parametrize("batch", [1, 3])
    def test_fixed_batch(
        self, tmp_path: Path, nets: dict[str, Net], images: list[Array], format: str, batch: int
    ) -> None:
        file = tmp_path / f"fixed.{SUFFIX[format]}"
        (save_onnx if format == "onnx" else save_pt2)(nets["classification"], file, batch=batch)
        signature = LOADERS[format].describe(file).signature
        assert signature is not None
        assert signature.input_shape == (batch, *SHAPE)
        model = LOADERS[format].load(file, "classification", IMAGE, Place())
        found = np.stack(model.predict_proba(images))  # type: ignore[union-attr]
        np.testing.assert_allclose(found, expected(nets["classification"], images), atol=1e-6)

    def test_describe_counts_the_stored_tensors(self, made: Path, nets: dict[str, Net], format: str) -> None:
        for kind, net in nets.items():
            described = LOADERS[format].describe(made / f"{kind}.{SUFFIX[format]}")
            assert described.dtypes["float32"] == 4 * sum(tensor.numel() for tensor in net.parameters())

    def test_wrong_shapes(self, made: Path, images: list[Array], format: str) -> None:
        file = made / f"classification.{SUFFIX[format]}"
        model = LOADERS[format].load(file, "classification", IMAGE, Place())
        with pytest.raises(AnswerError, match="an input has shape") as caught:
            model.predict_proba([images[0], images[1][:, :4]])  # type: ignore[union-attr]
        assert caught.value.index == 1
        free = LOADERS[format].load(file, "classification", Inputs(), Place())
        with pytest.raises(UnitError, match="fails on"):
            free.predict_proba([images[0][:2]])  # type: ignore[union-attr]
        seven = LOADERS[format].load(file, "classification", Inputs(classes=7), Place())
        with pytest.raises(UnitError, match="gives 4 classes, not the 7"):
            seven.predict_proba(images)  # type: ignore[union-attr]

    def test_wrong_kind(self, made: Path, images: list[Array], format: str) -> None:
        dense = LOADERS[format].load(made / f"segmentation.{SUFFIX[format]}", "classification", IMAGE, Place())
        with pytest.raises(UnitError, match="a classifier gives"):
            dense.predict_proba(images)  # type: ignore[union-attr]
        flat = LOADERS[format].load(made / f"classification.{SUFFIX[format]}", "segmentation", IMAGE, Place())
        with pytest.raises(AnswerError, match="the masks are"):
            flat.segment(images)  # type: ignore[union-attr]

    def test_no_gpu(self, made: Path, format: str) -> None:
        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
        with pytest.raises(UnitError, match="--device cpu"):
            LOADERS[format].load(made / f"classification.{SUFFIX[format]}", "classification", IMAGE, Place("cuda"))


def build(forward: _vision.Forward, kind: Kind = "classification", **inputs: object) -> _vision.VisionClassifier:
    model = _vision.network(kind, forward, Inputs.model_validate(inputs), Facts("float32"))
    assert isinstance(model, _vision.VisionClassifier)
    return model


def test_probabilities_pass_through() -> None:
    model = build(lambda batch: np.tile([0.25, 0.75], (len(batch), 1)), output="probabilities")
    assert model.predict_proba([np.zeros(3)])[0].tolist() == [0.25, 0.75]
    wrong = build(lambda batch: np.tile([2.0, 0.75], (len(batch), 1)), output="probabilities")
    with pytest.raises(UnitError, match="does not sum to 1"):
        wrong.predict_proba([np.zeros(3)])


def test_softmax_of_huge_logits() -> None:
    model = build(lambda batch: np.tile([1e4, 1e4 - 1], (len(batch), 1)))
    np.testing.assert_allclose(
        model.predict_proba([np.zeros(3)])[0], [1 / (1 + np.exp(-1)), 1 / (1 + np.e)], rtol=1e-12
    )


def test_not_finite_names_the_item() -> None:
    model = build(lambda batch: np.where(batch > 0, np.nan, batch))
    with pytest.raises(AnswerError, match="not finite") as caught:
        model.predict_proba([np.zeros(2), np.zeros(2), np.ones(2)])
    assert caught.value.index == 2


def test_output_without_a_batch() -> None:
    with pytest.raises(UnitError, match="expected"):
        build(lambda batch: batch[0]).predict_proba([np.zeros(2), np.zeros(2), np.zeros(2)])


def test_mixed_shapes_are_batched_apart() -> None:
    seen = []

    def forward(batch: Array) -> Array:
        seen.append(batch.shape)
        return np.zeros((len(batch), 2, *batch.shape[2:]))

    items = [np.zeros((1, 4)), np.zeros((1, 4)), np.zeros((1, 6)), np.zeros((1, 4))]
    model = _vision.network("segmentation", forward, Inputs(), Facts("float32"))
    assert [mask.shape for mask in model.segment(items)] == [(2, 4), (2, 4), (2, 6), (2, 4)]  # type: ignore[union-attr]
    assert seen == [(2, 1, 4), (1, 1, 6), (1, 1, 4)]


def test_real_resnets(mirror: Path) -> None:
    table = np.loadtxt(mirror / "data_cifar10_test100/cifar10_test.csv", delimiter=",")
    pixels = table[:, 1:].reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2) / 255
    mean, std = (np.array(row)[:, None, None] for row in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    images = list(((pixels - mean) / std).astype(np.float32))
    for net, accuracy in (("resnet20", 0.94), ("resnet56", 0.96)):
        probs = {}
        for format, suffix in SUFFIX.items():
            file = mirror / f"cv_cifar10_resnets/{net}.{suffix}"
            assert LOADERS[format].check(file) == []
            model = LOADERS[format].load(file, "classification", Inputs(shape=(3, 32, 32), classes=10), Place())
            probs[format] = np.stack(model.predict_proba(images))  # type: ignore[union-attr]
            assert (probs[format].argmax(axis=1) == table[:, 0]).mean() == accuracy
        np.testing.assert_allclose(probs["onnx"], probs["torch-export"], atol=1e-4)

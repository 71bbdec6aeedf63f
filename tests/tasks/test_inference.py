"""Inference of segmentation tasks: against MONAI's sliding windows, and where the answer is known without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from suite.errors import AnswerError
from suite.manifest import Inputs, Manifest
from suite.model import Facts, Signature
from tasks.inference import misfit, segment
from tasks.scans import Image

Forward = Callable[[NDArray[np.float32]], NDArray[Any]]


@dataclass
class Network:
    """A segmenter from a function of one image [C, ...] to scores [K, ...]; counts what it is asked."""

    forward: Forward
    facts: Facts = field(default_factory=lambda: Facts("float32"))
    asked: list[tuple[int, ...]] = field(default_factory=list)

    def segment(self, images: Sequence[Any]) -> list[NDArray[np.float32]]:
        self.asked += [image.shape for image in images]
        return [self.forward(image).astype(np.float32) for image in images]


def softmax(scores: NDArray[Any]) -> NDArray[Any]:
    raised = np.exp(scores - scores.max(axis=0))
    return raised / raised.sum(axis=0)


def pointwise(image: NDArray[np.float32]) -> NDArray[Any]:
    """A 1x1x1 convolution and a softmax: three classes, each voxel on its own."""
    return softmax(np.stack([image[0], -image[0], 0.5 * image[0] + 1]).astype(np.float64))


def positional(image: NDArray[np.float32]) -> NDArray[Any]:
    """A network that knows where in the window a voxel lies, so that every blending weight shows."""
    ramps = [np.linspace(-1, 2, n).reshape([-1 if a == axis else 1 for a in range(image.ndim - 1)])
             for axis, n in enumerate(image.shape[1:])]  # fmt: skip
    return softmax(np.stack([image[0] + sum(ramps), np.broadcast_to(ramps[0] * 2, image.shape[1:]), -image[0]]))


def symmetric(image: NDArray[np.float32]) -> NDArray[Any]:
    """Commutes with flips: neighbours on both sides count alike."""
    from scipy import ndimage

    blurred = ndimage.uniform_filter(image[0].astype(np.float64), 3, mode="constant")
    return softmax(np.stack([blurred, 1 - blurred]))


def scan(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "patch", "overlap"),
    [
        ((20, 33, 18), (8, 16, 12), 0.5),
        ((20, 33, 18), (8, 16, 12), 0.25),
        ((7, 40, 12), (8, 16, 12), 0.75),
        ((31, 29), (16, 8), 0.0),
        ((31, 29), (32, 32), 0.6),
        ((30, 30), (1, 7), 0.99),
    ],
)
def test_windows_are_monais(size: tuple[int, ...], patch: tuple[int, ...], overlap: float) -> None:
    import torch
    from monai.inferers import sliding_window_inference

    image = scan(1, *size)

    def predictor(windows: Any) -> Any:
        return torch.from_numpy(np.stack([positional(window) for window in windows.numpy()]).astype(np.float32))

    theirs = sliding_window_inference(
        torch.from_numpy(image)[None], patch, 4, predictor, overlap=overlap, mode="gaussian", padding_mode="constant"
    )
    (ours,) = segment(Network(positional), [Image(image)], Inputs(patch=patch, overlap=overlap))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs[0].numpy(), atol=1e-5)


def test_overlap_is_a_half_where_nothing_is_said() -> None:
    image = scan(1, 30, 30)
    (silent,), (said,) = (
        segment(Network(positional), [image], Inputs(patch=(8, 8), overlap=overlap)) for overlap in (None, 0.5)
    )
    assert np.array_equal(silent, said)


def test_windows_do_not_show_in_a_pointwise_network() -> None:
    image = scan(1, 21, 30, 17)
    (whole,) = segment(Network(pointwise), [image], Inputs())
    (cut,) = segment(Network(pointwise), [image], Inputs(patch=(8, 8, 24), overlap=0.3))
    (padded,) = segment(Network(pointwise), [image], Inputs(pad_to_multiple=8))
    np.testing.assert_allclose(cut, whole, atol=1e-6)
    assert np.array_equal(padded, whole)


def test_a_constant_network_gives_a_constant() -> None:
    model = Network(lambda image: np.full((2, *image.shape[1:]), [[[0.3]], [[0.7]]]))
    spec = Inputs(patch=(8, 8), spacing=(0.7, 2.0), flips=(0, 1))
    (answer,) = segment(model, [Image(scan(1, 30, 21), (1.0, 1.0))], spec)
    assert answer.shape == (2, 30, 21)
    np.testing.assert_allclose(answer[0], 0.3, atol=1e-6)
    np.testing.assert_allclose(answer[1], 0.7, atol=1e-6)


def test_flips_of_a_symmetric_network_change_nothing_and_cost_their_forwards() -> None:
    image = scan(1, 12, 10, 9)
    plain, flipped = Network(symmetric), Network(symmetric)
    (once,) = segment(plain, [image], Inputs())
    (mean,) = segment(flipped, [image], Inputs(flips=(0, 1, 2)))
    np.testing.assert_allclose(mean, once, atol=1e-6)
    assert (len(plain.asked), len(flipped.asked)) == (1, 8)


def test_flips_are_averaged_by_hand() -> None:
    image = scan(1, 6, 5)
    (answer,) = segment(Network(positional), [image], Inputs(flips=((0,), (0, 1))))
    by_hand = [positional(image), positional(image[:, ::-1])[:, ::-1], positional(image[:, ::-1, ::-1])[:, ::-1, ::-1]]
    np.testing.assert_allclose(answer, np.mean(by_hand, axis=0), atol=1e-6)


def test_few_windows_go_at_once_and_all_of_one_size() -> None:
    model = Network(pointwise)
    calls: list[int] = []
    ask = model.segment
    model.segment = lambda images: (calls.append(len(images)), ask(images))[1]  # type: ignore[method-assign]
    segment(model, [scan(1, 40, 40)], Inputs(patch=(8, 8), flips=(0,)))
    assert sum(calls) == 2 * 81
    assert max(calls) == 8
    assert set(model.asked) == {(1, 8, 8)}


def test_padding_to_a_multiple() -> None:
    model = Network(pointwise)
    (answer,) = segment(model, [scan(1, 13, 16)], Inputs(pad_to_multiple=8))
    assert model.asked == [(1, 16, 16)]
    assert answer.shape == (3, 13, 16)


def test_resampling_asks_on_the_models_grid_and_answers_on_the_images() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, 40, dtype=np.float32)[:, None], (40, 30))[None]
    model = Network(lambda image: np.stack([image[0], 1 - image[0]]))
    (answer,) = segment(model, [Image(np.ascontiguousarray(ramp), (1.0, 2.0))], Inputs(spacing=(2.0, 1.0)))
    assert model.asked == [(1, 20, 60)]
    assert answer.shape == (2, 40, 30)
    np.testing.assert_allclose(answer[0, 2:-2], ramp[0, 2:-2], atol=0.01)
    np.testing.assert_allclose(answer.sum(axis=0), 1, atol=1e-6)


def test_an_image_of_the_models_spacing_is_left_alone() -> None:
    image = scan(1, 9, 9)
    (plain,) = segment(Network(pointwise), [image], Inputs())
    (same,) = segment(Network(pointwise), [Image(image, (1.0, 0.5))], Inputs(spacing=(1.0, 0.5)))
    assert np.array_equal(same, plain)


def test_without_declarations_all_images_go_in_one_call() -> None:
    model = Network(pointwise)
    images = [scan(1, 4, 4, seed=seed) for seed in range(3)]
    for answer, image in zip(segment(model, images, Inputs()), images, strict=True):
        assert np.array_equal(answer, pointwise(image).astype(np.float32))
    assert model.asked == [(1, 4, 4)] * 3


@pytest.mark.parametrize(
    ("forward", "spec", "words"),
    [
        (pointwise, Inputs(patch=(4, 4, 4)), "inputs.patch has 3 entries, the image has 2 spatial axes"),
        (pointwise, Inputs(spacing=(1.0, 1.0)), "the image states no spacing"),
        (lambda image: pointwise(image) * np.nan, Inputs(patch=(4, 4)), "NaN"),
        (lambda image: pointwise(image) * 1.01, Inputs(patch=(4, 4)), "sum to 1 within 0.01"),
        (lambda image: pointwise(image)[:, :2], Inputs(patch=(4, 4)), "was answered with shape (3, 2, 4)"),
        (lambda image: pointwise(image)[:, :2], Inputs(), "the answer has shape (3, 2, 9)"),
    ],
)
def test_what_does_not_fit_names_the_image(forward: Forward, spec: Inputs, words: str) -> None:
    good = Image(scan(1, 4, 4), (1.0, 1.0))
    answered: list[int] = []

    def only_the_first_is_fine(image: NDArray[np.float32]) -> NDArray[Any]:
        answered.append(1)
        return (forward if answered[1:] else pointwise)(image)

    model = Network(only_the_first_is_fine)
    with pytest.raises(AnswerError) as caught:
        segment(model, [good, Image(scan(1, 9, 9))], spec)
    assert words in str(caught.value)
    assert caught.value.index == (0 if "patch has" in words else 1)


def test_a_spacing_in_the_wrong_unit_is_told_and_not_tried() -> None:
    with pytest.raises(AnswerError, match="is it in millimetres"):
        segment(Network(pointwise), [Image(scan(1, 20, 20, 20), (1.0, 1.0, 1.0))], Inputs(spacing=(0.001,) * 3))


def manifest(**inputs: Any) -> Manifest:
    fields = {"schema_version": 1, "name": "m", "title": "m", "kind": "segmentation", "format": "onnx"}
    return Manifest.model_validate({**fields, "weights": "m.onnx", "sha256": "0" * 64, "inputs": inputs})


FREE = Signature((None, 1, None, None, None), (None, 2, None, None, None))
FIXED = Signature((None, 1, 8, 8, 8), (None, 2, 8, 8, 8))
ANY = (1, None, None, None)


@pytest.mark.parametrize(
    ("inputs", "signature", "shape", "words"),
    [
        ({}, FREE, ANY, None),
        ({}, FREE, (1, 20, 20, 20), None),
        ({}, FIXED, (1, 8, 8, 8), None),
        ({}, FIXED, (1, 9, 8, 8), "its file takes inputs of shape [any, 1, 8, 8, 8]"),
        ({}, FIXED, ANY, "set inputs.patch = [8, 8, 8]"),
        ({"shape": [1, 8, 8, 8]}, None, ANY, "set inputs.patch = [8, 8, 8]"),
        ({"patch": [8, 8, 8]}, FIXED, ANY, None),
        ({"patch": [8, 8, 8]}, FIXED, (1, 9, 8, 8), None),
        ({"patch": [8, 8, 16]}, FIXED, ANY, "its file takes inputs of shape [any, 1, 8, 8, 8]"),
        ({"patch": [8, 8]}, FREE, ANY, "inputs.patch has 2 entries, the task's images have 3 spatial axes"),
        ({"spacing": [1.0]}, FREE, ANY, "inputs.spacing has 1 entries"),
        ({"spacing": [1, 1, 1]}, FIXED, (1, 8, 8, 8), None),
        ({"spacing": [1, 1, 1], "shape": [1, 8, 8, 8]}, FIXED, (1, 8, 8, 8), None),
        ({"spacing": [1, 1, 1]}, FIXED, (1, 16, 8, 8), "set inputs.patch"),
        ({"pad_to_multiple": 8}, FREE, ANY, None),
        ({"flips": [2]}, None, (1, 8, 8), "inputs.flips names axis 2"),
        ({"classes": 3}, None, ANY, "it has 3 classes, the task 2"),
        ({"patch": [8, 8, 8]}, FIXED, (2, None, None, None), "the task gives [any, 2, 8, 8, 8]"),
        ({"normalisation": {"mean": [0, 0]}}, None, ANY, "it declares 2 means"),
    ],
)
def test_misfit(inputs: Any, signature: Signature | None, shape: tuple[int | None, ...], words: str | None) -> None:
    found = misfit(manifest(**inputs), signature, shape, 2)
    assert found is None if words is None else found is not None and words in found

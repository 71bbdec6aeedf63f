"""Normalisation and resampling: hand-worked, and against MONAI and scikit-image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from suite.manifest import Normalisation
from tasks.resample import ANSWER_ORDER, IMAGE_ORDER, resampled_size, resize
from tasks.vision import normalise


def image(*shape: int) -> NDArray[np.float32]:
    values = np.random.default_rng(3).normal(40, 300, size=shape).astype(np.float32)
    values[:, :3] = 0
    return values


def test_nothing_declared_is_the_image_itself() -> None:
    pixels = image(1, 4, 4)
    assert normalise(pixels, None) is pixels


def test_a_ct_window_by_hand() -> None:
    values = np.array([[-1000, -160, 40, 240, 3000]], dtype=np.float32)
    assert normalise(values, Normalisation(window=(40, 400))).tolist() == [[0, 0, 0.5, 1, 1]]
    both = Normalisation(window=(40, 400), mean=(0.5,), std=(0.25,))
    assert normalise(values, both).tolist() == [[-2, -2, 0, 2, 2]]


def test_clip_comes_before_the_z_score() -> None:
    values = np.array([[0, 1, 2, 1000]], dtype=np.float32)
    found = normalise(values, Normalisation(clip=(0, 3), zscore="image"))
    np.testing.assert_allclose(found, [(np.array([0, 1, 2, 3]) - 1.5) / np.sqrt(1.25)], rtol=1e-6)


@pytest.mark.parametrize("nonzero", [False, True])
def test_the_z_score_is_monais(nonzero: bool) -> None:
    from monai.transforms import NormalizeIntensity

    pixels = image(2, 9, 8, 7)
    theirs: Any = NormalizeIntensity(nonzero=nonzero, channel_wise=True)(pixels)
    ours = normalise(pixels, Normalisation(zscore="nonzero" if nonzero else "image"))
    np.testing.assert_allclose(ours, np.asarray(theirs), atol=1e-5)
    assert ours.dtype == np.float32
    assert (ours[:, :3] == 0).all() == nonzero


def test_a_window_and_percentiles_are_monais() -> None:
    from monai.transforms import ClipIntensityPercentiles, ScaleIntensityRange

    pixels = image(1, 12, 13)
    window: Any = ScaleIntensityRange(a_min=-160, a_max=240, b_min=0, b_max=1, clip=True)(pixels)
    np.testing.assert_allclose(normalise(pixels, Normalisation(window=(40, 400))), np.asarray(window), atol=1e-6)
    clipped: Any = ClipIntensityPercentiles(lower=5, upper=95)(pixels)
    ours = normalise(pixels, Normalisation(clip_percentiles=(5, 95)))
    np.testing.assert_allclose(ours, np.asarray(clipped), rtol=1e-5)


def test_percentiles_are_those_of_each_channel() -> None:
    pixels = np.stack([image(1, 50)[0], 10 * image(1, 50)[0]])
    found = normalise(pixels, Normalisation(clip_percentiles=(10, 90)))
    for channel, before in zip(found, pixels, strict=True):
        assert (channel.min(), channel.max()) == pytest.approx(tuple(np.percentile(before, [10, 90])), rel=1e-6)


def test_flat_and_empty_channels_have_no_nan() -> None:
    flat = np.full((1, 4, 4), 7, dtype=np.float32)
    assert (normalise(flat, Normalisation(zscore="image")) == 0).all()
    assert (normalise(0 * flat, Normalisation(zscore="nonzero")) == 0).all()


@pytest.mark.parametrize("order", [IMAGE_ORDER, ANSWER_ORDER])
@pytest.mark.parametrize("size", [(11, 30, 8), (20, 9, 17)])
def test_resampling_is_that_of_scikit_image(order: int, size: tuple[int, ...]) -> None:
    from skimage.transform import resize as theirs

    pixels = image(2, 14, 18, 12)
    found = resize(pixels, size, order)
    for channel, before in zip(found, pixels, strict=True):
        wanted = theirs(before.astype(np.float64), size, order=order, mode="edge", anti_aliasing=False, clip=True)
        np.testing.assert_allclose(channel, wanted, atol=1e-3)
    assert found.min() >= pixels.min()
    assert found.max() <= pixels.max()


def test_sizes() -> None:
    assert resampled_size((10, 10, 10), (1, 1, 3), (1, 2, 1)) == (10, 5, 30)
    assert resampled_size((1, 2), (1, 1), (50, 50)) == (1, 1)
    pixels = image(1, 4, 4)
    assert resize(pixels, (4, 4), 3) is pixels

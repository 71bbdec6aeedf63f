"""Corruptions: what each one does, against the library that CIFAR-10-C's authors used or another formula."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.corruptions import KINDS, SEVERITIES, corrupted, corruptions
from tasks.statistics import image_statistics

Image = NDArray[np.float32]


def image(channels: int = 3, side: int = 32) -> Image:
    """A smooth picture with an edge, on 8-bit levels away from 0 and 1."""
    y, x = np.mgrid[:side, :side] / side
    planes = [0.3 + 0.3 * np.sin(3 * x + k) * np.cos(2 * y) + 0.15 * (x > 0.5) for k in range(channels)]
    return (np.rint(np.stack(planes) * 255) / 255).astype(np.float32)


def made(kind: str, severity: int, seed: int = 0, channels: int = 3) -> Image:
    return corrupted(image(channels), kind, severity, np.random.default_rng(seed))


@pytest.mark.parametrize("channels", (1, 3))
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_shape_and_range_and_hurts_more_with_severity(kind: str, channels: int) -> None:
    errors = []
    for severity in SEVERITIES:
        changed = made(kind, severity, channels=channels)
        assert changed.shape == (channels, 32, 32)
        assert changed.dtype == np.float32
        assert 0 <= changed.min() <= changed.max() <= 1
        np.testing.assert_allclose(changed * 255, np.rint(changed * 255), atol=1e-4)
        errors.append(float(np.square(changed - image(channels)).mean()))
    assert errors[0] < errors[-1]
    assert errors[-1] > 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_image(kind: str) -> None:
    np.testing.assert_array_equal(made(kind, 3), made(kind, 3))
    random = ("gaussian_noise", "shot_noise", "impulse_noise", "occlusion")
    assert (made(kind, 3) != made(kind, 3, seed=1)).any() == (kind in random)


def test_noise_has_the_stated_strength() -> None:
    """Standard deviation 0.08; Poisson variance x / 100; 3 % of the values at 0 or 1."""
    flat = np.full((3, 100, 100), 0.4, dtype=np.float32)
    change = {k: corrupted(flat, k, 3, np.random.default_rng(0)).astype(float) - 0.4 for k in KINDS}
    assert change["gaussian_noise"].std() == pytest.approx(0.08, rel=0.02)
    assert change["shot_noise"].std() == pytest.approx((0.4 / 100) ** 0.5, rel=0.02)
    hit = np.abs(change["impulse_noise"]) > 0.1
    assert hit.mean() == pytest.approx(0.03, rel=0.1)
    assert (change["impulse_noise"][hit] > 0).mean() == pytest.approx(0.5, abs=0.06)


def test_blurs_agree_with_scipy() -> None:
    """The Gaussian by scipy per channel; the disc by writing its weights down: radius 1 is a plus of fifths."""
    from scipy.ndimage import gaussian_filter

    x = image().astype(np.float64)
    blurred = np.stack([gaussian_filter(plane, 0.7, mode="nearest", truncate=4) for plane in x])
    np.testing.assert_allclose(made("gaussian_blur", 3), blurred, atol=1.01 / 255)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    around = (padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:] + padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + x) / 5
    np.testing.assert_allclose(
        made("defocus_blur", 4), around, atol=1.01 / 255
    )  # smoothed by sigma 0.2: next to nothing


def test_contrast_and_brightness_by_hand() -> None:
    x = np.array([[[0.2, 0.4], [0.4, 0.6]]], dtype=np.float32)
    low = corrupted(x, "contrast", 2, np.random.default_rng(0))
    np.testing.assert_allclose(low, [[[0.3, 0.4], [0.4, 0.5]]], atol=1.01 / 255)
    light = corrupted(x, "brightness", 3, np.random.default_rng(0))
    np.testing.assert_allclose(light, x + 0.15, atol=1.01 / 255)
    red = np.zeros((3, 4, 4), dtype=np.float32)
    red[0] = 0.5  # its value is 0.5; hue and saturation stay, so green and blue stay 0
    np.testing.assert_allclose(
        corrupted(red, "brightness", 3, np.random.default_rng(0))[:, 0, 0], [0.65, 0, 0], atol=0.01
    )


def test_jpeg_is_what_another_decoder_reads() -> None:
    """Written by Pillow at quality 58, read by scikit-image's reader."""
    from PIL import Image as Pillow
    from skimage.io import imread

    file = io.BytesIO()
    levels = np.rint(image().transpose(1, 2, 0) * 255).astype(np.uint8)
    Pillow.fromarray(levels).save(file, "JPEG", quality=58)
    file.seek(0)
    read = imread(file).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(made("jpeg_compression", 3), read, atol=2.01 / 255)


def test_pixels_and_squares_by_hand() -> None:
    """A picture twice as large as its blocks survives; a square of half the side covers a quarter."""
    grey = np.zeros((1, 8, 8), dtype=np.float32)
    hidden = corrupted(grey, "occlusion", 4, np.random.default_rng(0))
    assert hidden.astype(bool).sum() == 16
    rows, columns = np.nonzero(hidden[0])
    assert (np.ptp(rows), np.ptp(columns)) == (3, 3)
    np.testing.assert_array_equal(made("pixelate", 3, channels=1).mean(), pytest.approx(image(1).mean(), abs=0.01))


def test_names_and_kinds() -> None:
    every = corruptions()
    assert len({v.name for v in every}) == len(KINDS) * len(SEVERITIES) == 50
    assert {v.groups["corruption"] for v in every} == set(KINDS)
    assert [v.name for v in corruptions(["contrast"], [1, 3])] == ["contrast_1", "contrast_3"]


def test_statistics_by_hand() -> None:
    x = np.zeros((1, 3, 3))
    x[0, 1, 1] = 9
    found = image_statistics(x)
    assert (found["stat.mean"], found["stat.edge"]) == (1, 0)
    assert found["stat.std"] == pytest.approx(8**0.5)
    assert found["stat.sharpness"] == pytest.approx(np.var([0, 9, 0, 9, -36, 9, 0, 9, 0]))
    blurred, noisy = (image_statistics(made(k, 5))["stat.sharpness"] for k in ("gaussian_blur", "gaussian_noise"))
    assert blurred < image_statistics(image())["stat.sharpness"] < noisy

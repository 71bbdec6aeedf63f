"""Corruptions of images: CIFAR-10-C's definitions at its five severities, and an occluding square.

Every function takes an image [C, H, W] with values in [0, 1], one strength, and a generator; constants are those of
``make_cifar_c.py`` (Hendrycks & Dietterich 2019, github.com/hendrycks/robustness), which no library carries: those at
hand have ImageNet-C's. As there, the result is cut to [0, 1] and truncated to 8 bits. Left out are the kinds that need
picture files or ImageMagick (frost, snow, motion blur), colour alone (saturate), or draw maps of 32 x 32 pixels (fog).
Blurs and squares are in pixels or shares of a side as stated, so other image sizes are another difficulty.

Shape suffixes: C channels, H, W.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.variants import Variant

Image = NDArray[np.float64]
Corrupt = Callable[[Image, float, np.random.Generator], Image]
SEVERITIES = (1, 2, 3, 4, 5)
_LEVELS = 255


def gaussian_noise(x_CHW: Image, c: float, rng: np.random.Generator) -> Image:
    """Normal noise of standard deviation c."""
    return x_CHW + rng.normal(scale=c, size=x_CHW.shape)


def shot_noise(x_CHW: Image, c: float, rng: np.random.Generator) -> Image:
    """Poisson noise of c counts at value 1."""
    return rng.poisson(x_CHW * c) / c


def impulse_noise(x_CHW: Image, c: float, rng: np.random.Generator) -> Image:
    """A share c of the values becomes 0 or 1, each in half of the cases."""
    from skimage.util import random_noise

    return np.asarray(random_noise(x_CHW, mode="s&p", amount=c, rng=rng))


def gaussian_blur(x_CHW: Image, c: float, rng: np.random.Generator) -> Image:
    """Gaussian blur of standard deviation c pixels, edges repeated."""
    from skimage.filters import gaussian

    return np.asarray(gaussian(x_CHW, sigma=c, channel_axis=0))


def defocus_blur(x_CHW: Image, c: float, rng: np.random.Generator) -> Image:
    """The mean over a disc of c pixels' radius that was smoothed by 3 x 3 pixels, edges mirrored."""
    from scipy.ndimage import correlate, gaussian_filter

    along = np.arange(-8, 9)
    disc = (along[:, None] ** 2 + along**2 <= c**2).astype(np.float64)
    kernel = gaussian_filter(disc / disc.sum(), _DISC_SMOOTHING[c], radius=1, mode="mirror")
    return np.stack([correlate(channel, kernel, mode="mirror") for channel in x_CHW])


def brightness(x_CHW: Image, c: float, rng: np.random.Generator) -> Image:
    """Value of HSV plus c; a grey image plus c."""
    if len(x_CHW) == 1:
        return x_CHW + c
    from skimage.color import hsv2rgb, rgb2hsv

    hsv = rgb2hsv(x_CHW, channel_axis=0)
    hsv[2] = np.clip(hsv[2] + c, 0, 1)
    return np.asarray(hsv2rgb(hsv, channel_axis=0))


def contrast(x_CHW: Image, c: float, rng: np.random.Generator) -> Image:
    """Distance from the channel's mean times c."""
    means = x_CHW.mean(axis=(1, 2), keepdims=True)
    return np.asarray((x_CHW - means) * c + means)


def pixelate(x_CHW: Image, c: float, rng: np.random.Generator) -> Image:
    """Shrunk to the share c of each side and back, by box means."""
    from PIL import Image as Pillow

    picture = _picture(x_CHW)
    small = picture.resize((int(picture.width * c), int(picture.height * c)), Pillow.Resampling.BOX)
    return _pixels(small.resize(picture.size, Pillow.Resampling.BOX))


def jpeg_compression(x_CHW: Image, c: float, rng: np.random.Generator) -> Image:
    """JPEG of quality c, by Pillow."""
    from PIL import Image as Pillow

    file = io.BytesIO()
    _picture(x_CHW).save(file, "JPEG", quality=int(c))
    return _pixels(Pillow.open(file))


def occlusion(x_CHW: Image, c: float, rng: np.random.Generator) -> Image:
    """A grey square (0.5) with the share c of the shorter side, anywhere inside; not of CIFAR-10-C (Zeiler 2014)."""
    height, width = x_CHW.shape[1:]
    side = max(1, round(c * min(height, width)))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    out = x_CHW.copy()
    out[:, top : top + side, left : left + side] = 0.5
    return out


_DISC_SMOOTHING = {0.3: 0.4, 0.4: 0.5, 0.5: 0.6, 1.0: 0.2, 1.5: 0.1}
KINDS: Mapping[str, tuple[Corrupt, tuple[float, ...]]] = {
    "gaussian_noise": (gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": (impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "gaussian_blur": (gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
    "defocus_blur": (defocus_blur, (0.3, 0.4, 0.5, 1.0, 1.5)),
    "brightness": (brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "pixelate": (pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": (jpeg_compression, (80, 65, 58, 50, 40)),
    "occlusion": (occlusion, (0.125, 0.25, 0.375, 0.5, 0.625)),
}
"""Kind to its function and its strength at severities 1 to 5."""


def corrupted(
    image_CHW: NDArray[np.float32], kind: str, severity: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The image with one corruption: float32 [C, H, W], 8-bit levels within [0, 1].

    Args:
        image_CHW: values in [0, 1].
        kind: one of `KINDS`.
        severity: 1 to 5.
        rng: what is random about it.
    """
    function, strengths = KINDS[kind]
    changed = function(np.asarray(image_CHW, dtype=np.float64), strengths[severity - 1], rng)
    levels = np.floor(np.clip(changed, 0, 1) * _LEVELS + 1e-9)  # 1e-9: k / 255 * 255 may lie below k
    return (levels / _LEVELS).astype(np.float32)


def corruptions(kinds: Iterable[str] = tuple(KINDS), severities: Iterable[int] = SEVERITIES) -> tuple[Variant, ...]:
    """One variant a kind and severity, named ``jpeg_compression_3``, in the group ``corruption`` of its kind."""
    severities = tuple(severities)
    return tuple(
        Variant(f"{kind}_{severity}", _changing(kind, severity), {"corruption": kind})
        for kind in kinds
        for severity in severities
    )


def _changing(kind: str, severity: int) -> Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]:
    return lambda image, rng: corrupted(image, kind, severity, rng)


def _picture(x_CHW: Image) -> Any:
    from PIL import Image as Pillow

    levels = np.floor(np.clip(x_CHW, 0, 1) * _LEVELS + 1e-9).astype(np.uint8)
    return Pillow.fromarray(levels[0] if len(levels) == 1 else np.ascontiguousarray(levels.transpose(1, 2, 0)))


def _pixels(picture: Any) -> Image:
    levels = np.asarray(picture, dtype=np.float64)
    return (levels[None] if levels.ndim == 2 else levels.transpose(2, 0, 1)) / _LEVELS  # noqa: PLR2004 - grey

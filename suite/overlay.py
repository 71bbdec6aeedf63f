"""Overlays: small pictures of a unit's worst cases, image, prediction and difference side by side.

While a unit runs, the worst cases so far lie in its journal, so a run that is killed and resumed still has them.
They are published beside the record as ``<stem>.worst-1.png`` (the worst) to ``-3``. Each says in its PNG text what it
shows: ``item``, ``score`` (name and value) and ``slice``. They are for people: no number is made from them.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT = 3
MAX_BYTES = 100_000
SIDE = (192, 384)  # the longer side of a panel in pixels, at least and at most
_COLOURS = ((0, 158, 115), (230, 159, 0), (86, 180, 233), (204, 121, 167), (240, 228, 66), (213, 94, 0))
_MISSED, _SPURIOUS, _CONFUSED = (255, 60, 60), (70, 130, 255), (255, 220, 60)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """What a task shows of a case.

    Attributes:
        image: [H, W], or [H, W, 3]; any scale.
        reference: [H, W] labels, 0 is background, negative is ignored.
        prediction: [H, W] labels.
        aspect: height of a pixel over its width.
        where: the slice it was taken from, for people; empty for a plain image.
    """

    image: NDArray[np.floating]
    reference: NDArray[np.integer]
    prediction: NDArray[np.integer]
    aspect: float = 1.0
    where: str = ""


class Worst:
    """The worst cases of a unit so far, as files of a folder; lower scores are worse."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def wants(self, score: float, item: str) -> bool:
        """Whether a case of this score belongs to the worst; of equal scores the smaller id."""
        mine = self._files()
        return len(mine) < KEPT or (score, item) <= mine[-1][:2]

    def keep(self, score: tuple[str, float], item: str, picture: Picture) -> None:
        """Add a case with its score's name and value, or replace it, and drop what is no longer among the worst."""
        for _, other, path in self._files():
            if other == item:
                path.unlink()
        text = {"item": item, "score": f"{score[0]} {score[1]:.6g}", "slice": picture.where}
        taken = {int(path.stem) for _, _, path in self._files()}
        path = self._folder / f"{min(set(range(KEPT + 1)) - taken)}.png"
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(drawn(picture, {**text, "order": repr(score[1])}))
        temporary.replace(path)
        for _, _, surplus in self._files()[KEPT:]:
            surplus.unlink()

    def files(self) -> dict[str, bytes]:
        """Suffix of a record's file -> content, worst first."""
        return {f".worst-{rank}.png": path.read_bytes() for rank, (*_, path) in enumerate(self._files(), start=1)}

    def _files(self) -> list[tuple[float, str, Path]]:
        found = []
        for path in self._folder.glob("*.png"):
            text = said(path)
            found.append((float(text["order"]), text["item"], path))
        return sorted(found)


def worst_in(folder: Path, wanted: bool, resumed: bool) -> Worst | None:
    """The worst cases in a unit's journal; none where none are wanted, or a resumed run began without them."""
    if not wanted:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    if resumed and not folder.exists():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return Worst(folder)


def said(path: Path) -> dict[str, str]:
    """The PNG text of an overlay: item, score, slice."""
    from PIL import Image

    with Image.open(path) as image:
        return {str(name): str(value) for name, value in image.info.items() if isinstance(value, str)}


def drawn(picture: Picture, text: Mapping[str, str]) -> bytes:
    """PNG of three panels: the image with the reference's outlines, with the prediction's, and the difference.

    In the difference a voxel that the prediction misses is red, one that it makes up blue, one of another class yellow.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, value in text.items():
        info.add_itxt(name, value)
    side = SIDE[1]
    while True:
        panels = _panels(picture, side)
        buffer = io.BytesIO()
        image = Image.fromarray(panels).quantize(colors=256, method=Image.Quantize.MAXCOVERAGE)
        image.save(buffer, "PNG", optimize=True, pnginfo=info)
        if buffer.tell() <= MAX_BYTES or side < SIDE[0] // 4:
            return buffer.getvalue()
        side = side * 3 // 4


def _panels(picture: Picture, side: int) -> Pixels:
    grey = _resized(_scaled(picture.image), picture.aspect, side, smooth=True)
    shapes = [
        _resized(labels.astype(np.int32), picture.aspect, side, smooth=False)
        for labels in (picture.reference, picture.prediction)
    ]
    reference, prediction = shapes
    wrong = (grey * 0.5).astype(np.uint8)
    scored = reference >= 0
    wrong[scored & (reference > 0) & (prediction == 0)] = _MISSED
    wrong[scored & (reference == 0) & (prediction > 0)] = _SPURIOUS
    wrong[scored & (reference > 0) & (prediction > 0) & (reference != prediction)] = _CONFUSED
    gap = np.full((len(grey), 4, 3), 255, dtype=np.uint8)
    return np.concatenate([_outlined(grey, reference), gap, _outlined(grey, prediction), gap, wrong], axis=1)


def _scaled(image: NDArray[np.floating]) -> Pixels:
    """[H, W, 3] from the 1st to the 99th percentile."""
    finite = np.nan_to_num(np.asarray(image, dtype=np.float64))
    low, high = np.percentile(finite, (1, 99))
    grey = np.clip((finite - low) / max(high - low, 1e-12), 0, 1) * 255
    return np.asarray(np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey[..., :3], dtype=np.uint8)  # noqa: PLR2004 - grey


def _resized(pixels: NDArray[Any], aspect: float, side: int, *, smooth: bool) -> NDArray[Any]:
    """With square pixels, the longer side between the limits."""
    from PIL import Image

    high, wide = pixels.shape[0] * aspect, float(pixels.shape[1])
    factor = min(side / max(high, wide), max(1.0, SIDE[0] / max(high, wide)))
    size = (max(round(wide * factor), 1), max(round(high * factor), 1))
    how = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(pixels).resize(size, how))


def _outlined(grey: Pixels, labels: NDArray[Any]) -> Pixels:
    """The image with every label's inner border in the label's colour."""
    out, padded = grey.copy(), np.pad(labels, 1)
    inner = padded[1:-1, 1:-1]
    border = np.zeros(inner.shape, dtype=np.bool_)
    for other in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        border |= other != inner
    for label in np.unique(inner[inner > 0]):
        out[border & (inner == label)] = _COLOURS[(int(label) - 1) % len(_COLOURS)]
    return out

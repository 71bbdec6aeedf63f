"""Inference of segmentation tasks: an image on its own grid to probabilities on that grid, the same for every model.

In this order, each step only where the manifest's ``[inputs]`` asks for it:

1. resample to ``spacing`` (cubic splines, clipped to the image's range);
2. ``normalisation``: clip, percentiles or window, then mean and std or z-score;
3. pad with 0: to ``patch`` where the image is smaller, or to ``pad_to_multiple``;
4. cut into windows of ``patch``, flip each as ``flips`` says, ask the model, flip back and average; an ``ensemble``
   averages its members inside the model's process;
5. blend the windows with Gaussian weights, crop the padding;
6. resample the probabilities back (linear) to the image's grid. The task takes the argmax there, as nnU-Net does.

Every forward is a call of the model, so what flips, windows and folds cost is in the measured time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError
from suite.inputs import DEFAULT_OVERLAP
from suite.manifest import Inputs, Manifest
from suite.model import Segmenter, Signature
from tasks import resample, vision, windows
from tasks.scans import Image
from tasks.vision import Shape

Pixels = NDArray[np.float32]
_MOST_VOXELS = 1 << 30  # of a resampled image: a spacing in the wrong unit is told, not tried
_VOXELS_A_CALL, _WINDOWS_A_CALL = 1 << 21, 8  # sent at once; the same on every machine
_SUM_TOLERANCE = 1e-3


def segment(model: Segmenter, images: Sequence[Image | NDArray[Any]], spec: Inputs) -> list[Pixels]:
    """Probabilities [K, (D,) H, W] float32 of each image on its own grid.

    Args:
        model: answers arrays [C, (D,) H, W] with [K, (D,) H, W].
        images: as read; a plain array is an image that is on the model's grid already.
        spec: what the manifest declares of its inputs.

    Raises:
        AnswerError: an image that the declaration does not fit, or an answer that is no distribution; its index names
            the image.
    """
    ready = [_prepared(index, image, spec) for index, image in enumerate(images)]
    if spec.patch is None and spec.pad_to_multiple is None and not spec.flips:
        answers = list(model.segment(ready))
    else:
        answers = [_blended(model, index, image, spec) for index, image in enumerate(ready)]
    return [
        _on_grid(index, answer, taken, image)
        for index, (answer, taken, image) in enumerate(zip(answers, ready, images, strict=True))
    ]


def misfit(manifest: Manifest, signature: Signature | None, shape: Shape, classes: int) -> str | None:
    """Why a model cannot segment these images, or None; reads nothing but what manifest and file state.

    Args:
        manifest: what the submission declares.
        signature: what its file states, if it does.
        shape: [C, (D,) H, W] of the task's images; ``None`` on an axis where they differ.
        classes: of the task, background counted.
    """
    spec, dims = manifest.inputs, len(shape) - 1
    for name, axes in (("patch", spec.patch), ("spacing", spec.spacing)):
        if axes is not None and len(axes) != dims:
            return f"inputs.{name} has {len(axes)} entries, the task's images have {dims} spatial axes"
    if max((axis for axes in spec.flip_axes for axis in axes), default=0) >= dims:
        return (
            f"inputs.flips names axis {max(map(max, spec.flip_axes[1:]))}, the task's images have axes 0 to {dims - 1}"
        )
    if spec.patch is not None:
        taken: Shape = (shape[0], *spec.patch)
        return vision.misfit(manifest, signature, taken, (classes, *spec.patch))
    why = vision.misfit(manifest, signature, shape, (classes, *shape[1:]))
    regridded = spec.shape is None and (spec.spacing is not None or spec.pad_to_multiple is not None)
    if regridded and why is not None:  # sizes are known only once an image is read
        shape = (shape[0], *(None for _ in shape[1:]))
        why = vision.misfit(manifest, signature, shape, (classes, *shape[1:]))
    return why or _needs_patch(spec, signature, shape)


def _needs_patch(spec: Inputs, signature: Signature | None, shape: Shape) -> str | None:
    """Images of several sizes for a model of one."""
    stated = spec.shape or (signature.input_shape[1:] if signature else ())
    fixed = [size for size, given in zip(stated[1:], shape[1:], strict=False) if given is None and size is not None]
    if not fixed:
        return None
    sizes = ", ".join("SIZE" if size is None else str(size) for size in stated[1:])
    return f"it takes one size of image and the task's may differ; set inputs.patch = [{sizes}] for sliding windows"


def _prepared(index: int, image: Image | NDArray[Any], spec: Inputs) -> Pixels:
    """An image on the model's grid, normalised."""
    pixels = np.asarray(image.pixels if isinstance(image, Image) else image, dtype=np.float32)
    dims = pixels.ndim - 1
    for name, axes in (("patch", spec.patch), ("spacing", spec.spacing)):
        if axes is not None and len(axes) != dims:
            raise AnswerError(f"inputs.{name} has {len(axes)} entries, the image has {dims} spatial axes", index)
    if spec.spacing is not None and isinstance(image, Image):
        if image.spacing_mm is None:
            raise AnswerError("inputs.spacing asks for resampling and the image states no spacing; remove it", index)
        size = resample.resampled_size(pixels.shape[1:], image.spacing_mm, spec.spacing)
        if prod(size) > _MOST_VOXELS:
            raise AnswerError(
                f"inputs.spacing = {list(spec.spacing)} mm makes an image of {list(image.spacing_mm)} mm "
                f"{' x '.join(map(str, size))} voxels large; is it in millimetres?", index,
            )  # fmt: skip
        pixels = resample.resize(pixels, size, resample.IMAGE_ORDER)
    return vision.normalise(pixels, spec.normalisation)


@dataclass
class _Blend:
    """A weighted mean of windows that is built up window by window."""

    size: tuple[int, ...]
    weights: Pixels
    total: Pixels | None = None

    def add(self, box: windows.Box, answer: Pixels) -> None:
        if self.total is None:
            self.total = np.zeros((len(answer), *self.size), dtype=np.float32)
        if answer.shape != (len(self.total), *self.weights.shape):
            raise AnswerError(f"a window of {self.weights.shape} was answered with shape {answer.shape}")
        self.total[(slice(None), *box)] += answer * self.weights

    def mean(self, boxes: Sequence[windows.Box]) -> Pixels:
        assert self.total is not None
        whole = np.zeros(self.size, dtype=np.float32)
        for box in boxes:
            whole[box] += self.weights
        self.total /= whole
        return self.total


def _blended(model: Segmenter, index: int, image: Pixels, spec: Inputs) -> Pixels:
    """Padded, cut, flipped, asked, blended and cropped."""
    multiple = spec.pad_to_multiple or 1
    padded, inside = windows.pad(image, spec.patch or [ceil(n / multiple) * multiple for n in image.shape[1:]])
    size = padded.shape[1:]
    patch = spec.patch or size
    overlap = DEFAULT_OVERLAP if spec.overlap is None else spec.overlap
    boxes = windows.positions(size, patch, overlap)
    blend = _Blend(size, windows.importance(patch) if boxes[1:] else np.ones(patch, dtype=np.float32))
    try:
        for box, answer in zip(boxes, _asked(model, padded, boxes, spec.flip_axes), strict=True):
            blend.add(box, answer)
    except AnswerError as error:  # the model counts windows, the reader images
        raise AnswerError(str(error), index) from None
    return blend.mean(boxes)[(slice(None), *inside)]


def _asked(
    model: Segmenter, image: Pixels, boxes: Sequence[windows.Box], flips: Sequence[Sequence[int]]
) -> Iterator[Pixels]:
    """For each window the mean of its answers over the flips, asked a few windows at a time."""
    axes = [tuple(axis + 1 for axis in flip) for flip in flips]
    wanted = [(box, flip) for box in boxes for flip in axes]
    voxels = prod(side.stop - side.start for side in boxes[0])
    at_once = max(1, min(_WINDOWS_A_CALL, _VOXELS_A_CALL // voxels))

    def answers() -> Iterator[Pixels]:
        for first in range(0, len(wanted), at_once):
            now = wanted[first : first + at_once]
            yield from model.segment([np.ascontiguousarray(np.flip(image[:, *box], flip)) for box, flip in now])

    each = answers()
    for _ in boxes:
        total = np.zeros((), dtype=np.float64)
        for flip in axes:
            total = total + np.flip(next(each), flip)
        yield (total / len(axes)).astype(np.float32)


def _on_grid(index: int, answer: Pixels, taken: Pixels, image: Image | NDArray[Any]) -> Pixels:
    """An answer on the image's own grid, checked."""
    size = (image.pixels if isinstance(image, Image) else image).shape[1:]
    if answer.shape[1:] != taken.shape[1:]:
        raise AnswerError(f"the answer has shape {answer.shape}, the image {taken.shape}", index)
    if not np.isfinite(answer).all():
        raise AnswerError("the answer holds NaN or infinity", index)
    off = float(np.abs(answer.sum(axis=0) - 1).max())
    if off > _SUM_TOLERANCE:
        raise AnswerError(f"probabilities sum to 1 within {off:g}; at most {_SUM_TOLERANCE:g} is allowed", index)
    return resample.resize(answer, size, resample.ANSWER_ORDER)

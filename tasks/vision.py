"""What image tasks share: normalisation, and whether a model's shapes fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.manifest import Manifest, Normalisation
from suite.model import Signature

Shape = tuple[int | None, ...]
"""Sizes by axis, channels or classes first; ``None`` where an axis may have any size, or images differ."""


def misfit(manifest: Manifest, signature: Signature | None, shape: Shape, output: Shape) -> str | None:
    """Why a model cannot take inputs of `shape` and answer `output` (classes first), or None.

    Args:
        manifest: what the submission declares.
        signature: what its file states, if it does.
        shape: of one input.
        output: of one answer.
    """
    return _declared_misfit(manifest, shape, output[0]) or _stated_misfit(signature, shape, output)


def _declared_misfit(manifest: Manifest, shape: Shape, classes: int | None) -> str | None:
    declared, how = manifest.inputs, manifest.inputs.normalisation
    if declared.shape is not None and not _matches(declared.shape, shape):
        return f"it takes inputs of shape {list(declared.shape)}, the task gives {_text(shape)}"
    if None not in (declared.classes, classes) and declared.classes != classes:
        return f"it has {declared.classes} classes, the task {classes}"
    if how is not None and shape[0] is not None and {len(how.mean), len(how.std)} - {1, shape[0]}:
        return f"it declares {len(how.mean)} means and {len(how.std)} stds, the task has {shape[0]} channel(s)"
    return None


def _stated_misfit(signature: Signature | None, shape: Shape, output: Shape) -> str | None:
    if signature is None:
        return None
    if not _matches(signature.input_shape[1:], shape):
        return f"its file takes inputs of shape {_text(signature.input_shape)}, the task gives {_text((None, *shape))}"
    if not _matches(signature.output_shape[1:], output):
        return f"its file gives {_text(signature.output_shape)}, the task needs {_text((None, *output))}"
    return None


def normalise(image: NDArray[np.float32], how: Normalisation | None) -> NDArray[np.float32]:
    """The image as the model takes it, float32; the image itself without a declaration.

    Channel by channel (axis 0), in this order: clip (values or percentiles) or window; then (x - mean) / std, or the
    z-score with the channel's own mean and standard deviation (population). A flat channel has z-score 0. With
    ``nonzero``, mean and std are those of the voxels that are not 0 by then, and the others stay 0.

    Raises:
        InputError: the declaration has another number of channels than the image.
    """
    if how is None:
        return image
    image = _clipped(image, how)
    return _by_constants(image, how) if how.zscore is None else _zscore(image, how.zscore == "nonzero")


def _clipped(image: NDArray[np.float32], how: Normalisation) -> NDArray[np.float32]:
    if how.clip is not None:
        return np.clip(image, *np.asarray(how.clip, dtype=np.float32))
    if how.clip_percentiles is not None:
        flat = image.reshape(len(image), -1).astype(np.float64)
        low, high = np.percentile(flat, how.clip_percentiles, axis=1).reshape(2, -1, *(1,) * (image.ndim - 1))
        return np.clip(image, low, high).astype(np.float32)
    if how.window is not None:
        centre, width = how.window
        return np.clip((image.astype(np.float64) - centre) / width + 0.5, 0, 1).astype(np.float32)
    return image


def _by_constants(image: NDArray[np.float32], how: Normalisation) -> NDArray[np.float32]:
    channels = image.shape[0]
    if {len(how.mean), len(how.std)} - {1, channels}:
        raise InputError(
            f"normalisation has {len(how.mean)} means and {len(how.std)} stds, the image {channels} channels"
        )
    shape = (-1,) + (1,) * (image.ndim - 1)
    mean, std = (np.asarray(values, dtype=np.float32).reshape(shape) for values in (how.mean, how.std))
    return ((image - mean) / std).astype(np.float32)


def _zscore(image: NDArray[np.float32], nonzero: bool) -> NDArray[np.float32]:
    result = np.array(image, dtype=np.float32)
    for channel in result:
        chosen = channel != 0 if nonzero else np.ones(channel.shape, dtype=bool)
        values = channel[chosen].astype(np.float64)
        if values.size:
            channel[chosen] = (values - values.mean()) / (values.std() or 1.0)
    return result


def _matches(stated: Sequence[int | None], needed: Sequence[int | None]) -> bool:
    return len(stated) == len(needed) and all(None in (s, n) or s == n for s, n in zip(stated, needed, strict=True))


def _text(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"

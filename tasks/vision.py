"""What image tasks share: normalisation, and whether a model's shapes fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.manifest import Manifest, Normalisation
from suite.model import Signature


def misfit(
    manifest: Manifest, signature: Signature | None, shape: tuple[int, ...], output: tuple[int, ...]
) -> str | None:
    """Why a model cannot take inputs of `shape` and answer `output` (classes first), or None.

    Args:
        manifest: what the submission declares.
        signature: what its file states, if it does.
        shape: of one input.
        output: of one answer.
    """
    return _declared_misfit(manifest, shape, output[0]) or _stated_misfit(signature, shape, output)


def _declared_misfit(manifest: Manifest, shape: tuple[int, ...], classes: int) -> str | None:
    declared, how = manifest.inputs, manifest.inputs.normalisation
    if declared.shape is not None and declared.shape != shape:
        return f"it takes inputs of shape {list(declared.shape)}, the task gives {list(shape)}"
    if declared.classes is not None and declared.classes != classes:
        return f"it has {declared.classes} classes, the task {classes}"
    if how is not None and {len(how.mean), len(how.std)} - {1, shape[0]}:
        return f"it declares {len(how.mean)} means and {len(how.std)} stds, the task has {shape[0]} channel(s)"
    return None


def _stated_misfit(signature: Signature | None, shape: tuple[int, ...], output: tuple[int, ...]) -> str | None:
    if signature is None:
        return None
    if not _matches(signature.input_shape[1:], shape):
        return f"its file takes inputs of shape {_text(signature.input_shape)}, the task gives {_text((None, *shape))}"
    if not _matches(signature.output_shape[1:], output):
        return f"its file gives {_text(signature.output_shape)}, the task needs {_text((None, *output))}"
    return None


def normalise(image: NDArray[np.float32], how: Normalisation | None) -> NDArray[np.float32]:
    """(image - mean) / std per channel (axis 0), in float32; the image itself without a declaration.

    Raises:
        InputError: the declaration has another number of channels than the image.
    """
    if how is None:
        return image
    channels = image.shape[0]
    if {len(how.mean), len(how.std)} - {1, channels}:
        raise InputError(
            f"normalisation has {len(how.mean)} means and {len(how.std)} stds, the image {channels} channels"
        )
    shape = (-1,) + (1,) * (image.ndim - 1)
    mean, std = (np.asarray(values, dtype=np.float32).reshape(shape) for values in (how.mean, how.std))
    return ((image - mean) / std).astype(np.float32)


def _matches(stated: Sequence[int | None], needed: Sequence[int]) -> bool:
    return len(stated) == len(needed) and all(s is None or s == n for s, n in zip(stated, needed, strict=True))


def _text(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"

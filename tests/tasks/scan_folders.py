"""Folders of small images and label maps, written in the layouts that tests ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture


def write(path: Path, values: NDArray[Any], spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Path:
    """NIfTI from an array in (x, y, z), a picture from one in (H, W) or (H, W, 3): by the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith((".nii", ".nii.gz")):
        nibabel.save(nibabel.Nifti1Image(values, np.diag([*spacing, 1.0])), path)
    else:
        Picture.fromarray(values).save(path)
    return path


def cube(low: int = 2, high: int = 5, value: int = 1) -> NDArray[np.uint8]:
    """An (8, 7, 6) label map with one cube."""
    labels = np.zeros((8, 7, 6), np.uint8)
    labels[low:high, low:high, low:high] = value
    return labels


def volumes(folder: Path, ids: tuple[str, ...] = ("a", "b", "c")) -> Path:
    """`images` and `labels` of NIfTI whose image is above 0.5 exactly where label 1 is."""
    for number, item in enumerate(ids):
        labels = cube(1 + number % 2)
        write(folder / "images" / f"{item}.nii.gz", labels.astype(np.float32))
        write(folder / "labels" / f"{item}.nii.gz", labels)
    return folder


def describe(folder: Path, **fields: Any) -> Path:
    """A TOML file beside them; a value of ``None`` leaves a key out."""
    given = {
        "name": "my-set",
        "kind": "segmentation",
        "images": "images",
        "labels": "labels",
        "classes": ["organ"],
        "tolerance_mm": 1,
    } | fields
    lines = [f"{key} = {_toml(value)}\n" for key, value in given.items() if value is not None]
    path = folder / "my-set.toml"
    path.write_text("".join(lines))
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)

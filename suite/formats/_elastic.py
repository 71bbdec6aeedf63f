"""Elastic bits: a checkpoint of integer codes that is read at fewer bits than it stores, as nested quantisation allows.

A code q of c bits becomes, at r bits, ``clip(floor(q / 2**(c - r) + 1/2), -2**(r - 1), 2**(r - 1) - 1) * 2**(c - r)``:
the r highest bits, rounded, with the scales that the file has (Nair et al. 2025, "Matryoshka Quantization", eq. 4,
written for signed codes). Read are checkpoints of compressed-tensors with symmetric integers, packed or not.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.formats import _safetensors

_WORD_BITS = 32
_FORMATS = ("int-quantized", "pack-quantized")


def sliced(codes: NDArray[Any], stored: int, wanted: int) -> NDArray[np.int64]:
    """Signed codes of `stored` bits at `wanted` bits, on the scale of the stored ones.

    >>> sliced(np.array([-128, -5, 7, 8, 127]), 8, 4).tolist()
    [-128, 0, 0, 16, 112]
    """
    step = 1 << (stored - wanted)
    half = 1 << (wanted - 1)
    return np.asarray(np.floor(codes / step + 0.5).clip(-half, half - 1) * step, dtype=np.int64)


def stored_bits(folder: Path) -> int:
    """Bits of a checkpoint's codes.

    Raises:
        InputError: no checkpoint whose codes can be read at fewer bits.
    """
    scheme = _safetensors.read_json(folder / "config.json").get("quantization_config")
    scheme = scheme if isinstance(scheme, dict) else {}
    groups = scheme.get("config_groups")
    rows = [row.get("weights") for row in groups.values()] if isinstance(groups, dict) else []
    found = [row.get("num_bits") for row in rows if isinstance(row, dict) and row.get("type") == "int"
             and row.get("symmetric") is True]  # fmt: skip
    bits = found[0] if found and found == [found[0]] * len(rows) else None
    if scheme.get("format") not in _FORMATS or bits not in (2, 4, 8):
        raise InputError(
            "operating_point.bits reads the highest bits of a compressed-tensors checkpoint with symmetric integers of "
            f"2, 4 or 8 bits ({', '.join(_FORMATS)}); this one is none: remove bits, or store one file a width"
        )
    return int(bits)


def check(folder: Path, wanted: int) -> None:
    """Refuse a number of bits that a checkpoint has not got.

    Raises:
        InputError: so it is.
    """
    stored = stored_bits(folder)
    if wanted > stored:
        raise InputError(f"operating_point.bits = {wanted}, but its codes have {stored} bits; allowed: 1 to {stored}")


def write(folder: Path, target: Path, wanted: int) -> None:
    """Write the checkpoint with its codes at `wanted` bits; everything else is as it was."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    stored = stored_bits(folder)
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.safetensors"))
    for file in _safetensors.model_files(folder):
        with safe_open(file, framework="pt") as content:  # NumPy has no bfloat16, which scales may be
            names = set(content.keys())
            tensors = {name: _at(name, content.get_tensor(name), names, stored, wanted) for name in names}
            save_file(tensors, target / file.name, metadata={"format": "pt"})


def _at(name: str, tensor: Any, names: set[str], stored: int, wanted: int) -> Any:
    """A tensor with its codes sliced; others as they are."""
    import torch

    stem, _, kind = name.rpartition(".")
    if f"{stem}.weight_scale" not in names or kind not in ("weight", "weight_packed"):
        return tensor
    codes = tensor.numpy()
    if kind == "weight":
        return torch.from_numpy(sliced(codes, stored, wanted).astype(codes.dtype))
    shifts = np.arange(0, _WORD_BITS, stored, dtype=np.uint32)
    fields = (codes.view(np.uint32)[..., None] >> shifts) & np.uint32((1 << stored) - 1)
    middle = 1 << (stored - 1)
    made = (sliced(fields.astype(np.int64) - middle, stored, wanted) + middle).astype(np.uint32)
    words = np.bitwise_or.reduce(made << shifts, axis=-1)
    return torch.from_numpy(words.view(np.int32))

"""A table of formats that was measured earlier elsewhere, and how a new one differs from it.

Two cores with AVX-512 (torch 2.13.0, transformers 5.23, ONNX Runtime 1.31.1, OpenVINO 2026.4.1, llama-cpp-python
0.3.36): one thread, processor time, against PyTorch in float32. ``mid``: a random Llama of 111.2 million weights,
prefill of 128 tokens and one token. ``small`` there: a Llama of 5.5 million, so that only ratios can be compared.
``unet`` there: two-dimensional, 1.93 million weights, 128 x 128; only bits per weight and speed can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TOLERANCE = 0.25
FIELDS = ("mb", "bits", "peak_mb", "first", "second")
"""Megabytes on disk, bits per weight, peak memory, speed of the first and of the second scenario."""
_N = None
EARLIER: Mapping[str, tuple[float | None, ...]] = {
    "mid/torch-fp32": (444.7, 32.0, 462, 1.0, 1.0),
    "mid/torch-bf16": (222.3, 16.0, 244, 3.36, 1.33),
    "mid/torch-fp16": (222.3, 16.0, _N, 0.29, 2.08),
    "mid/torchao-int8-wo": (136.9, 9.85, 188, 0.93, 0.82),
    "mid/torchao-int8-dyn": (136.9, 9.85, _N, 2.39, 0.61),
    "mid/bnb-int8": (136.7, 9.84, 192, 2.63, 1.67),
    "mid/bnb-nf4": (91.5, 6.58, 222, 2.63, 3.27),
    "mid/gguf-f32": (444.8, 32.0, 477, 1.36, 1.83),
    "mid/gguf-q8_0": (118.3, 8.51, _N, 1.37, 4.24),
    "mid/gguf-q4_0": (62.7, 4.51, 168, 2.58, 5.98),
    "mid/gguf-q4_0-torch": (62.7, 4.51, 520, 0.99, 0.95),
    "mid/onnx-fp32": (445.7, 32.1, 456, 2.19, 1.97),
    "mid/onnx-int8-dyn": (124.8, 8.98, 229, 6.19, 5.12),
    "mid/onnx-int4-b32": (84.6, 6.09, 193, 2.58, 6.43),
    "mid/ov-fp32": (445.1, 32.0, _N, 2.30, 1.94),
    "mid/ov-int8": (111.9, 8.05, _N, 4.40, 3.94),
    "mid/ov-int4-g64": (63.6, 4.58, _N, 4.50, 5.49),
    "small/torchao-int8-dyn": (_N, _N, _N, 0.97, 0.35),
    "small/torchao-fp8-wo": (_N, _N, _N, 0.61, 0.21),
    "small/bnb-int8": (_N, _N, _N, 0.85, 0.46),
    "small/bnb-nf4": (_N, 15.0, _N, _N, _N),
    "small/ct-w8a8": (_N, 17.2, _N, _N, _N),
    "small/ct-w4a16": (_N, 14.8, _N, _N, _N),
    "small/gptq-w4": (_N, 8.7, _N, 1.32, 1.34),
    "small/sparse-2:4": (_N, 32.0, _N, 1.0, _N),
    "small/gguf-q4_0": (_N, 4.7, _N, _N, _N),
    "small/pt2": (_N, 32.0, _N, 0.97, _N),
    "unet/pt2": (_N, 32.0, _N, 1.0, _N),
    "unet/pt2-bf16": (_N, 16.0, _N, 1.49, _N),
    "unet/pt2e-int8": (_N, 44.5, _N, 0.75, _N),
    "unet/torchao-int8-wo": (_N, 32.0, _N, 1.0, _N),
    "unet/onnx": (_N, 32.0, _N, 1.77, _N),
    "unet/onnx-int8": (_N, 8.3, _N, 4.1, _N),
    "unet/ov": (_N, 32.0, _N, 1.57, _N),
    "unet/ov-int8": (_N, 8.5, _N, 5.1, _N),
}


def figures(row: Mapping[str, Any]) -> tuple[float | None, ...]:
    """The same fields of a measured row."""
    speeds = [speed[0] for speed in row["against_torch"].values()]
    first, second = [*speeds, None, None][:2]
    peak = row["peak_bytes"]
    return (row["bytes"] / 1e6, row["bits_per_weight"], None if peak is None else peak / 1e6, first, second)


def differences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for every figure that is more than a quarter off the earlier one, and how many are not."""
    found, same = list[str](), 0
    for row in rows:
        for name, here, there in _pairs(row):
            if abs(here / there - 1) <= TOLERANCE:
                same += 1
            else:
                found.append(f"{row['name']:24} {name:8} here {here:.4g}, earlier {there:.4g} ({here / there:.2f} x)")
    return [f"{same} figures are within {TOLERANCE:.0%} of the table measured earlier, {len(found)} are not:", *found]


def untouched(row: Mapping[str, Any], parent: str) -> str | None:
    """What to say of a compressed row whose answers are those of its float32 parent to the last one."""
    worse = [*(row["loss"] or [None]), *(row["changed"] or [None])]  # [value, low, high] each
    same = row["why_not"] is None and row["name"] != parent and not any(one is None or one for one in worse)
    return f"answers are those of {parent}: nothing was quantised" if same else None


def _pairs(row: Mapping[str, Any]) -> Iterator[tuple[str, float, float]]:
    if row["why_not"] is not None or row["name"] not in EARLIER:
        return
    for name, here, there in zip(FIELDS, figures(row), EARLIER[row["name"]], strict=True):
        if here is not None and there is not None:
            yield name, here, there

"""U-Score of U-Bench as its authors compute it, and a score that also sees the bits of a parameter.

    up(x; a, b)   = clip((x - a) / (b - a), 0, 1)             down(x; a, b) = clip((b - ln x) / (b - a), 0, 1)
    A = up(IoU; 10th, 90th percentile of the data set)        P = down(million parameters; 0.39, 4.32)
    G = down(GFLOPs; 0.88, 4.20)                              S = up(frames per second; 24.28, 121.63)
    each at least 0.05;  E = harmonic mean of P, G and S;     U = 100 / (0.5 / A + 0.5 / E)

The constants are frozen from the authors' 100 models; the percentiles belong to their data sets, so the score means
nothing on another one. Frames per second saturate at 121.63, and a quantized model has as many parameters as before.
"""

from __future__ import annotations

import math

from suite.errors import InputError

FLOOR = 0.05
PARAMETERS_LN, GFLOPS_LN, FPS = (0.39, 4.32), (0.88, 4.20), (24.28, 121.63)
IOU_PERCENTILES = {"BUSI": (0.5838, 0.7063)}  # the others are on the project's page
FULL_BITS = 32


def u_score(iou: float, parameters_m: float, gflops: float, fps: float, iou_range: tuple[float, float]) -> float:
    """U-Score, 5..100, higher is better.

    Args:
        iou: mean IoU, 0..1.
        parameters_m: million parameters, of whatever width.
        gflops: per image of 256 x 256.
        fps: images per second on the authors' device.
        iou_range: 10th and 90th percentile of their models on the data set (`IOU_PERCENTILES`).

    Raises:
        InputError: a number is out of range.

    >>> round(u_score(0.6557507, 34.527041, 65.522368512, 137.05495, IOU_PERCENTILES["BUSI"]), 2)
    19.26
    """
    _check(iou=iou, parameters_m=parameters_m, gflops=gflops, fps=fps)
    parts = [_down(parameters_m, *PARAMETERS_LN), _down(gflops, *GFLOPS_LN), _up(fps, *FPS)]
    quality, *cost = (max(part, FLOOR) for part in (_up(iou, *iou_range), *parts))
    efficiency = len(cost) / sum(1 / part for part in cost)
    return 100 / (0.5 / quality + 0.5 / efficiency)


def u_score_bits(iou: float, stored_bits: float, gflops: float, fps: float, iou_range: tuple[float, float]) -> float:
    """U-Score with the parameters counted by what they take: stored bits / 32, in millions; 5..100, higher is better.

    A float32 model has its U-Score; the same model in 8 bits counts a quarter of its parameters, with the scales, zero
    points and unquantized layers that the file really holds. `stored_bits` are 8 times the bytes of the artifact, never
    a nominal width. Nothing else changes: GFLOPs and frames per second are as measured.
    """
    return u_score(iou, stored_bits / FULL_BITS / 1e6, gflops, fps, iou_range)


def _check(**values: float) -> None:
    for name, value in values.items():
        if not math.isfinite(value) or value < 0 or (value == 0 and name in ("parameters_m", "gflops")):
            raise InputError(f"{name} is {value}, not a positive number")
    if values["iou"] > 1:
        raise InputError(f"iou is {values['iou']}, above 1: give a share, not percent")


def _up(x: float, low: float, high: float) -> float:
    return min(max((x - low) / (high - low), 0.0), 1.0)


def _down(x: float, low: float, high: float) -> float:
    return min(max((high - math.log(x)) / (high - low), 0.0), 1.0)

"""U-Score of U-Bench as its authors compute it, and a score that also sees the bits of a parameter.

    up(x; a, b)   = clip((x - a) / (b - a), 0, 1)             down(x; a, b) = clip((b - ln x) / (b - a), 0, 1)
    A = up(IoU; 10th, 90th percentile of the data set)        P = down(million parameters; 0.39, 4.32)
    G = down(GFLOPs; 0.88, 4.20)                              S = up(frames per second; 24.28, 121.63)
    each at least 0.05;  E = harmonic mean of P, G and S;     U = 100 / (0.5 / A + 0.5 / E)

The constants are frozen from the authors' 100 models; the percentiles belong to their data sets, so the score means
nothing on another one. Frames per second saturate at 121.63, and a quantized model has as many parameters as before.
Their GFLOPs are multiply-accumulates: their U-Net, 64 to 1024 channels, has 65.35 G of them in its convolutions at
256 x 256, and 65.52 with its norms and activations, which is the figure on their page.

Source of all constants: the calculator on the project's page (github.com/FengheTan9/ubench, index.html at 3db8e46).
"""

from __future__ import annotations

import math

from suite.errors import InputError

FLOOR = 0.05
PARAMETERS_LN, GFLOPS_LN, FPS = (0.39, 4.32), (0.88, 4.20), (24.28, 121.63)
IOU_PERCENTILES = {  # 10th and 90th percentile of the authors' models on each of their data sets
    "BUSI": (0.5837592, 0.7062627),
    "BUSBRA": (0.77664876, 0.839330144),
    "TNSCUI": (0.664944187, 0.784390885),
    "ISIC2018": (0.81180614, 0.84177554),
    "SkinCancer": (0.7906120483830283, 0.8538840522323546),
    "Kvasir": (0.75085247, 0.8428773),
    "Robotool": (0.6940658864425706, 0.8462163286238785),
    "CHASE": (0.4657582467803476, 0.8117408180656985),
    "DRIVE": (0.15081815, 0.6244703),
    "DSB": (0.84518087, 0.8814354),
    "GlaS": (0.63124824, 0.83085126),
    "Monusac": (0.5333726221401941, 0.6691882627377632),
    "Cell": (0.7750129177712127, 0.8449313275090908),
    "Covidquex": (0.6272003645175361, 0.6967376585434479),
    "Montgomery": (0.9157433067449976, 0.9587296),
    "DCA": (0.5091263834701759, 0.6327484215070674),
    "ACDC": (0.7268479093509606, 0.8477579210353294),
    "Promise": (0.7816956737173072, 0.8686860589568378),
    "Synapse": (0.548646052, 0.721961595),
    "Cystoidfluid": (0.6349444722562034, 0.8339477863820954),
}
SIDE = 256  # pixels of their images along each axis
FULL_BITS = 32


def u_score(iou: float, parameters_m: float, gflops: float, fps: float, iou_range: tuple[float, float]) -> float:
    """U-Score, 5..100, higher is better.

    Args:
        iou: mean IoU, 0..1.
        parameters_m: million parameters, of whatever width.
        gflops: billion multiply-accumulates per image of 256 x 256.
        fps: images per second, one at a time; the authors' device is not stated.
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

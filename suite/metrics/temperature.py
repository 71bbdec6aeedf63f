"""Temperature scaling: one number T that makes confidences come true, fitted on a declared calibration split.

    p_k(T) = softmax(z / T)_k = p_k^(1/T) / sum_j p_j^(1/T)

T > 1 makes a too sure model less sure; the decisions never change. T is fitted on items that are not scored, and the
task writes it into the outcome column ``temperature`` (the same on every item, NaN without a calibration split). So the
effect is additive like any other score, and can be compared with the parent's item by item.

Shape suffixes: N items, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined
from suite.metrics import classification
from suite.metrics.base import Columns, Metric, per_item, ratio
from suite.metrics.calibration import ECE_15, of_bins
from suite.metrics.classification import NLL_EPS

LOWEST, HIGHEST = 0.01, 100.0
GRID = tuple(round(0.1 * i, 1) for i in range(1, 101))
NEEDS = ("probs", "label", "temperature")
NO_TEMPERATURE = "no temperature: the task declares no calibration split, or none could be fitted on it"
_BLOCK = 1 << 18  # probabilities at once, which then stay in the cache
_TINY = float(np.finfo(np.float32).tiny)
_FIRST = 1 << 13  # items, about, of the first fit
_NEAR = 1e-5  # a step of this share of b leaves an error of about its square
_SURE, _MOST_STEPS = 20, 200  # from this step on every other one halves the bracket instead

Floats = NDArray[np.float64]
Labels = NDArray[np.integer]


def scaled(probs_NK: NDArray[np.floating], temperature_N: Floats | float) -> Floats:
    """Probabilities at a temperature, [N, K] float64. A probability of 0 stays 0.

    >>> scaled(np.array([[0.8, 0.2]]), 2.0).round(4).tolist()
    [[0.6667, 0.3333]]
    """
    weight_NK, sum_N = _weights(probs_NK, temperature_N)
    weight_NK /= sum_N[:, None]
    return weight_NK


def _weights(probs_NK: NDArray[np.floating], temperature_N: Floats | float) -> tuple[Floats, Floats]:
    """(p_k / max_j p_j)^(1/T), [N, K], and their sum, [N]: the largest is 1."""
    out = np.asarray(probs_NK, dtype=np.float64)
    with np.errstate(divide="ignore"):
        out = np.log(out, out=None if out is probs_NK else out)
    out -= out.max(axis=1, keepdims=True)
    out /= np.reshape(temperature_N, (-1, 1))
    np.exp(out, out=out)
    return out, out.sum(axis=1)


def fit(probs_NK: NDArray[np.floating], label_N: Labels) -> float:
    """The temperature of the least mean NLL on these items (Guo 2017); deterministic.

    NLL is convex in b = 1 / T: with z = ln p its slope is mean(E[z] - z_y) and its curvature mean(Var[z]), both under
    p^b. So Newton's steps, kept within a shrinking bracket of [0.01, 100], find its one minimum, to 1e-9 of T. They
    start from the minimum on a few thousand of the items, after which two or three sums over all of them are enough.

    Args:
        probs_NK: probabilities on the calibration split, not on the items to be scored.
        label_N: true classes.

    Raises:
        Undefined: there are no items, or NLL falls up to an end of the range: every answer right, or worse than chance.
    """
    if not len(label_N):
        raise Undefined("no calibration items to fit a temperature on")
    every = max(1, len(label_N) // _FIRST)
    start = _least(probs_NK[::every], label_N[::every], 1.0) if every > 1 else 1.0
    found = _least(probs_NK, label_N, start or 1.0)
    if found is None:
        raise Undefined(f"no temperature within {LOWEST:g} to {HIGHEST:g} has the least NLL on the calibration split")
    return 1 / found


def _least(probs_NK: NDArray[np.floating], label_N: Labels, start: float) -> float | None:
    """The b = 1 / T of the least NLL by Newton's steps; None if it lies at an end of the range."""
    low, high, b = 1 / HIGHEST, 1 / LOWEST, start
    for step in range(_MOST_STEPS):
        slope, curvature = _derivatives(probs_NK, label_N, b)
        if curvature <= 0:  # no probability differs from another, or only one is left at so large a b
            return None
        low, high = (b, high) if slope < 0 else (low, b)
        to = b - slope / curvature
        if not low <= to <= high or (step >= _SURE and step % 2):
            to = float(np.sqrt(low * high))
        elif abs(to - b) <= _NEAR * b:
            return to
        if high / low < 1 + _NEAR**2:
            return None  # the bracket has shrunk onto an end
        b = to
    return None


def _derivatives(probs_NK: NDArray[np.floating], label_N: Labels, b: float) -> tuple[float, float]:
    """Slope and curvature of the mean NLL at b, in blocks, so that there is no second copy of [N, K].

    A probability that float32 has rounded to 0 counts as the smallest that it can hold, 1e-38.
    """
    slope, curvature = 0.0, 0.0
    for part in _parts(probs_NK):
        logit = np.maximum(probs_NK[part], _TINY).astype(np.float64)
        np.log(logit, out=logit)
        logit -= logit.max(axis=1, keepdims=True)
        weight = logit * b
        np.exp(weight, out=weight)
        weight /= weight.sum(axis=1, keepdims=True)
        mean = np.einsum("nk,nk->n", weight, logit)
        slope += float((mean - logit[np.arange(len(logit)), label_N[part]]).sum())
        logit -= mean[:, None]
        weight *= logit
        curvature += float(np.vdot(weight, logit))
    return slope / len(label_N), curvature / len(label_N)


def fit_on_grid(probs_NK: NDArray[np.floating], label_N: Labels) -> float:
    """The temperature among 0.1, 0.2, ..., 10.0 of the least ECE-15 on these items, the lowest of equal ones.

    What the code of Mukhoti 2020 (focal calibration) does, whose published figures it reproduces; `fit` is the default,
    because ECE is neither smooth nor proper.

    Raises:
        Undefined: there are no items.
    """
    if not len(label_N):
        raise Undefined("no calibration items to fit a temperature on")
    errors = [ECE_15({"probs": scaled(probs_NK, T), "label": label_N}) for T in GRID]
    return GRID[int(np.argmin(errors))]


def _parts(probs_NK: NDArray[np.floating]) -> Iterator[slice]:
    step = max(1, _BLOCK // probs_NK.shape[1])
    return (slice(at, at + step) for at in range(0, len(probs_NK), step))


def _losses(columns: Columns) -> Iterator[Floats]:
    """-ln p of the label at the temperature, block by block; a label that is no class (-1) has probability 0."""
    for weight_NK, sum_N, label_N in _blocks(columns):
        known_N = (label_N >= 0) & (label_N < weight_NK.shape[1])
        picked_N = weight_NK[np.arange(len(label_N)), np.where(known_N, label_N, 0)] * known_N
        yield -np.log(np.maximum(picked_N / sum_N, NLL_EPS))


def _blocks(columns: Columns) -> Iterator[tuple[Floats, Floats, Labels]]:
    """`_weights` and labels."""
    if not np.isfinite(columns["temperature"]).all():
        raise Undefined(NO_TEMPERATURE)
    for part in _parts(columns["probs"]):
        probs, temperature, label = (columns[name][part] for name in ("probs", "temperature", "label"))
        yield *_weights(probs, temperature), label


def _top(columns: Columns) -> tuple[Floats, NDArray[np.bool_]]:
    confidence_N = np.concatenate([1 / sum_N for _, sum_N, _ in _blocks(columns)])
    return confidence_N, columns["probs"].argmax(axis=1) == columns["label"]


def _nll_terms(columns: Columns) -> Floats:
    nll_N = np.concatenate(list(_losses(columns)))
    return np.stack([nll_N, np.ones_like(nll_N)], axis=1)


ECE_15_SCALED = of_bins(
    _top,
    NEEDS,
    "ece_15_scaled",
    "ece_15 at the temperature that was fitted on the calibration split (Guo 2017)",
)
NLL_SCALED = replace(
    classification.NLL,
    name="nll_scaled",
    needs=NEEDS,
    terms=_nll_terms,
    reference="nll at the temperature that was fitted on the calibration split (Guo 2017)",
)
TEMPERATURE = Metric(
    name="temperature",
    needs=("temperature",),
    terms=per_item("temperature"),
    finish=ratio,
    no_interval="fitted on the calibration split, not on these items",
    unit="",
    higher_is_better=None,
    bounds=(0.0, None),
    undefined=NO_TEMPERATURE,
    reference="the fitted temperature: above 1 the model was too sure, below 1 not sure enough (Guo 2017)",
)
SCALED = (ECE_15_SCALED, NLL_SCALED, TEMPERATURE)

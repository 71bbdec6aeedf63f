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
from functools import partial

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

Floats = NDArray[np.float64]
Labels = NDArray[np.integer]


def scaled(probs_NK: NDArray[np.floating], temperature_N: Floats | float) -> Floats:
    """Probabilities at a temperature, [N, K] float64. A probability of 0 stays 0.

    >>> scaled(np.array([[0.8, 0.2]]), 2.0).round(4).tolist()
    [[0.6667, 0.3333]]
    """
    with np.errstate(divide="ignore"):
        out: Floats = np.log(np.asarray(probs_NK, dtype=np.float64))
    out -= out.max(axis=1, keepdims=True)
    out /= np.reshape(temperature_N, (-1, 1))
    np.exp(out, out=out)
    out /= out.sum(axis=1, keepdims=True)
    return out


def fit(probs_NK: NDArray[np.floating], label_N: Labels) -> float:
    """The temperature of the least mean NLL on these items (Guo 2017); deterministic.

    NLL is convex in 1 / T, so the bounded Brent search over ln T within [0.01, 100] finds its one minimum.

    Args:
        probs_NK: probabilities on the calibration split, not on the items to be scored.
        label_N: true classes.

    Raises:
        Undefined: there are no items, or NLL falls up to an end of the range: every answer right, or worse than chance.
    """
    from scipy.optimize import minimize_scalar

    if not len(label_N):
        raise Undefined("no calibration items to fit a temperature on")
    nll, ends = partial(_nll, probs_NK, label_N), (np.log(LOWEST), np.log(HIGHEST))
    found = minimize_scalar(nll, bounds=ends, method="bounded", options={"xatol": 1e-9})
    if min(map(nll, ends)) <= found.fun:
        raise Undefined(f"no temperature within {LOWEST:g} to {HIGHEST:g} has the least NLL on the calibration split")
    return float(np.exp(found.x))


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


def _nll(probs_NK: NDArray[np.floating], label_N: Labels, log_temperature: float) -> float:
    """Mean of ln sum_j e^(z_j / T) - z_y / T in blocks, so that there is no second copy of [N, K].

    A probability that float32 has rounded to 0 counts as the smallest that it can hold, 1e-38.
    """
    total, temperature = 0.0, float(np.exp(log_temperature))
    for part in _parts(probs_NK):
        probs = np.maximum(probs_NK[part], _TINY).astype(np.float64)
        logits = (np.log(probs) - np.log(probs.max(axis=1, keepdims=True))) / temperature
        picked = logits[np.arange(len(logits)), label_N[part]]
        total += float((np.log(np.exp(logits).sum(axis=1)) - picked).sum())
    return total / len(label_N)


def _parts(probs_NK: NDArray[np.floating]) -> Iterator[slice]:
    step = max(1, _BLOCK // probs_NK.shape[1])
    return (slice(at, at + step) for at in range(0, len(probs_NK), step))


def _losses(probs_NK: Floats, label_N: Labels) -> Floats:
    """-ln p of the label; one that is no class (-1) has probability 0."""
    known_N = (label_N >= 0) & (label_N < probs_NK.shape[1])
    picked_N = probs_NK[np.arange(len(label_N)), np.where(known_N, label_N, 0)] * known_N
    return np.asarray(-np.log(np.maximum(picked_N, NLL_EPS)))


def _blocks(columns: Columns) -> Iterator[tuple[Floats, Labels]]:
    if not np.isfinite(columns["temperature"]).all():
        raise Undefined(NO_TEMPERATURE)
    for part in _parts(columns["probs"]):
        probs, temperature, label = (columns[name][part] for name in ("probs", "temperature", "label"))
        yield scaled(probs, temperature), label


def _top(columns: Columns) -> tuple[Floats, NDArray[np.bool_]]:
    confidence_N = np.concatenate([probs.max(axis=1) for probs, _ in _blocks(columns)])
    return confidence_N, columns["probs"].argmax(axis=1) == columns["label"]


def _nll_terms(columns: Columns) -> Floats:
    nll_N = np.concatenate([_losses(probs, label) for probs, label in _blocks(columns)])
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

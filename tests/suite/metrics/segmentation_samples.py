"""Outcome columns of any declared `Scoring`, from random label maps of cases that lack a class now and then."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from suite.metrics.base import Columns
from suite.metrics.scoring import Scoring
from suite.outcomes import to_columns, to_table

SPACING = (2.0, 1.0, 1.0)
DISTINCT = 24


def drawn(scoring: Scoring, seed: int) -> dict[str, Any]:
    """One case: what `Scoring.row` takes."""
    rng = np.random.default_rng(seed)
    classes, shape = 1 + len(scoring.classes), (9, 13, 14)[-scoring.dimensions :]

    def fields() -> NDArray[Any]:
        return np.stack([ndimage.gaussian_filter(rng.standard_normal(shape), 1.4) for _ in range(classes)])

    base, kept = fields(), rng.random((2, classes)) < 0.75
    logits, reference = 4 * (base + 0.4 * fields()), base + 0.2 * fields()
    for k in range(1, classes):
        logits[k] -= 0.0 if kept[0, k] else 100.0
        reference[k] -= 0.0 if kept[1, k] else 100.0
    for one in (logits, reference):
        one[0] += 100.0 * (rng.random(shape) < 0.01)  # cavities
    probabilities = np.exp(logits - logits.max(axis=0))
    labels = reference.argmax(axis=0)
    return {
        "probabilities": probabilities / probabilities.sum(axis=0),
        "labels": labels,
        "spacing_mm": SPACING[-scoring.dimensions :],
        "instances": ndimage.label(labels > 0)[0],
        "raters": [(base + 0.3 * fields()).argmax(axis=0) for _ in range(2)],
    }


def segmented(scoring: Scoring, n: int = DISTINCT) -> Columns:
    """The columns of n cases; beyond `DISTINCT` they repeat."""
    rows = [scoring.row(**drawn(scoring, seed)) for seed in range(min(n, DISTINCT))]
    return to_columns(to_table([rows[i % len(rows)] for i in range(n)]))

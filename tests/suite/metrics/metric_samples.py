"""Outcome columns for tests of metrics of class probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.metrics import classification
from suite.metrics.base import Columns


def labelled(probs: NDArray[Any], label: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The columns that the classification tasks store, one cluster an item; probabilities as given."""
    made = [classification.outcomes(p, int(y)) for p, y in zip(probs, label, strict=True)]
    columns = {name: np.array([row[name] for row in made]) for name in made[0]}
    n = np.arange(len(made))
    return {**columns, "probs": np.array(probs), "item": n.astype(str), "cluster": np.char.zfill(n.astype(str), 6)}


def multiclass(n: int, classes: int = 4, seed: int = 0) -> dict[str, NDArray[Any]]:
    """A model that is right more often than not and too sure of it."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[label]
    return labelled(softmax(2 * logits), label)


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True), dtype=np.float64)


def paired(n: int) -> tuple[Columns, Columns]:
    """A parent and a child that decides alike but is far surer."""
    parent = multiclass(n)
    return parent, labelled(softmax(3 * np.log(parent["probs"])), parent["label"])

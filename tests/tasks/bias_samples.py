"""Outcomes of the bias tasks from answers that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from suite.formats import LOADERS
from suite.formats.base import Place
from suite.manifest import Inputs
from suite.metrics.base import Columns
from suite.model import ChoiceScores
from suite.outcomes import GROUP_PREFIX
from suite.task import AnyTask, Example


def scores(logprobs: Sequence[float], n_tokens: Sequence[int] | None = None) -> ChoiceScores:
    """The answer of a model with these log-probabilities."""
    return ChoiceScores(
        np.array(logprobs, dtype=np.float64),
        np.array(n_tokens or [1] * len(logprobs), dtype=np.int64),
        np.zeros(len(logprobs), dtype=bool),
    )


def preferring(index: int, count: int) -> ChoiceScores:
    """The answer of a model that finds that one of so many choices likeliest."""
    return scores([-1.0 if k == index else -2.0 for k in range(count)])


def outcomes(task: AnyTask, examples: Sequence[Example], answer: Callable[[Example], Any]) -> Columns:
    """The columns of these examples."""
    rows = [
        {GROUP_PREFIX + name: value for name, value in example.groups.items()} | task.row(example, answer(example))
        for example in examples
    ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def values(task: AnyTask, columns: Columns, *names: str) -> tuple[float, ...]:
    """Metrics of the task by name."""
    by_name = {metric.name: metric for metric in task.metrics}
    return tuple(by_name[name](columns) for name in names)


def stories260k(mirror: Path) -> Any:
    """The real model of the mirror, loaded in this process."""
    return LOADERS["transformers"].load(mirror / "lm_stories260k", "language", Inputs(context=512), Place())

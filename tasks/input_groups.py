"""Input groups: parts of an input that are blanked in turn, to see how much each one adds.

A part is blanked by putting in its place, everywhere, the mean over the task's items of that very element, so that a
blanked input says nothing of its own item and stays within the range of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.metrics import groups
from suite.metrics.base import Metric
from suite.metrics.classification import ACCURACY
from suite.metrics.utilisation import WHOLE, WITHOUT, imbalance, utilisation
from suite.task import AnyTask
from tasks.variants import ATTRIBUTE, Change, Variant, VariedImages

Array = NDArray[np.float32]
Parts = Mapping[str, tuple[Any, ...]]
"""Name of an input group to the index of its elements, e.g. ``{"left": np.s_[..., :4]}``."""


def grouped(task: AnyTask, parts: Parts, *, name: str, title: str, version: str = "1") -> VariedImages:
    """The task with every input group blanked in turn: accuracy with and without each, and what each adds.

    Args:
        task: a classification task; its inputs are arrays of one shape.
        parts: its input groups, at least two.
        name: of the new task.
        title: of the new task.
        version: of the groups.
    """
    names = list(parts)
    mean = _mean_of(task)
    variants = (
        Variant(WHOLE, lambda array, rng: array),
        *(Variant(f"{WITHOUT}{part}", _blanking(where, mean)) for part, where in parts.items()),
    )
    return VariedImages(
        task,
        variants,
        name=name,
        title=title,
        version=version,
        changes=f"blanked-by-mean-{version}",
        metrics=_metrics(names, variants),
        primary=f"accuracy[{ATTRIBUTE}={WHOLE}]",
    )


def _metrics(names: Sequence[str], variants: Sequence[Variant]) -> tuple[Metric, ...]:
    leaning = (imbalance(ACCURACY, *names),) if len(names) == 2 else ()  # noqa: PLR2004 - one against the other
    return (
        *(groups.of_group(ACCURACY, ATTRIBUTE, variant.name) for variant in variants),
        *(utilisation(ACCURACY, part) for part in names),
        *leaning,
    )


def _mean_of(task: AnyTask) -> Callable[[], Array]:
    @cache
    def mean() -> Array:
        inputs = [np.asarray(example.input, dtype=np.float64) for example in task.examples(None)]
        return np.asarray(np.mean(inputs, axis=0), dtype=np.float32)

    return mean


def _blanking(where: tuple[Any, ...], mean: Callable[[], Array]) -> Change:
    def change(array: Array, rng: np.random.Generator) -> Array:
        out = np.array(array, dtype=np.float32)
        out[where] = mean()[where]
        return out

    return change

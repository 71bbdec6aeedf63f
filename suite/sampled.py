"""Sampled: what can only be seen while a model answers, read from a small sample after the scores are safe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from suite import asking
from suite.child import Child
from suite.probes.base import Observed
from suite.unit import Unit

SAMPLE = 32  # items
NOT_ASKED = "not asked for: hallmark run --activations"
NO_SITES = (
    "no ReLU or relative of it is computed by torch or ONNX Runtime; a quantised graph folds them into its rounding"
)


def activations(seen: Observed, unit: Unit, child: Child, model: Any) -> Observed:
    """What was seen of a unit, with the counts of every activation over the first items that it asks.

    Args:
        seen: what its own batches showed; they and all windows are closed, so this costs no score and no timing.
        unit: what is asked.
        child: where the model computes.
        model: its stand-in.
    """
    found: dict[str, list[float]] = {}
    why = "" if unit.options.activations else NOT_ASKED
    if seen.computed and unit.options.activations:
        batch = next(iter(asking.cut(asking.sample(unit.task.examples(model), unit), unit)))[:SAMPLE]
        child.ask("observed", [True])
        asking.by_task(unit)(model, batch)
        (counted,) = child.ask("observed", [False])
        found = {name: [float(value) for value in values] for name, values in counted.items()}
        why = "" if found else NO_SITES
    return replace(seen, activations=found, instead={**seen.instead, **({"activations": why} if why else {})})

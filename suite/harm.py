"""Compression harm: what a compressed model does to groups of people, against the model that it was made from.

Two models with equal accuracy can differ in whom they are wrong about. Beside the change of every group's value and of
the gap between groups, paired on the same items and resamples, stand the flips in each group: the answers that turned
from right to wrong (losses) and from wrong to right (gains).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from suite import measure
from suite.compare import on_same_items
from suite.errors import InputError, Undefined
from suite.metrics import flips
from suite.metrics.base import Columns, Metric
from suite.metrics.frame import Framed
from suite.paired import Difference
from suite.record import Measurement


@dataclass(frozen=True)
class Changed:
    """One number by group, before and after.

    Attributes:
        name: of the metric, e.g. ``accuracy[sex=f]`` or ``accuracy_gap[sex]``.
        higher_is_better: its direction; lower is better for a gap.
        n: what it was taken over.
        parent: value before; ``None`` where there is none.
        child: value after.
        change: after minus before, paired.
        reason: why a value is missing.
    """

    name: str
    higher_is_better: bool | None
    n: int
    parent: float | None
    child: float | None
    change: Difference
    reason: str | None = None


@dataclass(frozen=True)
class Harm:
    """What compression changed for groups.

    Attributes:
        changes: of every number by group.
        flips: flips, losses and gains in every group and overall; empty where answers are not right or wrong.
    """

    changes: tuple[Changed, ...]
    flips: tuple[Measurement, ...]

    def summary(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "changes": [asdict(one) for one in self.changes],
            "flips": [one.model_dump(mode="json") for one in self.flips],
        }


def harm(
    parent: Columns, child: Columns, framed: Framed, seed: int, only: Callable[[str], bool] = lambda name: True
) -> Harm:
    """What changed for groups from the parent's outcomes to the child's.

    Args:
        parent: outcomes of the model that the child was made from.
        child: outcomes of the same items in the same order.
        framed: metrics and groups; the groups are those that the child's outcomes hold.
        seed: of the resampling.
        only: which numbers, by name, e.g. `in_short`; all of them take a while.

    Raises:
        IncomparableError: they are not the same items in the same order.
        InputError: the outcomes hold none of the metrics by any group.
    """
    beside = flips.beside(child, parent) if flips.CHILD in child and flips.CHILD in parent else None
    if beside is None:
        flips.same_items(child, parent)
    metrics = [metric for metric in framed.of(child) if only(metric.name)]
    if not metrics:
        raise InputError("no number by group here: the outcomes have no group column, or the task frames no metric")
    changes = changed(parent, child, metrics, seed)
    if beside is None:
        return Harm(changes, ())
    flipped = Framed(metrics=flips.FLIP_METRICS, attributes=framed.attributes, least=framed.least).of(beside)
    wanted = [metric for metric in flipped if only(metric.name)]
    return Harm(changes, tuple(measure.scores((*flips.FLIP_METRICS, *wanted), beside, seed)))


def in_short(name: str) -> bool:
    """Whether it is a group's own value, the worst group's, or the gap: what a comparison shows.

    >>> [in_short(name) for name in ("nll[sex=f]", "nll_gap[sex]", "nll_gap_null[sex]", "es_nll[sex]")]
    [True, True, False, False]
    """
    stem, _, group = name.partition("[")
    return "=" in group or stem.startswith("worst_group_") or stem.endswith("_gap")


def changed(parent: Columns, child: Columns, metrics: Iterable[Metric], seed: int) -> tuple[Changed, ...]:
    """Both values of every metric, and the paired change."""
    metrics = tuple(metrics)
    differences = on_same_items(parent, child, metrics, seed)
    before, after = (values(metrics, columns) for columns in (parent, child))
    return tuple(
        Changed(
            m.name,
            m.higher_is_better,
            m.observations(child),
            before[m.name][0],
            after[m.name][0],
            differences[m.name],
            after[m.name][1] or before[m.name][1],
        )
        for m in metrics
    )


def values(metrics: Iterable[Metric], columns: Columns) -> dict[str, tuple[float | None, str | None]]:
    """Each metric's value, or ``None`` and why, without intervals."""
    found: dict[str, tuple[float | None, str | None]] = {}
    for metric in metrics:
        try:
            found[metric.name] = metric(columns), None
        except Undefined as why:
            found[metric.name] = None, str(why)
    return found

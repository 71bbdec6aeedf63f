"""What a comparison of two submissions holds. No behaviour beyond its words and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from suite.changes import Flips, Recovery
from suite.harm import Harm
from suite.paired import Difference
from suite.record import Measurement
from suite.sides import Side

ALPHA = 0.05


@dataclass(frozen=True)
class Row:
    """One metric of one task, b against a.

    Attributes:
        metric: its name.
        unit: as records spell it.
        higher_is_better: direction.
        a: value and interval of the first.
        b: of the second.
        difference: b minus a.
        test: which test gave `p`; ``None`` without one.
        p: two-sided p-value of "no difference".
        p_holm: the same after Holm over the tasks' primary metrics; ``None`` for other metrics.
        detectable: smallest true difference that these items find with power 80 %.
        n_needed: items that would decide, if the difference is the one seen; ``None`` where it is decided or no number
            would.
    """

    metric: str
    unit: str
    higher_is_better: bool | None
    a: Measurement | None
    b: Measurement | None
    difference: Difference
    test: str | None = None
    p: float | None = None
    p_holm: float | None = None
    detectable: float | None = None
    n_needed: int | None = None

    @property
    def verdict(self) -> str:
        """Better, worse, or no difference shown, at 5 % after Holm where it applies."""
        p = self.p if self.p_holm is None else self.p_holm
        if self.difference.value is None:
            return "no comparison"
        if p is None:
            return "not tested"
        if p > ALPHA or self.difference.value == 0 or self.higher_is_better is None:
            return "no difference shown" if p > ALPHA or self.difference.value == 0 else "different"
        return "better" if (self.difference.value > 0) == self.higher_is_better else "worse"

    def summary(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        sides = {side: None if m is None else m.model_dump(mode="json") for side, m in (("a", self.a), ("b", self.b))}
        return {**asdict(replace(self, a=None, b=None)), **sides, "verdict": self.verdict}


@dataclass(frozen=True)
class TaskComparison:
    """One task, b against a.

    Attributes:
        task: its name.
        primary: the metric to rank on; ``None`` where the task is not known here.
        rows: the metrics asked for, the primary first.
        paired: whether items were compared one by one.
        n: items.
        flips: what became of each answer; ``None`` where answers are not right or wrong.
        recovery: how much of a's primary value is left.
        costs: bytes, speed, memory: name -> (a, b, why they do not compare).
        notes: what a reader must know.
        harm: what changed for groups, where that was asked for and the task declares groups.
    """

    task: str
    primary: str | None
    rows: tuple[Row, ...]
    paired: bool
    n: int
    flips: Flips | None
    recovery: Recovery | None
    costs: Mapping[str, tuple[Measurement | None, Measurement | None, str | None]]
    notes: tuple[str, ...] = ()
    harm: Harm | None = None

    def summary(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        costs = {
            name: {"a": a.value if a else None, "b": b.value if b else None, "reason": why}
            for name, (a, b, why) in self.costs.items()
        }
        return {
            **{"task": self.task, "primary": self.primary, "paired": self.paired, "n": self.n},
            "metrics": [row.summary() for row in self.rows],
            "flips": self.flips.summary() if self.flips else None,
            "recovery": asdict(self.recovery) if self.recovery else None,
            "costs": costs,
            "harm": self.harm.summary() if self.harm else None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Comparison:
    """Two submissions.

    Attributes:
        a: what is compared with.
        b: what is judged.
        tasks: one for each task that both have.
        left_out: task -> why it cannot be compared.
    """

    a: Side
    b: Side
    tasks: tuple[TaskComparison, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

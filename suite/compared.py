"""What a comparison of two submissions holds. No behaviour beyond its words and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from suite import significance
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
        se: standard error of the difference.
        level: two-sided, at which a difference would be shown: 5 %, or what Holm leaves of it.
        few: why no verdict is drawn: too few items.
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
    se: float | None = None
    level: float = ALPHA
    few: str | None = None

    @property
    def testable(self) -> bool:
        """Whether it counts among those that Holm corrects for."""
        return self.p is not None and self.few is None

    @property
    def detectable(self) -> float | None:
        """Smallest true difference that these items find with power 80 %, at `level`."""
        return significance.detectable(self.se, self.level) if self.se else None

    @property
    def n_needed(self) -> int | None:
        """Items that would decide with power 80 %, if the difference is the one seen; None where it is decided or no
        number would.
        """  # noqa: D205 - one sentence
        d, p = self.difference, self.p if self.p_holm is None else self.p_holm
        if p is None or p <= ALPHA or not self.se or not d.value or not d.n:
            return None
        wanted = significance.needed(d.n, self.se, d.value, self.level)
        return wanted if wanted is None else max(wanted, d.n + 1)  # an exact test may ask for more than its error says

    @property
    def verdict(self) -> str:
        """Better, worse, or no difference shown, at 5 % after Holm where it applies."""
        p = self.p if self.p_holm is None else self.p_holm
        if self.difference.value is None:
            return "no comparison"
        if self.few is not None:
            return "undecided"
        if p is None:
            return "not tested"
        if p > ALPHA or self.difference.value == 0 or self.higher_is_better is None:
            return "no difference shown" if p > ALPHA or self.difference.value == 0 else "different"
        return "better" if (self.difference.value > 0) == self.higher_is_better else "worse"

    @property
    def said(self) -> str:
        """The verdict with why there is none, or how many items would decide."""
        why = self.difference.reason or self.few
        if why:
            return f"{self.verdict}: {why}"
        return self.verdict if self.n_needed is None else f"{self.verdict} (n = {self.n_needed:,} would decide)"

    def summary(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        sides = {side: None if m is None else m.model_dump(mode="json") for side, m in (("a", self.a), ("b", self.b))}
        derived = {"detectable": self.detectable, "n_needed": self.n_needed, "verdict": self.verdict}
        return {**asdict(replace(self, a=None, b=None)), **sides, **derived}


@dataclass(frozen=True)
class TaskComparison:
    """One task, b against a.

    Attributes:
        task: its name.
        primary: the metric to rank on; of a task that is not known here, the first score of its record.
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

    @property
    def first(self) -> Row | None:
        """The row of the primary metric."""
        return self.rows[0] if self.rows and self.rows[0].metric == self.primary else None

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

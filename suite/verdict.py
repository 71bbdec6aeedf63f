"""Verdict: regressed, non-inferior or inconclusive, from the evidence of a change against a margin.

Changes are turned so that more is better (gain = -change where lower is better):

    regressed      p_below(-margin) <= alpha / 2, Holm within its family   its whole interval is beyond the margin
    non-inferior   p_above(-margin) <= alpha                               its one-sided bound is within the margin
    inconclusive   neither; says how many items would decide

Error rates. The primaries are one family of Holm, the other metrics a second one, each at alpha / 2: a candidate that
is nowhere worse than its margins is called regressed, anywhere, with a probability of at most alpha; secondary metrics
cost the primaries no power. To pass, all primaries must be non-inferior: an intersection-union test, which needs no
correction, so a candidate that is worse than a primary's margin passes with a probability of at most alpha.
Source: Holm 1979; Berger 1982 (intersection-union tests).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from suite import significance
from suite.evidence import Evidence
from suite.paired import Difference, Estimate
from suite.record import Measurement

FEW_ITEMS = 20


class Outcome(StrEnum):
    """What a gate says of a metric; a gate as a whole says the worst of them."""

    REGRESSED = "regressed"
    INCOMPARABLE = "incomparable"
    INCONCLUSIVE = "inconclusive"
    NON_INFERIOR = "non-inferior"


EXIT_CODES = {Outcome.REGRESSED: 1, Outcome.INCOMPARABLE: 4, Outcome.INCONCLUSIVE: 3, Outcome.NON_INFERIOR: 0}


@dataclass(frozen=True)
class Verdict:
    """One gated number.

    Attributes:
        task: its task; ``*`` for what belongs to no task.
        metric: its name.
        primary: it must be shown to be within its margin.
        outcome: the verdict.
        margin: what may be lost, in the metric's own unit; ``None`` where it could not be had.
        margin_given: as the policy spells it.
        higher_is_better: direction.
        unit: the metric's.
        a: the baseline's value.
        b: the candidate's.
        difference: candidate minus baseline.
        p_regressed: of "it is not worse than the margin", after Holm.
        p_non_inferior: of "it is worse than the margin".
        n_needed: items that would decide if the change is the one seen; of an inconclusive one.
        reason: why there is no verdict, or what speaks against it.
        findings: what was found, of claims.
    """

    task: str
    metric: str
    primary: bool
    outcome: Outcome
    margin: float | None
    margin_given: str
    higher_is_better: bool | None
    unit: str = ""
    a: Measurement | None = None
    b: Measurement | None = None
    difference: Difference | None = None
    p_regressed: float | None = None
    p_non_inferior: float | None = None
    n_needed: int | None = None
    reason: str | None = None
    findings: tuple[str, ...] = ()

    @property
    def decides(self) -> bool:
        """Whether it keeps the gate from passing."""
        return self.outcome in (Outcome.REGRESSED, Outcome.INCOMPARABLE) or (
            self.outcome is Outcome.INCONCLUSIVE and self.primary
        )

    def summary(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        d = self.difference
        return {
            **{"task": self.task, "metric": self.metric, "primary": self.primary, "verdict": str(self.outcome)},
            **{"margin": self.margin, "margin_given": self.margin_given, "unit": self.unit},
            "higher_is_better": self.higher_is_better,
            "baseline": self.a.value if self.a else None,
            "candidate": self.b.value if self.b else None,
            **{name: getattr(d, name, None) for name in ("value", "low", "high", "method", "n", "n_clusters")},
            **{"p_regressed": self.p_regressed, "p_non_inferior": self.p_non_inferior, "n_needed": self.n_needed},
            **{"reason": self.reason, "findings": list(self.findings)},
        }


@dataclass(frozen=True)
class Question:
    """A gated number before it is judged.

    Attributes:
        verdict: everything but the judgement.
        estimate: the change.
    """

    verdict: Verdict
    estimate: Estimate | None

    @property
    def gain(self) -> Evidence | None:
        """The evidence, turned so that more is better."""
        evidence = self.estimate.evidence if self.estimate else None
        if evidence is None or self.verdict.higher_is_better is None or self.verdict.margin is None:
            return None
        return evidence if self.verdict.higher_is_better else evidence.negated()


def judge(questions: Sequence[Question], alpha: float) -> list[Verdict]:
    """The verdict on each, in the order given."""
    raw = [_p_regressed(question) for question in questions]
    adjusted: list[float | None] = [None] * len(raw)
    for family in (True, False):
        places = [i for i, q in enumerate(questions) if q.verdict.primary is family and raw[i] is not None]
        for i, p in zip(places, significance.holm([p for i in places if (p := raw[i]) is not None]), strict=True):
            adjusted[i] = p
    return [_judged(question, p, alpha) for question, p in zip(questions, adjusted, strict=True)]


def overall(verdicts: Sequence[Verdict]) -> Outcome:
    """The gate's verdict: the worst that decides."""
    deciding = {verdict.outcome for verdict in verdicts if verdict.decides}
    return next((outcome for outcome in Outcome if outcome in deciding), Outcome.NON_INFERIOR)


def _p_regressed(question: Question) -> float | None:
    gain, margin = question.gain, question.verdict.margin
    if gain is None or margin is None or question.verdict.reason or _too_few(question):
        return None
    return gain.p_below(-margin)


def _judged(question: Question, p_regressed: float | None, alpha: float) -> Verdict:
    verdict, gain = question.verdict, question.gain
    if verdict.reason or verdict.findings:
        return verdict
    if p_regressed is None or gain is None or verdict.margin is None:
        d = verdict.difference
        why = (d.reason if d else None) or _too_few(question) or "no interval"
        missing = d is None or d.value is None
        return replace(verdict, outcome=Outcome.INCOMPARABLE if missing else Outcome.INCONCLUSIVE, reason=why)
    p_within = gain.p_above(-verdict.margin)
    judged = replace(verdict, p_regressed=p_regressed, p_non_inferior=p_within)
    if p_regressed <= alpha / 2:
        return replace(judged, outcome=Outcome.REGRESSED)
    if p_within <= alpha:
        return replace(judged, outcome=Outcome.NON_INFERIOR)
    assert verdict.difference is not None
    assert verdict.difference.value is not None
    seen = verdict.difference.value if verdict.higher_is_better else -verdict.difference.value
    wanted = significance.needed(verdict.difference.n, gain.se(), seen + verdict.margin)
    return replace(judged, outcome=Outcome.INCONCLUSIVE, n_needed=wanted)


def _too_few(question: Question) -> str | None:
    """Why so few items decide nothing; numbers without items are another matter."""
    d = question.estimate.difference if question.estimate else None
    if d is None or d.method in ("exact", "none") or d.n >= FEW_ITEMS:
        return None
    return f"{d.n} items are too few to decide (at least {FEW_ITEMS})"

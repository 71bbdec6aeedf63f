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
FEW_CLUSTERS = 10


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
        level: one-sided level of the verdict that the change points to: alpha for non-inferior, alpha / 2 over what
            Holm has left for regressed; of an inconclusive one.
        family: how many metrics share alpha / 2 with it.
        n_needed: items that would decide at that level with power 80 % if the change is the one seen; of an
            inconclusive one, ``None`` where it lies right on the margin.
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
    level: float | None = None
    family: int | None = None
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
            **{"p_regressed": self.p_regressed, "p_non_inferior": self.p_non_inferior},
            **{"level": self.level, "family": self.family, "n_needed": self.n_needed},
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
    blank = _Beside(None, None, alpha / 2, 0)
    beside = [blank] * len(raw)
    for primary in (True, False):
        places = [i for i, q in enumerate(questions) if q.verdict.primary is primary and raw[i] is not None]
        found = [p for i in places if (p := raw[i]) is not None]
        level = significance.next_level(found, alpha / 2)
        for i, p, adjusted in zip(places, found, significance.holm(found), strict=True):
            beside[i] = _Beside(p, adjusted, level, len(found))
    return [_judged(question, one, alpha) for question, one in zip(questions, beside, strict=True)]


def overall(verdicts: Sequence[Verdict]) -> Outcome:
    """The gate's verdict: the worst that decides."""
    deciding = {verdict.outcome for verdict in verdicts if verdict.decides}
    return next((outcome for outcome in Outcome if outcome in deciding), Outcome.NON_INFERIOR)


def _p_regressed(question: Question) -> float | None:
    gain, margin = question.gain, question.verdict.margin
    if gain is None or margin is None or question.verdict.reason or _too_few(question):
        return None
    return gain.p_below(-margin)


@dataclass(frozen=True)
class _Beside:
    """What the other metrics of its family make of one: p of "not worse than the margin", alone and after Holm."""

    p: float | None
    p_holm: float | None
    level: float
    family: int


def _judged(question: Question, beside: _Beside, alpha: float) -> Verdict:
    verdict, gain = question.verdict, question.gain
    if verdict.reason or verdict.findings:
        return verdict
    if beside.p is None or beside.p_holm is None or gain is None or verdict.margin is None:
        d = verdict.difference
        why = (d.reason if d else None) or _too_few(question) or "no interval"
        missing = d is None or d.value is None
        return replace(verdict, outcome=Outcome.INCOMPARABLE if missing else Outcome.INCONCLUSIVE, reason=why)
    p_within = gain.p_above(-verdict.margin)
    judged = replace(verdict, p_regressed=beside.p_holm, p_non_inferior=p_within)
    if beside.p_holm <= alpha / 2:
        return replace(judged, outcome=Outcome.REGRESSED)
    if p_within <= alpha:
        return replace(judged, outcome=Outcome.NON_INFERIOR)
    assert verdict.difference is not None
    # more items would show what the change points to, at the level at which that verdict is drawn
    p, level, family = (p_within, alpha, 1) if p_within < beside.p else (beside.p, beside.level, beside.family)
    wanted = significance.decides(verdict.difference.n, p, level)
    return replace(judged, outcome=Outcome.INCONCLUSIVE, level=level, family=family, n_needed=wanted)


def _too_few(question: Question) -> str | None:
    """Why so few items decide nothing; numbers without items are another matter."""
    d = question.estimate.difference if question.estimate else None
    return few(d) if d else None


def few(d: Difference) -> str | None:
    """Why a change of so few items decides nothing; an imported one of 0 does not say how many it is of."""
    if d.method in ("exact", "none") or d.n >= FEW_ITEMS or not d.n:
        return None
    return f"{d.n} items are too few to decide (at least {FEW_ITEMS})"

"""Questions: an entry of a policy and a pair of records -> what is to be judged, before it is judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from suite import timings
from suite.errors import IncomparableError, InputError
from suite.pairing import Pair
from suite.policy import ANY_TASK, CLAIMS, Gated
from suite.record import Measurement
from suite.sides import Side
from suite.stats import t_quantile
from suite.verdict import Outcome, Question, Verdict


def of(gated: Gated, pairs: Mapping[str, Pair | str], candidate: Side, baseline: Side) -> Iterable[Question]:
    """The questions of an entry: one for its task; for ``*`` one for each task that has such a number."""
    if gated.name == CLAIMS:
        return [claims(gated, candidate, baseline)]
    if gated.task != ANY_TASK:
        return [question(gated, gated.task, pairs[gated.task])] if gated.task in pairs else []
    found = [question(gated, task, pair) for task, pair in pairs.items() if _has(pair, gated.name)]
    return _distinct(found) or [question(gated, task, pair) for task, pair in list(pairs.items())[:1]]


def question(gated: Gated, task: str, pair: Pair | str) -> Question:
    """The question of one task; `pair`: the records, or why they cannot be compared."""
    given = f"{gated.margin:g} {gated.unit}" if gated.margin else "0"
    blank = Verdict(task, gated.name, gated.primary, Outcome.INCOMPARABLE, None, given, None)
    if isinstance(pair, str):
        return Question(replace(blank, reason=pair), None)
    a = timings.baseline_value(pair.parent.record, pair.child.record, gated.name)
    b = pair.child.record.measurement(gated.name)
    shown = b or a
    if shown is None:
        return Question(replace(blank, reason=f"neither side has {gated.name}"), None)
    blank = replace(blank, a=a, b=b, unit=shown.unit, higher_is_better=shown.higher_is_better)
    if shown.higher_is_better is None:
        raise InputError(f"{gated.name} cannot be gated: neither more nor less of it is better")
    try:
        estimate = pair.estimates([gated.name])[gated.name]
    except IncomparableError as error:
        return Question(replace(blank, reason=str(error)), None)
    allowed, why = margin(gated, a)
    verdict = replace(blank, difference=estimate.difference, margin=allowed)
    if why and estimate.difference.value is not None:
        verdict = replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=why)
    return Question(verdict, estimate)


def margin(gated: Gated, baseline: Measurement | None) -> tuple[float | None, str | None]:
    """The margin in the metric's own unit, or why there is none."""
    if gated.unit == "absolute" or gated.margin == 0:
        return gated.margin, None
    if baseline is None or baseline.value is None:
        return None, "the baseline has no value that the margin could be taken of"
    if gated.unit == "relative":
        return gated.margin * abs(baseline.value), None
    if baseline.low is None or baseline.high is None or baseline.high <= baseline.low:
        return None, "the baseline has no interval, so no standard error; give the margin as absolute or relative"
    return gated.margin * (baseline.high - baseline.low) / (2 * t_quantile(float("inf"))), None


def claims(gated: Gated, candidate: Side, baseline: Side) -> Question:
    """Claims of the candidate's manifest that its files contradict."""
    from suite.check import check

    found: list[str] = []
    manifests = {one.record.manifest.fingerprint(): one.record.manifest for one in candidate.records.values()}
    weights = {one.record.manifest.sha256 for one in baseline.records.values()}
    for manifest in manifests.values():
        if manifest.compression is not None and manifest.sha256 in weights and candidate.name != baseline.name:
            found.append(f"it claims {manifest.compression.method}, but its weights are the baseline's (equal sha256)")
    if candidate.submission is not None and not found:
        checked = check(candidate.submission, candidate.submission.manifest.tasks)
        found += [*checked.problems, *checked.mismatches]
    recorded = [m for one in candidate.records.values() if (m := one.record.measurement(CLAIMS)) and m.value]
    if recorded and not found:
        found.append(recorded[0].reason or f"its record counts {recorded[0].value:g}")
    outcome = Outcome.REGRESSED if len(found) > gated.margin else Outcome.NON_INFERIOR
    counted = Measurement(name=CLAIMS, value=float(len(found)), unit="", higher_is_better=False, n=1)
    verdict = Verdict(ANY_TASK, CLAIMS, gated.primary, outcome, gated.margin, f"{gated.margin:g}", False, b=counted)
    known = candidate.submission is not None or bool(recorded)
    note = None if known or found else "the candidate's files are not here: only its digest was compared"
    return Question(replace(verdict, findings=tuple(found), reason=note or (None if found else "no mismatch")), None)


def _has(pair: Pair | str, name: str) -> bool:
    if not isinstance(pair, Pair) or pair.child.record.measurement(name) is None:
        return False
    return not pair.timed or timings.baseline_value(pair.parent.record, pair.child.record, name) is not None


def _distinct(questions: Sequence[Question]) -> list[Question]:
    """Without repetitions of one number: a file has the same bytes on every task."""
    kept: dict[Any, Question] = {}
    for question in questions:
        v = question.verdict
        values = (v.metric, v.a.value if v.a else None, v.b.value if v.b else None)
        kept.setdefault(values, question)
    return list(kept.values())

"""Gate: a policy, a candidate and a baseline -> verdicts and an exit code. Reads records; loads no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite import comparison, pairing, questions, stopping, timings
from suite.errors import IncomparableError, InputError
from suite.notes import shared
from suite.pairing import Pair
from suite.policy import ANY_TASK, Policy, check_names
from suite.sides import Side
from suite.store import Stored
from suite.task import AnyTask
from suite.verdict import EXIT_CODES, FEW_CLUSTERS, FEW_ITEMS, Outcome, Question, Verdict, judge, overall


@dataclass(frozen=True)
class Gate:
    """What a gate found.

    Attributes:
        candidate: what was judged.
        baseline: what it was compared with.
        alpha: of the policy.
        verdicts: in the policy's order.
        notes: what a reader must know.
    """

    candidate: str
    baseline: str
    alpha: float
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """Of the whole gate."""
        return overall(self.verdicts)

    @property
    def exit_code(self) -> int:
        """0 passed, 1 regressed, 3 inconclusive, 4 incomparable."""
        return EXIT_CODES[self.outcome]

    def summary(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            **{"candidate": self.candidate, "baseline": self.baseline, "alpha": self.alpha},
            **{"verdict": str(self.outcome), "passed": self.exit_code == 0, "exit_code": self.exit_code},
            "verdicts": [verdict.summary() for verdict in self.verdicts],
            "notes": list(self.notes),
        }


def gate(candidate: Side, baseline: Side, policy: Policy, tasks: Mapping[str, AnyTask], limited: bool = False) -> Gate:
    """Judge every metric of the policy.

    Args:
        candidate: what may ship or not.
        baseline: what it is compared with.
        policy: what it may lose.
        tasks: the known tasks.
        limited: whether records of limited runs may decide.

    Raises:
        InputError: an unknown task or metric, no record of a gated task, a limited record, a task without primary
            metric, or a candidate that is its own baseline.
    """
    check_names(policy, known_names([candidate, baseline], tasks))
    wanted, other = _tasks(policy, candidate, baseline, tasks)
    pairs = {name: _paired(candidate, baseline, name, tasks, limited) for name in wanted}
    asked = [question for gated in policy.metric for question in questions.of(gated, pairs, candidate, baseline)]
    _check_primaries(asked, pairs)
    verdicts = judge(asked, policy.alpha)
    passed_over = [f"passed over, for other kinds of models: {', '.join(other)}"] if other else []
    notes = (*_notes(pairs, candidate, baseline), *passed_over)
    return Gate(candidate.name, baseline.where, policy.alpha, tuple(verdicts), notes)


def _tasks(
    policy: Policy, candidate: Side, baseline: Side, tasks: Mapping[str, AnyTask]
) -> tuple[list[str], list[str]]:
    """The tasks that are gated by name, and for ``*`` those that both have; and those for other kinds of models."""
    named = list(dict.fromkeys(gated.task for gated in policy.metric if gated.task != ANY_TASK))
    kinds = {one.record.manifest.kind for one in candidate.records.values()}
    elsewhere = {name: tasks.get(name) for name in named if name not in candidate.records}
    other = [name for name, task in elsewhere.items() if task is not None and task.kind not in kinds]
    if named and len(other) == len(named):
        raise InputError(f"the policy gates {', '.join(named)}: no task for a {'/'.join(sorted(kinds))} model")
    both = sorted({*candidate.records} & {*baseline.records})
    if not both and not any(_untimed(candidate, baseline, name, tasks) for name in named):
        have = [f"{side.name} has {', '.join(sorted(side.records))}" for side in (candidate, baseline)]
        raise IncomparableError(f"no task was scored for both: {'; '.join(have)}; hallmark run scores what is missing")
    anywhere = any(gated.task == ANY_TASK for gated in policy.metric)
    mine = [name for name in named if name not in other]
    return list(dict.fromkeys([*mine, *(both if anywhere else [])])), other


def _whole(side: Side, task: str) -> str:
    """How to come to a record of all items."""
    if side.records[task].record.source == "imported":
        return "evaluate it whole and import that"
    return f"run it whole: hallmark run {side.typed} -t {task}"


def _paired(candidate: Side, baseline: Side, task: str, tasks: Mapping[str, AnyTask], limited: bool) -> Pair | str:
    """The pair of a task, or why it cannot be compared."""
    parent = _untimed(candidate, baseline, task, tasks)
    for side in (candidate, *([] if parent else [baseline])):
        if task not in side.records:
            raise InputError(f"{side.name} has no record of {task}; make it: hallmark run {side.typed} -t {task}")
        limit = side.records[task].record.limit
        used = stopping.used(side.records[task].record)
        if used and not limited:
            raise InputError(
                f"{side.name} on {task} was {used}: the verdict is the one that this run printed (the same command "
                f"prints it again); to judge it by all items: hallmark run {side.typed} -t {task}"
            )
        if limit is not None and not limited:
            raise InputError(
                f"{side.name} on {task} is a limited run (--limit {limit}), which decides nothing; "
                f"{_whole(side, task)}, or say --limited"
            )
    a, b = parent or baseline.records[task], candidate.records[task]
    if a.record == b.record:
        raise InputError(
            f"{candidate.name} is its own baseline: both records of {task} are {b.path.name}; "
            "name another baseline, or run it again (hallmark run --again) into another folder"
        )
    try:
        return pairing.find(a, b, tasks)
    except IncomparableError as error:
        return str(error)


def _untimed(candidate: Side, baseline: Side, task: str, tasks: Mapping[str, AnyTask]) -> Stored | None:
    """The baseline where it needs no record of its own: the parent that the candidate was timed beside."""
    if task in baseline.records or task not in candidate.records or task not in tasks or not tasks[task].timed:
        return None
    found = (timings.untimed(stored, candidate.records[task]) for stored in baseline.records.values())
    return next((one for one in found if one is not None), None)


def known_names(both: Sequence[Side], tasks: Mapping[str, AnyTask]) -> dict[str, set[str]]:
    """Task -> every metric and reading that could be gated between these sides."""
    found = {name: {metric.name for metric in task.metrics} for name, task in tasks.items()}
    readings: set[str] = set()
    for side in both:
        for task, stored in side.records.items():
            names = {m.name for m in stored.record.measurements}
            found.setdefault(task, set()).update(names)
            readings |= {m.name for m in stored.record.measurements if m.n_clusters is None}
    return {task: names | readings for task, names in found.items()}


def _check_primaries(questions: Sequence[Question], pairs: Mapping[str, Pair | str]) -> None:
    """A task whose scores are gated needs one primary metric, declared beforehand."""
    for task, pair in pairs.items():
        if isinstance(pair, str):
            continue
        scores = [q.verdict for q in questions if q.verdict.task == task and pair.is_score(q.verdict.metric)]
        if scores and not any(verdict.primary for verdict in scores):
            raise InputError(
                f"task {task!r} gates {', '.join(v.metric for v in scores)} and none is primary; "
                "mark the one that must be shown to hold: primary = true"
            )


def _notes(pairs: Mapping[str, Pair | str], candidate: Side, baseline: Side) -> list[str]:
    said: list[tuple[str, str]] = []
    twice = []
    for task, pair in pairs.items():
        if isinstance(pair, str):
            continue
        record = pair.child.record
        first = next((m.name for m in record.measurements if pair.is_score(m.name)), None)
        primary = pair.task.primary if pair.task else first
        m = record.measurement(primary or "")
        n, clusters = (m.n, m.n_clusters or m.n) if m else (FEW_ITEMS, FEW_CLUSTERS)
        said += [(task, line) for line in comparison.warnings(pair, n, clusters)]
        for side in (candidate, baseline) if not pair.timed else ():  # no two timings are the same
            twice += pairing.nondeterminism(side.records[task], side.twice.get(task, ()), primary)
    return [*shared(said), *twice]

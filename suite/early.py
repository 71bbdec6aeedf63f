"""Early: a run that stops as soon as a policy is decided, and the gate that it comes to.

The baseline was scored on all items before; the candidate is scored on as few as `suite.stopping` allows. What has no
sampling error (bytes, claims) is judged by value, as `hallmark gate` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from suite import questions, sides, stopping, timings, verdict
from suite.errors import InputError
from suite.gate import Gate, known_names
from suite.pairing import Pair
from suite.policy import ANY_TASK, CLAIMS, Gated, Policy, check_names
from suite.sides import Side
from suite.stopping import Rule
from suite.store import Stored
from suite.submission import Submission
from suite.task import AnyTask
from suite.unit import Unit
from suite.watch import replay


@dataclass(frozen=True)
class Early:
    """A candidate, what it is compared with, and what it may lose.

    Attributes:
        candidate: what is scored.
        baseline: its records are of whole tasks.
        policy: what may be lost.
    """

    candidate: Submission
    baseline: Side
    policy: Policy

    def tasks(self, tasks: Mapping[str, AnyTask]) -> list[str]:
        """The tasks that the policy names and that take a model of this kind.

        Raises:
            InputError: there is none.
        """
        kind = self.candidate.manifest.kind
        named = dict.fromkeys(gated.task for gated in self.policy.metric if gated.task != ANY_TASK)
        mine = [name for name in named if name not in tasks or tasks[name].kind == kind]
        if not mine:
            raise InputError(f"the policy names no task for a {kind} model; name one: -t TASK, or in the policy")
        return mine

    def units(self, work: Sequence[Unit], tasks: Mapping[str, AnyTask]) -> list[Unit]:
        """The same units, each with its rule.

        Raises:
            InputError: the policy does not fit, or the baseline's record of a task is missing or cannot decide.
        """
        check_names(self.policy, known_names([self.baseline], tasks))
        ruled = [replace(unit, rule=self._rule(unit)) for unit in work]
        for unit in ruled:
            assert unit.rule is not None
            unit.rule.gauges  # noqa: B018 - refuses what cannot be judged before anything runs
        return ruled

    def _rule(self, unit: Unit) -> Rule:
        task = unit.task
        if task.timed:
            raise InputError(f"task {task.name!r} times a model: nothing of it is decided early; leave it out")
        if unit.options.limit is not None:
            raise InputError("--limit and --until-decided exclude each other: how many items are used is decided")
        name, again = self.baseline.name, f"hallmark run {self.baseline.typed or self.baseline.name} -t {task.name}"
        stored = self.baseline.records.get(task.name)
        if stored is None:
            raise InputError(f"the baseline {name} has no record of {task.name}; make it: {again}")
        if stored.record.limit is not None:
            raise InputError(f"the baseline {name} on {task.name} is a limited run; run it whole: {again}")
        if stored.record.outcomes_sha256 is None or not stored.outcomes_path.exists():
            raise InputError(
                f"the baseline {name} keeps no outcomes of {task.name}, which an early decision needs item by item; "
                f"make them: {again}"
            )
        rule = Rule(stored, task, self.policy, unit.options.seed)
        parent = unit.parent.submission.manifest.sha256 if unit.parent else None
        mine = {"task_version": task.version, "data_sha256": task.data_sha256(), "parent_sha256": parent}
        other = rule.misfit(mine)
        if other:
            raise InputError(f"{name} on {task.name}: {other}")
        return rule

    def gate(self, units: Sequence[Unit], stored: Sequence[Stored]) -> Gate:
        """The verdicts of finished units."""
        rules = [unit.rule for unit in units if unit.rule is not None]
        found = [one for rule, record in zip(rules, stored, strict=True) for one in replay(rule, record)]
        pairs: dict[str, Pair | str] = {
            rule.task.name: Pair(rule.baseline, record, rule.task) for rule, record in zip(rules, stored, strict=True)
        }
        mine = Side(
            self.candidate.manifest.name,
            str(self.candidate.folder),
            {record.record.task: record for record in stored},
            {},
            self.candidate,
        )
        scores = {gauge.gated for rule in rules for gauge in rule.gauges}
        rest = [gated for gated in self.policy.metric if gated not in scores]
        judged = [gated for gated in rest if self._by_value(gated, stored)]
        asked = [one for gated in judged for one in questions.of(gated, pairs, mine, self.baseline)]
        found += verdict.judge(asked, self.policy.alpha)
        left = [
            f"{gated.name}{'' if gated.task == ANY_TASK else f' of {gated.task}'}"
            for gated in rest
            if gated not in judged
        ]
        notes = [_used(rule, record) for rule, record in zip(rules, stored, strict=True)]
        if left:
            notes.append(f"not judged by this run: {', '.join(left)}; hallmark gate judges records of whole runs")
        return Gate(mine.name, self.baseline.where, self.policy.alpha, tuple(found), tuple(notes))

    def _by_value(self, gated: Gated, stored: Sequence[Stored]) -> bool:
        """Whether these records tell: a stopped run says nothing of the time and memory of a whole one."""
        if gated.name == CLAIMS:
            return True
        mine = [one for one in stored if gated.task in (ANY_TASK, one.record.task)]
        found = [(one, m) for one in mine if (m := one.record.measurement(gated.name)) is not None]
        return bool(found) and not any(timings.of_machine(m) and one.record.limit is not None for one, m in found)


def early(candidate: Submission, given: str | None, policy: Policy, results: Path) -> Early:
    """What is compared with what.

    Args:
        candidate: what is scored.
        given: the baseline; ``None``: the policy's, else the candidate's parent.
        policy: what may be lost.
        results: the folder of records.

    Raises:
        InputError: no baseline, no records of it, or the candidate itself.
    """
    name = given or policy.baseline
    if name is None:
        parent = candidate.parent()
        if parent is None:
            raise InputError(f"{candidate.name} has no parent to be compared with; name one: --baseline NAME")
        name = str(parent.folder)
    mine = Side(candidate.name, str(candidate.folder), {}, {}, candidate)
    baseline = sides.find(name, results, mine)
    if baseline.submission is not None and baseline.submission.folder.resolve() == candidate.folder.resolve():
        raise InputError(f"{candidate.name} is its own baseline; name another one: --baseline NAME")
    return Early(candidate, baseline, policy)


def slow(units: Sequence[Unit]) -> list[str]:
    """What needs all items, one line a task."""
    lines = []
    for unit in units:
        names = [g.metric.name for g in unit.rule.gauges if not stopping.early(g.metric)] if unit.rule else []
        if names:
            lines.append(
                f"{unit.task.name}: {', '.join(names)}: no mean over items, so not decided before all are scored; "
                "without it in the policy the run may stop earlier"
            )
    return lines


def _used(rule: Rule, stored: Stored) -> str:
    n, used = rule.looks[-1], stored.record.limit or rule.looks[-1]
    spared = f", {1 - used / n:.0%} spared" if used < n else ""
    return f"{rule.task.name}: {used:,} of {n:,} items used{spared}; bounds hold over all looks (group-sequential)"

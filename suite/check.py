"""Static check of a submission, in seconds, without running anything that it brings."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from suite.claims import Files, contradictions
from suite.errors import InputError, Undefined, unknown
from suite.formats.base import Description
from suite.order import base_of, bytes_of, loader_of
from suite.static import Report, report
from suite.static.leaks import Leak, leaks
from suite.static.macs import Macs, macs
from suite.submission import Submission
from suite.unit import Prepared, refusals


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        submission: what was checked.
        problems: reasons to refuse it, one line each.
        mismatches: claims of the manifest that the files contradict, one line each.
        leaks: what the files tell of the machine that made them.
        file_bytes: bytes of all files; None when they were not found.
        description: what the files say; None when they cannot be read.
        report: what the tensors hold, where it was asked for.
        macs: work of one forward pass, or why it cannot be counted; where it was asked for.
    """

    submission: Submission
    problems: tuple[str, ...]
    mismatches: tuple[str, ...] = ()
    leaks: tuple[Leak, ...] = field(default=())
    file_bytes: int | None = None
    description: Description | None = None
    report: Report | None = None
    macs: Macs | str | None = None

    def summary(self) -> dict[str, Any]:
        """As ``hallmark check --json`` prints it."""
        d = self.description
        told = {"static": self.report.summary() | _summary(self.macs)} if self.report else {}
        return {
            "name": self.submission.name,
            "problems": self.problems,
            "claim_mismatches": self.mismatches,
            "leaks": [
                {"file": one.file, "what": one.what, "n": one.count, "example": one.example} for one in self.leaks
            ],
            "bytes": self.file_bytes,
            "dtypes": dict(d.dtypes) if d else None,
            "parameters": d.parameters if d else None,
            **told,
        }


def check(submission: Submission, task_names: Collection[str], static: bool = False) -> Checked:
    """Format, digest, safety, parent, default tasks, claims, leaks: everything, not only the first.

    Args:
        submission: what to check.
        task_names: tasks that exist.
        static: count every tensor as well.
    """
    problems: list[str] = []
    for name in submission.manifest.tasks:
        if name not in task_names:
            problems.append(str(unknown("task", name, task_names)))
    parent = None
    try:
        parent = submission.parent()
    except InputError as error:
        problems.append(str(error))
    try:
        loader = loader_of(submission)
        weights = submission.weights()
        problems += refusals(submission, weights)
        submission.verified_weights()
        if problems:
            return Checked(submission, tuple(problems), file_bytes=bytes_of(submission, weights))
        mine = files_of(submission, weights, loader.describe(weights))
        mismatches = contradictions(mine, described(parent))
        told = leaks(weights, submission.manifest.format, submission.manifest.inputs.ensemble)
        counted, work = _counted(mine) if static else (None, None)
    except InputError as error:
        return Checked(submission, (*problems, str(error)))
    return Checked(
        submission, (), tuple(mismatches), tuple(told), bytes_of(submission, weights), mine.found, counted, work
    )


def _counted(mine: Files) -> tuple[Report, Macs | str]:
    """The stored tensors and the operations, at the same time: those are counted by a process that is waited for."""
    with ThreadPoolExecutor(1) as beside:
        counted = beside.submit(mine.report)
        work = _macs(mine, counted.result)
        return counted.result(), work


def _macs(mine: Files, counted: Callable[[], Report]) -> Macs | str:
    try:
        return macs(mine.manifest, mine.weights, mine.found, counted, mine.base)
    except Undefined as why:
        return str(why)


def _summary(work: Macs | str | None) -> dict[str, Any]:
    if not isinstance(work, Macs):
        return {"macs": None, "effective_macs": None, "macs_reason": work}
    found = {"macs": work.dense, "effective_macs": work.effective, "macs_input": work.input}
    return found | {"macs_uncounted": list(work.uncounted)}


RECORDED = ("onnx", "tflite", "gguf")  # formats whose MACs every record keeps: counted in this process, in no time
_COUNTED: dict[tuple[str, str], Readings] = {}  # one submission is scored on many tasks, and small


@dataclass(frozen=True)
class Readings:
    """What a record keeps of a static check.

    Attributes:
        series: raw samples by name.
        reasons: name of a missing series, or of the probe, to why it is missing.
        notes: claims that the files contradict, one line each.
    """

    series: dict[str, list[float]]
    reasons: dict[str, str]
    notes: tuple[str, ...] = ()


def readings(prepared: Prepared) -> Readings:
    """Count a submission's files and hold its claims against them; a file that cannot be counted says why."""
    key = (str(prepared.weights), prepared.submission.manifest.model_dump_json())  # whose digest was verified
    if key not in _COUNTED:
        _COUNTED[key] = _readings(prepared)
    return _COUNTED[key]


def _readings(prepared: Prepared) -> Readings:
    mine = files_of(prepared.submission, prepared.weights, prepared.description)
    try:
        counted = mine.report()
        wrong = contradictions(mine, described(prepared.submission.parent()))
    except (InputError, OSError) as error:
        return Readings({}, {"static": str(error)})
    work, why_not = _work(mine, counted)
    series = counted.series() | work | {"claim_mismatches": [float(len(wrong))]}
    return Readings(series, counted.reasons() | why_not, tuple(f"claim mismatch: {line}" for line in wrong))


def _work(mine: Files, counted: Report) -> tuple[dict[str, list[float]], dict[str, str]]:
    """MACs as a record keeps them, or why it cannot; a count that leaves some out would be none."""
    names = ("macs", "effective_macs")
    if mine.manifest.format not in RECORDED:
        return {}, dict.fromkeys(names, f"not counted of {mine.manifest.format} while scoring: hallmark check --static")
    found = _macs(mine, lambda: counted)
    if isinstance(found, str):
        return {}, dict.fromkeys(names, found)
    if found.uncounted:
        return {}, dict.fromkeys(names, f"the products of {', '.join(found.uncounted)} are not counted")
    if found.effective is None:
        return {"macs": [float(found.dense)]}, {"effective_macs": "zeros of some weights cannot be told"}
    return {"macs": [float(found.dense)], "effective_macs": [float(found.effective)]}, {}


def files_of(submission: Submission, weights: Path, found: Description) -> Files:
    """A submission's files for `suite.claims`; their tensors are counted at most once."""
    manifest, base = submission.manifest, base_of(submission)
    counts = cache(partial(report, weights, manifest.format, manifest.inputs.ensemble, base))
    return Files(manifest, weights, found, counts, base)


def described(parent: Submission | None) -> Files | None:
    """A parent's files; None if there is none, or they cannot be read here."""
    try:
        if parent is None:
            return None
        weights = parent.weights()
        return files_of(parent, weights, loader_of(parent).describe(weights))
    except InputError:
        return None

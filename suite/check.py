"""Static check of a submission, in seconds, without running anything that it brings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from suite.claims import contradictions
from suite.errors import InputError, unknown
from suite.files import total_bytes
from suite.formats.base import Description
from suite.manifest import Manifest
from suite.submission import Submission
from suite.unit import loader_of, refusals


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        submission: what was checked.
        problems: reasons to refuse it, one line each.
        file_bytes: bytes of all files; None when they were not found.
        description: what the files say; None when they cannot be read.
    """

    submission: Submission
    problems: tuple[str, ...]
    file_bytes: int | None = None
    description: Description | None = None

    def summary(self) -> dict[str, Any]:
        """As ``hallmark check --json`` prints it."""
        d = self.description
        return {
            "name": self.submission.name,
            "problems": self.problems,
            "bytes": self.file_bytes,
            "dtypes": dict(d.dtypes) if d else None,
            "parameters": d.parameters if d else None,
        }


def check(submission: Submission, task_names: Collection[str]) -> Checked:
    """Format, digest, safety, parent, default tasks, claims: every problem, not only the first."""
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
        description = None if problems else loader.describe(weights)
        if description is not None:
            problems += contradictions(submission.manifest, weights, description, _described(parent))
    except InputError as error:
        return Checked(submission, (*problems, str(error)))
    return Checked(submission, tuple(problems), total_bytes(weights), description)


def _described(parent: Submission | None) -> tuple[Manifest, Description] | None:
    """A parent's manifest and what its files hold; None if there is none, or it cannot be read here."""
    try:
        return None if parent is None else (parent.manifest, loader_of(parent).describe(parent.weights()))
    except InputError:
        return None

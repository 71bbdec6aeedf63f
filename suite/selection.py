"""Which tasks a submission is scored on: named ones, a suite's, the manifest's own, or the embedded ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from suite.errors import unknown
from suite.manifest import Manifest
from suite.task import AnyTask

DEFAULT_SUITE = "embedded"


def tasks_for(
    manifest: Manifest,
    names: Sequence[str],
    suite_name: str | None,
    tasks: Mapping[str, AnyTask],
    suites: Mapping[str, tuple[str, ...]],
) -> tuple[list[AnyTask], bool]:
    """The tasks to score a submission on, and whether they were named (so that a misfit is an error).

    Raises:
        InputError: an unknown task or suite.
    """
    if names:
        return [named(name, tasks) for name in names], True
    if suite_name is None and manifest.tasks:
        return [named(name, tasks) for name in manifest.tasks], True
    members = suite_of(suite_name or DEFAULT_SUITE, suites)
    if manifest.kind != "language":  # lm-eval is not even looked for
        members = tuple(name for name in members if not name.startswith("lm-eval:"))
    return [tasks[name] for name in members], False


def suite_of(name: str | None, suites: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names of a suite's tasks; none without a suite.

    Raises:
        InputError: an unknown suite.
    """
    if name is not None and name not in suites:
        raise unknown("suite", name, suites)
    return suites[name] if name is not None else ()


def named(name: str, tasks: Mapping[str, AnyTask]) -> AnyTask:
    """The task of that name.

    Raises:
        InputError: there is none, with the nearest names.
    """
    if name not in tasks:
        raise unknown("task", name, tasks)
    return tasks[name]

"""Many units one after the other: a failed one is told and kept, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from suite.errors import InputError, UnitError
from suite.progress import ProgressBar
from suite.run import run
from suite.store import Store, Stored
from suite.task import AnyTask
from suite.text import in_short, shown
from suite.unit import Unit

Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]  # of a title
Failures = list[dict[str, str]]


def run_all(
    work: Sequence[Unit],
    store: Store,
    tasks: Mapping[str, AnyTask],
    say: Callable[[str], None],
    complain: Callable[[str], None],
    bar: Bar = ProgressBar,
) -> tuple[list[Stored], Failures]:
    """Run every unit; gives the records and, for what failed, submission, task and error.

    Args:
        work: what to run.
        store: where records go.
        tasks: to show differences from the parent.
        say: told of every record, at length if there is only one.
        complain: told of every failure, one line.
        bar: shows how far a unit is.
    """
    stored: list[Stored] = []
    failures: Failures = []
    for unit in work:
        name, task = unit.prepared.submission.name, unit.task.name
        try:
            with ProgressBar(f"{name} on {task}") as progress:
                finished = run(unit, store, progress)
        except (UnitError, InputError) as error:
            failures.append({"submission": name, "task": task, "error": str(error)})
            complain(f"{name} on {task} failed: {' '.join(str(error).split())}")
            continue
        stored.append(finished.stored)
        note = "already scored: " if finished.skipped else ""
        one = shown(finished.stored, store, tasks) if len(work) == 1 and unit.rule is None else None
        say(f"{note}{one or in_short(finished.stored.record, unit.task.primary)}\n{finished.stored.path}")
    return stored, failures

"""Worker of the queue: takes one submission after the other, scores it, and says how it went.

Killed at any moment, it leaves the queue as `suite.queue` can read it; the next worker runs the same entry again, and
`suite.run` goes on where that one was: finished units are skipped, finished batches are read from the journal.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from suite import indexing, rankings
from suite.batch import Bar, run_all
from suite.errors import InfrastructureError, InputError
from suite.progress import ProgressBar
from suite.queue import Entry, Progress, Queue, digest
from suite.selection import tasks_for
from suite.store import Store
from suite.submission import Submission, load
from suite.task import AnyTask
from suite.text import in_short
from suite.unit import Options, Unit, units

POLL_S = 2.0
REPORT_S = 1.0


@dataclass(frozen=True)
class Work:
    """What a worker works with.

    Attributes:
        queue: where it takes work from.
        store: where records go.
        tasks: by name.
        suites: name to the tasks' names.
        options: how units are run.
        suite_name: score on this suite instead of the manifest's own tasks.
        say: told what happens, one line.
        complain: told what went wrong, one line.
    """

    queue: Queue
    store: Store
    tasks: Mapping[str, AnyTask]
    suites: Mapping[str, tuple[str, ...]]
    options: Options = field(default_factory=Options)
    suite_name: str | None = None
    say: Callable[[str], None] = print
    complain: Callable[[str], None] = print


def serve(work: Work, once: bool, rest: Callable[[float], None] = time.sleep) -> list[tuple[Entry, bool]]:
    """Take work until the queue is empty (`once`), else until interrupted; gives the entries and whether they failed.

    Raises:
        InputError: another worker is running.
        InfrastructureError: the disk is full, say; what was running is queued again.
    """
    ended: list[tuple[Entry, bool]] = []
    with work.queue.worker():
        for left in work.queue.recover():
            work.say(f"{left.name}: left by a worker that was stopped; it goes on")
        new = False
        while True:
            entry = work.queue.take()
            if entry is not None:
                ended.append((entry, _attend(work, entry)))
                new = True
                continue
            if new:
                _rank(work)
                new = False
            if once:
                return ended
            rest(POLL_S)


def _attend(work: Work, entry: Entry) -> bool:
    """Score one entry; whether it failed. Stopped, or let down by the machine, it gives the entry back."""
    work.say(f"{entry.name}: taken")
    try:
        scored, failures = _score(work, entry)
    except (KeyboardInterrupt, SystemExit, InfrastructureError):
        work.queue.put_back(entry)
        raise
    except InputError as error:
        scored, failures = [], [_line(str(error))]
    except Exception as error:  # a bug: it must not stop the others' work
        traceback.print_exc()
        scored, failures = [], [_line(f"internal error, please report it: {type(error).__name__}: {error}")]
    indexing.refresh(work.store, work.tasks)
    state = work.queue.finish(entry, scored, failures)
    for line in failures:
        work.complain(f"{entry.name}: {line}")
    work.say(f"{entry.name}: {state}, {len(scored)} scored, {len(failures)} failed")
    return bool(failures)


def _score(work: Work, entry: Entry) -> tuple[list[str], list[str]]:
    planned = _units(work, _submission(work.queue, entry))
    bars = _bars(work.queue, entry, [unit.task.name for unit in planned])
    stored, failures = run_all(planned, work.store, work.tasks, lambda line: None, lambda line: None, bars)
    primary = {unit.task.name: unit.task.primary for unit in planned}
    scored = [in_short(one.record, primary[one.record.task]) for one in stored]
    return scored, [_line(f"on {failed['task']}: {failed['error']}") for failed in failures]


def _submission(queue: Queue, entry: Entry) -> Submission:
    """The submission of an entry, as it was checked.

    Raises:
        InputError: it is gone, or is another one by now.
    """
    found = load(queue.folder(entry.name))
    if digest(found.manifest) != entry.manifest_sha256:
        raise InputError("its manifest has changed since it was checked; submit it again")
    return found


def _units(work: Work, submission: Submission) -> list[Unit]:
    chosen, by_name = tasks_for(submission.manifest, (), work.suite_name, work.tasks, work.suites)
    planned = units([submission], chosen, by_name, work.options, work.complain)
    if not planned:
        raise InputError("no task takes it: name tasks in the manifest (tasks = [...]); see hallmark list tasks")
    return planned


def _bars(queue: Queue, entry: Entry, tasks: list[str]) -> Bar:
    """Progress of each unit in turn: shown in the terminal, and noted for the board at most once a second."""
    left = iter(enumerate(tasks, start=1))

    @contextmanager
    def bar(title: str) -> Iterator[Callable[[int, int], None]]:
        nth, task = next(left)
        noted = time.monotonic()
        queue.report(entry, Progress(task=task, nth=nth, tasks=len(tasks)))

        def note(done: int, total: int) -> None:
            nonlocal noted
            show(done, total)
            if time.monotonic() - noted >= REPORT_S:
                noted = time.monotonic()
                queue.report(entry, Progress(task=task, done=done, total=total, nth=nth, tasks=len(tasks)))

        with ProgressBar(title) as show:
            yield note

    return bar


def _rank(work: Work) -> None:
    """Rank anew the tasks that have new records, for the board."""
    rankings.refresh(work.store, work.tasks, work.say)


def _line(text: str) -> str:
    return " ".join(text.split())

"""Indexing: everything that the board reads, brought up to date step by step, and how far that is.

While it runs, ``<results>/.index/progress.json`` says what is being done; a board shows it, and what is done so far.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from suite import derived_index, index, paired_index, rankings
from suite.disk import disk_errors, write_synced
from suite.index import Told
from suite.progress import ProgressBar
from suite.store import Store
from suite.task import AnyTask

NAME = "progress.json"
OLDEST_S = 900.0
_TOLD_EVERY_S = 0.5
Say = Callable[[str], None]


class Step(NamedTuple):
    """What is being done.

    Attributes:
        what: in words, e.g. "reading records".
        done: things done.
        total: things to do; 0 where that is not known.
    """

    what: str
    done: int
    total: int

    @property
    def words(self) -> str:
        """In a line, e.g. "reading records: 5 of 17"."""
        return f"{self.what}: {self.done:,} of {self.total:,}" if self.total else self.what


class StopIndexingError(Exception):
    """Indexing was asked to stop; what was done so far is kept."""


def read(store: Store) -> Step | None:
    """What a living process does for this index right now; None when it is left alone."""
    file = index.folder(store) / NAME
    try:
        age = time.time() - file.stat().st_mtime
        found = json.loads(file.read_bytes())
        if age > OLDEST_S or not psutil.pid_exists(int(found["pid"])):
            return None
        return Step(str(found["what"]), int(found["done"]), int(found["total"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def rows(store: Store) -> None:
    """Bring the rows up to date, noted for the board; for who does not know the tasks."""
    try:
        with _step(store, "reading records", lambda line: None, lambda: False) as told:
            index.sync(store, told)
    finally:
        (index.folder(store) / NAME).unlink(missing_ok=True)


def refresh(store: Store, tasks: Mapping[str, AnyTask]) -> None:
    """Bring rows, changes and derived figures up to date, as after a run; ranks are left to the board."""
    index.sync(store)
    paired_index.refresh(store, tasks)
    derived_index.refresh(store, tasks)


def everything(
    store: Store, tasks: Mapping[str, AnyTask], say: Say, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Bring all up to date and tell how far it is: to people, and in the index for the board.

    Args:
        store: whose index.
        tasks: by name.
        say: told what takes long, one line each.
        stopped: asked after every step; once it says yes, the work ends.

    Raises:
        StopIndexingError: `stopped` said yes.
        InfrastructureError: the index cannot be written.
    """
    if index.kept_elsewhere(store):
        return
    try:
        with _step(store, "reading records", say, stopped) as told:
            index.sync(store, told)
        with _step(store, "comparing records with their parents'", say, stopped) as told:
            paired_index.refresh(store, tasks, told)
        with _step(store, "weighing quality against cost", say, stopped) as told:
            derived_index.refresh(store, tasks, told)

        def ranking(line: str) -> None:
            say(line)
            _note(store, Step(line, 0, 0))
            if stopped():
                raise StopIndexingError

        rankings.refresh(store, tasks, ranking)
    finally:
        (index.folder(store) / NAME).unlink(missing_ok=True)


@contextmanager
def _step(store: Store, what: str, say: Say, stopped: Callable[[], bool]) -> Iterator[Told]:
    """One step: said once it has something to do, with a bar in a terminal, noted for the board."""
    noted: float | None = None
    with ProgressBar(what) as show:

        def told(done: int, total: int) -> None:
            nonlocal noted
            if noted is None:
                say(f"{what} ({total:,})")
            if noted is None or time.monotonic() - noted > _TOLD_EVERY_S:
                noted = time.monotonic()
                _note(store, Step(what, done, total))
            show(done, total)
            if stopped():
                raise StopIndexingError

        yield told


def _note(store: Store, step: Step) -> None:
    target: Path = index.folder(store) / NAME
    content = json.dumps({**step._asdict(), "pid": os.getpid()}).encode()
    with disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_synced(target, content, sync=False)

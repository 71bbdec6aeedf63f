"""Queue: submissions that wait to be scored, as files under ``<results>/.queue/``. No server, safe against crashes.

    queued/ID.json  running/ID.json  done/ID.json  failed/ID.json   one `Entry`; the folder is its state
    progress/ID.json                                                how far a running one is; may be lost
    submissions/NAME/                                               manifest and files as they were sent
    incoming/                                                       uploads that are being checked

A file is whole or absent. A change of state writes the new file, syncs it, and then removes the old one; an entry that
a crash left in two states is in the later one (queued, running, then done or failed). One worker at a time holds
``worker.lock``, which the system frees when the process ends, however it ends; what is ``running`` when a worker
starts was left by one that was killed and is queued again, `MOST_ATTEMPTS` times at most.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from suite.disk import disk_errors, sync_folder, write_synced
from suite.errors import InputError
from suite.inputs import Strict
from suite.manifest import Manifest, canonical_json

if TYPE_CHECKING:
    from filelock import BaseFileLock

FOLDER = ".queue"
State = Literal["queued", "running", "done", "failed"]
STATES: tuple[State, ...] = ("queued", "running", "done", "failed")
MOST_WAITING = 200
MOST_ATTEMPTS = 10
_STALE_S = 24 * 3600.0  # an upload that is older was left by a crash
_PATIENCE_S = 2.0  # the board asks for the worker's lock for a moment, to see whether it is held


class Entry(Strict):
    """One submission in the queue."""

    schema_version: Literal[1] = 1
    """Version of this file format; 1."""
    id: str
    """Time of submission and a random end; entries are taken in the order of their ids."""
    name: str
    """Name of the submission."""
    manifest_sha256: str
    """`digest` of the manifest that was checked: another one is not run."""
    submitted: str
    """When, ISO 8601 in UTC."""
    started: str | None = None
    """When a worker took it last."""
    ended: str | None = None
    """When it was done or had failed."""
    attempts: int = 0
    """How often a worker took it and did not say how it went."""
    scored: tuple[str, ...] = ()
    """One line a record: submission, task, primary metric with its interval."""
    failures: tuple[str, ...] = ()
    """One line for each task that could not be scored."""


class Progress(Strict):
    """How far a running entry is."""

    task: str
    """Task that is being scored."""
    done: int = 0
    """Items done."""
    total: int = 0
    """Items in all; 0 while the model is loading."""
    nth: int = 1
    """Number of the task among those of this entry, from 1."""
    tasks: int = 1
    """Tasks of this entry."""


class Queue:
    """The queue of one folder of records."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.root = results / FOLDER

    def add(self, manifest: Manifest) -> Entry:
        """Queue a submission whose files are in place.

        Raises:
            InputError: too many are waiting.
        """
        if len(self._names("queued")) >= MOST_WAITING:
            raise InputError(f"{MOST_WAITING} submissions are waiting already; try again later")
        now = datetime.now(UTC)
        identity = f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
        sent = Entry(id=identity, name=manifest.name, manifest_sha256=digest(manifest), submitted=_iso(now))
        self._write("queued", sent)
        return sent

    def entries(self, state: State, most: int | None = None) -> list[Entry]:
        """Entries in a state, oldest first; with `most` only the last ones. Unreadable files are passed over."""
        names = self._names(state)
        found = (self._read(state, name) for name in (names if most is None else names[-most:]))
        return [entry for entry in found if entry is not None]

    def of_name(self, name: str) -> list[tuple[State, Entry]]:
        """All entries of a submission with their states, oldest first."""
        every = [(state, entry) for state in STATES for entry in self.entries(state) if entry.name == name]
        return sorted(every, key=lambda one: one[1].id)

    def count(self, state: State) -> int:
        """How many entries are in a state."""
        return len(self._names(state))

    def take(self) -> Entry | None:
        """Take the oldest queued entry as the worker; None when nothing waits."""
        for entry in self.entries("queued"):
            taken = entry.model_copy(update={"attempts": entry.attempts + 1, "started": _iso(datetime.now(UTC))})
            self._move("queued", "running", taken)
            return taken
        return None

    def finish(self, entry: Entry, scored: Sequence[str], failures: Sequence[str]) -> State:
        """Say how a taken entry went: it is done, or it has failed when something could not be scored."""
        state: State = "failed" if failures else "done"
        now = _iso(datetime.now(UTC))
        told = {"attempts": 0, "ended": now, "scored": tuple(scored), "failures": tuple(failures)}
        self._move("running", state, entry.model_copy(update=told))
        return state

    def put_back(self, entry: Entry) -> None:
        """Queue a taken entry again, as if it had not been taken: the worker was stopped, it is not to blame."""
        self._move("running", "queued", entry.model_copy(update={"attempts": entry.attempts - 1, "started": None}))

    def recover(self) -> list[Entry]:
        """Queue again what a killed worker left running; what killed it too often fails. For the worker only."""
        left = self.entries("running")
        for entry in left:
            if entry.attempts >= MOST_ATTEMPTS:
                self.finish(entry, (), [f"the worker was killed {entry.attempts} times while it ran this"])
            else:
                self._move("running", "queued", entry)
        for path in (self.root / "running").glob("*.json"):  # done, and not yet removed here; or damaged
            path.unlink(missing_ok=True)
        self.sweep()
        return left

    def report(self, entry: Entry, progress: Progress) -> None:
        """Note how far a running entry is; a crash may lose it."""
        folder = self.root / "progress"
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_synced(folder / f"{entry.id}.json", progress.model_dump_json().encode(), sync=False)

    def progress(self, entry: Entry) -> Progress | None:
        """How far a running entry is; None when nobody has said."""
        try:
            return Progress.model_validate_json((self.root / "progress" / f"{entry.id}.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def folder(self, name: str) -> Path:
        """Where a submission's files lie, or will."""
        return self.root / "submissions" / name

    def keep(self, name: str, source: Path) -> None:
        """Move a submission's folder (or a link to one) into place; what was there before is dropped."""
        target = self.folder(name)
        with disk_errors(self.root):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_symlink() or target.exists():
                target.rename(source.with_name(f".replaced-{secrets.token_hex(4)}"))  # goes with the rest of incoming
            source.rename(target)
            sync_folder(target.parent)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder for one upload, on the disk of `folder`; removed afterwards."""
        self.sweep()
        stage = self.root / "incoming" / secrets.token_hex(8)
        with disk_errors(stage):
            stage.mkdir(parents=True)
        try:
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)

    def sweep(self) -> None:
        """Remove uploads that a crash left behind."""
        with suppress(OSError):
            for left in (self.root / "incoming").iterdir():
                if time.time() - left.stat().st_mtime > _STALE_S:
                    shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Be the one worker of this queue.

        Raises:
            InputError: another one is.
        """
        from filelock import Timeout

        lock = self._lock("worker")
        try:
            lock.acquire(timeout=_PATIENCE_S)
        except Timeout:
            raise InputError(f"another worker takes the work of {self.results}; one at a time is enough") from None
        try:
            yield
        finally:
            lock.release()

    def has_worker(self) -> bool:
        """Whether a worker is running."""
        from filelock import Timeout

        if not self.root.is_dir():
            return False
        lock = self._lock("worker")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # a folder that may only be read has no worker from here
            return False
        lock.release()
        return False

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Held while a submission is compared with those that are here and queued: one at a time."""
        with self._lock("admission"):
            yield

    def _lock(self, name: str) -> BaseFileLock:
        from filelock import FileLock

        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            return FileLock(self.root / f"{name}.lock")

    def _names(self, state: State) -> list[str]:
        """Ids in a state, oldest first; those that a crash left in a later state as well are left out."""
        later = {"queued": STATES[1:], "running": STATES[2:]}.get(state, ())
        gone = {path.name for other in later for path in (self.root / other).glob("*.json")}
        found = (path for path in (self.root / state).glob("*.json") if not path.name.startswith("."))
        return sorted(path.stem for path in found if path.name not in gone)

    def _read(self, state: State, identity: str) -> Entry | None:
        try:
            return Entry.model_validate_json((self.root / state / f"{identity}.json").read_bytes())
        except (OSError, ValidationError):  # moved on since it was listed, or damaged
            return None

    def _write(self, state: State, entry: Entry) -> None:
        folder = self.root / state
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_synced(folder / f"{entry.id}.json", entry.model_dump_json(indent=1).encode())
            sync_folder(folder)

    def _move(self, old: State, new: State, entry: Entry) -> None:
        if STATES.index(new) < STATES.index(old):  # back to the queue: a crash in between leaves it running
            with disk_errors(self.root):
                (self.root / new).mkdir(parents=True, exist_ok=True)
                write_synced(self.root / old / f"{entry.id}.json", entry.model_dump_json(indent=1).encode())
                (self.root / old / f"{entry.id}.json").replace(self.root / new / f"{entry.id}.json")
            return
        self._write(new, entry)
        with disk_errors(self.root):
            (self.root / old / f"{entry.id}.json").unlink(missing_ok=True)
            (self.root / "progress" / f"{entry.id}.json").unlink(missing_ok=True)


def digest(manifest: Manifest) -> str:
    """sha256 of everything that a manifest says."""
    return hashlib.sha256(canonical_json(manifest.model_dump(mode="json"))).hexdigest()


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

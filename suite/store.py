"""Where records live: ``<root>/<submission>/<task>/<YYYYMMDD>-<digest>.json`` with Parquet files of the same stem.

Publishing is atomic and idempotent: files are staged and synced in the journal first, then linked into place, the JSON
last; a process that is killed in between leaves a staged set that the next run of the same unit finishes. Nothing is
ever overwritten, so folders of records from several machines merge by copying.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from suite import outcomes, record
from suite.disk import disk_errors, link, sync_folder, write_synced
from suite.errors import InputError
from suite.record import Record

if TYPE_CHECKING:
    import pyarrow as pa

JOURNAL = ".journal"
TASKS = "tasks"
READINGS_SUFFIX = ".readings.parquet"


@dataclass(frozen=True)
class Stored:
    """A record and the file it lies in."""

    path: Path
    record: Record

    @property
    def outcomes_path(self) -> Path:
        """The Parquet file of per-item outcomes."""
        return self.path.with_suffix(".parquet")

    @property
    def readings_path(self) -> Path:
        """The Parquet file of raw readings."""
        return self.path.with_name(self.path.stem + READINGS_SUFFIX)

    def outcomes(self) -> pa.Table:
        """The per-item outcomes, digest checked.

        Raises:
            InputError: the record has none, the file is missing, or its digest is not the record's.
        """
        return _checked_table(self.outcomes_path, self.record.outcomes_sha256)

    def readings(self) -> pa.Table | None:
        """The raw readings, digest checked; None when the record has none."""
        digest = self.record.readings_sha256
        return None if digest is None else _checked_table(self.readings_path, digest)


class Journal:
    """What one unit has finished so far: whole batches, then the staged record. Lives under the unit's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def batch(self, number: int) -> pa.Table | None:
        """The rows of a finished batch; None if it is not finished, or was torn by a power cut."""
        path = self._folder / f"{number:07d}.parquet"
        try:
            return outcomes.from_parquet(path.read_bytes(), str(path))
        except (FileNotFoundError, InputError):
            return None

    def scratch(self) -> Path:
        """An empty folder for the child's temporary files; what a killed run left in it is gone."""
        folder = self._folder / "scratch"
        with disk_errors(self._folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        return folder

    def begun(self) -> bool:
        """Whether a batch is finished."""
        return any(self._folder.glob("[0-9]*.parquet"))

    @property
    def pictures(self) -> Path:
        """Where pictures of the worst cases so far lie."""
        return self._folder / "worst"

    def keep(self, number: int, table: pa.Table) -> pa.Table:
        """Keep a finished batch; once this returns, it survives a crash. Gives it as `batch` will read it."""
        content = outcomes.to_parquet(table)
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_synced(self._folder / f"{number:07d}.parquet", content)
            sync_folder(self._folder)
        return outcomes.from_parquet(content, f"batch {number}")

    def stage(self, files: Mapping[str, bytes]) -> None:
        """Stage a complete set of files (relative destination to content) for `Store.finish`."""
        building, ready = self._folder / "staging", self._folder / "staged"
        with disk_errors(self._folder):
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir(parents=True)
            for number, content in enumerate(files.values()):
                write_synced(building / str(number), content)
            write_synced(building / "plan.json", json.dumps(list(files)).encode())
            building.rename(ready)
            sync_folder(self._folder)

    def staged(self) -> list[tuple[Path, str]]:
        """Staged files and their relative destinations, in the order to link them; empty when nothing is staged."""
        plan = self._folder / "staged" / "plan.json"
        names = json.loads(plan.read_text()) if plan.exists() else []
        return [(plan.parent / str(number), name) for number, name in enumerate(names)]

    def clear(self) -> None:
        """Forget everything."""
        shutil.rmtree(self._folder, ignore_errors=True)


class Store:
    """The records under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def scan(
        self, submission: str | None = None, task: str | None = None, on_problem: Callable[[str], None] | None = None
    ) -> Iterator[Stored]:
        """All readable records, oldest file name first; unreadable ones are told to `on_problem` and passed over."""
        pattern = f"{folder_name(submission) if submission else '*'}/{folder_name(task) if task else '*'}/*.json"
        for path in sorted(self.root.glob(pattern)):
            if path.relative_to(self.root).parts[0].startswith("."):
                continue
            try:
                yield load(path)
            except InputError as error:
                if on_problem:
                    on_problem(str(error))

    def latest(self, submission: str, task: str) -> Stored | None:
        """The newest unlimited record of that submission and task, else the newest limited one."""
        found = sorted(self.scan(submission, task), key=lambda s: (s.record.limit is None, s.record.provenance.started))
        return found[-1] if found else None

    def of_unit(self, unit_key: str, submission: str, task: str) -> Stored | None:
        """The newest record of that very unit."""
        found = [s for s in self.scan(submission, task) if s.record.unit_key == unit_key]
        return max(found, key=lambda s: s.record.provenance.started) if found else None

    @contextmanager
    def unit(self, unit_key: str) -> Iterator[Journal]:
        """The unit's journal, held by one process at a time; another run of the same unit waits here."""
        from filelock import FileLock

        folder = self.root / JOURNAL
        lock = FileLock(folder / f"{unit_key}.lock")
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            journal = Journal(folder / unit_key)
            self.finish(journal)
            yield journal
        finally:
            lock.release()

    def publish(self, new: Record, tables: Mapping[str, bytes], journal: Journal) -> Path:
        """Publish a record with its Parquet files (suffix to content), clear the journal, return the JSON's path."""
        content = record.write(new)
        day = new.provenance.started[:10].replace("-", "")
        stem = f"{day}-{record.content_digest(content)[:12]}"
        folder = f"{folder_name(new.manifest.name)}/{folder_name(new.task)}"
        files = {f"{folder}/{stem}{suffix}": table for suffix, table in tables.items()}
        journal.stage({**files, f"{folder}/{stem}.json": content})
        self.finish(journal)
        return self.root / folder / f"{stem}.json"

    def add(self, new: Record, tables: Mapping[str, bytes]) -> Path:
        """Publish a record that cost no work to make; the JSON comes last. The caller calls ``os.sync`` after many."""
        content = record.write(new)
        day = new.provenance.started[:10].replace("-", "")
        folder = self.root / folder_name(new.manifest.name) / folder_name(new.task)
        path = folder / f"{day}-{record.content_digest(content)[:12]}.json"
        if path.exists():
            return path
        with disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            for suffix, table in tables.items():
                write_synced(path.with_suffix(suffix), table, sync=False)
            write_synced(path, content, sync=False)
        return path

    def finish(self, journal: Journal) -> None:
        """Link a staged set into place, if there is one, and clear the journal."""
        staged = journal.staged()
        if not staged:
            return
        with disk_errors(self.root):
            for source, name in staged:
                target = self.root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                link(source, target)
                sync_folder(target.parent)
        journal.clear()

    def describe_task(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write ``tasks/<task>.json``: what the board shows of a task (title, licence, chance level, protocol)."""
        path = self.root / TASKS / f"{folder_name(name)}.json"
        content = (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode()
        if path.exists() and path.read_bytes() == content:
            return
        with disk_errors(self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_synced(path, content)


def load(path: Path) -> Stored:
    """Read one record file.

    Raises:
        InputError: no such file, or not a record.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"no record at {path}: {error.strerror}") from None
    return Stored(path, record.read(content, str(path)))


def readable(paths: Iterable[Path], on_problem: Callable[[Path, str], None]) -> list[Stored]:
    """The readable ones of these record files; a file that is there and cannot be read is told to `on_problem`.

    Raises:
        InputError: a path is no file.
    """
    found = []
    for path in paths:
        if not path.is_file():
            raise InputError(f"no record at {path}; name a record's JSON file")
        try:
            found.append(load(path))
        except InputError as error:
            on_problem(path, str(error))
    return found


def _checked_table(path: Path, expected: str | None) -> pa.Table:
    if expected is None:
        raise InputError(f"{path.with_suffix('.json')} keeps no outcomes (imported records may lack them)")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} is missing: {error.strerror}") from None
    found = outcomes.digest(content)
    if found != expected:
        raise InputError(f"{path} has sha256 {found}, the record says {expected}")
    return outcomes.from_parquet(content, str(path))


def folder_name(name: str) -> str:
    """A task or submission name as a folder name: percent-encoded, never hidden, never a way out."""
    return quote(name, safe="").replace(".", "%2E", 1) if name.startswith(".") else quote(name, safe="")

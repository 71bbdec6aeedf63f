"""Intake: a submission that somebody sends is checked as ``hallmark check`` does, and queued when nothing is wrong.

The check runs in a process of its own (``hallmark check --json`` itself, in the same folder), with a time limit: the
board stays up and imports no task and no runtime, whatever the files do to their parser. Nothing of them is executed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from suite import data
from suite.errors import InfrastructureError, InputError
from suite.manifest import FILE_NAME, NAME_PATTERN, Manifest
from suite.queue import Entry, Queue, State, digest
from suite.store import Store
from suite.submission import FOLDER
from suite.upload import submission_in

CHECK_LIMIT_S = 900.0
_FINDINGS, _REFUSED = 1, 2


@dataclass(frozen=True)
class Answer:
    """What became of a submission.

    Attributes:
        name: its name; empty when that cannot be told.
        problems: why it was refused, one line each; empty when it was queued.
        notes: what its author should know, one line each.
        entry: its place in the queue; None when it was refused.
        known: the very same submission was waiting already.
    """

    name: str = ""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    entry: Entry | None = None
    known: bool = False


def submit_files(queue: Queue, bring: Callable[[Path], None]) -> Answer:
    """Check and queue what `bring` writes into the folder that it is given (see `suite.upload`).

    Raises:
        InfrastructureError: the disk is full, or the check cannot be started.
    """
    with queue.staging() as stage:
        try:
            bring(stage / ".upload")
            folder = _named(submission_in(stage / ".upload"), stage)
            manifest = Manifest.load(folder)
            _bring_parent(queue, manifest, stage)
            answer = _about_parent(checked(folder), manifest)
            return answer if answer.problems else _admit(queue, manifest, folder, answer)
        except InputError as error:
            return Answer(problems=(_without(str(error), stage),))


def submit_folder(queue: Queue, given: str) -> Answer:
    """Check and queue a submission that lies on this machine; its files stay where they are.

    Raises:
        InfrastructureError: the disk is full, or the check cannot be started.
    """
    try:
        folder = _on_this_machine(given)
        manifest = Manifest.load(folder)
        answer = checked(folder)
        if answer.problems:
            return answer
        with queue.staging() as stage:
            (stage / manifest.name).symlink_to(folder, target_is_directory=True)
            return _admit(queue, manifest, stage / manifest.name, answer)
    except InputError as error:
        return Answer(problems=(str(error),))


def checked(folder: Path) -> Answer:
    """What ``hallmark check`` says of a folder; claims that the files contradict are problems too.

    Raises:
        InfrastructureError: it cannot be started, or ends in an unknown way.
    """
    command = [sys.executable, "-m", "suite", "check", str(folder), "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(f"the check took more than {CHECK_LIMIT_S:.0f} s; run hallmark check yourself") from None
    except OSError as error:
        raise InfrastructureError(f"hallmark check cannot be started: {error}") from None
    said = done.stderr.strip().splitlines()
    if done.returncode not in (0, _FINDINGS, _REFUSED):
        if done.returncode == InfrastructureError.exit_code:
            raise InfrastructureError(said[-1] if said else "hallmark check failed")
        raise InputError(f"the check broke on these files ({said[-1] if said else f'exit {done.returncode}'})")
    try:
        (found,) = json.loads(done.stdout)["checks"]
    except (ValueError, KeyError):  # refused before there was anything to check
        lines = tuple(line.removeprefix("hallmark: ") for line in said)
        return Answer(folder.name, lines or ("hallmark check said nothing",))
    problems = [_without(str(line), folder.parent) for line in (*found["problems"], *found["claim_mismatches"])]
    leaks = [f"{leak['file']} tells {leak['what']} ({leak['n']}), e.g. {leak['example']}" for leak in found["leaks"]]
    return Answer(found["name"], tuple(line.removeprefix(f"{found['name']}: ") for line in problems), tuple(leaks))


def _named(found: Path, stage: Path) -> Path:
    """The folder under the name that its manifest gives; a wrong name is for `Manifest.load` to explain."""
    try:
        name = tomllib.loads((found / FILE_NAME).read_text(encoding="utf-8")).get("name")
    except (OSError, ValueError):
        return found
    return found.rename(stage / str(name)) if _is_name(name) else found


def _is_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(NAME_PATTERN.strip("^$"), name) is not None


def _bring_parent(queue: Queue, manifest: Manifest, stage: Path) -> None:
    """Let a parent that was sent before be found beside this submission."""
    parent = manifest.parent
    if parent is None or parent == manifest.name:
        return
    if not _is_name(parent):
        raise InputError(f"{manifest.name}: parent = {parent!r} is no name of a submission")
    if queue.folder(parent).exists():
        (stage / parent).symlink_to(queue.folder(parent).resolve(), target_is_directory=True)


def _about_parent(answer: Answer, manifest: Manifest) -> Answer:
    """The answer with a missing parent told in words for those who cannot see the folders of this machine."""
    absent = f"parent = {manifest.parent!r} is neither"
    instead = f"parent = {manifest.parent!r} was not sent before and is not under {FOLDER}/ here; send it first"
    return replace(answer, problems=tuple(instead if p.startswith(absent) else p for p in answer.problems))


def _admit(queue: Queue, manifest: Manifest, folder: Path, answer: Answer) -> Answer:
    """Queue a checked submission, unless another one of its name is here."""
    with queue.admission():
        past = queue.of_name(manifest.name)
        waiting = [entry for state, entry in past if state in ("queued", "running")]
        if waiting and waiting[-1].manifest_sha256 == digest(manifest):
            return replace(answer, entry=waiting[-1], known=True)
        clash = _clash(queue, manifest, past)
        if clash:
            return replace(answer, problems=(clash,))
        queue.keep(manifest.name, folder)
        return replace(answer, entry=queue.add(manifest))


def _clash(queue: Queue, manifest: Manifest, past: Sequence[tuple[State, Entry]]) -> str | None:
    """Why this name is taken; None when it is free, or was of the same manifest, or of nothing but failures."""
    hint = "; give yours another name"
    if any(state != "failed" and entry.manifest_sha256 != digest(manifest) for state, entry in past):
        return f"another submission called {manifest.name!r} was sent before{hint}"
    if (FOLDER / manifest.name / FILE_NAME).is_file() and _other(FOLDER / manifest.name, manifest):
        return f"another submission called {manifest.name!r} lies under {FOLDER}/ here{hint}"
    known = [one.record.manifest for one in Store(queue.results).scan(manifest.name)]
    if known and manifest not in known:
        return f"the board has records of another submission called {manifest.name!r}{hint}"
    return None


def _other(folder: Path, manifest: Manifest) -> bool:
    try:
        return Manifest.load(folder) != manifest
    except InputError:
        return True


def _on_this_machine(given: str) -> Path:
    """A folder below the one that the board was started in, or below the local mirror.

    Raises:
        InputError: it is elsewhere, or no submission.
    """
    mirror = data.mirror()
    roots = [Path.cwd(), *([mirror.resolve()] if mirror else [])]
    try:
        path = Path(given.strip())
        path = FOLDER / path if len(path.parts) == 1 and (FOLDER / path / FILE_NAME).is_file() else path
        path = path.resolve()
        path = path.parent if path.name == FILE_NAME else path
        inside = any(path.is_relative_to(root) for root in roots)
        if given.strip() and inside and (path / FILE_NAME).is_file():
            return path
    except (OSError, ValueError, RuntimeError):  # a name that no file can have
        pass
    where = " or ".join(
        ["below the folder that the board was started in", *([f"${data.MIRROR_VARIABLE}"] if mirror else [])]
    )
    raise InputError(f"no submission at {given.strip()[:200]!r}; name a folder with a {FILE_NAME} {where}")


def _without(line: str, stage: Path) -> str:
    """A message without the folders of this machine that its reader does not know."""
    for root in (stage.resolve(), stage):
        line = line.replace(f"{root}/.upload/", "").replace(f"{root}/", "")
    return line

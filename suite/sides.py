"""Sides: what a comparison compares. A submission, a folder of records, or a pinned file -> its newest record by task.

NAME or a submission's folder    its records under --results, then in ``results`` beside the folder
a folder of records              those of the candidate's own submission there (a checkout of another tag), else of
                                 its parent, else of the only one
a file                           one record (``.json`` beside its outcomes), or what ``hallmark show --json`` printed,
                                 which holds no outcomes
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suite import record
from suite import submission as submissions
from suite.errors import InputError
from suite.manifest import FILE_NAME
from suite.record import Record
from suite.store import Store, Stored, load
from suite.submission import Submission

RESULTS = "results"


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: the submission's.
        where: what the user gave.
        records: task -> its newest record, an unlimited one if there is one.
        twice: task -> older records of the same state of the submission, scored in the same way.
        submission: its folder, where that is here.
        typed: how ``hallmark run`` spells it.
    """

    name: str
    where: str
    records: Mapping[str, Stored]
    twice: Mapping[str, tuple[Stored, ...]]
    submission: Submission | None = None
    typed: str = ""


def find(given: str, results: Path, beside: Side | None = None) -> Side:
    """The side that a user named.

    Args:
        given: a submission's name or folder, a folder of records, or a file.
        results: the folder of records.
        beside: the candidate, where this is the baseline: says which submission of a folder of records is meant.

    Raises:
        InputError: nothing there, no records, or several submissions and no way to choose.
    """
    path = Path(given)
    if path.is_file() and path.name != FILE_NAME:
        return _of_file(path)
    if path.is_dir() and not (path / FILE_NAME).exists():
        return _named_as(path, given, results) or _of_records(path, given, beside)
    known = _submission(given)
    name = known.name if known else given
    stores = [Store(results), *([Store(known.folder.resolve().parent / RESULTS)] if known else [])]
    older = False
    for store in stores:
        stored = list(store.scan(name))
        now = [s for s in stored if known is None or s.record.manifest.fingerprint() == known.manifest.fingerprint()]
        if now:
            return _side(name, given, now, known)
        older |= bool(stored)
    if known is None:
        submissions.find(given)  # raises, with the nearest names
    if older:
        raise InputError(
            f"every record of {name!r} is of other weights or inputs than its folder; run: hallmark run {given}"
        )
    raise InputError(f"no record of {name!r} under {results}; make them: hallmark run {given} --results {results}")


def _submission(given: str) -> Submission | None:
    """The submission of that name or folder; None where only its records may be here."""
    try:
        return submissions.find(given)
    except InputError:
        if Path(given).exists() or len(Path(given).parts) > 1:
            raise
        return None


def _named_as(folder: Path, given: str, results: Path) -> Side | None:
    """The recorded submission that a folder without records, such as a model's, has the name of."""
    stored = list(Store(results).scan(given)) if folder.name == given else []
    return _side(given, given, stored, None) if stored and not _records_in(folder) else None


def _records_in(folder: Path) -> list[Stored]:
    """Records of a folder, or of ``results`` in it: a checkout."""
    return list(Store(folder).scan()) or list(Store(folder / RESULTS).scan())


def _of_records(folder: Path, given: str, beside: Side | None) -> Side:
    stored = _records_in(folder)
    names = sorted({one.record.manifest.name for one in stored})
    if not names:
        raise InputError(f"{folder} holds neither a {FILE_NAME} nor records (<submission>/<task>/*.json)")
    wanted = [beside.name, *_parents(beside)] if beside else []
    chosen = next((name for name in wanted if name in names), names[0] if len(names) == 1 else None)
    if chosen is None:
        raise InputError(f"{folder} holds records of several submissions: {', '.join(names)}; name one of them")
    return _side(chosen, given, [one for one in stored if one.record.manifest.name == chosen], None)


def _parents(side: Side) -> list[str]:
    manifests = [one.record.manifest for one in side.records.values()]
    manifests += [side.submission.manifest] if side.submission else []
    return sorted({manifest.parent for manifest in manifests if manifest.parent})


def _of_file(path: Path) -> Side:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(
            f"{path} is not valid JSON: {error}; give a record, or what hallmark show --json wrote"
        ) from None
    if not isinstance(found, dict) or not isinstance(found.get("records"), list):
        stored = [load(path)]
    else:
        stored = [
            Stored(path, record.read(json.dumps(one).encode(), f"{path}, record {number}"))
            for number, one in enumerate(found["records"], 1)
        ]
    names = sorted({one.record.manifest.name for one in stored})
    if len(names) != 1:
        raise InputError(f"{path} must hold records of one submission, not of {', '.join(names) or 'none'}")
    return _side(names[0], str(path), stored, None)


def _side(name: str, given: str, stored: Sequence[Stored], known: Submission | None) -> Side:
    newest: dict[str, Stored] = {}
    for one in sorted(stored, key=_age):
        newest[one.record.task] = one
    asked: dict[tuple[object, ...], list[Stored]] = {}
    for one in stored:
        asked.setdefault(_question(one.record), []).append(one)
    same = {task: asked[_question(one.record)] for task, one in newest.items()}
    twice = {task: tuple(s for s in same[task] if s is not one) for task, one in newest.items() if len(same[task]) > 1}
    return Side(name, given, newest, twice, known, given if known else name)


def _age(stored: Stored) -> tuple[bool, str]:
    """Records of a limited run count as older than any other."""
    return stored.record.limit is None, stored.record.provenance.started


def _question(r: Record) -> tuple[object, ...]:
    """What was asked of which model: records that are equal in it and differ in their answers are nondeterminism."""
    how = (r.task, r.task_version, r.protocol, r.data_sha256, r.seed, r.limit)
    packages = tuple(sorted(r.provenance.packages.items()))
    return (r.manifest.fingerprint(), *how, r.machine.id, r.machine.device, r.machine.threads, packages)

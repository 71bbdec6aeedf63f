"""Recompute every number of a record from what it was made of, and check every digest."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from suite import measure, outcomes, submission
from suite.errors import InputError
from suite.probes.base import Series
from suite.record import Measurement, content_digest
from suite.store import Store, Stored, folder_name, readable
from suite.task import AnyTask

REL_TOLERANCE = 1e-9
_NOT_INSTALLED = " is not installed: pip install "  # the reason of a number that a package of an extra computes


def selected(
    what: Sequence[str], store: Store, on_problem: Callable[[str, str], None]
) -> tuple[list[Stored], list[str] | None]:
    """The records that were asked for, and the submissions of which all were: None for those of every submission.

    Args:
        what: submissions (a name, or a folder with a manifest) and record files; nothing for all records.
        store: where the submissions' records are.
        on_problem: told of every record file that cannot be read: where, and why.

    Raises:
        InputError: no such file, no such submission, or one without a record.
    """
    told = partial(on_problem, str(store.root))
    if not what:
        return list(store.scan(on_problem=told)), None
    files = [Path(one) for one in what if one.endswith(".json")]
    stored = readable(files, lambda path, line: on_problem(str(path), line))
    names = [submission.find(one).name if Path(one).is_dir() else one for one in what if not one.endswith(".json")]
    for name in names:
        if not (store.root / folder_name(name)).is_dir():
            raise InputError(f"no record of {name!r} under {store.root}; name a submission, or a record's JSON file")
        stored += store.scan(name, on_problem=told)
    return stored, names


def verify(stored: Stored, tasks: Mapping[str, AnyTask]) -> list[str]:
    """What is wrong with a record, one line each; empty when every digest and every number holds.

    Scores and their intervals are recomputed from the per-item outcomes with the record's seed, readings from their raw
    samples; relative tolerance 1e-9. An imported record cannot be verified, and that is a line too.
    """
    record = stored.record
    problems = []
    digest = content_digest(stored.path.read_bytes())
    if not stored.path.stem.endswith(f"-{digest[:12]}"):
        problems.append(f"its content has digest {digest[:12]}, its name says otherwise: the file was changed")
    problems += _misplaced(stored)
    if record.source == "imported":
        return [*problems, "imported, not measured here: nothing to recompute it from"]
    task = tasks.get(record.task)
    if task is None:
        return [*problems, f"task {record.task!r} is not known to this version; its scores cannot be recomputed"]
    if task.version != record.task_version:
        return [*problems, f"task version {record.task_version} was scored, {task.version} is installed; run it again"]
    try:
        again = _recomputed(stored, task)
    except InputError as error:
        return [*problems, str(error)]
    problems += _contradictions(stored, task)
    kept = {m.name: m for m in record.measurements}
    problems += [f"measurement {name!r} is missing" for name, m in again.items() if name not in kept and not _newer(m)]
    for name, old in kept.items():
        problems += _differences(old, again[name]) if name in again else [f"measurement {name!r} has no origin"]
    return problems


def _newer(m: Measurement) -> bool:
    """Whether a reading has no samples in this record: it may be of a probe that is younger than the record."""
    return m.value is None and measure.reading_named(m.name) is not None


def _misplaced(stored: Stored) -> list[str]:
    """Folders and date of the path that are not the record's."""
    record, path = stored.record, stored.path.resolve()
    expected = {
        "submission": (path.parent.parent.name, folder_name(record.manifest.name)),
        "task": (path.parent.name, folder_name(record.task)),
        "date": (path.stem[:8], record.provenance.started[:10].replace("-", "")),
    }
    return [f"it lies under {what} {a!r} and is of {b!r}" for what, (a, b) in expected.items() if a != b]


def _contradictions(stored: Stored, task: AnyTask) -> list[str]:
    """Facts of the record that the task or the record's own tables contradict."""
    record, names = stored.record, [m.name for m in stored.record.measurements]
    rows = stored.outcomes().num_rows
    marks = task.marks(outcomes.to_columns(stored.outcomes()))
    checks = {
        "contended": (record.contended, marks.contended),
        "energy_source": (record.energy_source, marks.energy_source),
        "data_sha256": (record.data_sha256, task.dataset.content_sha256 or record.data_sha256),
        "generated_data": (record.generated_data, task.dataset.generated),
        "number of distinct measurements": (len(set(names)), len(names)),
        "limit": (record.limit, record.limit if record.limit is None else max(record.limit, rows)),
    }
    return [f"{what} is {a!r}, expected {b!r}" for what, (a, b) in checks.items() if a != b]


def _recomputed(stored: Stored, task: AnyTask) -> dict[str, Measurement]:
    columns = outcomes.to_columns(stored.outcomes())
    needed = (name for metric in (*task.metrics, *task.framed.metrics) for name in metric.needs)
    gone = outcomes.lacking(needed, columns)
    if gone is not None:
        raise InputError(
            f"its outcomes have no column {gone}, which {stored.record.task} needs: changed, or run it again"
        )
    series = _series(stored)
    why_not = {m.name: m.reason for m in stored.record.measurements if m.value is None and m.reason}
    fresh = measure.scores(task.scored(columns), columns, stored.record.seed) + measure.readings(series, {})
    found = {m.name: m for m in fresh}
    for name, reason in why_not.items():  # a probe that could not read then: its reason cannot be recomputed here
        if measure.reading_named(name) and found[name].value is None:
            found[name] = found[name].model_copy(update={"reason": reason})
    return found


def _series(stored: Stored) -> Series:
    table = stored.readings()
    if table is None:
        return {}
    series: dict[str, list[float]] = {}
    for name, value in zip(table.column("series").to_pylist(), table.column("value").to_pylist(), strict=True):
        series.setdefault(name, []).append(value)
    return series


def _differences(old: Measurement, new: Measurement) -> list[str]:
    if any(_NOT_INSTALLED in (one.reason or "") for one in (old, new)):  # here or there: nothing to compare
        return []
    found = []
    for field in Measurement.model_fields:
        a, b = getattr(old, field), getattr(new, field)
        close = isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=REL_TOLERANCE)
        if a != b and not close:
            found.append(f"{old.name}: {field} is {a!r}, recomputed {b!r}")
    return found

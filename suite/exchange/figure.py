"""Figure: one number that another tool reports, and how figures become records that say so."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import suite
from suite.errors import InputError
from suite.manifest import Compression, Kind, Manifest, canonical_json
from suite.record import Machine, Measurement, Provenance, Record

FORMAT, PREFIX = "imported", "imported:"
ELSEWHERE = Machine(id="elsewhere", cpu="unknown", cores=0, ram_bytes=0, gpu=None, device="unknown", threads=0)
_Z95 = 1.959963984540054
_LONGEST = 100
_SHARES = ("accuracy", "exact_match", "f1", "pct_stereotype", "acc")


@dataclass(frozen=True)
class Model:
    """What is known of the model that a figure is about.

    Attributes:
        name: letters, digits, dot, underscore and hyphen; see `name_of`.
        title: as the source calls it.
        kind: language, segmentation or classification.
        parent: name of the model that it was made from.
        method: how it was compressed.
        bits: bits per weight as claimed.
        licence: of the weights.
    """

    name: str
    title: str
    kind: Kind
    parent: str | None = None
    method: str | None = None
    bits: float | None = None
    licence: str | None = None


@dataclass(frozen=True)
class Figure:
    """One number of one model on one task.

    Attributes:
        model: whose.
        task: name of the task; figures of one model and task become one record.
        metric: name of the number.
        value: it.
        low: lower end of its 95 % interval.
        high: upper end.
        unit: of all three.
        higher_is_better: direction, where it is known.
        n: observations behind it; 0 where the source does not say.
        method: how the interval was made.
        task_version: as the source states it.
        protocol: how it was scored, as far as the source says.
        limit: items that were scored, where the source says that there are more; None: all.
    """

    model: Model
    task: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    higher_is_better: bool | None = None
    n: int = 0
    method: str | None = None
    task_version: str = "unknown"
    protocol: str = "unknown"
    limit: int | None = None


@dataclass(frozen=True)
class Source:
    """Where figures come from.

    Attributes:
        name: file name.
        sha256: of the file.
        date: when it was made, as far as is known.
        tool: what wrote it, with its version.
    """

    name: str
    sha256: str
    date: datetime
    tool: str


@dataclass(frozen=True)
class Imported:
    """One record to be, with its outcomes where the source has items.

    Attributes:
        record: the record.
        rows: outcome columns by item; empty without items.
    """

    record: Record
    rows: list[dict[str, Any]] = field(default_factory=list)


def name_of(text: str) -> str:
    """A submission's name made of a model's: ``org/name`` becomes ``org-name``.

    >>> name_of("EleutherAI/pythia-1b (v1.1)")
    'EleutherAI-pythia-1b-v1.1'

    Raises:
        InputError: nothing is left of it.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:_LONGEST]
    if not name:
        raise InputError(f"{text!r} cannot name a submission: no letter or digit in it")
    return name


def with_error(figure: Figure, stderr: float | None) -> Figure:
    """The figure with the normal interval of its standard error, within 0 to 1 for a share."""
    if stderr is None or not math.isfinite(stderr):
        return figure
    low, high = figure.value - _Z95 * stderr, figure.value + _Z95 * stderr
    if figure.metric.split("[")[0].startswith(_SHARES) and 0 <= figure.value <= 1:
        low, high = max(low, 0.0), min(high, 1.0)
    return replace(figure, low=low, high=high, method="normal, from the source's standard error")


def records(figures: Iterable[Figure], source: Source) -> list[Record]:
    """One record for each model and task, in the order of their first figures.

    Raises:
        InputError: no figures, one given twice, or one that is no finite number.
    """
    of: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        if not math.isfinite(figure.value):
            what = f"{figure.metric} of {figure.model.name} on {figure.task}"
            raise InputError(f"{source.name}: {what} is {figure.value}; leave the cell empty where there is no number")
        of.setdefault((figure.model.name, figure.task), []).append(figure)
    if not of:
        raise InputError(f"{source.name}: no figure in it")
    return [_record(one, source) for one in of.values()]


def _record(figures: list[Figure], source: Source) -> Record:
    first = figures[0]
    seen: set[str] = set()
    for figure in figures:
        if figure.metric in seen:
            raise InputError(f"{source.name}: {figure.metric} of {first.model.name} on {first.task} stands there twice")
        seen.add(figure.metric)
    decides = [source.sha256, first.model.name, first.task, first.task_version, first.protocol]
    return Record(
        unit_key=hashlib.sha256(canonical_json(decides)).hexdigest(),
        manifest=_manifest(first.model, source),
        task=first.task,
        task_version=first.task_version,
        protocol=first.protocol,
        data_sha256="",
        generated_data=False,
        machine=ELSEWHERE,
        measurements=tuple(_measurement(figure) for figure in figures),
        provenance=Provenance(
            hallmark=suite.__version__, commit=None, dirty=None, packages={},
            started=source.date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            seconds=0.0, engine=None, observed_dtype=None,
            notes=(f"imported from {source.name} ({source.tool}), not measured here",),
        ),
        sandbox="none",
        source="imported",
        seed=0,
        limit=first.limit,
        supersedes=None,
        outcomes_sha256=None,
    )  # fmt: skip


def _manifest(model: Model, source: Source) -> Manifest:
    compression = None
    if model.method is not None or model.bits is not None:
        compression = Compression(method=model.method or "unknown", bits=model.bits)
    return Manifest(
        schema_version=1, name=model.name, title=model.title, kind=model.kind, format=FORMAT,
        weights=f"{PREFIX}{source.name}", sha256=source.sha256, parent=model.parent, licence=model.licence,
        compression=compression,
    )  # fmt: skip


def _measurement(figure: Figure) -> Measurement:
    return Measurement(
        name=figure.metric, value=figure.value, low=figure.low, high=figure.high, unit=figure.unit,
        higher_is_better=figure.higher_is_better, n=figure.n, method=figure.method,
    )  # fmt: skip


def parents_known(found: Iterable[Record], known: Mapping[str, object]) -> list[str]:
    """Parents that neither these records nor the store hold; a line about each."""
    names = {record.manifest.name for record in found}
    missing = {r.manifest.parent for r in found if r.manifest.parent} - names - set(known)
    return [f"parent {name!r} has no record: its children stand without a comparison" for name in sorted(missing)]

"""Record: one (submission, task) scored, as it is stored. No behaviour beyond reading and writing.

``results/README.md`` is generated from the docstrings under the fields (``make docs``); a test compares.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from suite.errors import InputError
from suite.manifest import Manifest

SCHEMA_VERSION = 1
Source = Literal["measured", "predictions", "imported"]


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Measurement(_Stored):
    """One number with its interval."""

    name: str
    """The field's name; classes, groups and variants in brackets, keys sorted: `dice[class=1,site=A]`."""
    value: float | None
    """The number; null when it is undefined or could not be had, and then `reason` says why."""
    low: float | None = None
    """Lower end of the 95 % interval."""
    high: float | None = None
    """Upper end of the 95 % interval."""
    unit: str
    """Unit; empty for a pure number."""
    higher_is_better: bool | None
    """Direction; null for a description that has none, such as a count of parameters."""
    n: int
    """Observations behind the value: items, tokens, or samples of a reading."""
    n_clusters: int | None = None
    """Independent groups of items (documents, patients) that the interval resamples."""
    method: str | None = None
    """How the interval was made: `wilson`, `bootstrap-cluster`, ...; null when there is none."""
    reason: str | None = None
    """Why the value, or else the interval, is missing."""


class Machine(_Stored):
    """Where it ran."""

    id: str
    """Digest of processor, cores, memory and GPU: equal machines share it."""
    cpu: str
    """Processor model."""
    cores: int
    """Logical cores that the process may use."""
    ram_bytes: int
    """Memory, bytes."""
    gpu: str | None
    """GPU model; null if there is none."""
    device: str
    """Where the model computed: `cpu` or `cuda`."""
    threads: int
    """CPU threads that the model's runtime was given."""
    cpu_flags: str | None = None
    """The processor's vector and matrix instruction sets, sorted, by Linux's names; null where it tells none."""
    governor: str | None = None
    """Linux's frequency governors of the cores that the process may use, sorted; null where there is none (guests)."""


class Provenance(_Stored):
    """How it came about."""

    hallmark: str
    """Version of this package."""
    commit: str | None
    """Git commit of the checkout that the package ran from; null when installed from a wheel."""
    dirty: bool | None
    """Whether that checkout had uncommitted changes."""
    packages: dict[str, str]
    """Versions of the packages that compute."""
    started: str
    """UTC, ISO 8601, ending in Z."""
    seconds: float
    """Wall time of the whole unit, loading included."""
    engine: str | None
    """Path that computed: `plain`, or `tree` where contexts are shared."""
    observed_dtype: str | None
    """Dtype that holds most of the loaded parameters, read from the tensors."""
    notes: tuple[str, ...] = ()
    """What the loader found worth telling, e.g. that this runtime expands the weights on load (storage only)."""


class Record(_Stored):
    """One (submission, task) scored."""

    schema_version: Literal[1] = 1
    """Version of this format; 1."""
    unit_key: str
    """sha256 over all that decides the numbers: weights, inputs, task, protocol, data, seed, machine, packages."""
    manifest: Manifest
    """The submission's manifest as it was."""
    task: str
    """Task name."""
    task_version: str
    """Records of different task versions are never compared."""
    protocol: str
    """How the task was scored, where the same data can be scored in several ways."""
    data_sha256: str
    """Digest of the task's data; empty where an imported record's source does not state it."""
    generated_data: bool
    """The data came from a generator of this package, not from the world."""
    machine: Machine
    """Where it ran."""
    measurements: tuple[Measurement, ...]
    """Every number."""
    provenance: Provenance
    """How it came about."""
    sandbox: str
    """How the child process was confined; `none` if it was not."""
    source: Source
    """`measured` here from a model, scored from a file of `predictions`, or `imported` from another tool."""
    seed: int
    """Seed of the bootstrap and of sampling."""
    limit: int | None
    """Most items asked for with `--limit` (whole clusters, drawn), or used by `--until-decided`; null for all."""
    parent_sha256: str | None = None
    """Weights of the parent that was asked beside the model; null for a task that asks the model alone."""
    contended: str | None = None
    """Why its timings are not ranked: the machine was busy with something else; null if quiet, or nothing was timed."""
    energy_source: str | None = None
    """Counters that its energy was read from: `rapl`, `nvml`, `rapl+nvml` or `meter`; null where none was read."""
    supersedes: str | None
    """File stem of the record that this one replaces."""
    outcomes_sha256: str | None
    """sha256 of the Parquet file of per-item outcomes beside this record; null only for imported records."""
    readings_sha256: str | None = None
    """sha256 of the Parquet file of raw readings (`<name>.readings.parquet`); null when there are none."""

    def measurement(self, name: str) -> Measurement | None:
        """The measurement of that name, if there is one."""
        return next((m for m in self.measurements if m.name == name), None)


def write(record: Record) -> bytes:
    """The bytes of a record file: indented JSON, keys in the documented order, a newline at the end."""
    return (json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read(content: bytes, where: str) -> Record:
    """Parse a record file.

    Raises:
        InputError: not JSON, another schema version (says which), an unknown key or a wrong value.
    """
    try:
        fields: Any = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON: {error}") from None
    version = fields.get("schema_version") if isinstance(fields, dict) else None
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        raise InputError(
            f"{where} has schema_version {version!r}, this version reads {SCHEMA_VERSION}; "
            + ("update hallmark-bench" if newer else "it is no record, or one of a version that never was released")
        )
    try:
        return Record.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def content_digest(content: bytes) -> str:
    """sha256 of a record file's bytes; its first 12 digits are part of the file's name."""
    return hashlib.sha256(content).hexdigest()

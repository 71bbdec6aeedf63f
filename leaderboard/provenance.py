"""Provenance: how a record came about, with every digest, and the command that makes it again. Pure."""

from __future__ import annotations

import hashlib
import shlex

import pandas as pd

from leaderboard import text
from suite.entry import day
from suite.record import Machine
from suite.store import Stored

NOT_ALONE = {
    "imported": "It was imported from another tool; Hallmark did not run the model and has no command to run it again.",
    "predictions": "It was scored from a file of predictions; the command needs that file, not the model.",
}


def command(stored: Stored) -> str | None:
    """The command that scores the same unit again; None for an imported record.

    A data set of one's own is named by its file (``--data``), which a record does not keep.
    """
    record = stored.record
    if record.source == "imported":
        return None
    words = ["hallmark", "run", record.manifest.name, "-t", record.task, "--seed", str(record.seed)]
    words += ["--device", record.machine.device, "--threads", str(record.machine.threads)]
    words += ["--limit", str(record.limit)] if record.limit is not None else []
    return shlex.join(words)


def digests(stored: Stored) -> pd.DataFrame:
    """Every digest: what, sha256."""
    record = stored.record
    found = {
        "record file": hashlib.sha256(stored.path.read_bytes()).hexdigest() if stored.path.is_file() else None,
        "weights": record.manifest.sha256,
        "weights of the parent that was asked beside it": record.parent_sha256,
        "inputs and weights (fingerprint)": record.manifest.fingerprint(),
        "data of the task": record.data_sha256 or None,
        "outcomes (.parquet)": record.outcomes_sha256,
        "readings (.readings.parquet)": record.readings_sha256,
        "unit (all that decides the numbers)": record.unit_key,
    }
    return _table(found, "sha256")


def facts(stored: Stored) -> pd.DataFrame:
    """How the record came about: field, value."""
    record = stored.record
    about, machine = record.provenance, record.machine
    dirty = {True: " with uncommitted changes", False: "", None: ""}[about.dirty]
    found = {
        "record": stored.path.name,
        "replaces": record.supersedes,
        "source": record.source,
        "sandbox": record.sandbox,
        "started (UTC)": about.started if day(about.started) else None,
        "seconds": f"{about.seconds:.4g}" if about.seconds else None,
        "seed": str(record.seed),
        "limit": None if record.limit is None else str(record.limit),
        "task version, protocol": f"{record.task_version}, {record.protocol}",
        "machine": _machine(machine),
        "device, threads": f"{machine.device}, {machine.threads}" if machine.cores else None,
        "timings not ranked because": record.contended,
        "energy read from": record.energy_source,
        "engine": about.engine,
        "dtype of most weights": about.observed_dtype,
        "hallmark": f"{about.hallmark}, commit {about.commit or 'unknown'}{dirty}",
        "packages": ", ".join(f"{name} {version}" for name, version in sorted(about.packages.items())),
        "notes": "; ".join(about.notes) or None,
    }
    return _table(found, "value")


def _machine(machine: Machine) -> str | None:
    """The machine in a line; None where an imported record names none."""
    if not machine.cores:
        return None
    said = f"{machine.cpu}, {text.count(machine.cores, 'core')}, {machine.ram_bytes / 1e9:.3g} GB"
    return f"{said}, {machine.gpu or 'no GPU'}"


def _table(found: dict[str, str | None], heading: str) -> pd.DataFrame:
    kept = {name: value for name, value in found.items() if value is not None}
    return pd.DataFrame({"what": list(kept), heading: list(kept.values())})

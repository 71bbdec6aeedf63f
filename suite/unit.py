"""Unit: one (submission, task) ready to run. Everything that can be refused is refused here, before any unit starts."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

import suite
from suite import machine
from suite.errors import InputError, unknown
from suite.files import total_bytes, unsafe_files
from suite.formats import LOADERS
from suite.formats.base import Description, Loader
from suite.manifest import canonical_json
from suite.provenance import code_digest
from suite.record import Machine
from suite.submission import Submission
from suite.task import AnyTask

SCORING_PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow")
LANGUAGE_PACKAGES = ("torch", "transformers", "tokenizers")
MAX_TIME_LIMIT_S = 1e7
PROTOCOL_VERSION = 1  # of the run itself: how batches are cut and items permuted


@dataclass(frozen=True)
class Options:
    """How a run is asked for.

    Attributes:
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of the model's runtime; None: all cores.
        seed: of the bootstrap and of sampling.
        limit: number of items, a seeded random sample; None: all.
        time_limit_s: for one unit, loading included.
        again: run finished units once more.
    """

    device: str = "cpu"
    threads: int | None = None
    seed: int = 0
    limit: int | None = None
    time_limit_s: float = 3600.0
    again: bool = False


@dataclass(frozen=True)
class Prepared:
    """A submission whose files were found, verified and described."""

    submission: Submission
    weights: Path
    loader: Loader
    description: Description
    file_bytes: int
    parent_parameters: int
    parent_fingerprint: str | None = None

    @property
    def context(self) -> int | None:
        """Tokens that one sequence may hold: the manifest's, at most the file's."""
        known = [c for c in (self.submission.manifest.inputs.context, self.description.context) if c is not None]
        return min(known, default=None)


@dataclass(frozen=True)
class Unit:
    """One (submission, task) that can run.

    Attributes:
        prepared: the submission.
        task: the task.
        machine: where it will run.
        options: how.
        data_sha256: digest of the task's data.
    """

    prepared: Prepared
    task: AnyTask
    machine: Machine
    options: Options

    @property
    def protocol(self) -> str:
        """The task's protocol for this model."""
        return self.task.protocol(self.prepared.context)

    @property
    def packages(self) -> dict[str, str]:
        """Versions of the packages that compute, this one included."""
        extra = LANGUAGE_PACKAGES if self.task.kind == "language" else ()
        names = sorted({*self.prepared.loader.packages, *SCORING_PACKAGES, *extra})
        own = {"python": platform.python_version(), "hallmark-bench": suite.__version__}
        return own | {name: version for name in names if (version := _version(name)) != "absent"}

    @cached_property
    def key(self) -> str:
        """sha256 over all that decides the numbers: work is skipped only where all of it agrees."""
        decides = {
            "manifest": self.prepared.submission.manifest.fingerprint(),
            "task": [self.task.name, self.task.version, self.protocol],
            "data": self.task.dataset.content_sha256,
            "seed": self.options.seed,
            "limit": self.options.limit,
            "device": self.machine.device,
            "threads": self.machine.threads,
            "dtype": self.prepared.description.dtype,
            "packages": self.packages,
            "machine": self.machine.id,
            "run": PROTOCOL_VERSION,
            "code": code_digest(type(self.task).__module__.split(".")[0]),
            "parent": self.prepared.parent_fingerprint,
        }
        return hashlib.sha256(canonical_json(decides)).hexdigest()


def prepare(submission: Submission) -> Prepared:
    """Find, verify and describe a submission's files.

    Raises:
        InputError: unknown format, missing weights, wrong digest, unsafe or unreadable files, missing parent.
    """
    loader = loader_of(submission)
    weights = submission.verified_weights()
    problems = refusals(submission, weights)
    if problems:
        raise InputError(f"{submission.name}: {problems[0]}" + (f" ({len(problems) - 1} more)" if problems[1:] else ""))
    description = loader.describe(weights)
    parent = submission.parent()
    size = total_bytes(weights)
    if parent is None:
        return Prepared(submission, weights, loader, description, size, description.parameters)
    parameters = loader_of(parent).describe(parent.verified_weights()).parameters
    return Prepared(submission, weights, loader, description, size, parameters, parent.manifest.fingerprint())


def loader_of(submission: Submission) -> Loader:
    """The loader of a submission's format.

    Raises:
        InputError: no such format, or not for this kind of model.
    """
    manifest = submission.manifest
    loader = LOADERS.get(manifest.format)
    if loader is None:
        raise unknown(f"format in {submission.name}", manifest.format, LOADERS)
    if manifest.kind not in loader.kinds:
        raise InputError(
            f"{submission.name}: format {manifest.format!r} is for {'/'.join(loader.kinds)}, not {manifest.kind} models"
        )
    absent = [name for name in loader.packages if _version(name) == "absent"]
    if absent:
        how = f"hallmark-bench[{loader.extra}]" if loader.extra else " ".join(absent)
        raise InputError(
            f"{submission.name}: format {manifest.format!r} needs {', '.join(absent)}: pip install '{how}'"
        )
    return loader


def refusals(submission: Submission, weights: Path) -> list[str]:
    """Why these files must not be loaded: unsafe in any format, or broken in theirs."""
    return unsafe_files(weights) or loader_of(submission).check(weights)


def units(submissions: Sequence[Submission], tasks: Sequence[AnyTask], named: bool, options: Options) -> list[Unit]:
    """All units of these submissions and tasks, every one checked.

    Args:
        submissions: what to score.
        tasks: on what.
        named: the user named the tasks, so one of another kind is an error; else it is passed over.
        options: how.

    Raises:
        InputError: anything that can be refused before the first unit starts.
    """
    if not 0 < options.time_limit_s <= MAX_TIME_LIMIT_S:
        raise InputError(f"--time-limit {options.time_limit_s:g} must be above 0 and at most {MAX_TIME_LIMIT_S:g} s")
    here = machine.observe(options.device, options.threads)
    ready = [prepare(submission) for submission in submissions]
    found = []
    for prepared in ready:
        manifest = prepared.submission.manifest
        for task in tasks:
            if task.kind != manifest.kind:
                if named:
                    raise InputError(
                        f"task {task.name!r} is for {task.kind} models; {manifest.name} is {manifest.kind}"
                    )
                continue
            why = task.misfit(manifest, prepared.description.signature)
            if why:
                raise InputError(f"{manifest.name} does not fit task {task.name!r}: {why}")
            missing = task.dataset.missing()
            if missing and task.dataset.hub is None:
                raise InputError(f"the data of task {task.name!r} is not here: {missing}; it needs {_needs(task)}")
            if missing:
                task.fetch()
            task.dataset.check_files()
            found.append(Unit(prepared, task, here, options))
    return found


def _needs(task: AnyTask) -> str:
    files = ", ".join(f"{task.dataset.name}/{name}" for name in task.dataset.files)
    return f"{files} under $HALLMARK_DATA"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"

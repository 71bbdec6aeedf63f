"""Unit: one (submission, task) ready to run. Everything that can be refused is refused here, before any unit starts."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import suite
from suite import beside, fit, machine
from suite.errors import AbsentDataError, InputError
from suite.files import unsafe_files
from suite.formats.base import Description, Loader
from suite.manifest import Kind, canonical_json
from suite.model import common_context
from suite.order import base_of, bytes_of, loader_of, version
from suite.provenance import code_digest
from suite.record import Machine
from suite.static.report import unpacked_parameters
from suite.stopping import Rule
from suite.submission import Submission
from suite.task import AnyTask

SCORING_PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow")
LANGUAGE_PACKAGES = (
    *("torch", "transformers", "tokenizers", "lm_eval", "jinja2"),
    "llama-cpp-python",
    *("bitsandbytes", "gptqmodel", "auto-round", "optimum", "hqq", "aqlm"),  # where a checkpoint is quantised by them
)
KIND_PACKAGES: Mapping[Kind, tuple[str, ...]] = {  # those that read or score its items, where they are installed
    "language": LANGUAGE_PACKAGES,
    "segmentation": ("scikit-image", "nibabel", "pillow"),
    "classification": ("pillow",),
}
MAX_TIME_LIMIT_S = 1e7
PROTOCOL_VERSION = 1  # of the run itself: how batches are cut and items permuted


@dataclass(frozen=True)
class Options:
    """How a run is asked for.

    Attributes:
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of the model's runtime; None: ``OMP_NUM_THREADS``, else all cores.
        seed: of the bootstrap and of sampling.
        limit: most items to ask, in whole clusters drawn by the seed; None: all.
        time_limit_s: for one unit, loading included; of timed models for each process.
        again: run finished units once more.
        overlays: keep pictures of the worst cases.
        activations: watch them on a sample.
    """

    device: str = "cpu"
    threads: int | None = None
    seed: int = 0
    limit: int | None = None
    time_limit_s: float = 3600.0
    again: bool = False
    overlays: bool = True
    activations: bool = False


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
    def predictions(self) -> bool:
        """Whether the submission is a file of predictions, so that no model is run."""
        return self.submission.manifest.format == "predictions"

    @property
    def context(self) -> int | None:
        """Tokens that one sequence may hold: the manifest's, at most the file's."""
        return common_context(self.submission.manifest.inputs.context, self.description.context)


@dataclass(frozen=True)
class Unit:
    """One (submission, task) that can run.

    Attributes:
        prepared: the submission.
        task: the task.
        machine: where it will run.
        options: how.
        parent: its parent, where the task asks both.
        alone: why a task that times a model has no parent beside it; empty if there is one.
        rule: when it may stop before all items are scored; ``None``: never.
    """

    prepared: Prepared
    task: AnyTask
    machine: Machine
    options: Options
    parent: Prepared | None = None
    alone: str = ""
    rule: Rule | None = None

    @property
    def context(self) -> int | None:
        """Tokens that one sequence may hold in every model that is asked."""
        return common_context(self.prepared.context, self.parent.context if self.parent else None)

    @property
    def protocol(self) -> str:
        """The task's protocol for this model."""
        return self.task.protocol(self.context)

    @property
    def packages(self) -> dict[str, str]:
        """Versions of the packages that compute, this one included."""
        extra = KIND_PACKAGES[self.task.kind]
        above = self.parent.loader.packages if self.parent else ()
        names = sorted({*self.prepared.loader.packages, *above, *SCORING_PACKAGES, *extra, *self.task.packages})
        own = {"python": platform.python_version(), "hallmark-bench": suite.__version__}
        return own | {name: found for name in names if (found := version(name)) != "absent"}

    @cached_property
    def key(self) -> str:
        """sha256 over all that decides the numbers: work is skipped only where all of it agrees."""
        decides = {
            "manifest": self.prepared.submission.manifest.fingerprint(),
            "task": [self.task.name, self.task.version, self.protocol],
            "data": self.task.data_sha256(),
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
            "beside": self.parent.description.dtype if self.parent else None,
            **({"until decided": self.rule.key} if self.rule else {}),
            **({"activations": True} if self.options.activations else {}),
        }
        return hashlib.sha256(canonical_json(decides)).hexdigest()


def prepare(submission: Submission) -> Prepared:
    """Find, verify and describe a submission's files.

    Raises:
        InputError: unknown format, missing weights, wrong digest, unsafe or unreadable files, missing parent.
    """
    loader, weights, description = _described(submission)
    parent = submission.parent()
    size = bytes_of(submission, weights)
    if parent is None:
        return Prepared(submission, weights, loader, description, size, _parameters(submission, weights, description))
    _, above, theirs = _described(parent)
    parameters = _parameters(parent, above, theirs)
    return Prepared(submission, weights, loader, description, size, parameters, parent.manifest.fingerprint())


def _parameters(submission: Submission, weights: Path, found: Description) -> int:
    """What bits per weight are counted over: parameters in their original shapes, where codes are packed into words."""
    manifest = submission.manifest
    unpacked = unpacked_parameters(weights, manifest.format, manifest.inputs.ensemble, base_of(submission))
    return found.parameters if unpacked is None else unpacked


def _described(submission: Submission) -> tuple[Loader, Path, Description]:
    """Loader, verified weights, and what they hold, once nothing speaks against loading them."""
    loader = loader_of(submission)
    weights = submission.verified_weights()
    if base_of(submission) is not None and (parent := submission.parent()) is not None:
        parent.verified_weights()
    problems = refusals(submission, weights)
    if problems:
        raise InputError(f"{submission.name}: {problems[0]}" + (f" ({len(problems) - 1} more)" if problems[1:] else ""))
    return loader, weights, loader.describe(weights)


def refusals(submission: Submission, weights: Path) -> list[str]:
    """Why these files must not be loaded: unsafe in any format, or broken in theirs."""
    loader, wanted = loader_of(submission), submission.manifest.inputs.context
    found = unsafe_files(weights) or loader.check(weights)
    if found or wanted is None:
        return found
    has = loader.describe(weights).context
    if has is not None and wanted > has:
        return [f"inputs.context = {wanted} is more than the {has} positions of the model; ask for at most {has}"]
    return []


def units(
    submissions: Sequence[Submission],
    tasks: Sequence[AnyTask],
    named: bool,
    options: Options,
    passed_over: Callable[[str], None] = lambda line: None,
) -> list[Unit]:
    """All units of these submissions and tasks, every one checked.

    Args:
        submissions: what to score.
        tasks: on what.
        named: the user named the tasks, so one of another kind, or without its data, is an error; else it is passed
            over.
        options: how.
        passed_over: told of every task that is left out because its data is not here.

    Raises:
        InputError: anything that can be refused before the first unit starts.
    """
    if not 0 < options.time_limit_s <= MAX_TIME_LIMIT_S:
        raise InputError(f"--time-limit {options.time_limit_s:g} must be above 0 and at most {MAX_TIME_LIMIT_S:g} s")
    here = machine.observe(options.device, options.threads)
    ready = [prepare(submission) for submission in submissions]
    found = []
    for prepared in ready:
        for task in tasks:
            unfit = fit.of_another_kind(prepared, task)
            if unfit and named:
                raise InputError(unfit)
            if unfit:
                continue
            if task.timed and options.limit is not None:
                raise InputError(f"task {task.name!r} times a model: it has no items to choose from; leave --limit out")
            try:
                parent = _checked(prepared, task)
            except AbsentDataError as error:
                if named:
                    raise
                passed_over(f"{task.name}: {error}")
                continue
            found.append(Unit(prepared, task, here, options, parent, fit.alone(prepared) if task.timed else ""))
    return found


def _checked(prepared: Prepared, task: AnyTask) -> Prepared | None:
    """The parent, where the task asks it too, once model, parent and data are known to fit the task."""
    manifest = prepared.submission.manifest
    why = task.misfit(manifest, prepared.description.signature)
    if why:
        raise InputError(f"{manifest.name} does not fit task {task.name!r}: {why}")
    together = task.beside_parent or (task.timed and not fit.alone(prepared))
    above = prepared.submission.parent() if together else None
    parent = None if above is None else prepare(above)
    different = None if parent is None or task.timed else beside.other_tokens(prepared.weights, parent.weights)
    if different:
        raise InputError(f"{manifest.name} does not fit task {task.name!r}: {different}")
    absent = [name for name in task.packages if version(name) == "absent"]
    if absent:
        how = f"hallmark-bench[{task.extra}]" if task.extra else " ".join(absent)
        raise AbsentDataError(f"task {task.name!r} needs {', '.join(absent)}: pip install '{how}'")
    missing = task.dataset.missing()
    if missing and task.dataset.hub is None:
        raise AbsentDataError(f"the data of task {task.name!r} is not here: {missing}; it needs {_needs(task)}")
    if missing or not task.dataset.content_sha256 or not task.dataset.files:  # no pinned files: the task looks itself
        task.fetch()
    task.dataset.check_files()
    return parent


def _needs(task: AnyTask) -> str:
    files = ", ".join(f"{task.dataset.name}/{name}" for name in task.dataset.files or ("",))
    return f"{files} under $HALLMARK_DATA"

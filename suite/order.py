"""Order: which loader a submission's manifest asks for, and what a child process is told to load with it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from suite.errors import InputError, unknown
from suite.files import total_bytes
from suite.formats import LOADERS, loader_for
from suite.formats.base import Based, Loader
from suite.submission import Submission

BASE_FORMAT = "transformers"  # of what adapters are put on


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
    absent = [name for name in loader.packages if version(name) == "absent"]
    if absent:
        how = f"hallmark-bench[{loader.extra}]" if loader.extra else " ".join(absent)
        raise InputError(
            f"{submission.name}: format {manifest.format!r} needs {', '.join(absent)}: pip install '{how}'"
        )
    try:
        return loader_for(manifest.format, manifest.inputs, manifest.operating_point, base_of(submission))
    except InputError as error:
        raise InputError(f"{submission.name}: {error}") from None


def base_of(submission: Submission) -> Path | None:
    """The weights that an adapter changes: its parent's; None for a model that stands alone.

    Raises:
        InputError: no parent, one of another format, or one with another digest than the adapter was made for.
    """
    manifest = submission.manifest
    if not isinstance(LOADERS[manifest.format], Based):
        if manifest.base_sha256 is not None:
            raise InputError(f"base_sha256 is for adapters (format peft); remove it from a {manifest.format} model")
        return None
    parent = submission.parent()
    if parent is None or parent.manifest.format != BASE_FORMAT:
        said = "names no parent" if parent is None else f"has a parent of format {parent.manifest.format}"
        raise InputError(f"an adapter's parent is its base, of format {BASE_FORMAT}; this one {said}")
    if manifest.base_sha256 != parent.manifest.sha256:
        wanted = f'base_sha256 = "{parent.manifest.sha256}"'
        if manifest.base_sha256 is None:
            raise InputError(f"say which base the adapter was made for: if it is {parent.name}, add {wanted}")
        raise InputError(
            f"the adapter was made for a base with sha256 {manifest.base_sha256}, {parent.name} has "
            f"{parent.manifest.sha256}; name the right base as parent"
        )
    return parent.weights()


def order_of(submission: Submission, weights: Path, device: str, threads: int) -> dict[str, Any]:
    """What a child process is told to load."""
    manifest, base = submission.manifest, base_of(submission)
    return {
        "format": manifest.format,
        "weights": str(weights.resolve()),
        "kind": manifest.kind,
        "inputs": manifest.inputs.model_dump(mode="json"),
        "device": device,
        "threads": threads,
        "point": dict(manifest.operating_point),
        "base": None if base is None else str(base.resolve()),
    }


def bytes_of(submission: Submission, weights: Path) -> int:
    """Bytes of all files that are needed to run a submission, an adapter's base included."""
    base = base_of(submission)
    return total_bytes(weights) + (0 if base is None else total_bytes(base))


def version(package: str) -> str:
    """Of an installed distribution; ``absent`` if it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"

"""Manifest: what ``submissions/<name>/submission.toml`` may say."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from suite.errors import InputError

Kind = Literal["language", "segmentation", "classification"]
KINDS: tuple[Kind, ...] = ("language", "segmentation", "classification")
FILE_NAME = "submission.toml"
RESERVED = frozenset({"tasks"})  # results/tasks/ describes tasks, so no submission may be called that


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Compression(_Strict):
    """What the submitter says was done to the parent; the static report checks the numbers against the files."""

    method: str
    """Name of the method, e.g. ``onnx-int8-dynamic``, ``rtn-int4``, ``channel-pruning``, ``distillation``."""
    bits: float | None = Field(default=None, gt=0, le=64)
    """Claimed bits per compressed weight."""
    group_size: int | None = Field(default=None, gt=0)
    """Weights that share one scale."""
    sparsity: float | None = Field(default=None, ge=0, le=1)
    """Claimed share of weights that are exactly zero, or were removed."""
    notes: str = ""
    """Anything else that a reader should know."""


class Normalisation(_Strict):
    """How an image with values in [0, 1] becomes the model's input: (x - mean) / std per channel."""

    mean: tuple[float, ...] = (0.0,)
    """Per channel, or one value for all."""
    std: tuple[float, ...] = (1.0,)
    """Per channel, or one value for all."""

    @field_validator("std")
    @classmethod
    def _positive(cls, std: tuple[float, ...]) -> tuple[float, ...]:
        if min(std, default=0.0) <= 0:
            raise ValueError("every std must be above 0")
        return std


class Inputs(_Strict):
    """What the harness must know to feed the model."""

    context: int | None = Field(default=None, gt=0)
    """Language: tokens that one sequence may hold; absent: what the model's configuration says."""
    shape: tuple[int, ...] | None = None
    """Vision: one input without the batch dimension, e.g. [3, 32, 32]."""
    spacing: tuple[float, ...] | None = None
    """Segmentation: millimetres per voxel that the model expects, in the order of the spatial axes."""
    normalisation: Normalisation | None = None
    """Vision: absent means that the model takes values in [0, 1]."""
    classes: int | None = Field(default=None, gt=1)
    """Number of classes, the background counted."""
    output: Literal["logits", "probabilities"] = "logits"
    """What the file's last layer gives; logits go through a float64 softmax."""
    scores: str | None = None
    """Predictions: the .npz array, or the beginning of the columns' names, that holds the scores."""
    calibration_scores: str | None = None
    """Predictions: the .npz array that holds the scores of the task's calibration split."""
    ids: str | None = None
    """Predictions: the array or column of item ids; absent in a .npz: rows are in the data's order."""
    data_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Predictions: digest of the data that they were made on, as records and `hallmark list` state it."""


class Manifest(_Strict):
    """One submission: a model file, where it comes from, and what its author claims of it."""

    schema_version: Literal[1]
    """Version of this file format; 1."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Equal to the folder's name; letters, digits, dot, underscore and hyphen."""
    title: str
    """One line for people."""
    kind: Kind
    """language, segmentation or classification."""
    format: str
    """A key of ``hallmark list formats``."""
    weights: str = Field(pattern=r"^[^\x00-\x1f]+$")
    """File or folder beside the manifest, ``data:NAME[/path]`` in the local mirror, or ``hub:org/name@revision``."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    r"""One file: its sha256. A folder: sha256 of the sorted lines ``<sha256>  <relative path>\n``."""
    parent: str | None = None
    """The submission this one was made from: a folder beside this one first, then under ``submissions/``."""
    tasks: tuple[str, ...] = ()
    """Tasks that ``hallmark run`` takes without ``-t``."""
    licence: str | None = None
    """SPDX name of the weights' licence."""
    authors: tuple[str, ...] = ()
    """Who made it."""
    seed: int = 0
    """Training seed."""
    series: str | None = None
    """Shared by several seeds or checkpoints of one method."""
    training: str | None = None
    """How it was trained, in a sentence."""
    compression: Compression | None = None
    """Absent for a parent."""
    inputs: Inputs = Inputs()
    """What the harness must know to feed the model."""
    operating_point: dict[str, str | int | float] = Field(default_factory=dict)
    """Which of several settings of one checkpoint this is, e.g. {"bits": 4}."""
    reported: dict[str, float] = Field(default_factory=dict)
    """Numbers claimed elsewhere; shown beside ours, never instead."""

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"the name {name!r} is reserved")
        return name

    @classmethod
    def load(cls, path: Path | str) -> Manifest:
        """Read a ``submission.toml``, or the one in a folder.

        Raises:
            InputError: no such file, not TOML, an unknown key, a wrong value, or a name that is not the folder's.
        """
        path = Path(path)
        path = path / FILE_NAME if path.is_dir() else path
        try:
            fields = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            why = "" if isinstance(error, FileNotFoundError) else f" ({error.strerror})"
            raise InputError(f"no manifest at {path}{why}; a submission is a folder with a {FILE_NAME}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not valid TOML: {error}") from None
        try:
            manifest = cls.model_validate(fields)
        except ValidationError as error:
            raise InputError(f"{path}: {_explain(error)}") from None
        if manifest.name != path.resolve().parent.name:
            raise InputError(
                f"{path}: name = {manifest.name!r} but the folder is {path.resolve().parent.name!r}; make them equal"
            )
        return manifest

    def fingerprint(self) -> str:
        """sha256 over what decides the model's answers: kind, format, weights' digest, inputs, operating point."""
        decides = self.model_dump(mode="json", include={"kind", "format", "sha256", "inputs", "operating_point"})
        return hashlib.sha256(canonical_json(decides)).hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, UTF-8: the bytes that digests are taken of.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    b'{"a":[1.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _explain(error: ValidationError) -> str:
    """The first problem of a pydantic error, in one line; names the nearest key for an unknown one."""
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")  # a misspelt key is also a missing one
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        allowed = _fields_at(first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), allowed, n=1)
        guess = f"; did you mean {near[0]!r}?" if near else "."
        return f"unknown key {where!r}{guess} Allowed here: {', '.join(allowed)}"
    if first["type"] == "missing":
        return f"key {where!r} is missing"
    given = json.dumps(first["input"], default=str)
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where} = {given}: {first['msg'].removeprefix('Value error, ')}{more}"


def _fields_at(loc: tuple[str | int, ...]) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "": Manifest,
        "compression": Compression,
        "inputs": Inputs,
        "inputs.normalisation": Normalisation,
    }
    return list(models[".".join(map(str, loc))].model_fields)

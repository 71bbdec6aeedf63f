"""Manifest: what ``submissions/<name>/submission.toml`` may say."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from suite.errors import InputError
from suite.explain import explain
from suite.inputs import Inputs, Normalisation, Strict

__all__ = ["FILE_NAME", "KINDS", "Compression", "Inputs", "Kind", "Manifest", "Normalisation", "canonical_json"]

Kind = Literal["language", "segmentation", "classification"]
KINDS: tuple[Kind, ...] = ("language", "segmentation", "classification")
FILE_NAME = "submission.toml"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
_SEGMENTATION_ONLY = ("patch", "overlap", "flips", "pad_to_multiple")
RESERVED = frozenset({"tasks"})  # results/tasks/ describes tasks, so no submission may be called that


class Compression(Strict):
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


class Manifest(Strict):
    """One submission: a model file, where it comes from, and what its author claims of it."""

    schema_version: Literal[1]
    """Version of this file format; 1."""
    name: str = Field(pattern=NAME_PATTERN)
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
    base_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Adapters (format peft): the sha256 of the base that they were made for, which is the parent's."""
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
    """One of several settings of the checkpoint: {"width": 0.5} for inputs so named, {"exit": 6}, {"bits": 4}."""
    reported: dict[str, float] = Field(default_factory=dict)
    """Numbers claimed elsewhere; shown beside ours, never instead."""

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"the name {name!r} is reserved")
        return name

    @model_validator(mode="after")
    def _inputs_of_the_kind(self) -> Self:
        given = [name for name in _SEGMENTATION_ONLY if getattr(self.inputs, name) not in (None, ())]
        if given and self.kind != "segmentation":
            raise ValueError(f"inputs.{given[0]} is for segmentation; this is a {self.kind} model")
        if self.inputs.layout and self.kind == "language":
            raise ValueError("inputs.layout is that of images; this is a language model")
        if self.inputs.ensemble and (self.kind == "language" or self.format == "predictions"):
            raise ValueError("inputs.ensemble is for networks of kind segmentation or classification")
        return self

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
            raise InputError(f"{path}: {explain(error, Manifest)}") from None
        if manifest.name != path.resolve().parent.name:
            raise InputError(
                f"{path}: name = {manifest.name!r} but the folder is {path.resolve().parent.name!r}; make them equal"
            )
        return manifest

    def fingerprint(self) -> str:
        """sha256 over what decides the answers: kind, format, digests of weights and base, inputs, operating point."""
        decides = self.model_dump(mode="json", include={"kind", "format", "sha256", "operating_point"})
        decides["inputs"] = self.inputs.decides()
        if self.base_sha256 is not None:
            decides["base_sha256"] = self.base_sha256
        return hashlib.sha256(canonical_json(decides)).hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, UTF-8: the bytes that digests are taken of.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    b'{"a":[1.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

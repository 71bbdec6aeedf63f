"""What the description of every user's data set has, whatever its kind, and how a wrong one is explained."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from suite.data import Dataset
from suite.errors import InputError
from suite.manifest import Kind, canonical_json

_WORDS = {"title", "licence", "source", "sha256", "ubench"}  # no outcome depends on them


class Local(Dataset):
    """Data beside a user's TOML file: never missing, for they are looked for when the file is read."""

    def missing(self) -> str | None:
        """Never."""
        return None


class Strict(BaseModel):
    """Frozen, and every key that it does not name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Common(Strict):
    """A user's data set as its TOML file describes it; paths are relative to that file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """The task's name in records; not one of ``hallmark list tasks``."""
    kind: Kind
    """segmentation or classification."""
    title: str = ""
    """One line for people."""
    version: str = Field(default="1", min_length=1)
    """Raise it when the data change: records of other versions are not compared."""
    licence: str = ""
    """Of the data."""
    source: str = ""
    """Where the data come from, and how to get them."""
    table: str | None = None
    """CSV, TSV or Parquet with a row for every item."""
    id: str = "id"
    """The table's column of ids."""
    cluster: str | None = None
    """The table's column of what correlated items share (patient, document); absent: every item for itself."""
    groups: tuple[str, ...] = ()
    """The table's columns to report by: site, scanner, sex, age ..."""
    bands: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Group columns of numbers and the limits of their bands: {age = [40, 65]} makes <40, 40-65 and >=65."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """The data's digest as records state it; other data are then refused."""
    where: dict[str, str] = Field(default_factory=dict)
    """Columns of the table and the one value that an item must have to be scored: {split = "test"}."""
    classes: tuple[str, ...] = ()
    """Names of the classes."""

    @field_validator("classes", "groups")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("a name is given twice")
        if any(set(name) & set("[],=") or not name for name in names):
            raise ValueError("a name may not be empty nor hold any of [ ] , =")
        return names

    @field_validator("bands")
    @classmethod
    def _rising(cls, bands: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        if any(not limits or list(limits) != sorted(set(limits)) for limits in bands.values()):
            raise ValueError("the limits of a band must rise")
        return bands

    @model_validator(mode="after")
    def _with_table(self) -> Common:
        asked = [key for key in ("cluster", "groups", "where") if getattr(self, key)]
        if self.table is None and asked:
            raise ValueError(f"{asked[0]} names columns of a table, and no table is given: add table = ...")
        stray = sorted(set(self.bands) - set(self.groups))
        if stray:
            raise ValueError(f"bands of {stray[0]!r}, which is not among the groups")
        return self

    def meaning_sha256(self) -> str:
        """sha256 over all keys that a number can depend on and that were given; goes into the data's digest."""
        return hashlib.sha256(
            canonical_json(self.model_dump(mode="json", exclude=_WORDS, exclude_defaults=True))
        ).hexdigest()


CommonT = TypeVar("CommonT", bound=Common)


def parsed(path: Path) -> dict[str, Any]:
    """The keys of a TOML file.

    Raises:
        InputError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"no data set at {path}: {error.strerror}; give a TOML file that describes one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None


def validated(model: type[CommonT], fields: Mapping[str, Any], where: str) -> CommonT:
    """The description with these keys.

    Raises:
        InputError: an unknown key (with the nearest), a missing one, or a wrong value.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"{where}: {_explain(error, model)}") from None


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem in one line; a misspelt key comes before the key that is missing for it."""
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        allowed = list(_model_at(model, first["loc"][:-1]).model_fields)
        near = difflib.get_close_matches(str(first["loc"][-1]), allowed, n=1)
        guess = f"; did you mean {near[0]!r}?" if near else "."
        return f"unknown key {where!r}{guess} Allowed here: {', '.join(allowed)}"
    if first["type"] == "missing":
        return f"key {where!r} is missing"
    said = first["msg"].removeprefix("Value error, ")
    if not where:
        return said
    return f"{where} = {json.dumps(first['input'], default=str)}: {said}"


def _model_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> type[BaseModel]:
    """The nested model at a place; a place within lists is that of their items."""
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            inside = [annotation, *typing.get_args(annotation)]
            model = next((t for t in inside if isinstance(t, type) and issubclass(t, BaseModel)), model)
    return model

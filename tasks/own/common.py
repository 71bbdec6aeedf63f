"""What the description of every user's data set has, whatever its kind, and how a wrong one is explained."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from suite.data import Dataset
from suite.errors import InputError
from suite.explain import explain
from suite.manifest import Kind, canonical_json
from suite.metrics.codes import MIN_GROUP

_WORDS = {"title", "licence", "source", "sha256", "ubench"}  # no outcome depends on them


class Local(Dataset):
    """Data beside a user's TOML file: never missing, for they are looked for when the file is read."""

    def missing(self) -> str | None:
        """Never."""
        return None


class Strict(BaseModel):
    """Frozen, and every key that it does not name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Variants(Strict):
    """Which rows show the same task under another condition; ``variants = "site"`` alone names the column."""

    column: str = Field(min_length=1)
    """The table's column that says which variant a row is: site, scanner, corruption ..."""
    reference: str = ""
    """The variant that the others are compared with (internal, clean ...); without this key that of the first row."""
    origin: str | None = None
    """The table's column of what is shown in several variants, e.g. the photograph that corrupted copies are of."""


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
    by_group: tuple[str, ...] = ()
    """Further metrics to report by group, as records name them: auroc, brier, hd95_max_voxel, dice[class=tumour] ..."""
    least_group: int = Field(default=MIN_GROUP, ge=2)
    """Items (cases) that a group needs for a value of its own; those of smaller ones are together in (small)."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """The data's digest as records state it; other data are then refused."""
    variants: Variants | None = None
    """Sites, corruptions or other shifts: each one's values, what it loses of the reference's, their mean."""
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

    @model_validator(mode="before")
    @classmethod
    def _shifted(cls, fields: Any) -> Any:
        """A bare column's name is a table of one key; the variants are groups too."""
        said = fields.get("variants") if isinstance(fields, dict) else None
        said = {"column": said} if isinstance(said, str) else said
        if not isinstance(said, dict) or not isinstance(said.get("column"), str):
            return fields
        groups = fields.get("groups", ())
        if isinstance(groups, list | tuple) and said["column"] not in groups:
            fields = {**fields, "groups": [*groups, said["column"]]}
        return {**fields, "variants": said}

    @model_validator(mode="after")
    def _with_table(self) -> Common:
        asked = [key for key in ("variants", "cluster", "groups", "where") if getattr(self, key)]
        if self.table is None and asked:
            raise ValueError(f"{asked[0]} names columns of a table, and no table is given: add table = ...")
        if self.by_group and not self.groups:
            raise ValueError("by_group names metrics to report by group, and there are no groups: add groups = [...]")
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
        raise InputError(f"{where}: {explain(error, model)}") from None

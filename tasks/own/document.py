"""Writes the keys of users' data sets into ``tasks/examples/README.md``; ``make docs`` calls it and a test compares."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, create_model

from suite.document import fields, with_generated
from tasks.own import description, keys
from tasks.own.common import Common, Variants

PAGE = Path(__file__).parent.parent / "examples" / "README.md"
KINDS: dict[str, type[Common]] = {"Classification": keys.Description, "Segmentation": description.Description}


def text() -> str:
    """The page as it must be."""
    own = [_own(name, model) for name, model in KINDS.items()]
    keys = fields([_named("Every kind", Common), *own, Variants]).replace("tasks.own.common.", "")
    return with_generated(PAGE.read_text(encoding="utf-8"), keys)


def _own(name: str, model: type[Common]) -> type[BaseModel]:
    """The keys of a kind that the others lack, or that mean something of its own there."""
    shared = Common.model_fields
    keys = {
        key: (field.annotation, field)
        for key, field in model.model_fields.items()
        if key not in shared or shared[key].description != field.description
    }
    return create_model(name, __doc__=model.__doc__, **keys)  # type: ignore[call-overload, no-any-return]


def _named(name: str, model: type[BaseModel]) -> type[BaseModel]:
    keys = {key: (field.annotation, field) for key, field in model.model_fields.items()}
    return create_model(name, __doc__=model.__doc__, **keys)  # type: ignore[call-overload, no-any-return]


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")

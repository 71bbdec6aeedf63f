"""Explanations: what pydantic found wrong in a file that a person wrote, in one line that says what is allowed."""

from __future__ import annotations

import json
import typing
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from suite.errors import unknown

Place = Sequence[str | int]
_WANTED = {
    "float_": "want a number",
    "int_": "want a whole number",
    "finite_number": "want a finite number",
    "bool_": "want true or false",
    "string_type": "want text in quotes",
    "tuple_type": "want a list",
    "list_type": "want a list",
    "dict_type": "want a table",
    "model_type": "want a table",
    "model_attributes_type": "want a table",
}  # the beginning of pydantic's name of a problem -> what is allowed
_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_MANY = {"too_short": "least", "too_long": "most"}


def first_problem(error: ValidationError) -> ErrorDetails:
    """The problem to tell: an unknown key before all others, because a misspelt key is also a missing one."""
    return min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first problem and how many more there are.

    Args:
        error: what validation raised.
        model: what was validated; its fields are the keys that are allowed.
    """
    first = first_problem(error)
    told = explain_one(first, model, first["loc"])
    if first["type"] in ("extra_forbidden", "missing") or error.error_count() == 1:
        return told
    return f"{told} ({error.error_count() - 1} more)"


def explain_one(problem: ErrorDetails, model: type[BaseModel], place: Place) -> str:
    """One problem: which key, what it holds, what is wrong with that; for an unknown key the allowed ones.

    Args:
        problem: one of ``error.errors()``.
        model: the model in which `place` begins.
        place: the keys that lead to the problem.
    """
    where = ".".join(map(str, place))
    if problem["type"] == "extra_forbidden":
        key = str(place[-1])  # its neighbours are near to this part alone
        return str(unknown("key", key, _at(model, place[:-1]).model_fields)).replace(repr(key), repr(where), 1)
    if problem["type"] == "missing":
        return f"key {where!r} is missing"
    said = _in_words(problem)
    if not where:
        return said
    if isinstance(problem["input"], dict) and problem["type"] == "value_error":  # of a section: it says which keys
        return f"{where}: {said}"
    return f"{where} = {json.dumps(problem['input'], default=str)}: {said}"


def _in_words(problem: ErrorDetails) -> str:
    """What is allowed, in the words of the file that was read, not of the library that read it."""
    kind, limits = problem["type"], problem.get("ctx", {})
    if kind == "literal_error":
        return f"want {limits['expected']}"
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"want {words} {limits[name]:g}"
    if kind in _MANY:
        return f"want at {_MANY[kind]} {limits['min_length' if kind == 'too_short' else 'max_length']} of it"
    found = next((words for stem, words in _WANTED.items() if kind.startswith(stem)), None)
    return found or problem["msg"].removeprefix("Value error, ")


def _at(model: type[BaseModel], place: Place) -> type[BaseModel]:
    """The nested model at a place; a place within lists is that of their items."""
    for part in place:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            inside = [annotation, *typing.get_args(annotation)]
            model = next((t for t in inside if isinstance(t, type) and issubclass(t, BaseModel)), model)
    return model

"""Images and references that are read from their files whenever they are asked for, so that a task holds none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tasks.own import cases
from tasks.own.cases import Case
from tasks.own.description import Description
from tasks.scans import Image, Reference

ScanT = TypeVar("ScanT", Image, Reference)


class FileImage(Image):
    """An `Image` in files."""

    def __init__(self, read: Callable[[], Image]) -> None:
        object.__setattr__(self, "read", read)

    def __getattribute__(self, name: str) -> Any:
        return _attribute(self, name)


class FileReference(Reference):
    """A `Reference` in files."""

    def __init__(self, read: Callable[[], Reference]) -> None:
        object.__setattr__(self, "read", read)

    def __getattribute__(self, name: str) -> Any:
        return _attribute(self, name)


def scan(case: Case, description: Description) -> tuple[Image, Reference]:
    """Image and reference of a case, neither of them read yet."""
    return (
        FileImage(lambda: cases.image(case, description)),
        FileReference(lambda: cases.reference(case, description)),
    )


def now(one: ScanT) -> ScanT:
    """The same in memory."""
    if isinstance(one, FileImage | FileReference):
        read: Callable[[], ScanT] = object.__getattribute__(one, "read")
        return read()
    return one


def _attribute(one: Any, name: str) -> Any:
    if name in type(one).__dataclass_fields__:
        return getattr(now(one), name)
    return object.__getattribute__(one, name)

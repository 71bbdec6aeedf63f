"""Every error that Hallmark raises on purpose, and the exit code that each one means.

    HallmarkError                  one line for the user; the command line prints it without a traceback
    ├── InputError            2    bad usage or bad input, found before any unit starts
    │   └── AbsentDataError   2    a data set is not here; a suite goes on without its tasks
    ├── UnitError             1    one (submission, task) failed; the other units go on
    │   └── AnswerError       1    the model's answer for one item is unusable
    ├── IncomparableError     4    two records measure different things
    └── InfrastructureError   5    the disk is full, a file cannot be written, a child cannot be started

    Undefined                      a number has no value here; becomes ``null`` with this reason in a record

A message says what was given, what is allowed, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED = 100  # names that a message lists


class HallmarkError(Exception):
    """Base of all errors meant for the user's eyes; anything else that escapes is a bug."""

    exit_code = 1


class InputError(HallmarkError):
    """Bad usage or bad input, found before any unit starts."""

    exit_code = 2


class AbsentDataError(InputError):
    """A data set is neither here nor to be fetched; says where it was looked for."""


class UnitError(HallmarkError):
    """One (submission, task) failed; the other units go on."""

    exit_code = 1


class AnswerError(UnitError):
    """The model's answer for one item is unusable.

    Attributes:
        index: position of the item in the batch that was asked; ``None`` when no single item can be blamed.
    """

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class IncomparableError(HallmarkError):
    """Two records measure different things."""

    exit_code = 4


class InfrastructureError(HallmarkError):
    """The machine failed us: no disk space, no permission, no child process."""

    exit_code = 5


class Undefined(Exception):  # noqa: N818 - not an error: a stated fact about a number
    """A number has no value on this input; the text is the ``reason`` that the record keeps."""


def unknown(what: str, name: str, choices: Iterable[str], hint: str = "") -> InputError:
    """The error for a name that is not among `choices`, with the nearest ones.

    >>> str(unknown("task", "tinystory", ["tinystories", "wikitext2"]))
    "unknown task 'tinystory'; did you mean 'tinystories'? Allowed: tinystories, wikitext2"
    """
    allowed = sorted(choices)
    near = difflib.get_close_matches(name, allowed, n=2, cutoff=0.5)
    guess = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else "."
    more = f", ... ({len(allowed)} in all)" if len(allowed) > _LISTED else ""
    return InputError(f"unknown {what} {name!r}{guess} Allowed: {', '.join(allowed[:_LISTED]) or 'none'}{more}{hint}")

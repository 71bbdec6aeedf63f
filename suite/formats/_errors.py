"""A runtime's error in one line."""

from __future__ import annotations

_LENGTH = 200


def one_line(error: BaseException) -> str:
    r"""What an error says, its lines joined, at most 200 characters; its type where it says nothing.

    >>> one_line(ValueError("no such operator:\n  Foo"))
    'no such operator: Foo'
    """
    return " ".join(str(error).split())[:_LENGTH] or type(error).__name__

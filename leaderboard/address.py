"""Address: what the parameters of the URL may say; what they may not is told in one message, by name and value."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import streamlit as st

from leaderboard import data

LONGEST = 200
FIRST_DAY, LAST_DAY = datetime.date(1980, 1, 2), datetime.date(2100, 1, 1)  # `suite.entry`: none before
MESSAGE = "The address says something that cannot be used here; it is left out:"


class Rule(NamedTuple):
    """What a parameter may say.

    Attributes:
        holds: whether a value may stand there.
        said: what it must be, in words.
    """

    holds: Callable[[str], bool]
    said: str


def is_amount(value: str) -> bool:
    """A number that is not negative.

    >>> is_amount("4"), is_amount("0.5"), is_amount("-1"), is_amount("nan"), is_amount("four")
    (True, True, False, False, False)
    """
    try:
        return 0 <= float(value) < math.inf
    except ValueError:
        return False


def is_day(value: str) -> bool:
    """A day as ISO 8601 writes it, in the span that the widget takes.

    >>> is_day("2026-01-31"), is_day("2026-02-31"), is_day("yesterday")
    (True, False, False)
    """
    try:
        return FIRST_DAY <= datetime.date.fromisoformat(value) <= LAST_DAY
    except ValueError:
        return False


AMOUNT = Rule(is_amount, "a number, 0 or more")
DAY = Rule(is_day, "a day such as 2026-01-31")
NUMBER = Rule(lambda value: value.isdecimal() and int(value) > 0, "a whole number from 1 on")
SWITCH = Rule(lambda value: value.lower() in ("true", "false"), "true or false")


def one_of(known: Collection[str]) -> Rule:
    """One of a few names."""
    return Rule(lambda value: value in known, f"one of: {', '.join(known)}")


def wrong(rules: Mapping[str, Rule]) -> list[str]:
    """A line for every value in the URL that breaks its rule."""
    return [
        f"{name}={value[:LONGEST]}: not {rule.said}"
        for name, rule in rules.items()
        for value in data.parameters(name)
        if not rule.holds(value)
    ]


def check(rules: Mapping[str, Rule]) -> None:
    """Say what of the URL is not used; call it before the widgets, which take such a value out of the URL."""
    lines = wrong(rules)
    if lines:
        st.info(MESSAGE)
        st.text("\n".join(lines))

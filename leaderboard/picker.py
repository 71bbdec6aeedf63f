"""Pickers: choose a model, a task or a metric by name, the choice in the URL; unknown names are told, and left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from leaderboard import data
from leaderboard.filters import OPTIONS

WIDTH = 380


def offered(names: Sequence[str], asked: Sequence[str], most: int = OPTIONS) -> list[str]:
    """The names that a widget offers: those that are asked for, then the first others, `most` in all.

    >>> offered(["a", "b", "c"], ["c"], most=2)
    ['a', 'c']
    """
    if len(names) <= most:
        return list(names)
    known = set(names)
    kept = list(dict.fromkeys([*(name for name in asked if name in known), *names]))[:most]
    return sorted(kept)


def narrowed(noun: str, key: str, names: Sequence[str], asked: Sequence[str] = ()) -> list[str]:
    """The names that a search leaves, and those asked for; a field for it is shown where a widget cannot offer all."""
    if len(names) <= OPTIONS:
        return list(names)
    words = st.text_input(f"Search {noun}s ({len(names):,})", key=key, width=WIDTH, placeholder="part of a name")
    wanted = str(words or "").lower().split()
    found = [name for name in names if name in asked or all(word in name.lower() for word in wanted)]
    if len(found) > OPTIONS:
        st.caption(f"The first {OPTIONS:,} of {len(found):,} are offered; search to see others.")
    return found


def one(
    noun: str, key: str, names: Sequence[str], default: str | None = None, say: Callable[[str], str] = str
) -> str | None:
    """One of the names, or None while nothing is chosen.

    Args:
        noun: what they are, e.g. "model"; heads the widget and the message of an unknown name.
        key: of the widget and of the parameter in the URL.
        names: all of them.
        default: chosen where the URL names none; None chooses nothing.
        say: how a name is shown.
    """
    asked = data.parameters(key)
    data.say_unknown(noun, asked, names)
    options = offered(narrowed(noun, f"{key}_search", names, asked), asked if asked else [default] if default else [])
    return st.selectbox(
        noun.capitalize(), options, index=options.index(default) if default in options else None, key=key,
        bind="query-params", width=WIDTH, placeholder=f"Choose a {noun}", format_func=say,
    )  # fmt: skip


def several(noun: str, key: str, names: Sequence[str], most: int, **more: Any) -> list[str]:
    """Up to `most` of the names, in the order in which they were chosen."""
    asked = data.parameters(key)
    data.say_unknown(noun, asked, names)
    if len(asked) > most:
        st.info(f"The link names {len(asked)} {noun}s; at most {most} can be chosen.")
    return st.multiselect(
        f"{noun.capitalize()}s, at most {most}", offered(names, asked), key=key, bind="query-params",
        max_selections=most, placeholder=f"Choose {noun}s", **more,
    )  # fmt: skip

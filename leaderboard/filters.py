"""Filters: one declaration each, the widgets with their state in the URL, and the rows that pass. For all pages."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import streamlit as st

from leaderboard import address, data
from suite.manifest import KINDS

MEGA = 1e6
SEARCHED = ("submission", "title", "method", "task")
CHOICE, NARROW = 300, 170
OPTIONS = 1000


@dataclass(frozen=True)
class Choice:
    """A filter by the values of one column.

    Attributes:
        key: name of the widget and of the parameter in the URL.
        column: of the board's rows.
        label: of the widget; also the noun of messages.
        everything: what the empty widget says.
    """

    key: str
    column: str
    label: str
    everything: str


FIRST = (Choice("tasks", "task", "Task", "All tasks"),)
MORE = (
    Choice("methods", "method", "Method", "All methods"),
    Choice("machines", "machine_label", "Machine", "All machines"),
    Choice("licences", "licence", "Licence", "All licences"),
    Choice("sources", "source", "Source", "Measured, predictions, imported"),
    Choice("data", "data", "Data", "Real and generated"),
    Choice("sandboxes", "sandbox", "Sandbox", "Confined or not"),
)


@dataclass(frozen=True)
class Limit:
    """A filter by the size of a number; rows without the number do not pass."""

    key: str
    column: str
    label: str
    sense: Literal["most", "least"]
    unit: float = 1.0


LIMITS = (
    Limit("max_bits", "bits_per_weight", "Bits/weight at most", "most"),
    Limit("max_mb", "bytes", "MB on disk at most", "most", MEGA),
    Limit("min_retention", "retention", "Retention at least", "least"),
)
KEYS = ("q", "kind", "since", *(c.key for c in (*FIRST, *MORE)), *(limit.key for limit in LIMITS))


def filtered(
    rows: pd.DataFrame, page: str, prefix: str = "", more: Mapping[str, address.Rule] | None = None
) -> pd.DataFrame:
    """Show the widgets and give the rows that pass, in the board's order. Every filter is in the URL.

    Args:
        rows: of the board.
        page: short name of the page that shows them.
        prefix: of the parameters' names; every page has its own, see `leaderboard.data`.
        more: rules of the page's other parameters, so that all that breaks one is told together.
    """
    kinds = [kind for kind in KINDS if kind in set(rows["kind"].unique())]
    options = {choice: _options(choice, rows) for choice in (*FIRST, *MORE)}
    rules = {f"{prefix}since": address.DAY, **{prefix + limit.key: address.AMOUNT for limit in LIMITS}}
    address.check({**rules, **(more or {})})
    data.say_unknown("kind", data.parameters(f"{prefix}kind"), kinds)
    for choice, known in options.items():
        data.say_unknown(choice.label.lower(), data.parameters(prefix + choice.key), known)
    chosen: dict[str, Any] = {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen["q"] = st.text_input(
            "Search", key=f"{prefix}q", bind="query-params", placeholder="name, title, method, task", width=CHOICE
        )
        chosen["kind"] = st.segmented_control("Kind", kinds, key=f"{prefix}kind", bind="query-params")
        for choice in FIRST:
            chosen[choice.key] = _choose(choice, options[choice], prefix)
    active = sum(any(rules[key].holds(one) for one in data.parameters(key)) for key in rules)
    active += sum(any(one in options[c] for one in data.parameters(prefix + c.key)) for c in MORE)
    title = f"More filters ({active} set)" if active else "More filters"
    with st.expander(title, expanded=False), st.container(horizontal=True):
        for choice in MORE:
            chosen[choice.key] = _choose(choice, options[choice], prefix)
        for limit in LIMITS:
            chosen[limit.key] = st.number_input(
                limit.label, min_value=0.0, value=None, key=prefix + limit.key, bind="query-params", width=NARROW
            )
        chosen["since"] = st.date_input(
            "Run since",
            value=None,
            min_value=address.FIRST_DAY,
            max_value=address.LAST_DAY,
            key=f"{prefix}since",
            bind="query-params",
            width=NARROW,
        )
    if any(data.parameter(prefix + key) for key in KEYS):
        data.link("Clear the filters", page)
    return passing(rows, chosen)


def state(prefix: str, other: str) -> dict[str, list[str]]:
    """The filters as they stand in the URL, renamed for a link to another page with the same rows.

    Args:
        prefix: of this page's parameters.
        other: of that page's.
    """
    return {other + key: given for key in KEYS if (given := data.parameters(prefix + key))}


def passing(rows: pd.DataFrame, chosen: Mapping[str, Any]) -> pd.DataFrame:
    """The rows that pass all filters, in their order; an empty filter lets all pass.

    Args:
        rows: of the board.
        chosen: key of a filter -> what it asks for: a list of values, a number, words to search, or a date.
    """
    passed = pd.Series(True, index=rows.index)
    if chosen.get("kind"):
        passed &= rows["kind"] == chosen["kind"]
    for choice in (*FIRST, *MORE):
        if chosen.get(choice.key):
            passed &= rows[choice.column].isin(chosen[choice.key])
    for limit in LIMITS:
        bound = chosen.get(limit.key)
        if bound is not None:
            number = rows[limit.column]
            passed &= number <= bound * limit.unit if limit.sense == "most" else number >= bound * limit.unit
    since = chosen.get("since")
    if isinstance(since, datetime.date):
        passed &= rows["date"].isin([day for day in rows["date"].cat.categories if day >= since.isoformat()])
    for word in str(chosen.get("q") or "").split():
        passed &= _found(rows, word)
    return rows if passed.all() else rows[passed]


def _found(rows: pd.DataFrame, word: str) -> pd.Series:
    """Which rows hold the word, in whatever case."""
    hit = pd.Series(False, index=rows.index)
    for name in SEARCHED:
        column = rows[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            names = column.cat.categories
            hit |= column.isin(names[names.astype("str").str.contains(word, case=False, regex=False)])
        else:
            hit |= column.str.contains(word, case=False, regex=False).fillna(False).astype(bool)
    return hit


def _options(choice: Choice, rows: pd.DataFrame) -> list[str]:
    """Values of a column, the most frequent first."""
    counts = rows[choice.column].value_counts()
    return [str(value) for value in counts.index[counts > 0]]


def _choose(choice: Choice, options: list[str], prefix: str) -> list[str]:
    label = choice.label
    if len(options) > OPTIONS:
        asked = [value for value in data.parameters(prefix + choice.key) if value in options]
        options, label = list(dict.fromkeys([*asked, *options[:OPTIONS]])), f"{label} ({OPTIONS} most frequent)"
    return st.multiselect(
        label,
        sorted(options),
        key=prefix + choice.key,
        bind="query-params",
        placeholder=choice.everything,
        width=CHOICE,
    )

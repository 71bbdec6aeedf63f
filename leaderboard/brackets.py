"""Brackets: what a record says of single classes and groups, read from the names of its measurements. Pure.

``dice[class=organ,site=A]`` is the metric ``dice`` of one part; ``worst_group_dice[site]``, ``dice_gap[site]`` and the
like are spreads over the values of one or more attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from suite.record import Measurement

_PAIR = re.compile(r",(?=[^,=]+=)")
_SETTINGS = frozenset({"scope", "scenario", "after", "filter", "policy", "fp", "volume"})  # variants, not parts


class Part(NamedTuple):
    """A metric of one class, or of one group.

    Attributes:
        stem: the metric.
        by: the attributes, e.g. ``class`` or ``age, sex``.
        value: theirs, e.g. ``organ`` or ``old, f``.
    """

    stem: str
    by: str
    value: str


def part(name: str) -> Part | None:
    """What a measurement's name says of one part; None where it is about none.

    >>> part("dice[class=organ,site=A]"), part("dice_gap[site]"), part("nll[scope=band]")
    (Part(stem='dice', by='class, site', value='organ, A'), None, None)
    """
    stem, bracket, inner = name.partition("[")
    pairs = [one.partition("=") for one in _PAIR.split(inner.removesuffix("]"))] if bracket else []
    if not pairs or not all(equals for _, equals, _ in pairs) or {key for key, _, _ in pairs} & _SETTINGS:
        return None
    return Part(stem, ", ".join(key for key, _, _ in pairs), ", ".join(value for _, _, value in pairs))


def stems(measurements: Iterable[Measurement], primary: str) -> list[str]:
    """Metrics that a record has by class or group, the primary one first."""
    found = dict.fromkeys(said.stem for m in measurements if (said := part(m.name)))
    return sorted(found, key=lambda stem: stem != primary)


def parts(measurements: Iterable[Measurement], stem: str) -> pd.DataFrame:
    """A row a part: name, by, value_of, value, low, high, n, reason; in the record's order."""
    rows = [
        {
            "name": m.name,
            "by": said.by,
            "part": said.value,
            **{"value": m.value, "low": m.low, "high": m.high, "n": m.n or None, "reason": m.reason},
        }
        for m in measurements
        if (said := part(m.name)) and said.stem == stem
    ]
    return pd.DataFrame(rows, columns=["name", "by", "part", "value", "low", "high", "n", "reason"]).astype(
        {"value": "float64", "low": "float64", "high": "float64"}
    )


def spreads(measurements: Iterable[Measurement], stem: str) -> list[Measurement]:
    """What is said of the spread of a metric over groups: worst group, gap, ratio, equity-scaled, chance."""
    wanted = re.compile(
        rf"^(worst_group_{re.escape(stem)}|(es_|es_std_){re.escape(stem)}|{re.escape(stem)}_(gap|ratio|gap_p|gap_null|"
        r"left_out))\[[^=\]]+\]$"
    )
    return [m for m in measurements if wanted.match(m.name)]


def with_parts(measurements: Iterable[Measurement], metric: str) -> list[str]:
    """Names of a metric, its parts and its spreads, as a comparison asks for them."""
    kept = list(measurements)
    inside = [m.name for m in kept if (said := part(m.name)) and said.stem == metric]
    return [metric, *inside, *(m.name for m in spreads(kept, metric) if not m.name.startswith(f"{metric}_gap_"))]

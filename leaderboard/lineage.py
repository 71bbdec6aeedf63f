"""Lineage: the family that a model belongs to, each member under the one that it was made from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leaderboard import table
from leaderboard.derivation import family_order

MOST = 200


@dataclass(frozen=True)
class Family:
    """A model's family.

    Attributes:
        names: members, each after the one that it was made from; the model, its ancestors and its children first of all
            where there are more than `MOST`.
        depths: how far each stands below the top.
        left_out: members that are not in `names`.
        missing: the parent that the top names, of which no record is here; None where it names none.
    """

    names: tuple[str, ...]
    depths: tuple[int, ...]
    left_out: int
    missing: str | None


def family(name: str, parents: Mapping[str, Any]) -> Family:
    """The family of a model.

    Args:
        name: of the model.
        parents: name -> parent or None, of all models with a record.

    >>> found = family("b", {"a": None, "b": "a", "c": "b", "x": None})
    >>> found.names, found.depths
    (('a', 'b', 'c'), (0, 1, 2))
    """
    members = _members(name, parents)
    left_out = 0
    if len(members) > MOST:
        near = [name, *table.ancestors(name, parents), *children(name, parents)]
        kept = dict.fromkeys([*(one for one in near if one in members), *sorted(members)])
        chosen = set(list(kept)[:MOST])
        members, left_out = {one: parents[one] for one in members if one in chosen}, len(members) - MOST
    order, _ = family_order(members)
    depths = [sum(above in members for above in table.ancestors(one, parents)) for one in order]
    above = parents.get(order[0])
    missing = above if isinstance(above, str) and above not in parents else None
    return Family(tuple(order), tuple(depths), left_out, missing)


def children(name: str, parents: Mapping[str, Any]) -> list[str]:
    """Models that were made from this one, by name."""
    return sorted(child for child, parent in parents.items() if parent == name and child != name)


def _members(name: str, parents: Mapping[str, Any]) -> dict[str, Any]:
    """Everything below the oldest known ancestor, that one included."""
    known = [one for one in table.ancestors(name, parents) if one in parents]
    below: dict[str, list[str]] = {}
    for child, parent in parents.items():
        if isinstance(parent, str):
            below.setdefault(parent, []).append(child)
    stack, found = [known[-1] if known else name], dict[str, Any]()
    while stack:
        one = stack.pop()
        if one not in found:
            found[one] = parents.get(one)
            stack += below.get(one, [])
    return found

"""The variants of a user's data set: sites, scanners, corrupted copies of the same items, told apart by a column.

    [variants]
    column = "site"
    reference = "internal"

Every chosen metric gets its value in each variant, the mean over all but the reference, and the share of the
reference's value that each loses (`tasks.variants.shift_metrics`). With ``origin``, copies of one item share a cluster,
so that intervals of drops are those of paired items.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from suite.errors import InputError, unknown
from suite.metrics.base import Metric
from suite.metrics.codes import MISSING
from tasks.own.common import Common
from tasks.own.table import Attributes
from tasks.variants import shift_metrics


def named(known: Iterable[Attributes], description: Common) -> tuple[str, ...]:
    """The variants that the items have, the reference first and the others by name; none where none are asked for.

    Items without a variant belong to none of them; they are the group ``(missing)``.

    Raises:
        InputError: no item is of the reference, there is no other variant, or an origin has two items in one variant.
    """
    said = description.variants
    if said is None:
        return ()
    known = list(known)
    where = f"data set {description.name!r}: variants by {said.column!r}"
    values = [one.groups[said.column] for one in known]
    names = dict.fromkeys(value for value in values if value != MISSING)
    reference = said.reference or next(iter(names), "")
    if reference not in names:
        raise unknown(f"reference in {where}", reference, names)
    if len(names) == 1:
        raise InputError(f"{where}: every item is of {reference!r}; a shift needs two")
    _check_origins(known, values, where)
    return reference, *sorted(set(names) - {reference})


def with_shift(
    metrics: Sequence[Metric], shifted: Iterable[Metric], column: str, names: Sequence[str]
) -> tuple[Metric, ...]:
    """The metrics, and what the variants do to those that are `shifted`; each name once."""
    if not names:
        return tuple(metrics)
    there = {metric.name for metric in metrics}
    added = [made for metric in shifted for made in shift_metrics(metric, column, names[0], names[1:])]
    return (*metrics, *(made for made in added if made.name not in there))


def _check_origins(known: Sequence[Attributes], values: Sequence[str], where: str) -> None:
    seen: set[tuple[str, str]] = set()
    for one, value in zip(known, values, strict=True):
        if one.origin and (one.origin, value) in seen:
            raise InputError(f"{where}: {one.origin!r} is twice in {value!r}; an origin has one item a variant")
        seen.add((one.origin, value))

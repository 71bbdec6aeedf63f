"""Cases behind a segmentation mean: in how many a class is on neither side, was missed, or was made up.

A record counts them class by class (``n_na[class=X]``, ``n_missed[class=X]``, ``n_spurious[class=X]``). Beside the mean
of a class stand its own; beside a mean over classes their sums, over those classes whose means it is made of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from suite.record import Record

KINDS = ("na", "missed", "spurious")
HEADER = ("n/a", "missed", "spurious")
LEGEND = (
    "n/a, missed, spurious: cases that have a class on neither side, only in the reference, only in the prediction; "
    "beside a mean over classes the sum over them"
)
_MEANS = re.compile(
    r"^(dice|iou|precision|recall|specificity|accuracy|balanced_accuracy|mcc|(absolute_)?volume_error|cldice"
    r"|(nsd|hd95|hd|assd|masd|betti|failure_rate)_.*)$"
)  # metrics that are a mean over cases, then over classes
_COUNT = re.compile(r"^n_(na|missed|spurious)\[class=([^,\]]+)\]$")
_OF_CLASS = re.compile(r"^class=([^,\]]+)(,policy=[^,\]]+)?$")


def cells(record: Record) -> Mapping[str, tuple[str, str, str]]:
    """Name of each such mean -> its three counts as text; empty for a record that counts none."""
    counted: dict[str, dict[str, int]] = {}
    for m in record.measurements:
        match = _COUNT.match(m.name)
        if match and m.value is not None:
            counted.setdefault(match[2], {})[match[1]] = int(m.value)
    names = {m.name for m in record.measurements}
    found = {}
    for name in names if counted else ():
        stem, _, inside = name.rstrip("]").partition("[")
        if _MEANS.match(stem) and (classes := _classes(stem, inside, counted, names)):
            sums = [sum(counted[one].get(kind, 0) for one in classes) for kind in KINDS]
            found[name] = (str(sums[0]), str(sums[1]), str(sums[2]))
    return found


def _classes(stem: str, inside: str, counted: Mapping[str, object], names: set[str]) -> list[str]:
    """The classes that a mean is about; none for one that is about a group."""
    one = _OF_CLASS.match(inside)
    if one:
        return [one[1]] if one[1] in counted else []
    whole = not inside or re.fullmatch(r"policy=[^,\]]+", inside)
    return [name for name in counted if f"{stem}[class={name}]" in names] if whole else []

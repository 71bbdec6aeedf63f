"""Flips: what became of each answer between a parent and its child, as counts and item by item. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from suite import changes
from suite.changes import Flips
from suite.metrics.base import Columns
from suite.outcomes import GROUP_PREFIX, ITEM

MOST = 100
LOST, GAINED = "right → wrong", "wrong → right"


def flips(parent: Columns, child: Columns) -> Flips | str:
    """What became of the answers, or why that cannot be said."""
    if "correct" not in parent or "correct" not in child:
        return "answers on this task are not right or wrong, so none can flip"
    if not np.array_equal(parent[ITEM], child[ITEM]):
        return "the two records do not have the same items"
    return changes.flips(parent, child, "correct")


def confusion(found: Flips, parent_right: int) -> pd.DataFrame:
    """The four or five cells: parent, child, answers, share.

    Args:
        found: the counts.
        parent_right: answers that the parent has right.
    """
    kept = parent_right - found.losses
    wrong = found.n - kept - found.losses - found.gains
    cells: list[tuple[str, str, int]] = [
        ("right", "right", kept),
        ("right", "wrong", found.losses),
        ("wrong", "right", found.gains),
    ]
    if found.other is None:
        cells.append(("wrong", "wrong", wrong))
    else:
        cells += [("wrong", "wrong, the same answer", wrong - found.other), ("wrong", "wrong, another", found.other)]
    rows = pd.DataFrame(cells, columns=["parent", "child", "answers"])
    return rows.assign(share=rows["answers"] / found.n)


def describe(found: Flips) -> str:
    """The counts in words."""
    flipped = found.gains + found.losses
    if not flipped:
        return f"None of {found.n:,} answers turned from right to wrong or back."
    net = found.gains - found.losses
    return (
        f"{flipped:,} of {found.n:,} answers flipped ({100 * found.volume:.3g} %): {found.losses:,} from right to "
        f"wrong, {found.gains:,} from wrong to right, {net:+,} in all; equal scores can hide many flips."
    )


def items(parent: Columns, child: Columns) -> pd.DataFrame:
    """The flipped items, losses first, at most `MOST`: item, flip, groups, label, both answers, both confidences."""
    before_N, after_N = (np.asarray(one["correct"]).astype(bool) for one in (parent, child))
    lost_N, gained_N = np.flatnonzero(before_N & ~after_N), np.flatnonzero(~before_N & after_N)
    which = np.concatenate([lost_N, gained_N])[:MOST]
    out: dict[str, Any] = {"item": child[ITEM][which]}
    out["flip"] = [LOST if before_N[i] else GAINED for i in which]
    out |= {name: child[name][which] for name in child if name.startswith(GROUP_PREFIX)}
    if "label" in child:
        out["label"] = child["label"][which]
    for who, columns in (("parent", parent), ("child", child)):
        answers = _answers(columns, which)
        if answers is not None:
            out[f"{who}'s answer"], out[f"{who}'s confidence"] = answers
    return pd.DataFrame(out)


def _answers(columns: Columns, which: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """The answer and its probability of each of these items."""
    if "decided" in columns and "confidence" in columns:
        return np.asarray(columns["decided"])[which], np.asarray(columns["confidence"])[which]
    if "probs" not in columns:
        return None
    probs = [np.asarray(columns["probs"][i], dtype=np.float64) for i in which]
    return np.array([p.argmax() for p in probs], dtype=np.int64), np.array([p.max() for p in probs], dtype=np.float64)

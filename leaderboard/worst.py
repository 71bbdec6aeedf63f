"""Worst cases: the items that a model does worst on, and those that it lost most on against its parent. Pure.

What an item is worth: the mean Dice of its classes (those in the reference or in the prediction), the mean negative
log-likelihood of its tokens, that of its label, or right and wrong, whichever of them the outcomes hold first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from suite.metrics.base import Columns
from suite.outcomes import CLUSTER, GROUP_PREFIX, ITEM
from suite.overlay import KEPT, MAX_BYTES, said

SHOWN, LONGEST = 20, 2000
Floats = NDArray[np.float64]


class Worth(NamedTuple):
    """What each item is worth.

    Attributes:
        name: of the score.
        values_N: NaN where an item has none.
        higher_is_better: direction.
    """

    name: str
    values_N: Floats
    higher_is_better: bool


class Overlay(NamedTuple):
    """A picture of a worst case that was kept beside the record: the PNG's bytes, and what its text says."""

    png: bytes
    words: str


def worth(columns: Columns) -> Worth | None:
    """What each item is worth; None where the outcomes hold no score of items."""
    if {"intersection", "predicted", "true"} <= columns.keys():
        return Worth("dice", _dice(columns), True)
    if "nll" in columns and "n_tokens" in columns and np.asarray(columns["n_tokens"]).dtype.kind in "iuf":
        tokens = np.asarray(columns["n_tokens"], dtype=np.float64)
        if tokens.ndim == 1:
            none = np.full(len(tokens), np.nan)
            per_token = np.divide(np.asarray(columns["nll"], np.float64), tokens, out=none, where=tokens > 0)
            return Worth("nll per token", per_token, False)
    if "nll" in columns:
        return Worth("nll", np.asarray(columns["nll"], dtype=np.float64), False)
    if "correct" in columns:
        return Worth("correct", np.asarray(columns["correct"], dtype=np.float64), True)
    return None


def items(columns: Columns, parent: Columns | None, lost: bool = False) -> pd.DataFrame | None:
    """The `SHOWN` worst items, or those that lost most against the parent; None where that cannot be said.

    Columns: item, cluster where items share one, groups, the score, the parent's and the change where the parent has
    the same items, whether the answer is right, and the beginning of every text that the outcomes keep.

    Args:
        columns: of the model.
        parent: of its parent on the same task.
        lost: order by the change instead of the score.
    """
    mine = worth(columns)
    theirs = worth(parent) if parent is not None and np.array_equal(parent[ITEM], columns[ITEM]) else None
    if mine is None or (lost and theirs is None):
        return None
    sign = 1.0 if mine.higher_is_better else -1.0
    change_N = mine.values_N - theirs.values_N if theirs is not None else np.full(len(mine.values_N), np.nan)
    key_N = sign * (change_N if lost else mine.values_N)
    order = np.argsort(key_N, kind="stable")
    order = order[np.isfinite(key_N[order])]
    if lost:
        order = order[key_N[order] < 0]
    which = order[:SHOWN]
    out: dict[str, Any] = {"item": columns[ITEM][which]}
    if CLUSTER in columns and not np.array_equal(columns[CLUSTER], columns[ITEM]):
        out["cluster"] = columns[CLUSTER][which]
    out |= {name: columns[name][which] for name in columns if name.startswith(GROUP_PREFIX)}
    out[mine.name] = mine.values_N[which]
    if theirs is not None:
        out["parent's"], out["change"] = theirs.values_N[which], change_N[which]
    if "correct" in columns and mine.name != "correct":
        out["right"] = np.asarray(columns["correct"])[which].astype(bool)
    for name in texts(columns):
        out[f"{name} (text)" if name in out else name] = [str(one)[:LONGEST] for one in columns[name][which]]
    return pd.DataFrame(out)


def texts(columns: Columns) -> list[str]:
    """Columns of words that say more than ids and groups."""
    about = {ITEM, CLUSTER}
    return [
        name
        for name, values in columns.items()
        if np.asarray(values).dtype.kind in "U" and name not in about and not name.startswith(GROUP_PREFIX)
    ]


def overlays(record: Path) -> list[Overlay]:
    """Pictures beside a record file, worst first; what is no such picture is passed over."""
    found = []
    for rank in range(1, KEPT + 1):
        path = record.with_name(f"{record.stem}.worst-{rank}.png")
        try:
            if not path.is_file() or path.stat().st_size > MAX_BYTES:
                continue
            about, png = said(path), path.read_bytes()
        except (OSError, ValueError, SyntaxError):  # Pillow's errors of files that are no PNG
            continue
        words = ", ".join(about[name] for name in ("item", "score", "slice") if about.get(name))
        found.append(Overlay(png, words or "a worst case"))
    return found


def _dice(columns: Columns) -> Floats:
    """Mean over the classes that are in the reference or in the prediction, [N]; NaN where none is."""
    both_NK, predicted_NK, true_NK = (
        np.asarray(columns[name], dtype=np.float64) for name in ("intersection", "predicted", "true")
    )
    total_NK = predicted_NK + true_NK
    known_NK = total_NK > 0
    dice_NK = np.divide(2 * both_NK, total_NK, out=np.zeros_like(total_NK), where=known_NK)
    counted_N = known_NK.sum(axis=1).astype(np.float64)
    none = np.full(len(counted_N), np.nan)
    return np.asarray(np.divide(dice_NK.sum(axis=1), counted_N, out=none, where=counted_N > 0))

"""Placing: rank intervals and tie groups of the rows, never a bare 1..N.

Two sources, and the column `rank_by` says which:

    paired resamples    from ``hallmark board``: all models of a task on shared resamples of the items (`suite.ranks`)
    intervals           from the models' own intervals, where items cannot be had, as for imported records:
                        rank low = 1 + models whose interval lies wholly above, rank high = M - models wholly below.
                        It ignores what the items have in common, so it is mostly wider, and makes no allowance for the
                        number of comparisons.

Ranked are the rows of one task, version, protocol, data and metric, over all machines, each submission once. A model
without a value, a direction or an interval has no rank.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from suite import rankings
from suite.store import Store

SAME = ["task", "task_version", "protocol", "data_sha256", "metric"]
COLUMNS = ("rank_low", "rank_high", "tie", "rank_by")
Floats = NDArray[np.float64]
FEW = 3
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def ranked(store: Store) -> pd.DataFrame:
    """The ranks that ``hallmark board`` computed: stem, rank_low, rank_high, group_first, group_last."""
    return pd.DataFrame(rankings.read(store), columns=["stem", "rank_low", "rank_high", "group_first", "group_last"])


def placed(rows: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Rows with `COLUMNS` added.

    Args:
        rows: of the board, oldest first.
        known: what `ranked` gives.
    """
    rows = rows.assign(rank_low=np.nan, rank_high=np.nan, tie=None, rank_by=None)
    for _, part in rows.groupby(SAME, observed=True, sort=False):
        found = _from_resamples(part, known)
        rows.loc[part.index, list(COLUMNS)] = (found if found is not None else _from_intervals(part)).to_numpy()
    return rows.astype({"rank_low": "Int64", "rank_high": "Int64", "tie": "str", "rank_by": "str"})


def _from_resamples(part: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame | None:
    """By stem, if every model of this part that keeps its outcomes was ranked, and none besides; else None."""
    can = part[part["outcomes_sha256"].notna()].drop_duplicates("submission", keep="last")
    of_part = known[known["stem"].isin(set(can["stem"]))]
    if of_part.empty or len(of_part) != part["submission"].nunique():
        return None
    by_name = of_part.merge(can[["stem", "submission"]], on="stem").set_index("submission")
    each = by_name.loc[part["submission"]]
    ties = [letters(*groups) for groups in zip(each["group_first"], each["group_last"], strict=True)]
    made = {"rank_low": each["rank_low"], "rank_high": each["rank_high"], "tie": ties, "rank_by": "paired resamples"}
    return pd.DataFrame(made).set_axis(part.index)


def _from_intervals(part: pd.DataFrame) -> pd.DataFrame:
    out = pd.DataFrame(None, index=part.index, columns=list(COLUMNS), dtype=object)
    can = part[part["value"].notna() & part["low"].notna() & part["high"].notna() & part["better"].notna()]
    one = can.drop_duplicates("submission", keep="last")
    if one.empty:
        return out
    sign = -1.0 if one["better"].iloc[0] == "lower" else 1.0
    ends = np.sort(sign * one[["low", "high"]].to_numpy(float), axis=1)
    low_M, high_M = ends[:, 0], ends[:, 1]
    above_M = len(one) - np.searchsorted(np.sort(low_M), high_M, side="right")
    below_M = np.searchsorted(np.sort(high_M), low_M, side="left")
    ties = _ties(sign * one["value"].to_numpy(float), low_M, high_M)
    found = pd.DataFrame(
        {"rank_low": 1 + above_M, "rank_high": len(one) - below_M, "tie": ties, "rank_by": "intervals"},
        index=one["submission"].to_numpy(),
        dtype=object,
    )
    out.loc[can.index] = found.loc[can["submission"]].to_numpy()
    return out


def _ties(value_M: Floats, low_M: Floats, high_M: Floats) -> list[str | None]:
    """Letters of the maximal runs of neighbours, best first, whose intervals all overlap. Linear in M."""
    order = np.argsort(-value_M, kind="stable")
    low_M, high_M = low_M[order], high_M[order]
    runs, told, last = list[tuple[int, int]](), -1, -1
    lows, highs = deque[int](), deque[int]()  # places whose low is the largest, high the smallest, from here to `last`
    for first in range(len(order)):
        while last + 1 < len(order) and _joins(last + 1, first, low_M, high_M, lows, highs):
            last += 1
        if last > max(told, first):
            runs.append((first, last))
            told = last
        for queue in (lows, highs):
            if queue and queue[0] == first:
                queue.popleft()
    starts, ends = np.array([run[0] for run in runs]), np.array([run[1] for run in runs])
    places = np.arange(len(order))
    first_M = np.searchsorted(ends, places, side="left") + 1  # runs are in order, and so are their ends
    last_M = np.searchsorted(starts, places, side="right")
    said = np.empty(len(order), dtype=object)
    said[order] = [letters(int(a), int(b)) for a, b in zip(first_M, last_M, strict=True)]
    return list(said)


def _joins(new: int, first: int, low_M: Floats, high_M: Floats, lows: deque[int], highs: deque[int]) -> bool:
    """Whether the place `new` overlaps all from `first` on; if so the queues take it in."""
    floor = max(low_M[new], low_M[lows[0]]) if lows else low_M[new]
    ceiling = min(high_M[new], high_M[highs[0]]) if highs else high_M[new]
    if floor > ceiling and new != first:
        return False
    while lows and low_M[lows[-1]] <= low_M[new]:
        lows.pop()
    while highs and high_M[highs[-1]] >= high_M[new]:
        highs.pop()
    lows.append(new)
    highs.append(new)
    return True


def letters(first: int, last: int) -> str | None:
    """The tie groups from `first` to `last` as letters, a the best; numbers after the 26th; None for no group.

    >>> letters(1, 2), letters(1, 5), letters(27, 27), letters(2, 1)
    ('ab', 'a–e', '27', None)
    """
    if last < first:
        return None
    names = [LETTERS[n - 1] if last <= len(LETTERS) else str(n) for n in (first, last)]
    if last - first < FEW and last <= len(LETTERS):
        return LETTERS[first - 1 : last]
    return names[0] if first == last else "–".join(names)

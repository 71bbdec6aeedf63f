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

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from suite import rankings
from suite.store import Store

SAME = ["task", "task_version", "protocol", "data_sha256", "metric"]
NEEDED = ("submission", "stem", "value", "low", "high", "better")
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
    rows = rows.reset_index(drop=True)
    found = []
    groups = rows.groupby(SAME, observed=True, sort=False)
    needed = rows[[*NEEDED]]
    for where in groups.indices.values():
        part = needed.iloc[where].assign(row=where).drop_duplicates("submission", keep="last")
        ranks = _from_resamples(part, known)
        found.append(_from_intervals(part) if ranks is None else ranks)
    names = ["row", *COLUMNS]
    ranks = pd.concat(found) if found else pd.DataFrame(columns=names)
    keys = rows[["submission"]].assign(group=groups.ngroup())  # rows of other machines share the rank of the newest
    ranks = keys.iloc[ranks["row"].to_numpy(dtype=np.int64)].assign(**{name: ranks[name].array for name in COLUMNS})
    rows[[*COLUMNS]] = keys.merge(ranks, how="left", on=list(keys))[[*COLUMNS]]
    return rows.astype({"rank_low": "Int64", "rank_high": "Int64", "tie": "str", "rank_by": "category"})


def _from_resamples(part: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame | None:
    """If every model of this part keeps its outcomes and was ranked; else None."""
    if known.empty or not part["stem"].isin(known["stem"]).all():
        return None
    each = known.set_index("stem").loc[part["stem"]]
    ties = [letters(*groups) for groups in zip(each["group_first"], each["group_last"], strict=True)]
    return _named(part, each["rank_low"], each["rank_high"], ties, "paired resamples")


def _from_intervals(part: pd.DataFrame) -> pd.DataFrame:
    one = part[part["value"].notna() & part["low"].notna() & part["high"].notna() & part["better"].notna()]
    if one.empty:
        return _named(one, [], [], [], "intervals")
    sign = -1.0 if one["better"].iloc[0] == "lower" else 1.0
    ends = np.sort(sign * one[["low", "high"]].to_numpy(np.float64), axis=1)
    low_M, high_M = ends[:, 0], ends[:, 1]
    above_M = len(one) - np.searchsorted(np.sort(low_M), high_M, side="right")
    below_M = np.searchsorted(np.sort(high_M), low_M, side="left")
    ties = _ties(sign * one["value"].to_numpy(np.float64), low_M, high_M)
    return _named(one, 1 + above_M, len(one) - below_M, ties, "intervals")


def _named(part: pd.DataFrame, low: Any, high: Any, tie: Any, by: str) -> pd.DataFrame:
    found = {"row": part["row"].to_numpy(), "rank_low": np.asarray(low), "rank_high": np.asarray(high), "tie": tie}
    return pd.DataFrame(found).assign(rank_by=by)


def _ties(value_M: Floats, low_M: Floats, high_M: Floats) -> list[str | None]:
    """Letters of the maximal runs of neighbours, best first, whose intervals all overlap."""
    order = np.argsort(-value_M, kind="stable")
    last = _reach(low_M[order], high_M[order])
    places = np.arange(len(order))
    runs = (last > places) & (last > np.concatenate([[-1], last[:-1]]))  # a run inside the one before is no group
    starts, ends = places[runs], last[runs]
    first_M = np.searchsorted(ends, places, side="left") + 1  # runs are in order, and so are their ends
    last_M = np.searchsorted(starts, places, side="right")
    said = np.empty(len(order), dtype=object)
    said[order] = [letters(a, b) for a, b in zip(first_M.tolist(), last_M.tolist(), strict=True)]
    return list(said)


def _reach(low_M: Floats, high_M: Floats) -> NDArray[np.int64]:
    """For each place the last one so that all from here to there overlap one another; doubling steps, n log n."""
    n = len(low_M)
    floors, ceilings, step = [low_M], [high_M], 1
    while 2 * step <= n:  # floors[k][i]: the largest low of 2^k places from i on
        floors.append(np.maximum(floors[-1][:-step], floors[-1][step:]))
        ceilings.append(np.minimum(ceilings[-1][:-step], ceilings[-1][step:]))
        step *= 2
    end, floor, ceiling = np.arange(n), np.full(n, -np.inf), np.full(n, np.inf)
    for k in range(len(floors) - 1, -1, -1):
        fits = end + 2**k <= n
        at = np.where(fits, end, 0)
        new_floor, new_ceiling = np.maximum(floor, floors[k][at]), np.minimum(ceiling, ceilings[k][at])
        take = fits & (new_floor <= new_ceiling)
        floor, ceiling = np.where(take, new_floor, floor), np.where(take, new_ceiling, ceiling)
        end = end + take * 2**k
    return end - 1


@lru_cache(1 << 16)
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

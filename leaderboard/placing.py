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
from itertools import pairwise
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
Ranks = tuple[NDArray[Any], NDArray[Any], list[str | None]]  # rank low, rank high, tie group
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
    group_N = rows.groupby(SAME, observed=True, sort=False).ngroup().fillna(-1).to_numpy(dtype=np.int64)
    names_N = pd.factorize(rows["submission"])[0]
    newest = pd.DataFrame({"group": group_N, "name": names_N}).drop_duplicates(keep="last")
    newest = newest[newest["group"] >= 0].sort_values("group", kind="stable")  # the rows that are ranked
    of_N = (
        rows[["submission"]]
        .assign(group=group_N, name=names_N)
        .merge(newest.assign(place=np.arange(len(newest))), how="left", on=["group", "name"])["place"]
    )  # rows of other machines share the rank of the newest
    ranks = _ranks(rows.iloc[newest.index][[*NEEDED]], newest["group"].to_numpy(), known)
    ranks = ranks.reindex(of_N.fillna(-1).astype("int64")).set_axis(rows.index)
    rows[[*COLUMNS]] = ranks
    return rows.astype({"rank_low": "Int64", "rank_high": "Int64", "tie": "str", "rank_by": "category"})


def _ranks(rows: pd.DataFrame, group_N: NDArray[np.int64], known: pd.DataFrame) -> pd.DataFrame:
    """`COLUMNS` of these rows, which stand group by group; numbered from 0."""
    n = len(rows)
    place_N = pd.Index(known["stem"]).get_indexer(rows["stem"])
    number = {name: rows[name].to_numpy(np.float64) for name in ("value", "low", "high")}
    lower_N = (rows["better"] == "lower").to_numpy()
    whole_N = (rows[["value", "low", "high", "better"]].notna().all(axis=1)).to_numpy()
    found = {"rank_low": np.full(n, np.nan), "rank_high": np.full(n, np.nan), "tie": np.full(n, None, object)}
    by_N = np.full(n, None, object)
    for start, stop in pairwise(np.flatnonzero(np.diff(group_N, prepend=-1, append=-1))):
        places = place_N[start:stop]
        if (places >= 0).all():
            where, given, by = np.arange(start, stop), _from_resamples(known.iloc[places]), "paired resamples"
        else:
            where = start + np.flatnonzero(whole_N[start:stop])
            if not len(where):
                continue
            sign = -1.0 if lower_N[where[0]] else 1.0
            given, by = _from_intervals(*(sign * number[name][where] for name in number)), "intervals"
        for name, values in zip(found, given, strict=True):
            found[name][where] = values
        by_N[where] = by
    return pd.DataFrame({**found, "rank_by": by_N})


def _from_resamples(each: pd.DataFrame) -> Ranks:
    ties = [letters(*groups) for groups in zip(each["group_first"], each["group_last"], strict=True)]
    return each["rank_low"].to_numpy(), each["rank_high"].to_numpy(), ties


def _from_intervals(value_M: Floats, one_M: Floats, other_M: Floats) -> Ranks:
    """Of values of which a higher one is better, with the ends of their intervals."""
    low_M, high_M = np.minimum(one_M, other_M), np.maximum(one_M, other_M)
    above_M = len(low_M) - np.searchsorted(np.sort(low_M), high_M, side="right")
    below_M = np.searchsorted(np.sort(high_M), low_M, side="left")
    return 1 + above_M, len(low_M) - below_M, _ties(value_M, low_M, high_M)


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

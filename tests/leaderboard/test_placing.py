"""Rank intervals and tie groups: by hand, and against all pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from board_records import put
from hypothesis import given
from hypothesis import strategies as st
from test_board_rows import opened

from leaderboard.placing import _reach, _ties
from suite import rankings
from suite.store import Store

Pairs = list[tuple[int, int]]


def ranks(root: Path) -> dict[str, tuple[int, int]]:
    rows = opened(root).rows
    return {
        n: (int(a), int(b)) for n, a, b in zip(rows["submission"], rows["rank_low"], rows["rank_high"], strict=True)
    }


@pytest.mark.parametrize("higher", [True, False])
def test_ranks_by_the_overlap_of_intervals_by_hand(tmp_path: Path, higher: bool) -> None:
    sign = 1 if higher else -1
    for name, low, high in (("a", 8, 9), ("b", 7, 8.5), ("c", 5, 7.5), ("d", 1, 2)):
        ends = sorted((sign * low, sign * high))
        put(tmp_path, name, value=sum(ends) / 2, low=ends[0], high=ends[1], higher=higher)
    assert ranks(tmp_path) == {"a": (1, 2), "b": (1, 3), "c": (2, 3), "d": (4, 4)}
    rows = opened(tmp_path).rows
    assert [t if isinstance(t, str) else None for t in rows["tie"]] == ["a", "ab", "b", None]
    assert set(rows["rank_by"]) == {"intervals"}


def test_other_terms_are_ranked_apart_and_a_model_on_two_machines_once(tmp_path: Path) -> None:
    put(tmp_path, "a", value=0.9, low=0.8, high=0.95)
    put(tmp_path, "a", value=0.9, low=0.8, high=0.95, machine="bbbb")
    put(tmp_path, "b", value=0.5, low=0.4, high=0.6)
    put(tmp_path, "c", value=0.1, low=0.0, high=0.2, protocol="another")
    assert ranks(tmp_path) == {"a": (1, 1), "b": (2, 2), "c": (1, 1)}
    assert len(opened(tmp_path).rows) == 4


def test_a_model_without_interval_has_no_rank(tmp_path: Path) -> None:
    put(tmp_path, "a", value=0.9)
    assert opened(tmp_path).rows["rank_low"].isna().all()


def test_ranks_from_resamples_are_used_only_while_they_are_those_of_all_models(tmp_path: Path) -> None:
    stems = {n: put(tmp_path, n, value=v, low=v - 0.3, high=v + 0.3) for n, v in (("a", 0.5), ("b", 0.6))}
    places = [
        {"stem": stems["a"], "rank_low": 2, "rank_high": 2, "group_first": 1, "group_last": 0},
        {"stem": stems["b"], "rank_low": 1, "rank_high": 1, "group_first": 1, "group_last": 0},
    ]
    opened(tmp_path)
    (tmp_path / ".index" / "rankings.json").write_text(json.dumps({"digits": {"stems": stems, "places": places}}))
    assert len(rankings.read(Store(tmp_path))) == 2
    assert ranks(tmp_path) == {"a": (2, 2), "b": (1, 1)}
    assert set(opened(tmp_path).rows["rank_by"]) == {"paired resamples"}
    put(tmp_path, "c", value=0.55, low=0.2, high=0.9)
    assert set(opened(tmp_path).rows["rank_by"]) == {"intervals"}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=9))
def test_tie_groups_against_all_pairs(models: Pairs) -> None:
    value = np.array([float(centre) for centre, _ in models])
    half = np.array([float(width) for _, width in models])
    low, high = value - half, value + half
    order = np.argsort(-value, kind="stable")
    low, high, value = low[order], high[order], value[order]
    overlap = (low[:, None] <= high) & (low <= high[:, None])
    n = len(value)
    expected = [max(j for j in range(i, n) if overlap[i : j + 1, i : j + 1].all()) for i in range(n)]
    assert _reach(low, high).tolist() == expected
    runs = [(i, j) for i, j in enumerate(expected) if j > i and (i == 0 or expected[i - 1] < j)]
    letters = [{k for k, (i, j) in enumerate(runs) if i <= place <= j} for place in range(n)]
    found = _ties(value, low, high)
    assert [set() if t is None else {ord(c) - 97 for c in t} for t in found if t is None or "–" not in t] == [
        one for one, t in zip(letters, found, strict=True) if t is None or "–" not in t
    ]

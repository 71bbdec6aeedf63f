"""`--limit` draws whole clusters by the seed, and the record says what it drew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from support import Ran

from suite import asking
from suite.task import Example


def examples(*sizes: int) -> list[Example]:
    """A cluster a size, its items spread over the whole list."""
    found = [
        Example(f"{cluster}-{member}", None, cluster=f"c{cluster}")
        for member in range(max(sizes))
        for cluster, size in enumerate(sizes)
        if member < size
    ]
    return [*found, Example("fitted", None, calibration=True)]


def sampled(every: list[Example], limit: int | None, seed: int = 0) -> list[Example]:
    unit: Any = SimpleNamespace(task=SimpleNamespace(name="t"), options=SimpleNamespace(limit=limit, seed=seed))
    drawn = asking.sample(every, unit)
    assert [every[position] for position, _ in drawn] == [example for _, example in drawn]
    assert drawn == sorted(drawn, key=lambda one: one[0])
    assert drawn[-1][1].calibration  # the split is no part of the limit
    return [example for _, example in drawn[:-1]]


def test_clusters_are_drawn_whole() -> None:
    every = examples(*[3] * 40)
    for seed in range(20):
        drawn = [one.cluster for one in sampled(every, 20, seed)]
        assert len(drawn) == 18
        assert {drawn.count(cluster) for cluster in drawn} == {3}


def test_a_cluster_that_no_longer_fits_is_passed_over() -> None:
    for seed in range(20):
        drawn = sampled(examples(*[1] * 10, 50), 12, seed)
        assert len(drawn) == 10  # the ten alone, wherever the large one comes
        assert all(one.cluster != "c10" for one in drawn)


def test_where_no_cluster_is_as_small_there_is_a_part_of_one() -> None:
    drawn = sampled(examples(30, 40), 7)
    assert len(drawn) == 7
    assert len({one.cluster for one in drawn}) == 1


def test_every_cluster_is_drawn_as_often() -> None:
    """100 of 400 clusters, 300 seeds: each is expected 75 times, standard deviation 7.5."""
    every = examples(*[2] * 400)
    counts = dict.fromkeys((one.cluster for one in every if not one.calibration), 0)
    for seed in range(300):
        for cluster in {one.cluster for one in sampled(every, 200, seed)}:
            counts[cluster] += 1
    assert sum(counts.values()) == 300 * 100
    assert min(counts.values()) > 75 - 5 * 7.5
    assert max(counts.values()) < 75 + 5 * 7.5


def test_without_a_limit_everything_is_asked() -> None:
    every = examples(3, 4)
    assert sampled(every, None) == every[:-1]
    assert sampled(every, 7) == every[:-1]


@pytest.mark.parametrize(("limit", "words"), [("7", "6 items in 2 whole clusters"), ("2", "a part of one")])
def test_variants_of_an_item_stay_together(
    limit: str, words: str, fake: Callable[..., Path], hallmark: Callable[..., Ran]
) -> None:
    model = fake("m", {"fake": "constant", "probs": [1.0, *[0.0] * 9]})
    ran = hallmark("run", model, "-t", "digits-halves", "--limit", limit, "--seed", "3", "--json")
    assert ran.code == 0, ran.err
    (note,) = [one for one in ran.json["records"][0]["provenance"]["notes"] if one.startswith("limit")]
    assert note.startswith(f"limit {limit}: ")
    assert words in note
    assert note.endswith("drawn with seed 3")
    (path,) = [p for p in Path("results/m/digits-halves").glob("*.parquet") if "readings" not in p.name]
    origins = pq.read_table(path).column("origin").to_pylist()
    if limit == "7":
        assert {origins.count(one) for one in origins} == {3}
    assert hallmark("verify").code == 0

"""Ranks: by hand, against SciPy, and how often the intervals hold what they should."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gate_records import answers, digits_columns, put
from scipy.stats import rankdata
from support import REPOSITORY, Ran, one_line

from suite import pareto, ranks
from suite.metrics.base import ratio

Hallmark = Callable[..., Ran]


def of_hits(hits_MN: np.ndarray, seed: int = 0) -> ranks.Sample:
    terms = [np.stack([hits, np.ones_like(hits)], axis=1).astype(float) for hits in hits_MN]
    return ranks.sample(terms, ratio, np.arange(hits_MN.shape[1]), larger_is_better=True, seed=seed)


def test_ranks_agree_with_scipy_ties_and_signed_zeros_included() -> None:
    scores = np.random.default_rng(0).integers(-4, 5, (70, 50)).astype(np.float32) / 3
    scores[0, :2] = 0.0, -0.0
    assert np.array_equal(ranks.average_ranks(scores), rankdata(-scores, axis=1))
    assert np.array_equal(ranks.average_ranks(scores[:, :1]), np.ones((70, 1)))


def test_three_models_by_hand() -> None:
    hits = np.zeros((3, 400))
    hits[0, :300] = 1
    hits[1, :300] = 1  # the same answers as the first
    hits[2, :100] = 1  # right nowhere else: 200 losses, no gain
    found = ranks.ranking([of_hits(hits)])
    assert found.rank_M.tolist() == [1.5, 1.5, 3.0]
    assert found.low_M.tolist() == [1, 1, 3]
    assert found.high_M.tolist() == [2, 2, 3]
    assert found.groups == ((0, 1),)
    assert found.p_best_M.tolist() == [0.5, 0.5, 0.0]
    assert found.mean_rank_M.tolist() == [1.5, 1.5, 3.0]


def test_smaller_is_better_turns_the_order() -> None:
    terms = [np.stack([np.full(30, loss), np.ones(30)], axis=1) for loss in (2.0, 1.0)]
    one = ranks.sample(terms, ratio, np.arange(30), larger_is_better=False)
    assert ranks.ranking([one]).order.tolist() == [1, 0]


def test_several_tasks_are_ordered_by_the_mean_rank() -> None:
    rng = np.random.default_rng(1)
    tasks = [of_hits(rng.random((4, 500)) < np.array([[0.9], [0.8], [0.7], [0.2]])) for _ in range(3)]
    found = ranks.ranking(tasks)
    by_hand = np.mean([rankdata(-one.values_M) for one in tasks], axis=0)
    assert np.allclose(found.mean_rank_M, by_hand)
    assert found.order.tolist() == [0, 1, 2, 3]
    assert (found.mean_rank_low_M <= found.mean_rank_M).all()
    assert (found.mean_rank_high_M >= found.mean_rank_M).all()


def test_whole_clusters_are_drawn() -> None:
    """Ten items of one document tell as much as one: the spread is that of the clusters."""
    rng = np.random.default_rng(2)
    once = (rng.random((2, 40)) < 0.5).astype(float)
    terms = [np.stack([np.repeat(h, 10), np.ones(400)], axis=1) for h in once]
    clustered = ranks.sample(terms, ratio, np.repeat(np.arange(40), 10), larger_is_better=True)
    assert np.allclose(clustered.resampled_RM, of_hits(once).resampled_RM)


def test_equal_models_are_seldom_told_apart() -> None:
    """Six equally good models: in at most about 5 % of the worlds does the interval of a rank leave one out."""
    rng, wrong = np.random.default_rng(3), np.zeros(6)
    for world in range(200):
        easy = rng.random(300)  # items differ, so models agree more than chance
        found = ranks.ranking([of_hits(rng.random((6, 300)) < easy, seed=world)])
        wrong += (found.low_M > 1) | (found.high_M < 6)
    assert (wrong / 200 < 0.10).all(), wrong  # 200 worlds: 5 % and three standard errors
    assert wrong.sum() > 0  # nor is it so wide that it says nothing


def test_clearly_better_models_are_told_apart() -> None:
    rng = np.random.default_rng(4)
    found = ranks.ranking([of_hits(rng.random((3, 2000)) < np.array([[0.9], [0.8], [0.7]]))])
    assert found.low_M.tolist() == found.high_M.tolist() == [1, 2, 3]
    assert found.groups == ()


def test_surely_better_is_what_the_text_says_pair_by_pair() -> None:
    rng = np.random.default_rng(3)
    score = rng.normal(size=9)
    many = (score + rng.normal(scale=0.4, size=(ranks.RESAMPLES, 9)) * np.linspace(0.2, 1, 9)).astype(np.float32)
    change = (many[:, :, None] - many[:, None, :]).astype(np.float64) - (score[:, None] - score)
    error = change.std(axis=0, ddof=1)
    with np.errstate(invalid="ignore"):
        largest = np.nanmax(np.abs(change) / error, axis=2, initial=0.0, where=error > 0)
    want = score[:, None] - score > np.quantile(largest, 0.95, axis=0)[:, None] * error
    found = ranks.surely_better(score, many)
    assert found.any()
    assert not found[np.triu_indices(9)].all()
    assert np.array_equal(found, want & ~want.T)


def test_draws_of_few_items_are_kept_and_are_those_of_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    (kept,) = ranks.draws(50, 4)
    assert next(ranks.draws(50, 4)) is kept
    monkeypatch.setattr(ranks, "_BLOCK_DRAWS", 7000)
    blocks = list(ranks.draws(50, 4))
    assert len(blocks) == 8
    assert np.array_equal(np.concatenate(blocks), kept)
    assert (kept.sum(axis=1) == 50).all()


def test_what_cannot_be_ranked_is_an_error() -> None:
    one = of_hits(np.eye(2))
    with pytest.raises(ValueError, match="at least one task"):
        ranks.ranking([])
    with pytest.raises(ValueError, match="the same models"):
        ranks.ranking([one, of_hits(np.eye(3))])
    with pytest.raises(ValueError, match="finite"):
        ranks.ranking([ranks.Sample(np.array([np.nan, 1.0]), one.resampled_RM)])


def test_overlapping_runs_of_ties() -> None:
    alike = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=bool)
    assert ranks._runs(alike) == ((0, 1), (1, 2))
    gap = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 1]], dtype=bool)  # the last two differ: no run of all three
    assert ranks._runs(gap) == ((0, 1),)


class TestPareto:
    def test_equal_ones_share_the_front(self) -> None:
        assert pareto.on_front([[1.0], [1.0], [1.0]], [0.9, 0.9, 0.8]).tolist() == [True, True, False]

    def test_the_share_agrees_with_the_plain_rule(self) -> None:
        rng = np.random.default_rng(5)
        costs, quality = rng.integers(0, 4, 12).astype(float), rng.integers(0, 6, (80, 12)).astype(float)
        plain = np.mean([pareto.on_front(costs[:, None], row) for row in quality], axis=0)
        assert np.allclose(pareto.share_on_front(costs, quality), plain)

    def test_two_costs(self) -> None:
        front = pareto.on_front([[1.0, 9.0], [9.0, 1.0], [9.0, 9.0]], [0.5, 0.5, 0.5])
        assert front.tolist() == [True, True, False]


class TestVerb:
    def test_the_committed_digits(self, hallmark: Hallmark) -> None:
        found = hallmark("rank", "-t", "digits", "--json", "--results", REPOSITORY / "results").json["rankings"][0]
        places = {place["submission"]: place for place in found["places"]}
        worst, parent = places["embedded-digits-int2"], places["embedded-digits"]
        assert (worst["rank_low"], worst["rank_high"], worst["groups"]) == (4, 4, [])
        assert parent["groups"] == places["embedded-digits-int8"]["groups"] == [1]
        assert parent["retention"] is None
        assert (
            worst["retention_low"]
            <= worst["retention"]
            == pytest.approx(worst["values"]["digits"] / parent["values"]["digits"])
        )
        assert worst["front"] == 1.0  # the smallest
        shown = hallmark("rank", "-t", "digits", "--results", REPOSITORY / "results").out
        assert "ranked on digits (accuracy)" in shown

    def test_a_suite_gives_one_table_a_kind(self, hallmark: Hallmark) -> None:
        found = hallmark("rank", "--suite", "embedded", "--json", "--results", REPOSITORY / "results").json["rankings"]
        assert [one["kind"] for one in found] == ["language", "classification", "segmentation"]
        assert found[0]["tasks"] == {"generated-text": "perplexity", "generated-choices": "accuracy"}
        assert found[0]["places"][0]["values"]["generated-text"] > 1  # perplexity, not its negative

    def test_limited_runs_and_missing_tasks_are_left_out_with_the_reason(
        self, hallmark: Hallmark, tmp_path: Path
    ) -> None:
        rows = digits_columns(*answers(60, 50))
        for name in ("one", "two"):
            put(tmp_path / "results", name, rows)
        put(tmp_path / "results", "three", rows[:20], limit=20)
        found = hallmark("rank", "one", "two", "three", "-t", "digits", "--json").json["rankings"][0]
        assert found["excluded"] == {"three": "no complete record of digits with outcomes"}

    def test_nothing_to_rank(self, hallmark: Hallmark, tmp_path: Path) -> None:
        one_line(hallmark("rank"), 2, "-t TASK")
        one_line(hallmark("rank", "-t", "digit"), 2, "did you mean 'digits'")
        put(tmp_path / "results", "one", digits_columns(*answers(60, 50)))
        one_line(hallmark("rank", "-t", "digits"), 2, "nothing to rank: 1 submission")


def test_thirty_real_models_keep_their_order_on_a_new_test_set(mirror: Path) -> None:
    """CIFAR-10 against CIFAR-10.1 v6 (Recht et al. 2019): accuracies as published, order nearly kept."""
    from rank_stability import decisions

    hits, names = decisions(mirror, "original"), sorted(decisions(mirror, "original"))
    new = decisions(mirror, "v6")
    assert len(names) == 30
    assert hits["wrn_28_10"].mean() == pytest.approx(0.9593, abs=5e-5)
    assert new["wrn_28_10"].mean() == pytest.approx(0.9015, abs=5e-5)
    one, two = (ranks.ranking([of_hits(np.stack([side[n] for n in names]))]) for side in (hits, new))
    assert np.corrcoef(one.rank_M, two.rank_M)[0, 1] > 0.9
    overlap = (one.low_M <= two.high_M) & (two.low_M <= one.high_M)
    assert overlap.mean() > 0.9


def test_the_benchmark_prints_its_figures() -> None:
    import subprocess
    import sys

    script = REPOSITORY / "tests" / "bench" / "ranks.py"
    done = subprocess.run([sys.executable, script, "--quick", "--json"], capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["submissions"] * figures["tasks"] > 0
    assert figures["met"] == (figures["wall_s"] < figures["target_s"])
    assert {"resampling", "ranking"} < figures["parts_wall_s"].keys()

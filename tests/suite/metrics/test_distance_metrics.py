"""Distances between distributions: hand-worked over three tokens, and against scipy, torch and llama.cpp's formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import special, stats
from test_common import N, columns

from suite import compare, measure
from suite.errors import Undefined
from suite.metrics import distance, groups
from suite.metrics.base import Columns
from suite.metrics.distance import compared

P = [[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]
Q = [[0.25, 0.5, 0.25], [0.25, 0.25, 0.5]]
TRUE = np.array([0, 2])


def logs(probs: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(probs)).astype(np.float32)


def random_logs(rows: int, vocabulary: int, seed: int, spread: float = 3.0) -> Any:
    logits = np.random.default_rng(seed).normal(0, spread, (rows, vocabulary))
    return special.log_softmax(logits, axis=1).astype(np.float32)


def item(logp: Any, logq: Any, true: Any) -> Columns:
    """One window's outcomes as columns of one item."""
    rows = compared(logp, logq, np.asarray(true))
    return {name: values[None] for name, values in rows.items()} | {"n_tokens": np.array([len(rows["kl"])])}


def test_three_tokens_by_hand() -> None:
    """KL = 0.5 ln 2 + 0.25 ln 0.5 = 0.25 ln 2 in the first place, 0 in the second."""
    rows = compared(logs(P), logs(Q), TRUE)
    assert rows["kl"] == pytest.approx([0.25 * math.log(2), 0], abs=1e-7)
    assert rows["agree"].tolist() == [False, True]
    assert rows["overlap"] == pytest.approx([0.75, 1])
    assert rows["logp_true"] == pytest.approx([math.log(0.5), math.log(0.5)])
    assert rows["logq_true"] == pytest.approx([math.log(0.25), math.log(0.5)])


def test_every_metric_by_hand() -> None:
    c = item(logs(P), logs(Q), TRUE)
    quarter = 0.25 * math.log(2)
    expected = {
        "kl_mean": quarter / 2,
        "kl_median": quarter / 2,  # of two values, as usual
        "kl_p99": quarter,
        "kl_max": quarter,
        "top1_agreement": 0.5,
        "expected_acceptance": (0.75 + 1) / 2,
        "delta_p_mean": -0.25 / 2,
        "delta_p_rms": math.sqrt(0.25**2 / 2),
        "perplexity_ratio": math.sqrt(2),  # exp((ln 2 + 0) / 2)
    }
    found = {metric.name: metric(c) for metric in distance.DISTANCES}
    assert found == pytest.approx(expected, abs=1e-7)
    assert {metric.observations(c) for metric in distance.DISTANCES} == {2}


def test_windows_weigh_by_their_tokens() -> None:
    """Three tokens in one window, one in another: means are over tokens, not over windows."""
    c = {
        "kl": np.array([np.array([1.0, 2.0, 3.0]), np.array([10.0])], dtype=object),
        "n_tokens": np.array([3, 1]),
    }
    assert distance.KL_MEAN(c) == 4.0
    assert distance.KL_MEDIAN(c) == 2.5
    assert distance.KL_MAX(c) == 10.0


def test_kl_and_overlap_agree_with_scipy() -> None:
    logp, logq = random_logs(40, 500, 1), random_logs(40, 500, 2)
    rows = compared(logp, logq, np.zeros(40, int))
    p, q = (special.softmax(log.astype(np.float64), axis=1) for log in (logp, logq))
    assert rows["kl"] == pytest.approx(special.rel_entr(p, q).sum(axis=1), rel=1e-10)
    assert rows["kl"] == pytest.approx(stats.entropy(p, q, axis=1), rel=1e-10)
    assert rows["overlap"] == pytest.approx(1 - np.abs(p - q).sum(axis=1) / 2, rel=1e-10)


def test_kl_agrees_with_torch() -> None:
    torch = pytest.importorskip("torch")
    logp, logq = random_logs(40, 500, 3), random_logs(40, 500, 4)
    true = np.random.default_rng(5).integers(0, 500, 40)
    theirs = torch.nn.functional.kl_div(
        torch.from_numpy(logq).double(), torch.from_numpy(logp).double(), reduction="batchmean", log_target=True
    )
    c = item(logp, logq, true)
    assert distance.KL_MEAN(c) == pytest.approx(float(theirs), rel=1e-6)
    losses = [torch.nn.functional.nll_loss(torch.from_numpy(log), torch.from_numpy(true)) for log in (logp, logq)]
    assert distance.PERPLEXITY_RATIO(c) == pytest.approx(math.exp(float(losses[1] - losses[0])), rel=1e-5)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logp, logq, true = random_logs(33, 64, 6), random_logs(33, 64, 7), np.arange(33)
    whole = compared(logp, logq, true)
    monkeypatch.setattr(distance, "_BLOCK_BYTES", 8 * 64 * 4)
    for name, values in compared(logp, logq, true).items():
        assert (values == whole[name]).all()


def test_a_distribution_has_no_distance_to_itself() -> None:
    logp = random_logs(40, 300, 8, spread=9)
    rows = compared(logp, logp.copy(), np.zeros(40, int))
    assert (rows["kl"] == 0).all()
    assert rows["agree"].all()
    assert rows["overlap"] == pytest.approx(1, abs=1e-15)
    assert (rows["logp_true"] == rows["logq_true"]).all()


def test_what_float32_rounds_off_counts_squared() -> None:
    """Log-probabilities that differ by float32's rounding alone, up to 1e-6: KL stays below 1e-12, never below 0."""
    logp = random_logs(200, 1000, 9)
    logq = (logp + np.random.default_rng(10).uniform(-1e-6, 1e-6, logp.shape)).astype(np.float32)
    assert (logp != logq).mean() > 0.5
    kl = compared(logp, logq, np.zeros(200, int))["kl"]
    assert 0 <= kl.min() <= kl.max() < 1e-12
    naive = (np.exp(logp.astype(np.float64)) * (logp.astype(np.float64) - logq)).sum(axis=1)
    assert naive.min() < -1e-9  # what the formula gives without the second normalisation


def test_zero_probabilities() -> None:
    """0 ln(0 / q) is 0 for any q, 0 included; p ln(p / 0) is infinite."""
    rows = compared(logs([[0, 0.5, 0.5]] * 3), logs([[0, 0.5, 0.5], [0.5, 0.25, 0.25], [0.5, 0, 0.5]]), np.ones(3, int))
    assert rows["kl"].tolist() == [0.0, pytest.approx(math.log(2)), math.inf]
    assert rows["overlap"] == pytest.approx([1, 0.5, 0.5])


def test_ties_go_to_the_first_token() -> None:
    assert compared(logs([[0.5, 0.5]]), logs([[0.5, 0.5]]), np.zeros(1, int))["agree"].all()
    assert not compared(logs([[0.5, 0.5]]), logs([[0.4, 0.6]]), np.zeros(1, int))["agree"].any()


def test_quantiles_agree_with_llama_cpp_s_to_a_neighbour() -> None:
    """llama.cpp interpolates at share * (n - 1), as NumPy's default does; the median is the same for odd and even n."""
    c = columns()
    for n in (10, 11):
        some = {"kl": c["kl"][:n], "n_tokens": c["n_tokens"][:n]}
        values = np.sort(np.concatenate(list(some["kl"])))
        assert distance.KL_MEDIAN(some) == np.median(values)
        at = 0.99 * (len(values) - 1)
        assert values[math.floor(at) - 1] <= distance.KL_P99(some) <= values[min(math.ceil(at) + 1, len(values) - 1)]
        assert (values <= distance.KL_P99(some)).mean() >= 0.99


def test_the_interval_of_the_ratio_uses_the_covariance() -> None:
    """llama.cpp: var(a - b) = var a + var b - 2 cov(a, b), per token; ours resamples windows of one token each."""
    rng = np.random.default_rng(11)
    logp = -rng.exponential(size=4000)
    logq = logp - rng.normal(0.01, 0.1, 4000)
    c = {
        "logp_true": logp[:, None],
        "logq_true": logq[:, None],
        "n_tokens": np.ones(4000, int),
        "cluster": np.arange(4000).astype(str),
    }
    (m,) = measure.scores([distance.PERPLEXITY_RATIO], c, seed=0)
    covariance = np.cov(-logp, -logq)
    error = math.sqrt((covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]) / 4000)
    mean = float((logp - logq).mean())
    assert m.value == pytest.approx(math.exp(mean))
    assert m.low == pytest.approx(math.exp(mean - 1.96 * error), rel=2e-4)
    assert m.high == pytest.approx(math.exp(mean + 1.96 * error), rel=2e-4)
    assert m.high - m.low < 0.01  # 1.96 sqrt(var a + var b) / sqrt(n) would be ten times as much


def test_a_quantile_has_an_interval_over_clusters_and_the_largest_value_says_why_not() -> None:
    c = columns()
    p99, largest = measure.scores([distance.KL_P99, distance.KL_MAX], c, seed=3)
    assert (p99.n, p99.n_clusters, p99.method) == (c["n_tokens"].sum(), N // 3, "bootstrap-cluster")
    assert p99.low is not None
    assert p99.value is not None
    assert p99.low < p99.value < (p99.high or 0)
    assert (largest.low, largest.method) == (None, None)
    assert "largest" in (largest.reason or "")
    assert measure.scores([distance.KL_P99], c, seed=3) == [p99]


def test_the_change_of_a_quantile_between_two_models_is_paired() -> None:
    """b doubles every divergence of a: its median changes by just that median, whatever is resampled."""
    a = columns()
    b = {**a, "kl": np.array([2 * values for values in a["kl"]], dtype=object)}
    changed = compare._difference(distance.KL_MEDIAN, a, b, seed=0).difference
    assert changed.value == pytest.approx(distance.KL_MEDIAN(a))
    assert (changed.n, changed.n_clusters, changed.method) == (N, N // 3, "bootstrap-cluster")
    assert changed.low is not None
    assert changed.low < distance.KL_MEDIAN(a) < (changed.high or 0)
    worst = compare._difference(distance.KL_MAX, a, b, seed=0).difference
    assert worst.value == distance.KL_MAX(a)
    assert (worst.low, worst.reason) == (None, distance.KL_MAX.no_interval)


def test_a_quantile_of_a_group_and_its_spread_over_groups() -> None:
    c = columns()
    north = groups.of_group(distance.KL_P99, "dialect", "north")
    inside = c["group.dialect"] == "north"
    assert north(c) == distance.KL_P99({"kl": c["kl"][inside]})
    assert north.of_rows(c, np.arange(N)) == north(c)
    (m,) = measure.scores([north], c, seed=0)
    assert m.low is not None
    south = groups.of_group(distance.KL_P99, "dialect", "south")
    assert groups.gap(distance.KL_P99, "dialect")(c) == pytest.approx(abs(north(c) - south(c)))
    with pytest.raises(Undefined):
        groups.of_group(distance.KL_P99, "dialect", "zebra")(c)

"""Intervals and paired differences: hand-worked values, other libraries, invariances and every degenerate case."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import beta, bootstrap
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import proportion_confint

from suite import stats
from suite.errors import Undefined
from suite.paired import Difference, mcnemar, paired_difference
from suite.stats import Interval, cluster_sums, interval, interval_rows

UNIT = (0.0, 1.0)


def ratio(sums):
    return sums[..., 0] / sums[..., 1]


def perplexity(sums):
    return np.exp(ratio(sums))


def with_one(x):
    return np.stack([x, np.ones(len(x))], axis=1)


def hits_of(n_hits, n):
    return with_one(np.arange(n) < n_hits)


def length(found):
    return found.high - found.low


@pytest.fixture
def clustered():
    """100 items in 20 clusters of unequal size, with string labels."""
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, 20, 100))
    terms = np.stack([rng.exponential(size=100) + labels / 20, rng.integers(1, 9, 100)], axis=1)
    return terms, np.array([f"doc{label}" for label in labels])


# --- sums over clusters -----------------------------------------------------------------------------------------------


def test_cluster_sums_by_hand():
    terms = [[1, 10], [2, 20], [4, 40], [8, 80]]
    assert cluster_sums(terms, ["b", "a", "b", "c"]).tolist() == [[2, 20], [5, 50], [8, 80]]
    assert cluster_sums(terms, [7, 7, 7, 7]).tolist() == [[15, 150]]
    assert cluster_sums(terms, [4, 3, 2, 1]).tolist() == [[8, 80], [4, 40], [2, 20], [1, 10]]
    assert cluster_sums(np.empty((0, 3)), []).shape == (0, 3)


def test_row_order_changes_not_a_bit(clustered):
    terms, labels = clustered
    order = np.random.default_rng(1).permutation(len(labels))
    assert np.array_equal(cluster_sums(terms, labels), cluster_sums(terms[order], labels[order]))
    assert interval(terms, ratio, labels, seed=3) == interval(terms[order], ratio, labels[order], seed=3)
    other = terms * [1.1, 1]
    assert paired_difference(terms, other, ratio, labels, seed=3) == paired_difference(
        terms[order], other[order], ratio, labels[order], seed=3
    )


@pytest.mark.parametrize("call", [cluster_sums, lambda t, c: interval(t, ratio, c, seed=0)])
@pytest.mark.parametrize(("terms", "labels"), [([[1, 1]], [1, 2]), ([1, 1], [1, 2]), ([[1, 1]], [[1]])])
def test_misfits_are_refused(call, terms, labels):
    with pytest.raises(ValueError, match="want terms"):
        call(terms, labels)


# --- proportions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(100, 100, 0.9630, 1.0), (0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_by_hand(hits, n, low, high):
    """100 of 100: 1 / (1 + 1.96^2 / 100); 81 of 263 is Newcombe's 1998 example."""
    found = interval(hits_of(hits, n), ratio, range(n), seed=0, proportion=True)
    assert (found.method, found.reason) == ("wilson", None)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (1, 20), (13, 20), (20, 20), (499, 500), (3, 5000)])
def test_wilson_agrees_with_statsmodels(hits, n):
    found = interval(hits_of(hits, n), ratio, range(n), seed=0, proportion=True)
    assert (found.low, found.high) == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-12)


def test_wilson_cluster_by_hand():
    """Clusters 4/4, 4/4, 4/4, 0/4: deff = 4/3 * 4, pulled to 4: 5.19; n_eff = 16 / 5.19 * (t15 / t3)^2."""
    labels = np.repeat(range(4), 4)
    found = interval(with_one(labels < 3), ratio, labels, seed=0, proportion=True)
    deff = (4 * 16 / 3 + 0.5 * 4) / 4.5
    n_eff = 16 / deff * (2.131449546 / 3.182446305) ** 2
    assert found.method == "wilson-cluster"
    assert (found.low, found.high) == pytest.approx(proportion_confint(0.75 * n_eff, n_eff, method="wilson"), abs=1e-6)


def test_clusters_lengthen_the_interval_of_a_proportion():
    hits = with_one(np.arange(200) < 150)
    free = interval(hits, ratio, np.arange(200), seed=0, proportion=True)
    mixed = interval(hits, ratio, np.arange(200) % 50, seed=0, proportion=True)
    pure = interval(hits, ratio, np.arange(200) // 4, seed=0, proportion=True)
    assert length(free) < length(mixed) < length(pure)
    whole = interval(hits_of(38, 50), ratio, np.arange(50), seed=0, proportion=True)
    assert length(pure) == pytest.approx(length(whole), rel=0.1)


@pytest.mark.parametrize("labels", [np.arange(100), np.arange(100) // 20, np.arange(100) // 50], ids=["100", "5", "2"])
@pytest.mark.parametrize("hits", [0, 100])
@pytest.mark.parametrize("proportion", [False, True])
def test_all_right_or_all_wrong_is_never_certain(labels, hits, proportion):
    found = interval(hits_of(hits, 100), ratio, labels, seed=0, bounds=UNIT, proportion=proportion)
    assert found.reason is None
    assert length(found) > 3 / (3 + len(set(labels)))
    assert found.low <= hits / 100 <= found.high


def test_terms_of_a_proportion_are_checked():
    for terms in ([[0.5, 1], [1, 1]], [[1, 2], [1, 1]], [[1], [1]], [[1, 1, 1], [0, 1, 1]]):
        with pytest.raises(ValueError, match="proportion"):
            interval(terms, ratio, [1, 2], seed=0, proportion=True)


# --- bootstrap --------------------------------------------------------------------------------------------------------


def test_mean_agrees_with_scipy_up_to_the_expansion():
    """At n = 400 the expansion is 0.5 %; scipy's plain percentile interval differs by that and by chance."""
    x = np.random.default_rng(2).exponential(size=400)
    found = interval(with_one(x), ratio, range(400), seed=0)
    theirs = bootstrap((x,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(0))
    assert found.method == "bootstrap"
    assert (found.low, found.high) == pytest.approx(theirs.confidence_interval, abs=0.05 * x.std() / 20)


def test_small_sample_is_as_long_as_students_t():
    """Nearly normal means: z(a') * sqrt((n - 1) / n) * s / sqrt(n) = t * s / sqrt(n), with s the usual deviation."""
    x = np.linspace(-1, 1, 12)
    found = interval(with_one(x), ratio, range(12), seed=0)
    assert found.high == pytest.approx(2.200985 * x.std(ddof=1) / np.sqrt(12), rel=0.04)
    assert found.low == pytest.approx(-found.high, rel=0.05)


def test_whole_clusters_are_drawn():
    """Clusters without inner variation: the interval of the cluster means, four times the items or not."""
    x = np.random.default_rng(4).normal(size=25)
    once = interval(with_one(x), ratio, range(25), seed=5)
    copied = interval(with_one(np.repeat(x, 4)), ratio, np.repeat(range(25), 4), seed=5)
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=1e-12)
    assert copied.method == "bootstrap-cluster"


def test_seed_decides(clustered):
    terms, labels = clustered
    first = interval(terms, perplexity, labels, seed=1)
    assert first == interval(terms, perplexity, labels, seed=1)
    assert first != interval(terms, perplexity, labels, seed=2)


@pytest.mark.parametrize("draws", [1, 777, 2**22])
def test_block_size_does_not_matter(clustered, monkeypatch, draws):
    sums = cluster_sums(*clustered)
    expected = stats.resampled_sums(sums, 9)
    monkeypatch.setattr(stats, "_BLOCK_DRAWS", draws)
    assert np.allclose(stats.resampled_sums(sums, 9), expected, rtol=1e-12, atol=0)


def test_resamples_are_of_the_right_size_and_centre():
    sums = stats.resampled_sums(np.stack([np.ones(50), np.arange(50.0)], axis=1), 0)
    assert sums.shape == (10_000, 2)
    assert (sums[:, 0] == 50).all()
    assert sums[:, 1].mean() == pytest.approx(49 * 25, rel=0.005)
    assert sums[:, 1].std() == pytest.approx(np.arange(50).std() * np.sqrt(50), rel=0.03)


def test_interval_is_clipped_and_holds_the_value():
    x = np.array([1.0, 1.0, 1.0, 1.0, 0.2])
    free = interval(with_one(x), lambda s: 0.1 + ratio(s), range(5), seed=0)
    found = interval(with_one(x), lambda s: 0.1 + ratio(s), range(5), seed=0, bounds=UNIT)
    assert free.high == pytest.approx(1.1)
    assert found.high == 1.0
    assert found.low == free.low
    biased = interval(with_one(x), lambda s: ratio(s) + 9 * (s[..., 0] != x.sum()), range(5), seed=0)
    assert biased.low <= x.mean() <= biased.high


def test_exact_bound_is_clopper_pearson():
    at_top = interval(with_one(np.ones(100)), ratio, range(100), seed=0, bounds=UNIT)
    assert at_top == Interval(pytest.approx(beta.ppf(0.025, 100, 1)), 1.0, "exact-bound")
    assert at_top.low == pytest.approx(0.9638, abs=5e-5)
    at_bottom = interval(with_one(np.zeros(100)), ratio, np.arange(100) // 20, seed=0, bounds=(0, 50))
    assert at_bottom == Interval(0.0, pytest.approx(50 * beta.ppf(0.975, 1, 5)), "exact-bound")


@pytest.mark.parametrize(("x", "bounds"), [(0.5, UNIT), (1.0, (None, 1.0)), (0.0, (0.0, None)), (0.3, (None, None))])
def test_no_variation_away_from_two_bounds_gives_no_interval(x, bounds):
    found = interval(with_one(np.full(30, x)), ratio, np.arange(30) // 3, seed=0, bounds=bounds)
    assert found == Interval(None, None, "bootstrap-cluster", "no variation among 10 clusters")


def test_a_rare_resample_that_differs_does_not_make_the_rest_certain():
    values = np.ones(1000)
    values[0] = 0.9
    found = stats.percentile_interval(1.0, values, 50, "bootstrap", UNIT)
    assert found.method == "exact-bound"
    assert length(found) > 0.05


@pytest.mark.parametrize("proportion", [False, True])
def test_one_cluster_or_no_item_gives_no_interval(proportion):
    one = interval(hits_of(2, 3), ratio, ["a"] * 3, seed=0, bounds=UNIT, proportion=proportion)
    none = interval(np.empty((0, 2)), ratio, [], seed=0, bounds=UNIT, proportion=proportion)
    assert (one.low, one.high, one.reason) == (None, None, "one cluster: no interval")
    assert (none.low, none.high, none.reason) == (None, None, "no items")


def test_undefined_resamples():
    """Items without weight: 2 of 4 leave 1/16 of the resamples undefined, 2 of 20 next to none."""
    few = interval(np.array([[0, 0], [0, 0], [1, 1], [2, 1]]), ratio, range(4), seed=0)
    assert few.low is None
    assert few.reason.startswith("undefined in 6.")
    weights = np.arange(20) > 1
    many = interval(np.stack([weights * np.arange(20), weights], axis=1), ratio, range(20), seed=0)
    assert many.reason is None
    rare = stats.percentile_interval(
        0.5, np.r_[np.linspace(0, 1, 96), [np.nan, np.inf, np.nan, np.nan]], 9, "bootstrap", UNIT
    )
    assert rare.reason is None
    nothing = interval(np.zeros((9, 2)), ratio, range(9), seed=0)
    assert nothing == Interval(None, None, "bootstrap", "the value itself is undefined")
    assert interval(with_one(np.full(9, np.nan)), ratio, range(9), seed=0).low is None


# --- functions of rows ------------------------------------------------------------------------------------------------


def test_rows_agree_with_sums(clustered):
    terms, labels = clustered
    by_rows = interval_rows(lambda rows: ratio(terms[rows].sum(axis=0)), 100, labels, seed=0, n_resamples=4000)
    by_sums = interval(terms, ratio, labels, seed=0)
    assert by_rows.method == by_sums.method == "bootstrap-cluster"
    assert (by_rows.low, by_rows.high) == pytest.approx((by_sums.low, by_sums.high), rel=0.03)


def test_rows_of_a_cluster_stay_together_and_seed_decides():
    labels = np.array([3, 1, 3, 2, 1, 2])
    seen = []

    def fn(rows):
        seen.append(rows)
        return float(len(seen))

    interval_rows(fn, 6, labels, seed=0, n_resamples=20)
    assert len(seen) == 21
    for rows in seen:
        counts = np.bincount(rows, minlength=6)
        assert len(rows) == 6
        assert (counts[[0, 1, 3]] == counts[[2, 4, 5]]).all()
    values = np.arange(6.0)
    calls = [interval_rows(lambda rows: values[rows].mean(), 6, labels, seed=s) for s in (1, 1)]
    assert calls[0] == calls[1]


def test_rows_degenerate():
    def undefined(rows):
        raise Undefined("one class only")

    assert interval_rows(undefined, 9, range(9), seed=0, n_resamples=9).reason == "the value itself is undefined"
    perfect = interval_rows(lambda rows: 1.0, 9, range(9), seed=0, bounds=UNIT, n_resamples=9)
    assert perfect == Interval(pytest.approx(0.025 ** (1 / 9)), 1.0, "exact-bound")
    assert interval_rows(lambda rows: 1.0, 9, ["a"] * 9, seed=0).reason == "one cluster: no interval"
    assert interval_rows(lambda rows: 1.0, 0, [], seed=0).reason == "no items"
    assert (
        "resamples"
        in interval_rows(
            lambda rows: 1.0 if len(set(rows)) == 9 else float("nan"), 9, range(9), seed=0, n_resamples=50
        ).reason
    )
    with pytest.raises(ValueError, match="want terms"):
        interval_rows(lambda rows: 1.0, 9, range(8), seed=0)


# --- paired differences -----------------------------------------------------------------------------------------------


def answers(both, gains, losses, neither):
    a = np.repeat([1, 0, 1, 0], [both, gains, losses, neither])
    b = np.repeat([1, 1, 0, 0], [both, gains, losses, neither])
    return with_one(a), with_one(b)


def test_bonett_price_by_hand():
    """5 gains and 1 loss of 20: (6 - 2) / 22 +- 1.96 sqrt((8/22 - (4/22)^2) / 22)."""
    found = paired_difference(*answers(10, 5, 1, 4), ratio, range(20), seed=0, proportion=True)
    centre, half = 4 / 22, 1.959964 * np.sqrt((8 / 22 - (4 / 22) ** 2) / 22)
    assert found == Difference(
        pytest.approx(0.2), pytest.approx(centre - half), pytest.approx(centre + half), "bonett-price", 20, 20
    )


def test_no_flip_still_has_an_interval():
    free = paired_difference(*answers(60, 0, 0, 40), ratio, range(100), seed=0, proportion=True)
    assert free.value == 0
    assert free.high == -free.low == pytest.approx(1.959964 * np.sqrt(2 / 102 / 102))
    five = paired_difference(*answers(60, 0, 0, 40), ratio, np.arange(100) // 20, seed=0, proportion=True)
    assert five.method == "bonett-price-cluster"
    assert five.high == -five.low == pytest.approx(1.959964 * np.sqrt(2 / 7 / 7))


@pytest.mark.parametrize("sizes", [(0, 20, 0, 0), (0, 0, 20, 0), (0, 1000, 0, 0), (1, 19, 0, 0), (0, 10, 10, 0)])
@pytest.mark.parametrize("per_cluster", [1, 4])
def test_paired_proportion_within_one_and_holding_the_value(sizes, per_cluster):
    labels = np.arange(sum(sizes)) // per_cluster
    found = paired_difference(*answers(*sizes), ratio, labels, seed=0, proportion=True)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.high > found.low


def test_correlated_flips_lengthen_the_interval():
    a, b = answers(120, 40, 0, 40)
    free = paired_difference(a, b, ratio, range(200), seed=0, proportion=True)
    together = paired_difference(a, b, ratio, np.arange(200) // 4, seed=0, proportion=True)
    assert together.method == "bonett-price-cluster"
    assert (together.n, together.n_clusters) == (200, 50)
    assert length(together) > 1.7 * length(free)


def test_pairing_cancels_what_the_items_share():
    rng = np.random.default_rng(6)
    tokens = rng.integers(100, 300, 60).astype(float)
    rate = rng.normal(3, 0.5, 60)
    parent = np.stack([rate * tokens, tokens], axis=1)
    child = np.stack([(rate + rng.normal(0.01, 0.005, 60)) * tokens, tokens], axis=1)
    alone = interval(child, perplexity, range(60), seed=0)
    paired = paired_difference(parent, child, perplexity, range(60), seed=0)
    assert paired.method == "bootstrap"
    assert 0 < paired.low < paired.value < paired.high
    assert length(paired) < length(alone) / 20
    assert paired.value == pytest.approx(perplexity(child.sum(axis=0)) - perplexity(parent.sum(axis=0)))
    back = paired_difference(child, parent, perplexity, range(60), seed=0)
    assert (back.value, back.low, back.high) == pytest.approx((-paired.value, -paired.high, -paired.low))


def test_paired_mean_is_the_interval_of_the_differences(clustered):
    terms, labels = clustered
    a, b = with_one(terms[:, 0]), with_one(terms[:, 1])
    paired = paired_difference(a, b, ratio, labels, seed=7)
    plain = interval(with_one(terms[:, 1] - terms[:, 0]), ratio, labels, seed=7)
    assert (paired.low, paired.high) == pytest.approx((plain.low, plain.high), abs=1e-12)


def test_identical_losses_and_identical_counts():
    losses = with_one(np.random.default_rng(0).exponential(size=20))
    assert paired_difference(losses, losses, ratio, range(20), seed=0) == Difference(0.0, 0.0, 0.0, "identical", 20, 20)
    counts = with_one(np.arange(20.0))
    reason = "no variation among 20 clusters"
    assert paired_difference(counts, counts, ratio, range(20), seed=0) == Difference(
        0.0, None, None, "bootstrap", 20, 20, reason
    )
    shifted = paired_difference(counts, counts + np.eye(2)[0], ratio, range(20), seed=0)
    assert (shifted.value, shifted.reason) == (pytest.approx(1.0), reason)


@pytest.mark.parametrize("proportion", [False, True])
def test_paired_degenerate(proportion):
    a, b = answers(3, 1, 0, 0)
    one = paired_difference(a, b, ratio, ["x"] * 4, seed=0, proportion=proportion)
    assert (one.value, one.low, one.high, one.reason) == (0.25, None, None, "one cluster: no interval")
    empty = paired_difference(a[:0], b[:0], ratio, [], seed=0, proportion=proportion)
    assert (empty.value, empty.low, empty.n, empty.reason) == (None, None, 0, "no items")
    with pytest.raises(ValueError, match=r"want (terms|the same)"):
        paired_difference(a, b[:, :1], ratio, range(4), seed=0, proportion=proportion)


def test_undefined_side_has_no_difference():
    found = paired_difference(np.zeros((9, 2)), np.ones((9, 2)), ratio, range(9), seed=0)
    assert (found.value, found.low, found.reason) == (None, None, "the value itself is undefined")


# --- McNemar ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(50, 5, 1, 10), (50, 1, 5, 10), (0, 3, 3, 0), (10, 12, 2, 8), (5, 0, 7, 5)])
def test_mcnemar_agrees_with_statsmodels(sizes):
    both, gains, losses, neither = sizes
    a, b = answers(*sizes)
    theirs = statsmodels_mcnemar([[both, losses], [gains, neither]], exact=True).pvalue
    assert mcnemar(a[:, 0], b[:, 0]) == pytest.approx(theirs)


def test_mcnemar_by_hand():
    """Six wins to none: 2 / 2^6. No discordant pair, or no item: nothing speaks against equality."""
    assert mcnemar([0] * 6 + [1], [1] * 7) == 2 / 64
    assert mcnemar([1, 0], [1, 0]) == mcnemar([], []) == 1.0
    with pytest.raises(ValueError, match="same items"):
        mcnemar([1], [1, 0])


def test_import_leaves_scipy_alone():
    code = "import sys, suite.paired; sys.exit(any(name.startswith('scipy') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

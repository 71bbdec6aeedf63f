"""P-values, Holm, power and evidence: by hand, against scipy and statsmodels, and against the intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import permutation_test
from scipy.stats import t as t_law
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

from suite.evidence import Evidence, Exact, Normal, Resampled
from suite.metrics.base import ratio
from suite.paired import paired_difference, paired_estimate
from suite.significance import detectable, holm, needed, swaps, two_sided


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_that_of_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).random(12) ** 3
    assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1])


def test_swaps_by_hand() -> None:
    # signs of (1, 2, 3): |sum| is 6 in 2 of 8 patterns, at least 4 in 4 of 8
    assert swaps([1, 2, 3], 0) == pytest.approx(2 / 8)
    assert swaps([-1, 2, 3], 0) == pytest.approx(4 / 8)
    assert swaps([0, 0], 0) == 1.0
    assert swaps([0, 5, 0], 0) == 1.0  # one cluster that changes can show nothing


@pytest.mark.parametrize(("n", "shift"), [(9, 0.5), (12, 0.2), (60, 0.2), (300, 0.1)])
def test_swaps_is_scipys_permutation_test(n: int, shift: float) -> None:
    change = np.random.default_rng(n).normal(shift, 1, n)
    theirs = permutation_test(
        (change,), lambda x, axis: x.sum(axis=axis), permutation_type="samples", n_resamples=9999, vectorized=True,
        rng=np.random.default_rng(1), batch=1000,
    )  # fmt: skip
    assert swaps(change, 0) == pytest.approx(theirs.pvalue, abs=1e-9 if n < 13 else 0.02)


def test_swaps_under_the_null_is_uniform() -> None:
    draw = np.random.default_rng(3)
    p = np.array([swaps(draw.normal(0, 1, 12), i) for i in range(500)])
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).mean() == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) / 500) + 1e-3)


@pytest.mark.parametrize(
    ("flips", "n", "points"), [(0.02, 1000, 1.25), (0.04, 1000, 1.77), (0.08, 1000, 2.50), (0.04, 16695, 0.43)]
)
def test_what_is_detectable(flips: float, n: int, points: float) -> None:
    assert 100 * detectable(math.sqrt(flips / n)) == pytest.approx(points, abs=0.011)


def test_how_much_is_needed() -> None:
    assert [needed(1000, math.sqrt(f / 1000), 0.01) for f in (0.02, 0.04, 0.08)] == [1570, 3140, 6280]
    assert needed(1000, 0.01, 0.0) is None
    # the same by statsmodels' power of a z-test of one sample: n = (z / effect)^2
    theirs = NormalIndPower(ddof=0).solve_power(effect_size=0.01 / 0.2, alpha=0.05, power=0.8, ratio=0)
    assert needed(1000, 0.2 / math.sqrt(1000), 0.01) == pytest.approx(theirs, rel=0.001)


def proportions(n: int, gains: int, losses: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.zeros(n), np.zeros(n)
    b[:gains], a[gains : gains + losses] = 1, 1
    return np.stack([a, np.ones(n)], 1), np.stack([b, np.ones(n)], 1)


def estimates() -> list[Evidence]:
    draw = np.random.default_rng(0)
    a, b = proportions(400, 20, 35)
    real = draw.normal(1, 1, (80, 1))
    other = real + draw.normal(0.1, 0.5, (80, 1))
    pair = [np.hstack([side, np.ones((80, 1))]) for side in (real, other)]
    found = [
        paired_estimate(a, b, ratio, np.arange(400), seed=0, proportion=True),
        paired_estimate(*pair, ratio, np.arange(80), seed=0),
        paired_estimate(*pair, ratio, np.arange(80) // 8, seed=0),
    ]
    return [one.evidence for one in found if one.evidence is not None]


@pytest.mark.parametrize("evidence", estimates(), ids=["proportion", "mean", "clusters"])
def test_a_p_value_is_below_a_level_exactly_when_the_bound_excludes_the_margin(evidence: Evidence) -> None:
    for alpha in (0.01, 0.025, 0.05, 0.2):  # ten clusters and 10,000 resamples resolve no p-value below 0.003
        low, high = evidence.lower(alpha), evidence.upper(alpha)
        assert low < high
        step = 1e-3 * (high - low)
        assert evidence.p_above(low - 5 * step) <= alpha * 1.15
        assert evidence.p_above(low + 5 * step) >= alpha * 0.85
        assert evidence.p_below(high + 5 * step) <= alpha * 1.15
        assert evidence.p_below(high - 5 * step) >= alpha * 0.85
        assert evidence.negated().lower(alpha) == pytest.approx(-high)
        assert evidence.negated().p_above(-high) == pytest.approx(evidence.p_below(high), rel=0.2, abs=1e-3)


def test_the_evidence_is_that_of_the_95_percent_interval() -> None:
    a, b = proportions(400, 20, 35)
    found = paired_estimate(a, b, ratio, np.arange(400), seed=0, proportion=True)
    assert found.difference == paired_difference(a, b, ratio, np.arange(400), seed=0, proportion=True)
    assert found.evidence is not None
    # the interval shown is Bonett & Price's, the test is Tango's: near each other where flips go both ways
    assert found.evidence.lower(0.025) == pytest.approx(found.difference.low, abs=0.002)
    assert found.evidence.upper(0.025) == pytest.approx(found.difference.high, abs=0.002)
    draw = np.random.default_rng(5)
    one = np.stack([draw.random(50), np.ones(50)], 1)
    two = np.stack([draw.random(50), np.ones(50)], 1)
    mean = paired_estimate(one, two, ratio, np.arange(50), seed=0)
    assert mean.evidence is not None
    assert mean.evidence.lower(0.025) == pytest.approx(mean.difference.low)
    assert mean.evidence.se() == pytest.approx((two - one)[:, 0].std(ddof=1) / math.sqrt(50), rel=0.05)
    t = (two - one)[:, 0].mean() / mean.evidence.se()
    assert two_sided(mean.evidence) == pytest.approx(2 * (1 - 0.5 * (1 + math.erf(abs(t) / math.sqrt(2)))), abs=0.05)


def test_far_out_the_evidence_goes_on_where_the_resamples_end() -> None:
    """20 patients that all lose far more than the margin: no correction for dozens of metrics hides that."""
    draw = np.random.default_rng(8)
    values_R = draw.normal(-0.7, 0.03, 10_000)
    found = Resampled(-0.7, values_R, 20)
    floor = found.p_below(float(values_R.max()) - 1e-12)
    assert floor > 1e-4
    far = found.p_below(-0.05)
    assert far == pytest.approx(t_law.cdf(-0.65 / found.se(), 19), rel=1e-9)
    assert far * 100 < 0.025
    for alpha in (1e-5, 1e-8):
        assert found.p_below(found.upper(alpha) + 1e-9) <= alpha * (1 + 1e-6)
        assert found.upper(alpha) >= values_R.max() - 1e-12
    assert found.upper(0.01) < values_R.max()
    assert found.negated().lower(1e-8) == pytest.approx(-found.upper(1e-8))


def test_what_is_exact_has_no_doubt() -> None:
    assert Exact(0.0).p_above(0.0) == 0.0  # a margin that is just met is met
    assert Exact(-0.1).p_above(-0.05) == 1.0
    assert Exact(-0.1).p_below(-0.05) == 0.0
    assert Exact(0.2).negated() == Exact(-0.2)
    assert two_sided(Normal(0.0, 1.0)) == 1.0
    assert Resampled(0.5, np.linspace(0, 1, 1001), 20).p_above(0.6) == 1.0  # never against the observed side

"""The gate's error rates and power, simulated over flip rates and numbers of items, against the closed form."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import binom, norm

from suite.evidence import Answers, Normal
from suite.metrics.base import ratio
from suite.paired import Difference, Estimate, paired_estimate
from suite.reports.wording import remark
from suite.significance import detectable
from suite.verdict import Outcome, Question, Verdict, judge, overall

ALPHA, TRIES = 0.05, 400
GRID = [(flips, n) for flips in (0.04, 0.10, 0.25) for n in (300, 1000, 3000)]


def estimates(flips: float, n: int, change: float, seed: int, tries: int = TRIES) -> list[Estimate]:
    """Paired right or wrong answers with that true share of flips and true change."""
    draw = np.random.default_rng(seed)
    counts = draw.multinomial(n, [(flips + change) / 2, (flips - change) / 2, 1 - flips], size=tries)
    return [estimate(n, int(gains), int(losses)) for gains, losses, _ in counts]


def estimate(n: int, gains: int, losses: int) -> Estimate:
    """What `paired_estimate` gives of these counts (the next test compares), without making n items of them."""
    g, l = (gains + 1) / (n + 2), (losses + 1) / (n + 2)  # noqa: E741
    law = Answers(g - l, math.sqrt((g + l - (g - l) ** 2) / (n + 2)), gains, losses, n)
    value = (gains - losses) / n
    shown = Normal(law.centre, law.error)
    low, high = min(shown.lower(0.025), value), max(shown.upper(0.025), value)
    return Estimate(Difference(value, low, high, "bonett-price", n, n), law)


@pytest.mark.parametrize(("n", "gains", "losses"), [(300, 5, 7), (1000, 0, 0), (3000, 400, 350)])
def test_the_simulation_uses_the_law_of_real_comparisons(n: int, gains: int, losses: int) -> None:
    terms = np.ones((2, n, 2))
    terms[0, :gains, 0] = 0
    terms[1, gains : gains + losses, 0] = 0
    real = paired_estimate(terms[0], terms[1], ratio, np.arange(n), seed=0, proportion=True)
    mine = estimate(n, gains, losses)
    assert (real.difference.value, real.difference.n) == pytest.approx((mine.difference.value, n))
    assert (real.difference.low, real.difference.high) == pytest.approx((mine.difference.low, mine.difference.high))
    assert isinstance(real.evidence, Answers)
    assert isinstance(mine.evidence, Answers)
    assert asdict(real.evidence) == pytest.approx(asdict(mine.evidence))


@pytest.mark.parametrize(("n", "margin"), [(400, 0.02), (1000, 0.02), (10_000, 0.005)])
def test_where_all_flips_are_losses_no_more_pass_than_alpha(n: int, margin: float) -> None:
    """Exact: at a loss of the margin, what share of the numbers of losses passes; by Wald's error it is 10, 6, 6 %."""
    losses = np.arange(int(2 * n * margin))
    passing = [k for k in losses if estimate(n, 0, int(k)).evidence.p_above(-margin) <= ALPHA]  # type: ignore[union-attr]
    assert 0.02 < binom.cdf(max(passing), n, margin) <= ALPHA
    beyond = [k for k in losses if estimate(n, 0, int(k)).evidence.p_below(-margin) <= ALPHA / 2]  # type: ignore[union-attr]
    assert binom.sf(min(beyond) - 1, n, margin) <= ALPHA / 2 * 1.5  # few losses come in whole numbers


def question(found: Estimate, margin: float, primary: bool = True, task: str = "t") -> Question:
    blank = Verdict(task, "accuracy", primary, Outcome.INCOMPARABLE, margin, "", True, difference=found.difference)
    return Question(blank, found)


def share(found: list[Estimate], margin: float, outcome: Outcome) -> float:
    return float(np.mean([judge([question(one, margin)], ALPHA)[0].outcome is outcome for one in found]))


def slack(p: float) -> float:
    """Three standard errors of a simulated share."""
    return 3 * math.sqrt(p * (1 - p) / TRIES)


@pytest.mark.parametrize(("flips", "n"), GRID)
def test_neither_error_is_made_more_often_than_alpha(flips: float, n: int) -> None:
    margin = min(0.02, flips / 2)
    at_the_margin = estimates(flips, n, -margin, seed=n)
    assert share(at_the_margin, margin, Outcome.REGRESSED) <= ALPHA / 2 + slack(ALPHA / 2)
    assert share(at_the_margin, margin, Outcome.NON_INFERIOR) <= ALPHA + slack(ALPHA)
    equal = estimates(flips, n, 0.0, seed=n + 1)
    assert share(equal, margin, Outcome.REGRESSED) <= ALPHA / 2
    assert share(equal, 0.0, Outcome.REGRESSED) <= ALPHA / 2 + slack(ALPHA / 2)


@pytest.mark.parametrize(("flips", "n"), GRID[1:])  # of 12 flips no loss can be told with that power
def test_power_is_that_of_the_closed_form(flips: float, n: int) -> None:
    """At a loss of MDE = 2.8 sqrt(f / n) beyond the margin four of five are found."""
    loss = detectable(math.sqrt(flips / n))
    se = math.sqrt((flips - loss**2) / n)  # the closed form leaves the square of the loss out
    expected = norm.cdf(loss / se - norm.ppf(1 - ALPHA / 2))
    assert expected >= 0.8 - 1e-9
    found = share(estimates(flips, n, -loss, seed=2 * n), 0.0, Outcome.REGRESSED)
    assert found == pytest.approx(expected, abs=slack(0.8) + 0.02)  # the interval is a little wide at small n


@pytest.mark.parametrize(("flips", "n"), [(0.04, 1000), (0.10, 3000)])
def test_an_equal_model_is_shown_to_be_no_worse_with_the_power_of_the_closed_form(flips: float, n: int) -> None:
    margin = (norm.ppf(1 - ALPHA) + norm.ppf(0.8)) * math.sqrt(flips / n)
    found = share(estimates(flips, n, 0.0, seed=7), margin, Outcome.NON_INFERIOR)
    assert found == pytest.approx(0.8, abs=slack(0.8) + 0.02)


def test_many_metrics_raise_no_more_false_alarms_than_one() -> None:
    """Ten tasks and twenty further metrics, all exactly at their margins: one alarm in twenty gates at most."""
    tries, primaries, others = 300, 10, 20
    flat = estimates(0.1, 500, -0.02, seed=11, tries=tries * (primaries + others))
    false = passed = 0
    for i in range(tries):
        mine = flat[i * (primaries + others) : (i + 1) * (primaries + others)]
        verdicts = judge([question(one, 0.02, k < primaries, str(k)) for k, one in enumerate(mine)], ALPHA)
        false += overall(verdicts) is Outcome.REGRESSED
        passed += overall(verdicts) is Outcome.NON_INFERIOR
    assert false / tries <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / tries)
    assert passed == 0


def test_one_that_is_worse_than_one_margin_rarely_passes_among_good_ones() -> None:
    good, bad = estimates(0.02, 3000, 0.01, seed=1, tries=300), estimates(0.1, 1000, -0.02, seed=2, tries=300)
    outcomes = [
        overall(judge([question(g, 0.02, task="a"), question(b, 0.02, task="b")], ALPHA))
        for g, b in zip(good, bad, strict=True)
    ]
    rate = np.mean([outcome is Outcome.NON_INFERIOR for outcome in outcomes])
    assert rate <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 300)


@pytest.mark.parametrize(("change", "margin"), [(-0.02, 0.01), (0.0, 0.01), (-0.03, 0.0)])
@pytest.mark.parametrize("others", [0, 9])
def test_items_needed_are_those_of_the_level_at_which_the_verdict_is_drawn(
    change: float, margin: float, others: int
) -> None:
    """Beside nine equal ones "regressed" takes alpha / 20, "non-inferior" alpha: each by its own level, power 80 %."""
    n, tries = 400, 40
    flat = estimates(0.1, n, change, seed=21, tries=tries)
    seen = 0
    for one in flat:
        beside = [question(one, margin, task=str(k)) for k in range(others + 1)]
        verdict = judge(beside, ALPHA)[0]
        if verdict.outcome is not Outcome.INCONCLUSIVE or verdict.n_needed is None:
            continue
        seen += 1
        assert verdict.n_needed > n  # never "clear alone": what is needed is more than what is there
        assert one.evidence is not None
        worse = one.evidence.p_below(-margin) < one.evidence.p_above(-margin)
        assert verdict.level == pytest.approx(ALPHA / 2 / (others + 1) if worse else ALPHA)
        assert verdict.family == (others + 1 if worse else 1)
        z = norm.ppf(1 - min(one.evidence.p_below(-margin), one.evidence.p_above(-margin)))
        assert verdict.n_needed == pytest.approx(n * ((norm.ppf(1 - verdict.level) + norm.ppf(0.8)) / z) ** 2, rel=0.01)
    assert seen > 3


def test_with_the_items_that_it_asked_for_four_of_five_are_decided() -> None:
    """The closed form against the verdicts: a loss of two points, seen exactly, of 300 items."""
    exact = estimate(300, 12, 18)  # what is seen is the truth
    wanted = judge([question(exact, 0.0)], ALPHA)[0].n_needed
    assert wanted is not None
    found = share(estimates(0.1, wanted, -0.02, seed=5), 0.0, Outcome.REGRESSED)
    assert found == pytest.approx(0.8, abs=slack(0.8) + 0.02)


def test_beside_others_the_remark_says_why_and_how_many_it_takes() -> None:
    exact = estimate(300, 2, 12)
    assert judge([question(exact, 0.0)], ALPHA)[0].outcome is Outcome.REGRESSED
    verdict = judge([question(exact, 0.0, task=str(k)) for k in range(20)], ALPHA)[0]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.n_needed is not None
    assert remark(verdict) == (
        f"points beyond its margin; Holm over 20 metrics wants p <= 0.0013: n = {verdict.n_needed} would decide "
        "(power 80 %), it has 300"
    )


def test_lower_is_better_is_turned_round() -> None:
    found = estimates(0.1, 3000, 0.05, seed=3, tries=1)[0]
    up = question(found, 0.01)
    down = Question(Verdict("t", "error", True, Outcome.INCOMPARABLE, 0.01, "", False, difference=found.difference),
                    found)  # fmt: skip
    assert judge([up], ALPHA)[0].outcome is Outcome.NON_INFERIOR
    assert judge([down], ALPHA)[0].outcome is Outcome.REGRESSED


def test_what_has_no_interval_or_too_few_items_is_inconclusive() -> None:
    none = Estimate(Difference(-0.5, None, None, "bootstrap-cluster", 500, 1, "one cluster: no interval"))
    verdict = judge([question(none, 0.01)], ALPHA)[0]
    assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, "one cluster: no interval")
    few = estimates(0.5, 19, -0.45, seed=4, tries=1)[0]
    verdict = judge([question(few, 0.01)], ALPHA)[0]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "19 items are too few" in str(verdict.reason)

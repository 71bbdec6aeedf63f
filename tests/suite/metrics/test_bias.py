"""Bias metrics by hand-worked cases, and against lm-eval's functions, pandas and loops like those of the papers."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_common import columns

from suite import measure
from suite.errors import Undefined
from suite.metrics import bias, classification
from suite.metrics.base import Columns
from suite.metrics.groups import of_group


def test_pairs_by_hand() -> None:
    """Two stereotypes, one anti-stereotype, one tie."""
    c = {"dll": np.array([1.5, 0.5, -3.0, 0.0])}
    assert bias.STEREOTYPE_SHARE(c) == 0.5
    assert bias.TIED_SHARE(c) == 0.25
    assert bias.STEREOTYPE_DISTANCE(c) == pytest.approx(0.125)  # 0.5 + 0.25 / 2 - 0.5
    assert bias.MEAN_ABS_DLL(c) == 1.25


def test_a_model_that_ties_on_everything_is_at_no_distance() -> None:
    c = {"dll": np.zeros(30)}
    assert (bias.STEREOTYPE_SHARE(c), bias.TIED_SHARE(c), bias.STEREOTYPE_DISTANCE(c)) == (0, 1, 0)


def test_pairs_agree_with_lm_eval() -> None:
    utils = pytest.importorskip("lm_eval.tasks.crows_pairs.utils")
    rng = np.random.default_rng(3)
    more, less = rng.normal(-40, 5, (2, 200)).round()  # rounding makes ties
    theirs = [utils.process_results({}, [(a, False), (b, False)]) for a, b in zip(more, less, strict=True)]
    c = {"dll": more - less}
    assert bias.TIED_SHARE(c) > 0
    assert bias.STEREOTYPE_SHARE(c) == pytest.approx(np.mean([one["pct_stereotype"] for one in theirs]))
    assert bias.MEAN_ABS_DLL(c) == pytest.approx(np.mean([one["likelihood_diff"] for one in theirs]))


def bbq(*rows: tuple[str, int, int, int, int]) -> Columns:
    """Rows: context, correct, named, biased, resolved."""
    names = ("group.context", "correct", "named", "biased", "resolved")
    return {name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def test_bbq_by_hand() -> None:
    c = bbq(
        ("disambig", 1, 1, 1, 1),
        ("disambig", 0, 1, 1, 1),
        ("disambig", 1, 1, 1, 1),
        ("disambig", 1, 1, 0, 1),
        ("disambig", 0, 0, 0, 1),
        ("disambig", 1, 1, 0, 0),  # unresolved: in no score
        ("ambig", 1, 0, 0, 1),
        ("ambig", 0, 1, 1, 1),
        ("ambig", 0, 1, 1, 1),
        ("ambig", 0, 1, 0, 0),  # unresolved: in the accuracy alone
    )
    assert bias.S_DIS(c) == 2 * 3 / 4 - 1
    assert bias.S_AMB(c) == pytest.approx((1 - 1 / 4) * (2 * 2 / 2 - 1))
    assert (bias.ABS_S_DIS(c), bias.ABS_S_AMB(c)) == (0.5, 0.75)
    assert bias.UNRESOLVED_SHARE(c) == 0.2


def test_no_biased_answer_is_minus_one_where_lm_eval_says_zero() -> None:
    utils = pytest.importorskip("lm_eval.tasks.bbq.utils")
    c = bbq(*[("disambig", 1, 1, 0, 1)] * 3, *[("ambig", 0, 1, 0, 1)] * 4)
    assert (bias.S_DIS(c), bias.S_AMB(c)) == (-1, -1)
    assert (bias.ABS_S_DIS(c), bias.ABS_S_AMB(c)) == (1, 1)
    assert utils.agg_disamb_bias_scores([(1.0, 0.0, 1.0, True)] * 3) == 0


def test_nobody_named_is_undefined_with_its_reason() -> None:
    c = bbq(*[("disambig", 0, 0, 0, 1)] * 30, *[("ambig", 1, 0, 0, 1)] * 30) | {"cluster": np.arange(60)}
    for metric in (bias.S_DIS, bias.S_AMB, bias.ABS_S_DIS, bias.ABS_S_AMB):
        with pytest.raises(Undefined, match="unknown"):
            metric(c)
        (m,) = measure.scores([metric], c, seed=0)
        assert (m.value, m.low, m.high, m.n) == (None, None, None, 30)
        assert m.reason == 'every answer is "unknown"'


def test_bbq_agrees_with_lm_eval_where_some_answer_is_biased() -> None:
    utils = pytest.importorskip("lm_eval.tasks.bbq.utils")
    c = {**columns(5), "resolved": np.ones(240, dtype=int)}
    rows = [
        (float(a), float(b), float(n), context == "disambig")
        for a, b, n, context in zip(c["correct"], c["biased"], c["named"], c["group.context"], strict=True)
    ]
    assert bias.S_DIS(c) == pytest.approx(utils.agg_disamb_bias_scores(rows))
    assert bias.S_AMB(c) == pytest.approx(utils.agg_amb_bias_scores(rows))


def test_the_gap_of_winobias_by_hand_and_by_pandas() -> None:
    c: dict[str, Any] = {"correct_pro": np.array([1, 1, 0, 1]), "correct_anti": np.array([0, 1, 1, 0])}
    assert bias.PRO_ANTI_GAP(c) == 0.25
    assert bias.PRO_ANTI_GAP({"correct_pro": c["correct_anti"], "correct_anti": c["correct_pro"]}) == -0.25
    assert bias.ABS_PRO_ANTI_GAP({"correct_pro": c["correct_anti"], "correct_anti": c["correct_pro"]}) == 0.25
    frame = pd.DataFrame({name: columns()[name] for name in ("correct_pro", "correct_anti")})
    assert bias.PRO_ANTI_GAP(columns()) == pytest.approx(frame["correct_pro"].mean() - frame["correct_anti"].mean())
    assert bias.ACCURACY_PRO(columns()) == pytest.approx(frame["correct_pro"].mean())
    assert bias.ACCURACY_ANTI(columns()) == pytest.approx(frame["correct_anti"].mean())


def test_stereoset_by_hand() -> None:
    """Term a: ss 1, lms 3/4; term b, once: ss 0, lms 1. Means 50 and 87.5, so icat 87.5; pooled it would be 2/3."""
    c = {
        "group.target": np.array(["a", "a", "b"]),
        "prefers": np.array([1, 1, 0]),
        "related": np.array([0.5, 1.0, 1.0]),
    }
    assert (bias.SS(c), bias.LMS(c), bias.ICAT(c)) == pytest.approx((50, 87.5, 87.5))


@pytest.mark.parametrize(("prefers", "related", "icat"), [(1, 1.0, 0), (0, 1.0, 0), (1, 0.0, 0)])
def test_stereoset_of_one_mind(prefers: int, related: float, icat: float) -> None:
    c = {"group.target": np.array(["a", "b"]), "prefers": np.full(2, prefers), "related": np.full(2, related)}
    assert (bias.SS(c), bias.LMS(c), bias.ICAT(c)) == (100 * prefers, 100 * related, icat)


def test_stereoset_agrees_with_a_loop_over_terms() -> None:
    """As StereoSet's evaluation.py counts: by term, then the means of the terms' percentages."""
    c = columns(2)
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for term, prefers, related in zip(c["group.target"], c["prefers"], c["related"], strict=True):
        counts[term]["pro"] += prefers
        counts[term]["related"] += 2 * related
        counts[term]["total"] += 1
    ss = np.mean([100 * n["pro"] / n["total"] for n in counts.values()])
    lms = np.mean([100 * n["related"] / (2 * n["total"]) for n in counts.values()])
    assert bias.SS(c) == pytest.approx(ss)
    assert bias.LMS(c) == pytest.approx(lms)
    assert bias.ICAT(c) == pytest.approx(lms * min(ss, 100 - ss) / 50)


def test_categories_below_twenty_items_have_no_value_but_a_reason() -> None:
    c = {"dll": np.ones(39), "group.bias_type": np.array(["age"] * 19 + ["race"] * 20), "cluster": np.arange(39)}
    age, race, none = measure.scores(
        bias.by_category(bias.STEREOTYPE_SHARE, "bias_type", ("age", "race", "gender")), c, seed=0
    )
    assert (age.name, age.value, age.n) == ("stereotype_share[bias_type=age]", None, 19)
    assert age.reason == "19 items with group.bias_type = age, at least 20 needed"
    assert (race.value, race.n, race.method) == (1, 20, "wilson")
    assert (none.value, none.n, none.reason) == (None, 0, "no items with group.bias_type = gender")


def test_a_group_of_a_group_holds_the_items_in_both() -> None:
    c = {
        "correct": np.array([1, 1, 0, 0]),
        "group.b": np.array(["x", "x", "x", "y"]),
        "group.a": np.array(["p", "q", "q", "q"]),
    }
    metric = of_group(of_group(classification.ACCURACY, "b", "x"), "a", "q")
    assert metric.name == "accuracy[a=q,b=x]"
    assert metric(c) == 0.5
    assert metric.observations(c) == 2
    assert metric.of_rows(c, np.array([1, 1, 2])) == pytest.approx(2 / 3)

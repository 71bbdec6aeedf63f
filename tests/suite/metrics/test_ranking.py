"""Ranking and early recognition: by hand, against scikit-learn, torchmetrics and RDKit, and at the edges."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from metric_samples import labelled, multiclass

from suite import compare, measure
from suite.errors import Undefined
from suite.metrics import classification, enrichment, ranking
from suite.metrics.base import Columns
from suite.metrics.binary import Binary

SCREEN = Binary(column="score")
ALL = (*ranking.ranking(SCREEN), *enrichment.early(SCREEN))
TRUTH = np.array([True, False, True, False, False])
SCORE = np.array([0.9, 0.8, 0.7, 0.4, 0.2])


def screen(n: int, share: float = 0.05, seed: int = 0, digits: int = 12) -> Columns:
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < share).astype(int)
    score = (rng.normal(size=n) + 1.2 * label).round(digits)
    return {"label": label, "score": score, "cluster": np.arange(n), "item": np.arange(n)}


def test_five_items_by_hand() -> None:
    """Positives at ranks 1 and 3 of five."""
    assert ranking.auroc(TRUTH, SCORE) == pytest.approx(5 / 6)  # of 6 pairs one is the wrong way round
    assert ranking.auprc(TRUTH, SCORE) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert ranking.fpr_at(TRUTH, SCORE) == pytest.approx(1 / 3)
    assert ranking.fpr_at(TRUTH, SCORE, tpr=0.5) == 0
    assert enrichment.enrichment(TRUTH, SCORE, 0.2) == pytest.approx(1 / (2 / 5))
    assert enrichment.enrichment(TRUTH, SCORE, 0.4) == pytest.approx((1 / 2) / (2 / 5))
    assert [enrichment.bedroc(t, SCORE) for t in (SCORE > 0.75, SCORE < 0.5)] == pytest.approx([1, 0], abs=1e-12)


def test_all_equal_scores_are_chance() -> None:
    equal = np.zeros(5)
    assert ranking.auroc(TRUTH, equal) == 0.5
    assert ranking.auprc(TRUTH, equal) == pytest.approx(2 / 5)
    assert ranking.fpr_at(TRUTH, equal) == 1
    assert enrichment.enrichment(TRUTH, equal) == pytest.approx(1)
    many, score = np.arange(20_000) % 4 == 0, np.zeros(20_000)
    for low, high in enrichment.RANGES:
        assert enrichment.adjusted_log_auc(many, score, low, high) == pytest.approx(0, abs=1e-12)


def test_random_log_auc_is_that_of_the_literature() -> None:
    assert [round(enrichment.random_log_auc(*r), 4) for r in enrichment.RANGES] == [0.0215, 0.1446]


def test_log_auc_by_hand() -> None:
    """1000 negatives. All positives after the first ten: TPR is 0 up to FPR 0.01, 1 beyond: one of two decades."""
    truth = np.concatenate([np.zeros(10, bool), np.ones(5, bool), np.zeros(990, bool)])
    score = -np.arange(len(truth), dtype=float)
    assert enrichment.log_auc(truth, score, 0.001, 0.1) == pytest.approx(1 / 2)
    assert enrichment.log_auc(truth, score, 0.001, 1) == pytest.approx(2 / 3)
    assert enrichment.adjusted_log_auc(truth, score, 0.001, 1) == pytest.approx(2 / 3 - 0.999 / np.log(1000))
    first = np.concatenate([np.ones(5, bool), np.zeros(1000, bool)])
    assert enrichment.log_auc(first, -np.arange(1005.0), 0.001, 0.1) == pytest.approx(1)


@pytest.mark.parametrize("digits", (12, 1), ids=("distinct", "tied"))
def test_ranking_agrees_with_scikit_learn(digits: int) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    c = screen(3000, digits=digits)
    auroc, auprc, fpr = ranking.ranking(SCREEN)
    assert auroc(c) == pytest.approx(roc_auc_score(c["label"], c["score"]))
    assert auprc(c) == pytest.approx(average_precision_score(c["label"], c["score"]))
    fprs, tprs, _ = roc_curve(c["label"], c["score"], drop_intermediate=False)
    assert fpr(c) == pytest.approx(fprs[tprs >= 0.95].min())


@pytest.mark.parametrize("digits", (12, 1), ids=("distinct", "tied"))
@pytest.mark.parametrize("limits", enrichment.RANGES)
def test_log_auc_agrees_with_a_fine_integration_of_scikit_learns_curve(
    limits: tuple[float, float], digits: int
) -> None:
    from sklearn.metrics import roc_curve

    c = screen(5000, digits=digits)
    fpr, tpr, _ = roc_curve(c["label"], c["score"], drop_intermediate=False)
    x = np.linspace(*np.log(limits), 400_001)
    middle = np.exp((x[1:] + x[:-1]) / 2)
    expected = np.interp(middle, fpr, tpr).mean()
    assert enrichment.log_auc(c["label"] == 1, c["score"], *limits) == pytest.approx(expected, abs=2e-4)


def test_log_auc_agrees_with_torchmetrics_where_no_scores_tie() -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.functional.classification import binary_logauc

        c = screen(5000)
        score = torch.from_numpy(1 / (1 + np.exp(-c["score"])))
        for limits in enrichment.RANGES:
            theirs = float(binary_logauc(score, torch.from_numpy(c["label"].copy()), fpr_range=limits))
            assert enrichment.log_auc(c["label"] == 1, c["score"], *limits) == pytest.approx(theirs, abs=2e-3)


def test_enrichments_agree_with_rdkit() -> None:
    """RDKit 2026.9.1 on the same ranks; computed again where it is installed."""
    c = screen(3000)
    ours = (enrichment.enrichment(c["label"] == 1, c["score"]), enrichment.bedroc(c["label"] == 1, c["score"]))
    assert ours == pytest.approx((EF_RDKIT, BEDROC_RDKIT), rel=1e-9)
    scoring = pytest.importorskip("rdkit.ML.Scoring.Scoring")
    order = np.argsort(-c["score"])
    rows = [[s, y] for s, y in zip(c["score"][order], c["label"][order], strict=True)]
    assert ours == pytest.approx(
        (scoring.CalcEnrichment(rows, 1, [0.01])[0], scoring.CalcBEDROC(rows, 1, 20.0)), rel=1e-9
    )


EF_RDKIT, BEDROC_RDKIT = 10.625, 0.48396431274562135


def test_enrichments_of_ties_are_the_mean_over_their_orders() -> None:
    truth, score = np.array([1, 0, 1, 0, 0], bool), np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    for function in (lambda t, s: enrichment.enrichment(t, s, 0.4), enrichment.bedroc):
        each = [function(truth[[0, *order, 4]], -np.arange(5.0)) for order in itertools.permutations((1, 2, 3))]
        assert function(truth, score) == pytest.approx(np.mean(each))


def test_too_few_negatives_for_log_auc() -> None:
    with pytest.raises(Undefined, match="999 negatives, at least 1000 needed"):
        enrichment.log_auc(np.arange(1001) < 2, -np.arange(1001.0), 0.001, 0.1)
    assert enrichment.log_auc(np.arange(1002) < 2, -np.arange(1002.0), 0.001, 0.1) == pytest.approx(1)


@pytest.mark.parametrize("metric", ALL, ids=lambda m: m.name)
def test_one_class_and_no_finite_score_are_undefined(metric: Any) -> None:
    c = screen(2000)
    for label in (0, 1):
        with pytest.raises(Undefined, match="positives" if label else "negatives"):
            metric({**c, "label": np.full(2000, label)})
    with pytest.raises(Undefined, match="not finite"):
        metric({**c, "score": np.where(np.arange(2000) == 7, np.nan, c["score"])})


@pytest.mark.parametrize("metric", ALL, ids=lambda m: m.name)
def test_order_interval_and_paired_change(metric: Any) -> None:
    a, b = screen(2500, digits=1), {**screen(2500), "score": screen(2500)["score"] + screen(2500, seed=1)["score"] / 4}
    order = np.random.default_rng(3).permutation(2500)
    assert metric({name: values[order] for name, values in a.items()}) == pytest.approx(metric(a), rel=1e-12)
    (m,) = measure.scores([metric], a, seed=0)
    assert m.value is not None
    assert m.low is not None
    assert m.high is not None
    assert m.low <= m.value <= m.high
    change = compare._difference(metric, a, b, seed=0).difference
    assert change.value == pytest.approx(metric(b) - metric(a))
    assert change.low is not None


@pytest.mark.parametrize("positive", (0, 1))
def test_stored_probabilities_of_two_classes_rank_as_they_were_before(positive: int) -> None:
    """Logits of 15 to 22: as float32 the larger probabilities are 1 or near it, and the smaller keep the order."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 400)
    logit = rng.normal(18 + 1.5 * (label == positive), 1)
    mine = np.stack([np.exp(-logit), np.ones(400)], axis=1) / (1 + np.exp(-logit))[:, None]
    probs = mine if positive == 1 else mine[:, ::-1]
    rows = [classification.outcomes(p, int(y)) for p, y in zip(probs, label, strict=True)]
    stored = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    assert stored["probs"].dtype == np.float32
    expected = roc_auc_score(label == positive, logit)
    assert roc_auc_score(label == positive, stored["probs"][:, positive]) < expected - 0.05
    assert ranking.ranking(Binary(positive))[0](stored) == pytest.approx(expected, abs=1e-4)
    assert ranking.MACRO[0](stored) == pytest.approx(expected, abs=1e-4)


def test_scores_of_two_classes_are_finite_and_keep_ties_and_thresholds() -> None:
    c = labelled(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.3, 0.7]]), np.array([1, 0, 0, 1, 1]))
    score = Binary().score(c)
    assert np.isfinite(score).all()
    assert score[0] == score[2] > score[4] > score[3] == 0 > score[1]
    assert score[4] == pytest.approx(np.log(0.7 / 0.3))
    assert Binary(threshold=0.6).decision(c).tolist() == [True, False, True, False, True]


def test_one_class_against_the_rest_of_several() -> None:
    from sklearn.metrics import roc_auc_score

    c = multiclass(300)
    (auroc, *_) = ranking.ranking(Binary(positive=2))
    assert auroc(c) == pytest.approx(roc_auc_score(c["label"] == 2, c["probs"][:, 2]))
    decided = Binary(positive=2).decision(c)
    assert (decided == (c["probs"].argmax(axis=1) == 2)).all()
    assert (Binary(2, threshold=0.3).decision(c) == (c["probs"][:, 2] >= 0.3)).all()
    with pytest.raises(ValueError, match="threshold"):
        SCREEN.decision(screen(5))

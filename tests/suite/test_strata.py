"""Resamples that keep the number of each class: what they draw, how wide they are, and that pairs share them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from suite import compare, measure, rows, strata
from suite.metrics import METRICS, fairness, groups, ranking
from suite.metrics.base import Columns

AUROC = ranking.ranking()[0]


def screen(positives: int, negatives: int, seed: int = 0, shift: float = 1.2) -> Columns:
    rng = np.random.default_rng(seed)
    label = np.repeat([1, 0], [positives, negatives])
    return scored(rng.normal(size=len(label)) + shift * label, label)


def scored(score: np.ndarray, label: np.ndarray) -> Columns:
    p = norm.cdf(score / 3)
    return {"probs": np.stack([1 - p, p], axis=1), "label": label, "cluster": np.arange(len(label))}


def test_whatever_ranks_classes_is_stratified_by_them() -> None:
    """The ranking family and nothing else: what ranks right answers above wrong ones keeps no number of these."""
    stratified = {name for name, metric in METRICS.items() if metric.strata is not None}
    families = ("ranking.", "enrichment.")
    assert stratified == {name for name in METRICS if name.startswith(families)}
    for metric in (*ranking.MACRO, groups.gap(AUROC, "x"), groups.of_group(AUROC, "x", "a")):
        assert metric.strata is not None


def test_classes_in_groups_are_strata_and_those_of_one_item_are_drawn_with_their_group() -> None:
    c = {"probs": np.zeros((9, 2)), "label": np.array([1, 1, 0, 0, 1, 0, 0, 1, 0])}
    group = np.array([0, 0, 0, 0, 1, 1, 1, -1, -1])
    c["group.x"] = np.stack([group, np.full(9, 2)], axis=1)
    by_group = groups.gap(AUROC, "x")
    assert strata.strata(AUROC, c, np.arange(9)).tolist() == c["label"].tolist()  # type: ignore[union-attr]
    assert strata.strata(by_group, c, np.arange(9)).tolist() == [2, 2, 1, 1, 3, 3, 3, 0, 0]  # type: ignore[union-attr]
    assert strata.strata(AUROC, c, np.repeat(np.arange(3), 3)) is None  # clusters win
    assert strata.strata(METRICS["selective.aurc"], c, np.arange(9)) is None
    alone = {name: values[4:7] for name, values in c.items()}
    assert strata.strata(AUROC, alone, np.arange(3)) is None
    assert strata.clusters_by_group(by_group, c, np.arange(9)).tolist() == [2, 3]
    assert strata.clusters_by_group(by_group, c, np.repeat([0, 1, 2], 3)).tolist() == [2, 2]


def test_resamples_hold_each_class_as_often_in_any_order_of_rows() -> None:
    cluster_N, stratum_N = np.random.default_rng(1).permutation(40), np.arange(40) % 4 // 3
    order = np.random.default_rng(2).permutation(40)
    again = rows.counts(cluster_N[order], 5, 50, stratum_N[order])
    for counts_N, moved_N in zip(rows.counts(cluster_N, 5, 50, stratum_N), again, strict=True):
        assert np.bincount(stratum_N, counts_N).tolist() == [30, 10]
        assert moved_N.tolist() == counts_N[order].tolist()


def test_the_size_of_strata_is_that_of_welch_and_satterthwaite() -> None:
    """Equal strata count in full, the smallest alone where the others are endless; one item says nothing."""
    assert strata.effective(np.repeat([0, 1], 20)) == pytest.approx(39)
    assert strata.effective(np.repeat([0, 1], [20, 10**6])) == pytest.approx(20, abs=0.01)
    assert strata.effective(np.repeat([0, 1, 2], [20, 20, 1])) == pytest.approx(39)
    assert strata.effective(np.arange(3)) == 3


def test_a_perfect_auroc_is_as_sure_as_its_fewest_class() -> None:
    """20 positives above 180 negatives: Clopper-Pearson at 20 of 20; of three classes, three times the smallest."""
    (found,) = measure.scores([AUROC], screen(20, 180, shift=99), seed=0)
    assert (found.value, found.high, found.method) == (1.0, 1.0, "exact-bound")
    assert found.low == pytest.approx(0.025 ** (1 / 20))
    label = np.arange(60) % 3
    c = {"probs": np.eye(3)[label], "label": label, "cluster": np.arange(60)}
    (found,) = measure.scores([ranking.MACRO[0]], c, seed=0)
    assert found.low == pytest.approx(0.025 ** (1 / 60))
    flat = {**c, "probs": np.full((60, 3), 1 / 3)}
    (found,) = measure.scores([ranking.MACRO[0]], flat, seed=0)
    assert (found.value, found.low, found.reason) == (0.5, None, "no variation among the resamples")


def test_two_positives_in_a_group_have_an_interval_there_and_in_the_gap() -> None:
    """Drawn alike, one resample in eight would lack both, and none of these numbers would have an interval."""
    c = screen(8, 192)
    c["group.x"] = np.array(["a", "b"])[np.r_[[0] * 2, [1] * 6, np.arange(192) % 2]]
    names = ("auroc[x=a]", "auroc_gap[x]", "worst_group_auroc[x]", "es_auroc[x]")
    for metric, method in ((AUROC, "bootstrap-stratified"), (replace(AUROC, strata=None), None)):
        metrics = [m for m in fairness.by_group(metric, "x", ["a", "b"]) if m.name in names]
        found = measure.scores(metrics, c, seed=0)
        assert [m.method for m in found] == [method] * 4


# ---- pairs of models -------------------------------------------------------------------------------------------------


def delong(c: Columns, other: Columns) -> tuple[float, float]:
    """AUROC of the second minus the first, and its standard error, by midranks (Sun & Xu 2014)."""
    positive, parts = c["label"] == 1, []
    m, n = int(positive.sum()), int((~positive).sum())
    for one in (c, other):
        score = np.log(one["probs"][:, 1]) - np.log(one["probs"][:, 0])
        every, among_p, among_n = (rankdata(score[rows_]) for rows_ in (slice(None), positive, ~positive))
        parts.append(((every[positive] - among_p) / n, 1 - (every[~positive] - among_n) / m))
    differences = [parts[1][k] - parts[0][k] for k in (0, 1)]
    value = differences[0].mean()
    return float(value), float(np.sqrt(differences[0].var(ddof=1) / m + differences[1].var(ddof=1) / n))


@pytest.mark.parametrize(
    ("positives", "negatives", "noise", "decimals"), [(20, 180, 0.5, 9), (100, 100, 1.0, 9), (40, 400, 0.3, 1)]
)
def test_the_paired_bootstrap_agrees_with_delong(positives: int, negatives: int, noise: float, decimals: int) -> None:
    """Value exactly, standard error within a tenth, two-sided p within what 1,000 resamples can tell; ties too."""
    c = screen(positives, negatives, seed=positives)
    score = 3 * norm.ppf(c["probs"][:, 1])
    rng = np.random.default_rng(7)
    worse = scored((score + noise * rng.normal(size=len(score))).round(decimals), c["label"])
    columns = [{**one, "item": np.arange(len(score)).astype(str)} for one in (c, worse)]
    found = compare.estimates(*columns, [AUROC], seed=0)["auroc"]
    value, se = delong(c, worse)
    assert found.difference.value == pytest.approx(value, abs=1e-12)
    assert found.difference.method == "bootstrap-stratified"
    assert found.evidence is not None
    assert found.evidence.se() == pytest.approx(se, rel=0.1)
    expected = 2 * norm.sf(abs(value) / se)
    p = 2 * min(found.evidence.p_above(0.0), found.evidence.p_below(0.0))
    assert p == pytest.approx(expected, rel=0.25, abs=0.02)


def test_pairs_share_their_resamples_by_group_too() -> None:
    """A child that ranks as its parent changes nothing in any resample; another's change is surer than its parts."""
    parent = {**screen(40, 160), "group.x": np.array(["a", "b"])[np.arange(200) % 2]}
    same = {**parent, "probs": np.round(parent["probs"] ** 2 / (parent["probs"] ** 2).sum(axis=1, keepdims=True), 15)}
    gap = groups.gap(AUROC, "x")
    change = compare.on_same_items(parent, same, [AUROC, gap], seed=0)
    for name in ("auroc", "auroc_gap[x]"):
        assert change[name].value == pytest.approx(0, abs=1e-12)
        assert change[name].low is None
        assert change[name].reason == "no variation among the resamples"
    noisy = scored(
        3 * norm.ppf(parent["probs"][:, 1]) + 0.3 * np.random.default_rng(3).normal(size=200), parent["label"]
    )
    (alone,) = measure.scores([AUROC], parent, seed=0)
    paired = compare.on_same_items(parent, noisy, [AUROC], seed=0)["auroc"]
    assert paired.high - paired.low < 0.6 * (alone.high - alone.low)  # type: ignore[operator]


def test_a_metric_of_clusters_keeps_the_cluster_bootstrap() -> None:
    c = {**screen(40, 160), "cluster": np.arange(200) // 2}
    (found,) = measure.scores([AUROC], c, seed=0)
    assert (found.method, found.n_clusters) == ("bootstrap-cluster", 100)
    loose = replace(AUROC, strata=None)
    (plain,) = measure.scores([loose], c, seed=0)
    assert (plain.low, plain.high) == (found.low, found.high)

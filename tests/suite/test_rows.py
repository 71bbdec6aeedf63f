"""Resamples of rows: the draws of `stats.interval_rows`, whoever asks for them and however."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, t

from suite import rows, stats
from suite.intervals import Intervals
from suite.metrics import METRICS, ranking, reliability
from suite.metrics.base import Blocks, Columns


def answers(n: int = 120, classes: int = 2) -> Columns:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(classes), n).round(2)
    label = rng.integers(0, classes, n)
    return {"probs": probs, "label": label, "cluster": np.repeat(np.arange(n // 3), 3)}


def test_counts_are_those_of_the_rows() -> None:
    cluster_N = np.array([0, 2, 1, 2, 2, 0])
    for counts_N, rows_N in zip(rows.counts(cluster_N, 3, 50), rows.rows(cluster_N, 3, 50), strict=True):
        assert np.bincount(rows_N, minlength=6).tolist() == counts_N.tolist()
        picked = cluster_N[rows_N]
        for cluster, size in enumerate((2, 1, 3)):
            assert np.count_nonzero(picked == cluster) % size == 0


def test_rows_are_those_of_interval_rows() -> None:
    values, cluster_N = np.random.default_rng(1).random(40), np.repeat(np.arange(10), 4)
    found = np.array([np.median(values[rows_N]) for rows_N in rows.rows(cluster_N, seed=2)])
    interval = stats.interval_rows(lambda rows: float(np.median(values[rows])), 40, cluster_N, seed=2)
    again = stats.percentile_interval(float(np.median(values)), found, 10, "bootstrap-cluster", (None, None))
    assert (again.low, again.high) == (interval.low, interval.high)


@pytest.mark.parametrize("clustered", (True, False))
@pytest.mark.parametrize("name", ("ranking.auroc", "decisions.mcc", "calibration.ece_classwise", "selective.aurc"))
def test_the_interval_is_that_of_the_rows_one_by_one(name: str, clustered: bool) -> None:
    """Not of the AUROC of independent items, see below."""
    metric, c = METRICS[name], answers()
    c = c if clustered else {**c, "cluster": np.arange(120)}
    metric = metric if clustered else replace(metric, strata=None)
    found = Intervals(seed=4).interval(metric, c)()
    expected = stats.interval_rows(lambda r: metric.of_rows(c, r), 120, c["cluster"], seed=4, bounds=metric.bounds)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.method == expected.method == ("bootstrap-cluster" if clustered else "bootstrap")


@pytest.mark.parametrize("by_counts", (True, False))
def test_each_class_is_drawn_from_itself_where_items_are_independent(by_counts: bool) -> None:
    """By a loop over the rows of both classes; the interval is as wide as Welch and Satterthwaite's t says."""
    metric, c, rng = METRICS["ranking.auroc"], answers(90), np.random.default_rng(4)
    c |= {"label": (np.arange(90) % 9 == 0).astype(int), "cluster": np.arange(90)}
    if not by_counts:
        metric = replace(metric, whole=metric.of_columns)
    found = Intervals(seed=4).interval(metric, c)()
    classes = [np.flatnonzero(c["label"] == k) for k in (0, 1)]
    drawn = [np.concatenate([of[rng.integers(0, len(of), len(of))] for of in classes]) for _ in range(1000)]
    values_R = [metric.of_rows(c, rows_N) for rows_N in drawn]
    df = (1 / 10 + 1 / 80) ** 2 / (1 / 10**2 / 9 + 1 / 80**2 / 79)
    tail = norm.cdf(-np.sqrt((df + 1) / df) * t.ppf(0.975, df))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values_R, [tail, 1 - tail])), rel=1e-9)
    assert found.method == "bootstrap-stratified"


def test_a_class_of_one_item_is_not_taken_for_sure() -> None:
    c = {"probs": np.array([[0.1, 0.9], [0.6, 0.4], [0.7, 0.3]]), "label": np.array([1, 0, 0])}
    values_R = rows.resampled(METRICS["ranking.auroc"], c, np.arange(3), seed=0)
    assert 0 < np.isnan(values_R).sum() < len(values_R)
    assert set(values_R[np.isfinite(values_R)]) == {1.0}
    found = Intervals(seed=0).interval(METRICS["ranking.auroc"], {**c, "cluster": np.arange(3)})()
    assert (found.low, found.method) == (None, "bootstrap")
    assert "of the resamples" in (found.reason or "")


BY_GROUP = {
    "auroc": METRICS["ranking.auroc"],
    "auroc_macro": ranking.MACRO[0],
    "mcc": METRICS["decisions.mcc"],
    "aurc": METRICS["selective.aurc"],
}


@pytest.mark.parametrize("per_cluster", (1, 3))
@pytest.mark.parametrize("name", BY_GROUP)
def test_values_by_group_are_those_of_the_rows_one_by_one(name: str, per_cluster: int) -> None:
    """Sorted once and asked with counts, or computed again from the rows of each resample: the same."""
    metric, c = BY_GROUP[name], answers(120, classes=3 if name == "auroc_macro" else 2)
    codes_N2 = np.stack([np.array([0, 1, 1, -1, 1])[np.arange(120) % 5], np.full(120, 2)], axis=1)
    c |= {"group.x": codes_N2, "cluster": np.repeat(np.arange(120 // per_cluster), per_cluster)}
    blocks = Blocks((metric,), "group.x", lambda values, known: values[0], overall=True)
    plain = replace(metric, whole=metric.of_columns)
    found, expected = (rows.resampled_by_group(m, c, c["cluster"], blocks, seed=2) for m in (metric, plain))
    assert found.shape == (1000, 3)
    assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)
    assert np.isfinite(found).mean() > 0.99
    if metric.strata is None or per_cluster > 1:
        pooled = [metric.of_rows(c, r) for r in rows.rows(c["cluster"], seed=2)]
        assert found[:, 2] == pytest.approx(pooled, rel=1e-9)


def test_a_group_that_no_row_was_drawn_of_has_no_value() -> None:
    metric, c = METRICS["selective.aurc"], answers(6)
    c |= {"group.x": np.stack([[0, 1, 1, 1, 1, 1], np.full(6, 2)], axis=1)}
    blocks = Blocks((metric,), "group.x", lambda values, known: values[0])
    values_RV = rows.resampled_by_group(metric, c, np.arange(6), blocks, seed=2)
    assert 0.3 < np.isnan(values_RV[:, 0]).mean() < 0.37  # (5 / 6)^6
    assert np.isnan(values_RV[:, 2]).all()


@pytest.mark.parametrize("metric", (ranking.MACRO[0], reliability.ECE_CLASSWISE), ids=lambda m: m.name)
def test_too_many_probabilities_are_not_sorted_for_good(metric: rows.Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what would be kept is too large, each resample is computed from its rows: the same values."""
    c = answers(60, classes=4)
    kept_R = rows.resampled(metric, c, np.arange(60), seed=1)
    monkeypatch.setattr(ranking, "_MOST_SORTED", 1)
    monkeypatch.setattr(reliability, "_MOST_CELLS", 1)
    assert rows.resampled(metric, c, np.arange(60), seed=1) == pytest.approx(kept_R, rel=1e-9)
    plain = replace(metric, whole=metric.of_columns)
    assert rows.resampled(plain, c, np.arange(60), seed=1) == pytest.approx(kept_R, rel=1e-9)

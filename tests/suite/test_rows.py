"""Resamples of rows: the draws of `stats.interval_rows`, whoever asks for them and however."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suite import rows, stats
from suite.intervals import Intervals
from suite.metrics import METRICS, ranking, reliability
from suite.metrics.base import Columns


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


@pytest.mark.parametrize("clustered", (True, False))
@pytest.mark.parametrize("name", ("ranking.auroc", "decisions.mcc", "calibration.ece_classwise", "selective.aurc"))
def test_the_interval_is_that_of_the_rows_one_by_one(name: str, clustered: bool) -> None:
    metric, c = METRICS[name], answers()
    c = c if clustered else {**c, "cluster": np.arange(120)}
    found = Intervals(seed=4).interval(metric, c)()
    expected = stats.interval_rows(lambda r: metric.of_rows(c, r), 120, c["cluster"], seed=4, bounds=metric.bounds)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.method == expected.method == ("bootstrap-cluster" if clustered else "bootstrap")


def test_a_resample_of_one_class_has_no_value() -> None:
    c = {"probs": np.array([[0.1, 0.9], [0.6, 0.4], [0.7, 0.3]]), "label": np.array([1, 0, 0])}
    values_R = rows.resampled(METRICS["ranking.auroc"], c, np.arange(3), seed=0)
    assert 0 < np.isnan(values_R).sum() < len(values_R)
    assert set(values_R[np.isfinite(values_R)]) == {1.0}


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

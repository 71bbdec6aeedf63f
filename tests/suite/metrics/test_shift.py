"""Shift: relative drops, failure rates and the probit line."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from metric_samples import multiclass

from suite import measure
from suite.errors import Undefined
from suite.metrics import calibration, classification, decisions, probit, ranking, reliability, shift
from suite.metrics.base import Columns, Metric

VARIANTS: Columns = {
    "correct": np.array([1, 1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1]),
    "group.variant": np.array(["clean"] * 5 + ["jpeg"] * 5 + ["blur"] * 2),
    "cluster": np.array([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]),
}


def test_relative_drop_by_hand() -> None:
    """0.8 clean, 0.4 after JPEG: half of it is lost; the other variant does not count."""
    drop = shift.relative_drop(classification.ACCURACY, "variant", "clean", "jpeg")
    assert drop(VARIANTS) == pytest.approx(0.5)
    assert drop.name == "accuracy_drop[variant=jpeg]"
    assert drop.observations(VARIANTS) == 10
    gain = shift.relative_drop(classification.ACCURACY, "variant", "jpeg", "clean")
    assert gain(VARIANTS) == pytest.approx(-1)


def test_lower_is_better_loses_by_rising() -> None:
    c = {"nll": np.array([1.0, 3.0]), "group.variant": np.array(["clean", "jpeg"])}
    assert shift.relative_drop(classification.NLL, "variant", "clean", "jpeg")(c) == pytest.approx(2)


@pytest.mark.parametrize("metric", (calibration.ECE_15, decisions.MCC, reliability.ECE_EQUALMASS, decisions.tpr()))
def test_agrees_with_the_values_of_both_variants(metric: object) -> None:
    c = {**multiclass(400), "group.site": np.where(np.arange(400) % 2, "in", "out")}
    if metric is decisions.MCC:
        with pytest.raises(ValueError, match="never negative"):
            shift.relative_drop(decisions.MCC, "site", "in", "out")
        return
    inside, outside = ({n: v[c["group.site"] == s] for n, v in c.items()} for s in ("in", "out"))
    drop = shift.relative_drop(metric, "site", "in", "out")  # type: ignore[arg-type]
    before, after = metric(inside), metric(outside)  # type: ignore[operator]
    sign = 1 if metric.higher_is_better else -1  # type: ignore[attr-defined]
    assert drop(c) == pytest.approx(sign * (before - after) / before)
    (m,) = measure.scores([drop], c, seed=0)
    assert m.low is not None


@pytest.mark.parametrize("per_cluster", (1, 2))
@pytest.mark.parametrize("metric", (ranking.ranking()[0], reliability.ECE_EQUALMASS), ids=lambda m: m.name)
def test_drops_sorted_once_are_those_of_the_rows_one_by_one(metric: Metric, per_cluster: int) -> None:
    """The same interval; independent items of two sites are drawn class by class in each of them."""
    c = {**multiclass(60, classes=2), "group.site": np.where(np.arange(60) < 20, "in", "out")}
    c["cluster"] = np.arange(60) // per_cluster
    drop = shift.relative_drop(metric, "site", "in", "out")
    found, expected = measure.scores([drop, replace(drop, whole=drop.of_columns)], c, seed=0)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    if metric.strata is not None:
        assert found.method == ("bootstrap-stratified" if per_cluster == 1 else "bootstrap-cluster")
        assert drop.strata is not None
        assert len(np.unique(drop.strata(c))) == 4


def test_items_in_both_variants_are_resampled_together() -> None:
    """The variant halves every score exactly, so every resample of clusters gives one and the same drop."""
    score = np.random.default_rng(0).uniform(0.2, 1, 40)
    c = {
        "nll": np.concatenate([score, 2 * score]),
        "group.variant": np.repeat(["clean", "noise"], 40),
        "cluster": np.tile(np.arange(40), 2),
    }
    (m,) = measure.scores([shift.relative_drop(classification.NLL, "variant", "clean", "noise")], c, seed=0)
    assert m.value == pytest.approx(1)
    assert m.low is None  # no variation at all
    free = {**c, "cluster": np.arange(80)}
    (m,) = measure.scores([shift.relative_drop(classification.NLL, "variant", "clean", "noise")], free, seed=0)
    assert m.low is not None
    assert m.high is not None
    assert m.high - m.low > 0.2


def test_nothing_to_lose_and_no_such_variant() -> None:
    zero = {**VARIANTS, "correct": np.zeros(12, int)}
    with pytest.raises(Undefined, match="is 0"):
        shift.relative_drop(classification.ACCURACY, "variant", "clean", "jpeg")(zero)
    for pair in (("clean", "fog"), ("fog", "clean")):
        with pytest.raises(Undefined, match="fog"):
            shift.relative_drop(classification.ACCURACY, "variant", *pair)(VARIANTS)


def test_failure_rate() -> None:
    c = {"dice": np.array([0.9, 0.5, 0.49, np.nan, 0.0]), "cluster": np.arange(5)}
    rate = shift.failure_rate("dice", 0.5)
    assert rate.name == "failure_rate[below=0.5,score=dice]"
    assert rate(c) == pytest.approx(3 / 5)
    (m,) = measure.scores([rate], c, seed=0)
    assert m.method == "wilson"
    assert shift.failure_rate("correct", 1)(VARIANTS) == pytest.approx(1 - classification.ACCURACY(VARIANTS))


def test_probit_line_by_hand() -> None:
    """Probits -1, 0, 1 against -1.5, -0.5, 0.5: slope 1, half a standard deviation lower."""
    from scipy.stats import norm

    line = probit.probit_line(norm.cdf([-1, 0, 1]), norm.cdf([-1.5, -0.5, 0.5]))
    assert (line.n, line.pearson, line.slope, line.intercept) == pytest.approx((3, 1, 1, -0.5))
    assert (line.quadratic, line.quadratic_p) == (None, None)
    assert line.expected([0.5])[0] == pytest.approx(norm.cdf(-0.5))
    curved = probit.probit_line(norm.cdf([-1, 0, 1, 2]), norm.cdf([0.5, 0, 0.5, 2]))
    assert curved.quadratic == pytest.approx(0.5)
    assert curved.quadratic_p is None


def test_probit_line_agrees_with_scipy_and_statsmodels() -> None:
    import statsmodels.api as sm
    from scipy.stats import linregress, norm, pearsonr

    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 0.98, 25)
    y = norm.cdf(0.9 * norm.ppf(x) - 0.2 + 0.1 * norm.ppf(x) ** 2 + 0.1 * rng.normal(size=25))
    line, fitted = probit.probit_line(x, y), linregress(norm.ppf(x), norm.ppf(y))
    assert (line.slope, line.intercept) == pytest.approx((fitted.slope, fitted.intercept))
    assert line.pearson == pytest.approx(pearsonr(norm.ppf(x), norm.ppf(y)).statistic)
    ols = sm.OLS(norm.ppf(y), np.stack([np.ones(25), norm.ppf(x), norm.ppf(x) ** 2], axis=1)).fit()
    assert (line.quadratic, line.quadratic_p) == pytest.approx((ols.params[2], ols.pvalues[2]))


def test_no_line() -> None:
    for pair in (([0.5, 0.6], [0.4, 0.5]), ([0.5, 0.6, 1.0], [0.4] * 3), ([0.5] * 3, [0.4, 0.5, 0.6])):
        with pytest.raises(Undefined):
            probit.probit_line(*pair)
    with pytest.raises(ValueError, match="same models"):
        probit.probit_line([0.5, 0.6, 0.7], [0.5, 0.6])


def test_real_models_lie_on_a_line(mirror: Path) -> None:
    """30 published models on CIFAR-10 and on CIFAR-10.1 v6: what is better on one is better on the other."""
    label = np.load(mirror / "cal_cifar10_resnet50" / "cifar10_resnet50_logits.npz")["test_labels"]
    shifted = np.load(mirror / "rank_cifar101_predictions" / "cifar10.1_v6_labels.npy")
    found: dict[str, dict[str, float]] = {}
    with tarfile.open(mirror / "rank_cifar101_predictions" / "model_predictions.tar.gz") as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.name.endswith(".json") else None
            folder, _, model = entry.name.removesuffix(".json").rpartition("/")
            for kind, truth in (("original", label), ("v6", shifted)):
                if content and kind in folder:
                    found.setdefault(model, {})[kind] = float((np.array(json.load(content)) == truth).mean())
    pairs = np.array([[both["original"], both["v6"]] for both in found.values()])
    assert found["alexnet_tf_ben_predictions"] == {"original": 0.8198, "v6": 0.692}  # the published table
    line = probit.probit_line(pairs[:, 0], pairs[:, 1])
    assert (line.n, line.pearson, line.slope) == pytest.approx((30, 0.99196, 0.94963), abs=1e-5)
    assert (line.expected(pairs[:, 0]) < pairs[:, 0]).all()
    assert line.quadratic_p is not None
    assert line.quadratic_p > 0.05


def test_a_cloud_leaves_out_what_has_no_probit_and_says_so() -> None:
    """Three models on a line of slope 1 half a deviation lower, one above it, one at 1, one without a value."""
    from scipy.stats import norm

    pairs = {n: (norm.cdf(x), norm.cdf(x - 0.5)) for n, x in (("a", -1), ("b", 0), ("c", 1))}
    found = probit.cloud({**pairs, "all right": (1.0, 0.9), "absent": (0.8, None)})
    assert found.left_out == ("all right", "absent")
    assert [name for name, _, _ in found.points] == ["a", "b", "c", "all right"]
    assert found.line is not None
    assert (found.line.slope, found.line.intercept) == pytest.approx((1, -0.5))
    assert list(found.above().values()) == pytest.approx([0, 0, 0], abs=1e-12)
    first, *_, last = found.drawn(5)
    assert first == pytest.approx(pairs["a"])
    assert last == pytest.approx(pairs["c"])
    robust = probit.cloud({**pairs, "d": (0.5, 0.6)})
    assert max(robust.above(), key=lambda n: robust.above()[n]) == "d"
    none = probit.cloud({"a": (0.5, 0.5)})
    assert (none.line, none.drawn(), none.above()) == (None, (), {})
    assert "at least 3" in str(none.reason)

"""Calibration by hand, against other libraries, exact at millions of items, and whatever the order of the items."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from metric_samples import labelled, multiclass, paired

from suite import compare, measure
from suite.errors import Undefined
from suite.metrics import calibration, classification, noise, reliability, smooth
from suite.metrics.base import Columns

BINNED = (calibration.ECE_15, reliability.ECE_BINMEAN, reliability.MCE)
EVERY = (*BINNED, reliability.ECE_EQUALMASS, reliability.ECE_CLASSWISE, reliability.OVERCONFIDENCE, *noise.NULLS)
names = [metric.name for metric in EVERY]


def two_class(confidence: list[float], correct: list[int]) -> Columns:
    top = np.array(confidence)
    return labelled(np.stack([top, 1 - top], axis=1), 1 - np.array(correct))


def test_bins_by_hand() -> None:
    """Bins of 0.95 (1 of 2 right) and of 0.6 (2 of 4 right): gaps 0.45 and 0.1, weighed 2 to 4."""
    c = two_class([0.95, 0.95, 0.6, 0.6, 0.6, 0.6], [1, 0, 1, 1, 0, 0])
    assert calibration.ECE_15(c) == pytest.approx((2 * 0.45 + 4 * 0.1) / 6)
    assert reliability.ECE_BINMEAN(c) == pytest.approx((0.45 + 0.1) / 2)
    assert reliability.MCE(c) == pytest.approx(0.45)
    assert reliability.OVERCONFIDENCE(c) == pytest.approx((2 * 0.95 + 4 * 0.6 - 3) / 6)
    totals = calibration.bin_totals(c["probs"].max(axis=1), c["correct"].astype(bool)).reshape(15, 3)
    assert totals[14].tolist() == [2, 1, 1.9]
    assert totals[8].tolist() == [4, 2, 2.4]
    gaps = reliability.bin_gaps(totals.reshape(-1))
    assert np.isnan(gaps).sum() == 13
    assert gaps[[8, 14]] == pytest.approx([0.1, 0.45])


def test_too_unsure_is_below_zero() -> None:
    assert reliability.OVERCONFIDENCE(two_class([0.6, 0.8], [1, 1])) == pytest.approx(-0.3)


def test_equal_mass_by_hand() -> None:
    """30 distinct confidences in 15 bins: two each, so the ECE is the mean of |pair's hits - pair's confidence| / 2."""
    confidence = np.linspace(0.5, 1, 30)
    correct = (np.arange(30) % 3 > 0).astype(int)
    pairs = (correct - confidence).reshape(15, 2).sum(axis=1)
    c = two_class(confidence.tolist(), correct.tolist())
    assert reliability.ECE_EQUALMASS(c) == pytest.approx(np.abs(pairs).sum() / 30)


def test_equal_mass_bins_never_cut_through_equal_confidences() -> None:
    """Two values make two bins, however unequal; cut at ranks, the ties would make 15 bins that depend on the order."""
    confidence, correct = np.array([0.7] * 90 + [0.9] * 10), np.array([1] * 63 + [0] * 27 + [1] * 9 + [0])
    assert sorted(set(reliability.equal_mass_bins(confidence).tolist())) == [0, 1]
    assert reliability.equal_mass_gap(confidence, correct.astype(bool)) == pytest.approx(0, abs=1e-15)
    at_ranks = sum(
        abs((h - p).sum()) for h, p in zip(*(np.array_split(v, 15) for v in (correct, confidence)), strict=True)
    )
    assert at_ranks / 100 > 0.25  # what the same calibrated data gives without the care


def test_equal_mass_cuts_lie_at_the_nearest_distinct_value() -> None:
    """Cumulative counts 4, 6, 10 against wanted cuts at 3.33 and 6.67: after the first value and after the second."""
    confidence = np.array([0.1] * 4 + [0.2] * 2 + [0.3] * 4)
    assert reliability.equal_mass_bins(confidence, 3).tolist() == [0] * 4 + [1] * 2 + [2] * 4
    assert reliability.equal_mass_bins(np.array([0.5, 0.5]), 3).tolist() == [0, 0]
    assert len(reliability.equal_mass_bins(np.empty(0))) == 0


def test_equal_mass_agrees_with_quantile_bins_of_pandas_where_nothing_ties() -> None:
    import pandas as pd

    c = multiclass(1500)
    confidence, correct = c["probs"].max(axis=1), c["correct"]
    bins = pd.qcut(pd.Series(confidence).rank(), 15, labels=False)
    table = pd.DataFrame({"gap": correct - confidence, "bin": bins}).groupby("bin")["gap"].sum()
    assert reliability.ECE_EQUALMASS(c) == pytest.approx(table.abs().sum() / 1500)


def test_classwise_by_hand_and_with_a_class_that_never_occurs() -> None:
    """p = (0.9, 0.1, 0) twice, labels 0 and 1: residuals of class 0: 1 - 1.8, of class 1: 1 - 0.2, of class 2: 0."""
    c = labelled(np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0]]), np.array([0, 1]))
    assert reliability.ECE_CLASSWISE(c) == pytest.approx((0.8 / 2 + 0.8 / 2 + 0) / 3)


def test_classwise_is_the_mean_of_binary_errors_of_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.functional.classification import binary_calibration_error

    c = multiclass(400)
    each = [
        float(
            binary_calibration_error(
                torch.from_numpy(c["probs"][:, k].copy()), torch.from_numpy((c["label"] == k).astype(int))
            )
        )
        for k in range(4)
    ]
    assert reliability.ECE_CLASSWISE(c) == pytest.approx(np.mean(each), abs=1e-6)


def test_ece_and_mce_agree_with_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.functional.classification import multiclass_calibration_error

    c = multiclass(400)
    p, y = torch.from_numpy(c["probs"].copy()), torch.from_numpy(c["label"].copy())
    for metric, norm in ((calibration.ECE_15, "l1"), (reliability.MCE, "max")):
        theirs = multiclass_calibration_error(p, y, num_classes=4, n_bins=15, norm=norm)
        assert metric(c) == pytest.approx(float(theirs), abs=1e-6)


@pytest.fixture(scope="module")
def netcal() -> Any:
    """It imports all of Pyro: seconds, and warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("netcal.metrics")


@pytest.mark.parametrize("seed", range(3))
def test_bins_agree_with_netcal(netcal: Any, seed: int) -> None:
    """Of three classes and more; its ACE is the mean over bins, not the equal-mass bins that others call so."""
    c = multiclass(400, seed=seed)
    theirs = [measure(15).measure(c["probs"], c["label"]) for measure in (netcal.ECE, netcal.ACE, netcal.MCE)]
    assert [metric(c) for metric in BINNED] == pytest.approx(theirs, abs=1e-9)


def test_of_two_classes_netcal_bins_the_second_ones_probability_not_the_top_label(netcal: Any) -> None:
    rng = np.random.default_rng(0)
    yes = rng.random(500)
    c = {"probs": np.stack([1 - yes, yes], axis=1), "label": (rng.random(500) < yes).astype(np.int64)}
    bins = np.ceil(yes * 15)
    gaps = [abs((c["label"] - yes)[bins == b].sum()) for b in range(1, 16)]
    theirs = netcal.ECE(15).measure(c["probs"], c["label"])
    assert theirs == pytest.approx(sum(gaps) / 500, abs=1e-9)
    assert abs(calibration.ECE_15(c) - theirs) > 0.005
    assert reliability.ECE_CLASSWISE(c) == pytest.approx(theirs, abs=0.005)  # the mean over both classes


def test_four_million_items_are_exact() -> None:
    """Confidences of three values, each 0.00134 above its accuracy: so is the ECE. Float32 sums drift at this size."""
    n, gap = 1_000_000, 0.00134
    confidence = np.repeat([0.55, 0.75, 0.95, 0.95], n)
    rights = [round((p - gap) * n) for p in (0.55, 0.75, 0.95, 0.95)]
    correct = np.concatenate([np.arange(n) < right for right in rights])
    c = {"probs": np.stack([confidence, 1 - confidence], axis=1), "label": (~correct).astype(np.int8)}
    assert calibration.ECE_15(c) == pytest.approx(gap, rel=1e-8)
    assert reliability.MCE(c) == pytest.approx(gap, rel=1e-8)
    assert reliability.ECE_EQUALMASS(c) == pytest.approx(gap, rel=1e-8)
    assert reliability.OVERCONFIDENCE(c) == pytest.approx(gap, rel=1e-8)
    assert reliability.ECE_CLASSWISE(c) == pytest.approx(gap, rel=1e-8)
    one_by_one = np.add.accumulate(confidence[:n].astype(np.float32), dtype=np.float32)[-1]  # as scatter_add does
    assert abs(one_by_one / n - 0.55) > gap


def test_batches_of_any_size_and_order_add_up_to_the_same() -> None:
    c = multiclass(5000)
    confidence, correct = c["probs"].max(axis=1), c["correct"].astype(bool)
    whole = calibration.bin_totals(confidence, correct)
    for size in (1, 7, 1000):
        parts = [calibration.bin_totals(confidence[i : i + size], correct[i : i + size]) for i in range(0, 5000, size)]
        np.testing.assert_allclose(np.sum(parts, axis=0), whole, rtol=1e-13)
    np.testing.assert_allclose(calibration.top_bins(confidence, correct).sum(axis=0), whole, rtol=1e-13)
    assert calibration.ECE_15(c) == pytest.approx(float(calibration.expected_gap(whole)), rel=1e-13)


@pytest.mark.parametrize("metric", EVERY, ids=names)
def test_the_order_of_rows_changes_nothing_though_many_tie(metric: Any) -> None:
    c = multiclass(600)
    c = labelled(
        (c["probs"] * 8).round() / np.maximum((c["probs"] * 8).round().sum(axis=1, keepdims=True), 1), c["label"]
    )
    order = np.random.default_rng(5).permutation(600)
    assert metric({name: values[order] for name, values in c.items()}) == pytest.approx(metric(c), rel=1e-12)


def test_float32_probabilities_are_taken_as_they_are() -> None:
    c = multiclass(300)
    half = {**c, "probs": c["probs"].astype(np.float32)}
    for metric in (*BINNED, reliability.ECE_EQUALMASS, reliability.ECE_CLASSWISE):
        assert metric(half) == pytest.approx(metric(c), abs=1e-6)


def test_the_floor_of_a_hundred_items_is_that_of_the_literature() -> None:
    """About 0.087 at n = 100 and 15 bins for two classes, and a tenth of it for 100 times as many items."""
    rng = np.random.default_rng(0)
    few = rng.uniform(0.5, 1, 100)
    floor = noise.ECE_15_NULL
    top = {"probs": np.stack([few, np.zeros(100)], axis=1), "label": np.zeros(100, int)}
    assert floor(top) == pytest.approx(0.087, abs=0.01)
    many = {"probs": np.tile(top["probs"], (100, 1)), "label": np.zeros(10_000, int)}
    assert floor(many) == pytest.approx(floor(top) / 10, rel=0.1)


def test_the_floor_agrees_with_its_normal_approximation() -> None:
    """E|sum of (y - p)| over a bin of many items is sqrt(2 / pi) times sqrt(sum of p (1 - p))."""
    c = multiclass(20_000)
    confidence = c["probs"].max(axis=1)
    variance_B = np.bincount(calibration.bin_of(confidence), confidence * (1 - confidence), 15)
    assert noise.ECE_15_NULL(c) == pytest.approx(np.sqrt(2 / math.pi * variance_B).sum() / 20_000, rel=0.03)
    by_class = [np.bincount(calibration.bin_of(p), p * (1 - p), 15) for p in c["probs"].T]
    expected = np.mean([np.sqrt(2 / math.pi * v).sum() for v in by_class]) / 20_000
    assert noise.NULLS[-1](c) == pytest.approx(expected, rel=0.03)


def test_the_class_wise_floor_agrees_with_drawing_every_label() -> None:
    """Bins of all sizes, some taken as normal: the mean error over labels that are drawn from the probabilities."""
    c = multiclass(6000)
    rng, edges = np.random.default_rng(7), np.cumsum(c["probs"], axis=1)
    drawn = [np.minimum((rng.random((6000, 1)) > edges).sum(axis=1), 3) for _ in range(60)]
    expected = np.mean([reliability.classwise_gap(c["probs"], label) for label in drawn])
    assert noise.NULLS[-1](c) == pytest.approx(expected, rel=0.02)


def test_a_floor_is_the_mean_of_the_number_over_drawn_labels() -> None:
    """To the last digits: whoever draws the same labels and takes the number of each draw gets the same mean."""
    c = multiclass(700)
    confidence, rng = np.sort(c["probs"].max(axis=1)), np.random.default_rng(noise.SEED)
    drawn = [rng.random(700) < confidence for _ in range(noise.MOST_DRAWS)]
    for metric, floor in zip(BINNED, noise.NULLS, strict=False):
        totals = (calibration.bin_totals(confidence, correct) for correct in drawn)
        assert floor(c) == pytest.approx(np.mean([metric.finish(sums) for sums in totals]), rel=1e-12)


@pytest.mark.parametrize("mean", (0.0, 0.02, 0.7, 1.0, 3.2, 40.0))
def test_many_improbable_hits_deviate_as_poissons_do(mean: float) -> None:
    """Against the sum over Poisson's probabilities, and against a binomial with p = 1/15, the largest there is."""
    from scipy.stats import binom, poisson

    k = np.arange(400)
    expected = np.abs(k - mean) @ poisson.pmf(k, mean) if mean else 0.0
    found = noise.poisson_deviation(np.array([mean]), np.array([mean]))[0]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    n = round(15 * mean)
    if n > 15:
        expected = np.abs(k - n / 15) @ binom.pmf(k, n, 1 / 15)
        found = noise.poisson_deviation(np.array([n / 15]), np.array([n / 15 * 14 / 15]))[0]
        assert found == pytest.approx(expected, rel=0.02)


def test_the_class_wise_floor_of_very_many_probabilities_needs_no_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same floor but for 1 %, whether the rare hits of the lowest bins are drawn or taken as Poisson's."""
    rng = np.random.default_rng(3)
    probs = rng.dirichlet(np.full(40, 0.05), 2000).astype(np.float32)
    c = {"probs": probs, "label": np.zeros(2000, int)}
    drawn = noise.NULLS[-1](c)
    monkeypatch.setattr(noise, "NUMBERS", 40 * 2000 - 1)
    monkeypatch.setattr(noise, "n_draws", lambda size: 60)
    assert noise.NULLS[-1](c) == pytest.approx(drawn, rel=0.01)


def test_class_cells_add_up_the_lowest_bin_and_list_the_rest() -> None:
    probs = np.random.default_rng(2).dirichlet(np.full(30, 0.2), 500)
    every = [np.zeros(30 * 15) for _ in range(3)]
    for cells in reliability.class_cells(probs, lowest=True):
        every[0] += np.bincount(cells.cell, cells.probs, 30 * 15)
        every[1] += np.bincount(cells.cell, cells.probs**2, 30 * 15)
    (one,) = reliability.class_cells(probs)
    summed = np.bincount(one.cell, one.probs, 30 * 15)
    summed[::15] += one.low_K
    np.testing.assert_allclose(summed, every[0], rtol=1e-12)
    np.testing.assert_allclose(one.low_squares_K, every[1][::15], rtol=1e-12)
    assert len(one.cell) < 0.2 * probs.size


def test_a_calibrated_model_lies_at_its_floor_and_another_far_above() -> None:
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(4), 4000)
    drawn = (rng.random((4000, 1)) > np.cumsum(probs, axis=1)).sum(axis=1)
    pairs = (
        (calibration.ECE_15, 0),
        (reliability.ECE_BINMEAN, 1),
        (reliability.ECE_EQUALMASS, 3),
        (reliability.ECE_CLASSWISE, 4),
    )
    calibrated, unrelated = labelled(probs, np.minimum(drawn, 3)), labelled(probs, rng.integers(0, 4, 4000))
    for metric, which in pairs:
        assert metric(calibrated) < 2 * noise.NULLS[which](calibrated)
        assert metric(unrelated) > 5 * noise.NULLS[which](unrelated)


def test_fewer_draws_where_each_needs_many_numbers() -> None:
    assert [noise.n_draws(size) for size in (0, 100, 1_000_000, 10**8)] == [200, 200, 10, 2]


def test_smooth_ece_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "relplot", None)
    (m,) = measure.scores([reliability.SMECE], {**multiclass(50), "cluster": np.arange(50)}, seed=0)
    assert m.value is None
    assert m.reason == "relplot is not installed: pip install 'hallmark-bench[calibration]'"


def test_smooth_ece_where_its_package_is_installed() -> None:
    """Of a constant confidence 0.9 that is right in half of the cases the gap, 0.4; of a calibrated one, little."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("relplot")
    constant = two_class([0.9] * 400, [1, 0] * 200)
    assert reliability.SMECE(constant) == pytest.approx(0.4, abs=0.01)
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 5000)
    correct = rng.random(5000) < confidence
    good = two_class(confidence.tolist(), correct.astype(int).tolist())
    assert reliability.SMECE(good) < 0.03
    assert reliability.SMECE(good) == pytest.approx(smoothed(confidence, correct), rel=0.02)


RESAMPLED = [(50, 0.0), (300, 0.1), (2000, 0.0), (400, 0.4), (5000, -0.3)]  # items, and how much oftener they are right


def drawn(n: int, surplus: float) -> tuple[Any, Any, Any]:
    """Confidences, whether each is right, and how often each counts."""
    rng = np.random.default_rng(n)
    confidence = rng.uniform(0.5, 1, n)
    correct = rng.random(n) < np.clip(confidence + surplus, 0, 1)
    return confidence, correct, np.bincount(rng.integers(0, n, n), minlength=n)


@pytest.mark.parametrize(("n", "surplus"), RESAMPLED)
def test_smooth_ece_by_counts_is_that_of_repeated_rows(n: int, surplus: float) -> None:
    """And of three copies, but for the 1e-4 that relplot adds to the n items' density; and near its definition."""
    confidence, correct, counts = drawn(n, surplus)
    rows = np.repeat(np.arange(n), counts)
    found = smooth.by_counts(confidence, correct)(counts)
    alone = smooth.by_counts(confidence[rows], correct[rows])(np.ones(len(rows), dtype=np.int64))
    assert found == pytest.approx(alone, rel=1e-9)
    assert found == pytest.approx(smooth.by_counts(confidence, correct)(3 * counts), rel=1e-4 / n)
    if n < 2000:
        assert found == pytest.approx(smoothed(confidence[rows], correct[rows]), rel=0.03)


@pytest.mark.parametrize(("n", "surplus"), RESAMPLED)
def test_smooth_ece_by_counts_is_relplots(n: int, surplus: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        relplot = pytest.importorskip("relplot")
    confidence, correct, counts = drawn(n, surplus)
    rows = np.repeat(np.arange(n), counts)
    theirs = relplot.smECE(confidence[rows], correct[rows].astype(np.float64))
    assert smooth.by_counts(confidence, correct)(counts) == pytest.approx(theirs, rel=1e-9)


def test_smooth_ece_of_one_confidence_is_its_gap() -> None:
    """0.9 that is right in half of the cases: 0.4, whatever the width of the kernel, which the ends only reflect."""
    counts = np.repeat([1, 2], 200)
    value = smooth.by_counts(np.full(400, 0.9), np.arange(400) % 2 == 0)(counts)
    assert value == pytest.approx(0.4, abs=0.001)


def smoothed(confidence: Any, correct: Any) -> float:
    """smECE by its definition: the residuals under a reflected Gaussian whose width is the value itself."""
    grid = np.linspace(0, 1, 501)

    def at(width: float) -> float:
        centres = np.concatenate([confidence, -confidence, 2 - confidence])
        kernel = np.exp(-0.5 * ((grid[:, None] - centres) / width) ** 2) / (width * math.sqrt(2 * math.pi))
        smooth = kernel @ np.tile(correct - confidence, 3) / len(confidence)
        return float(np.abs(smooth).mean())

    low, high = 1e-3, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if at(middle) < middle else (middle, high)
    return at(high)


@pytest.mark.parametrize(
    "metric", (*BINNED, reliability.ECE_EQUALMASS, reliability.ECE_CLASSWISE), ids=lambda m: m.name
)
def test_the_change_from_parent_to_child_has_a_paired_interval(metric: Any) -> None:
    """A child with sharper probabilities and the same decisions: its change is seen, and known better than either."""
    parent, child = paired(600)
    change = compare._difference(metric, parent, child, seed=0).difference
    assert change.value == pytest.approx(metric(child) - metric(parent))
    assert change.low is not None
    assert change.high is not None
    assert change.low <= change.value <= change.high
    (m,) = measure.scores([metric], parent, seed=0)
    assert m.low is not None
    assert m.high is not None
    if metric is calibration.ECE_15:
        assert change.high - change.low < m.high - m.low
        assert change.low > 0
    same = compare._difference(metric, parent, parent, seed=0).difference
    assert same.value == 0


def test_no_items_and_no_finite_value() -> None:
    none = {name: values[:0] for name, values in multiclass(5).items()}
    for metric in EVERY:
        with pytest.raises(Undefined, match="no items"):
            metric(none)
    assert classification.ACCURACY(two_class([0.9], [1])) == 1

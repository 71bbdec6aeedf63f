"""Each metric by hand-worked cases, and against an independent library or another formula."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from test_common import CLASSES, columns

from suite.errors import Undefined
from suite.metrics import calibration, classification, groups, language, segmentation
from suite.metrics.base import Columns


def test_language_by_hand() -> None:
    c = {"nll": np.array([2.0, 4.0]), "n_tokens": np.array([1, 5]), "n_bytes": np.array([4, 8])}
    assert language.NLL(c) == 1.0
    assert language.PERPLEXITY(c) == pytest.approx(math.e)
    assert language.BITS_PER_BYTE(c) == pytest.approx(0.5 / math.log(2))
    assert language.NLL.observations(c) == 6
    assert language.BITS_PER_BYTE.observations(c) == 12


def test_language_without_tokens_and_beyond_float64() -> None:
    none = {"nll": np.zeros(1), "n_tokens": np.zeros(1, int), "n_bytes": np.zeros(1, int)}
    for metric in (language.NLL, language.PERPLEXITY, language.BITS_PER_BYTE):
        with pytest.raises(Undefined):
            metric(none)
    with pytest.raises(Undefined, match="float64"):
        language.PERPLEXITY({"nll": np.array([1e6]), "n_tokens": np.array([1])})


def test_perplexity_agrees_with_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.functional.text import perplexity

    logits = torch.randn(1, 50, 30, generator=torch.Generator().manual_seed(0))
    target = torch.randint(0, 30, (1, 50), generator=torch.Generator().manual_seed(1))
    nll = torch.nn.functional.cross_entropy(logits[0].double(), target[0], reduction="sum").item()
    ours = language.PERPLEXITY({"nll": np.array([nll]), "n_tokens": np.array([50])})
    assert ours == pytest.approx(float(perplexity(logits, target)), rel=1e-5)


def rows(probs: list[list[float]], labels: list[int]) -> dict[str, Any]:
    made = [classification.outcomes(np.array(p), y) for p, y in zip(probs, labels, strict=True)]
    return {name: np.array([row[name] for row in made]) for name in made[0]}


def test_classification_by_hand() -> None:
    c = rows([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], [1, 2])
    assert classification.ACCURACY(c) == 0.5
    assert classification.NLL(c) == pytest.approx((-math.log(0.3) - math.log(0.8)) / 2)
    assert classification.BRIER(c) == pytest.approx(((0.25 + 0.49 + 0.04) + (0.01 + 0.01 + 0.04)) / 2)


def test_ties_go_to_the_first_class_and_zero_probability_is_finite() -> None:
    assert classification.ACCURACY(rows([[0.5, 0.5]], [0])) == 1
    assert classification.ACCURACY(rows([[0.5, 0.5]], [1])) == 0
    assert classification.NLL(rows([[1.0, 0.0]], [1])) == pytest.approx(-math.log(1e-12))


def test_classification_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

    c = columns()
    assert classification.ACCURACY(c) == accuracy_score(c["label"], c["probs"].argmax(axis=1))
    assert classification.NLL(c) == pytest.approx(log_loss(c["label"], c["probs"], labels=range(CLASSES)))
    for k in range(CLASSES):
        one = brier_score_loss((c["label"] == k).astype(int), c["probs"][:, k])
        assert one == pytest.approx(float(((c["probs"][:, k] - (c["label"] == k)) ** 2).mean()))
    total = sum(brier_score_loss((c["label"] == k).astype(int), c["probs"][:, k]) for k in range(CLASSES))
    assert classification.BRIER(c) == pytest.approx(total)


def test_ece_by_hand() -> None:
    """Two bins are hit: (0.9, right) and (0.6 right, 0.6 wrong): |1 - 0.9| / 3 + 2 |0.5 - 0.6| / 3."""
    c = rows([[0.9, 0.1], [0.6, 0.4], [0.6, 0.4]], [0, 0, 1])
    assert calibration.ECE_15(c) == pytest.approx(0.1 / 3 + 0.2 / 3)


def test_ece_puts_full_confidence_into_the_last_bin() -> None:
    """Confidences 1.0 (wrong) and 0.95 (right) share a bin: |1 - 1.95| / 2; an extra bin would give 1.05 / 2."""
    c = rows([[1.0, 0.0], [0.95, 0.05]], [1, 0])
    assert calibration.ECE_15(c) == pytest.approx(0.475)


def test_ece_agrees_with_a_loop_over_bins() -> None:
    c = columns()
    confidence, hit = c["probs"].max(axis=1), c["probs"].argmax(axis=1) == c["label"]
    total = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            total += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    assert calibration.ECE_15(c) == pytest.approx(total)


def test_ece_agrees_with_torchmetrics_in_float64() -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.functional.classification import multiclass_calibration_error

    c = columns()
    theirs = multiclass_calibration_error(
        torch.from_numpy(c["probs"].copy()), torch.from_numpy(c["label"].copy()), num_classes=CLASSES, n_bins=15
    )
    assert calibration.ECE_15(c) == pytest.approx(float(theirs), abs=1e-6)


def volumes(*cases: tuple[list[int], list[int], list[int]]) -> Columns:
    inter, predicted, true = (np.array(part) for part in zip(*cases, strict=True))
    return {"intersection": inter, "predicted": predicted, "true": true}


def test_dice_of_two_cubes() -> None:
    """A cube of 8^3 against one of 8 x 8 x 9 shifted by one: intersection 8 * 8 * 7."""
    true, predicted = np.zeros((12, 12, 12), int), np.zeros((12, 12, 12), int)
    true[2:10, 2:10, 2:10] = 1
    predicted[2:10, 2:10, 3:12] = 1
    counts = segmentation.voxel_counts(predicted, true, 2)
    assert counts["intersection"].tolist() == [8 * 8 * 7]
    (dice, _) = segmentation.dice(["a"])
    value = dice({name: v[None] for name, v in counts.items()})
    assert value == pytest.approx(2 * 448 / (512 + 576))
    assert value == pytest.approx(0.8235, abs=5e-5)


def test_dice_at_the_edges() -> None:
    """Absent on both sides: left out. Absent on one: 0. Missed and spurious are counted."""
    dice, a, b = segmentation.dice(["a", "b"])
    c = volumes(([5, 0], [5, 0], [5, 0]), ([0, 2], [0, 4], [7, 4]), ([0, 0], [3, 0], [0, 0]))
    assert a(c) == pytest.approx((1 + 0 + 0) / 3)
    assert b(c) == pytest.approx(0.5)
    assert dice(c) == pytest.approx((1 / 3 + 0.5) / 2)
    assert [m.observations(c) for m in (dice, a, b)] == [3, 3, 1]  # b has a value in one case only
    columns = {**c, "group.x": np.array(["u", "v", "v"])}
    assert [groups.of_group(b, "x", x).observations(columns) for x in ("u", "v")] == [0, 1]
    counts = {m.name: m(c) for m in segmentation.misses(["a", "b"])}
    assert counts == {
        "n_missed[class=a]": 1,
        "n_spurious[class=a]": 1,
        "n_na[class=a]": 0,
        "n_missed[class=b]": 0,
        "n_spurious[class=b]": 0,
        "n_na[class=b]": 2,
    }
    never = volumes(([1, 0], [1, 0], [1, 0]))
    with pytest.raises(Undefined, match="b is absent"):
        b(never)
    with pytest.raises(Undefined):
        dice(never)


def test_voxel_counts_agree_with_a_direct_count() -> None:
    rng = np.random.default_rng(0)
    p, g = rng.integers(0, 4, (2, 6, 7, 8))
    counts = segmentation.voxel_counts(p, g, 4)
    for k in (1, 2, 3):
        assert counts["intersection"][k - 1] == ((p == k) & (g == k)).sum()
        assert counts["predicted"][k - 1] == (p == k).sum()
        assert counts["true"][k - 1] == (g == k).sum()


GROUPED: Columns = {
    "correct": np.array([1, 1, 1, 0, 1, 0]),
    "group.x": np.array(["a", "a", "a", "a", "b", "b"]),
    "cluster": np.arange(6),
}


def test_groups_by_hand() -> None:
    """a: 3/4, b: 1/2, all: 4/6."""
    m = classification.ACCURACY
    assert groups.of_group(m, "x", "a")(GROUPED) == 0.75
    assert groups.of_group(m, "x", "a").name == "accuracy[x=a]"
    assert groups.of_group(segmentation.dice(["k"])[1], "x", "a").name == "dice[class=k,x=a]"
    assert groups.worst_group(m, "x")(GROUPED) == 0.5
    assert groups.worst_group(m, "x").name == "worst_group_accuracy[x]"
    assert groups.gap(m, "x")(GROUPED) == 0.25
    whole = 4 / 6
    expected = whole / (1 + abs(0.75 - whole) + abs(0.5 - whole))
    assert groups.equity_scaled(m, "x")(GROUPED) == pytest.approx(expected)


def test_worst_is_the_largest_where_lower_is_better() -> None:
    c = {"nll": np.array([1.0, 3.0]), "group.x": np.array(["a", "b"])}
    assert groups.worst_group(classification.NLL, "x")(c) == 3.0
    with pytest.raises(ValueError, match="equity"):
        groups.equity_scaled(classification.NLL, "x")


def test_groups_agree_with_fairlearn_where_it_is_installed() -> None:
    fairlearn = pytest.importorskip("fairlearn.metrics", reason="fairlearn is not installed")
    from sklearn.metrics import accuracy_score

    c = columns()
    frame = fairlearn.MetricFrame(
        metrics=accuracy_score,
        y_true=c["label"],
        y_pred=c["probs"].argmax(axis=1),
        sensitive_features=c["group.dialect"],
    )
    assert groups.gap(classification.ACCURACY, "dialect")(c) == pytest.approx(frame.difference())
    assert groups.worst_group(classification.ACCURACY, "dialect")(c) == pytest.approx(frame.group_min())


def test_groups_agree_with_pandas() -> None:
    import pandas as pd

    c = columns()
    means = pd.Series(c["correct"]).groupby(c["group.skill"]).mean()
    assert groups.gap(classification.ACCURACY, "skill")(c) == pytest.approx(means.max() - means.min())
    assert groups.worst_group(classification.ACCURACY, "skill")(c) == pytest.approx(means.min())


def test_one_group_has_no_gap_and_the_unnamed_group_is_none() -> None:
    one = {**GROUPED, "group.x": np.array(["a"] * 5 + [""])}
    with pytest.raises(Undefined, match="fewer than two groups"):
        groups.gap(classification.ACCURACY, "x")(one)
    absent = groups.of_group(classification.ACCURACY, "x", "zebra")
    with pytest.raises(Undefined, match="zebra"):
        absent(GROUPED)

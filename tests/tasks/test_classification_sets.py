"""Built-in classification tasks: metrics agree with those of all probabilities, loaders read the layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.errors import AbsentDataError, InputError, Undefined
from suite.metrics import METRICS, noise, reliability, selective
from suite.metrics.base import Columns
from suite.metrics.calibration import ECE_15
from suite.metrics.classification import outcomes
from suite.metrics.decisions import CLASSES
from tasks import image_sets, images_cls
from tasks.metric_sets import Measured, classification_metrics, framed, of_top
from tasks.tabular import ADULT, ADULT_TASK, GERMAN


def answered(n: int = 300, classes: int = 6, seed: int = 0) -> Columns:
    draw = np.random.default_rng(seed)
    probs = np.round(draw.dirichlet(np.full(classes, 0.4), n), 2) + 1e-3  # ties
    probs /= probs.sum(axis=1, keepdims=True)
    rows = [outcomes(p, int(y)) for p, y in zip(probs, draw.integers(0, classes, n), strict=True)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]} | {"exact": probs}


TOP = (ECE_15, *reliability.RELIABILITY, *noise.NULLS, *selective.SELECTIVE)


@pytest.mark.parametrize(
    "metric", [m for m in TOP if "classwise" not in m.name and m.name != "smece"], ids=lambda m: m.name
)
def test_the_top_label_alone_gives_the_same_numbers(metric: Any) -> None:
    c = answered()
    narrow, wide = of_top(metric), {"probs": c["exact"], "label": c["label"]}
    assert narrow({name: c[name] for name in narrow.needs}) == metric(wide)
    rows = np.random.default_rng(1).integers(0, 300, 300)
    assert narrow.of_rows(c, rows) == pytest.approx(metric.of_rows(wide, rows), rel=1e-12)


def test_coverage_of_one_class_is_that_of_its_items() -> None:
    c = answered()
    mine = next(m for m in classification_metrics(Measured(tuple("abcdef"))) if m.name == "coverage_95acc[class=c]")
    inside = c["label"] == 2
    assert mine(c) == selective.coverage_at(c["confidence"][inside], c["correct"][inside].astype(bool))
    assert mine.observations(c) == inside.sum()
    with pytest.raises(Undefined, match="no item of class c"):
        mine({name: values[~inside] for name, values in c.items()})


@pytest.mark.parametrize("metric", CLASSES, ids=lambda m: m.name)
def test_decisions_need_no_probabilities(metric: Any) -> None:
    c = answered()
    mine = next(m for m in classification_metrics(Measured(tuple("abcdef"))) if m.name == metric.name)
    assert mine.needs == ("decided", "label")
    assert mine(c) == metric({"probs": c["exact"], "label": c["label"]})


@pytest.mark.parametrize("positive", (0, 1))
def test_two_classes_have_a_false_positive_rate_by_group(positive: int) -> None:
    """By hand: of the 20 negatives of each group, 5 of a and 12 of b are taken for positives; c has 19 of its 40."""
    wrong = {"a": (20, 5), "b": (20, 12), "c": (19, 19)}
    group = np.repeat(list(wrong), 40)
    negative = np.concatenate([np.arange(40) < n for n, _ in wrong.values()])
    yes = np.concatenate([(np.arange(40) < k) | (np.arange(40) >= n) for n, k in wrong.values()])
    probs = np.where(yes == bool(positive), 0.9, 0.1)[:, None] * [-1, 1] + [1, 0]
    c = {"probs": probs, "label": np.where(negative, 1 - positive, positive), "group.g": group}
    c |= {"cluster": np.arange(120), "decided": probs.argmax(axis=1)}
    found = {m.name: m for m in framed(Measured(("no", "yes"), positive=positive)).of(c)}
    assert (found["fpr[g=a]"](c), found["fpr[g=b]"](c)) == (5 / 20, 12 / 20)
    assert found["fpr_gap[g]"](c) == pytest.approx(7 / 20)
    assert found["worst_group_fpr[g]"](c) == 12 / 20
    with pytest.raises(Undefined, match=r"19 items with group\.g = c, at least 20 needed"):
        found["fpr[g=c]"](c)
    assert "fpr" in [m.name for m in ADULT_TASK.framed.metrics]
    assert "fpr" not in [m.name for m in framed(Measured(tuple("abc"))).metrics]


def test_top_5_accuracy_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import top_k_accuracy_score

    draw = np.random.default_rng(3)
    probs, label = draw.dirichlet(np.ones(9), 200), draw.integers(0, 9, 200)
    rank = np.array([outcomes(p, int(y))["rank"] for p, y in zip(probs, label, strict=True)])
    value = METRICS["classification.accuracy_top5"]({"rank": rank})
    assert value == top_k_accuracy_score(label, probs, k=5)
    assert METRICS["classification.accuracy_top5"]({"rank": np.array([0, 4, 5])}) == pytest.approx(2 / 3)


def test_macro_rankings_agree_with_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    c = answered()
    probs, label = c["probs"].astype(np.float64), c["label"]
    probs /= probs.sum(axis=1, keepdims=True)
    found = {
        m.name: m({"probs": probs, "label": label})
        for m in classification_metrics(Measured(tuple("abcdef")))
        if "macro" in m.name and m.name.startswith("au")
    }
    assert found["auroc_macro"] == pytest.approx(roc_auc_score(label, probs, multi_class="ovr"))
    assert found["auprc_macro"] == pytest.approx(average_precision_score(np.eye(6)[label], probs, average="macro"))
    hand = {"probs": np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1]]), "label": np.array([0, 1, 1])}
    macro = METRICS["ranking.auroc_macro"]  # class 0 ranks perfectly, class 1 too, class 2 does not occur
    assert macro(hand) == 1.0


def test_many_classes_keep_no_probabilities() -> None:
    row = outcomes(np.full(101, 1 / 101), 3)
    assert "probs" not in row
    assert (row["decided"], row["rank"], row["correct"]) == (0, 3, 0)
    needed = {name for m in image_sets.IMAGENET.metrics for name in m.needs}
    assert needed <= set(row)
    novel = outcomes(np.array([0.6, 0.4]), -1)
    assert novel["correct"] == 0
    assert np.isnan(novel["nll"])


@pytest.fixture
def empty_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path))
    for task in image_sets.ALL:
        if isinstance(task, images_cls.ImageSet):
            task._images_of.cache_clear()
    return tmp_path


def pixels(n: int, side: int = 32, channels: int = 3) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, channels), dtype=np.uint8)


def test_cifar_in_its_binary_version(empty_mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    images, labels = pixels(4), np.array([3, 8, 8, 0], dtype=np.uint8)
    planes = images.transpose(0, 3, 1, 2).reshape(4, -1)
    ten, hundred = empty_mirror / "cifar10" / "cifar-10-batches-bin", empty_mirror / "cifar100" / "cifar-100-binary"
    ten.mkdir(parents=True)
    hundred.mkdir(parents=True)
    (ten / "test_batch.bin").write_bytes(np.concatenate([labels[:, None], planes], axis=1).tobytes())
    coarse = np.array([[9, 3], [9, 99], [9, 8], [9, 0]], dtype=np.uint8)
    (hundred / "test.bin").write_bytes(np.concatenate([coarse, planes], axis=1).tobytes())
    with pytest.raises(InputError, match="labels of CIFAR-10"):
        image_sets.CIFAR10.examples(None)  # type: ignore[arg-type]
    monkeypatch.setattr(images_cls, "CIFAR10_LABELS_SHA256", hashlib.sha256(labels.tobytes()).hexdigest())
    for task, wanted in ((image_sets.CIFAR10, [3, 8, 8, 0]), (image_sets.CIFAR100, [3, 99, 8, 0])):
        found = task.examples(None)  # type: ignore[arg-type]
        assert [e.label for e in found] == wanted
        np.testing.assert_allclose(task._read(found[1].input), images[1].transpose(2, 0, 1) / np.float32(255))
        assert len(task.data_sha256()) == 64
    (ten / "test_batch.bin").write_bytes(b"x" * 100)
    image_sets.CIFAR10._images_of.cache_clear()
    with pytest.raises(InputError, match="binary version"):
        image_sets.CIFAR10.examples(None)  # type: ignore[arg-type]


def test_npy_and_npz_layouts(empty_mirror: Path) -> None:
    for name in ("cifar10.1", "cifar10-c", "medmnist"):
        (empty_mirror / name).mkdir()
    np.save(empty_mirror / "cifar10.1" / "cifar10.1_v6_data.npy", pixels(3))
    np.save(empty_mirror / "cifar10.1" / "cifar10.1_v6_labels.npy", np.array([1, 2, 3]))
    assert [e.label for e in image_sets.CIFAR10_1.examples(None)] == [1, 2, 3]  # type: ignore[arg-type]
    np.save(empty_mirror / "cifar10-c" / "fog.npy", pixels(10))
    np.save(empty_mirror / "cifar10-c" / "labels.npy", np.array([4, 5] * 5))
    fog = next(t for t in image_sets.ALL if t.name == "cifar10-c-fog").examples(None)  # type: ignore[arg-type]
    assert [e.groups["severity"] for e in fog] == ["1", "1", "2", "2", "3", "3", "4", "4", "5", "5"]
    assert len({e.cluster for e in fog}) == 2
    np.savez(
        empty_mirror / "medmnist" / "breastmnist.npz", test_images=pixels(2, 28, 1)[..., 0], test_labels=[[0], [1]]
    )
    breast = next(t for t in image_sets.ALL if t.name == "medmnist-breast")
    found = breast.examples(None)  # type: ignore[arg-type]
    assert breast._read(found[0].input).shape == (1, 28, 28)
    np.save(empty_mirror / "cifar10.1" / "cifar10.1_v6_labels.npy", np.array([{}]))
    image_sets.CIFAR10_1._images_of.cache_clear()
    with pytest.raises(InputError, match="no plain array"):
        image_sets.CIFAR10_1.examples(None)  # type: ignore[arg-type]


def test_imagenet_reads_folders_in_the_order_of_the_wnids(empty_mirror: Path) -> None:
    from PIL import Image

    task = images_cls.ImageNet(image_sets.IMAGENET._photographs, classes=2)
    assert "imagenet-1k/val" in str(task.dataset.missing())
    with pytest.raises(AbsentDataError):
        task.fetch()
    for wnid, grey in (("n02", 200), ("n01", 100)):
        folder = empty_mirror / "imagenet-1k" / "val" / wnid
        folder.mkdir(parents=True)
        Image.new("L", (300, 400), grey).save(folder / f"{wnid}_1.JPEG")
    assert task.dataset.missing() is None
    found = list(task.examples(None))  # type: ignore[arg-type]
    assert [(e.item, e.label) for e in found] == [("n01_1", 0), ("n02_1", 1)]
    image = task._read(found[0].input)
    assert image.shape == (3, 224, 224)
    assert image[:, 0, 0] == pytest.approx(100 / 255, abs=0.01)
    with pytest.raises(InputError, match="has 2 folders"):
        images_cls.ImageNet(image_sets.IMAGENET._photographs).fetch()


def test_adult_and_german_credit(mirror: Path) -> None:
    x_NF, y_N = ADULT.training()
    assert x_NF.shape == (32561, 105)
    assert y_N.sum() == 7841
    np.testing.assert_allclose(x_NF[:, :6].mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(x_NF[:, :6].std(axis=0), 1, atol=1e-3)
    test = ADULT_TASK.examples(None)  # type: ignore[arg-type]
    assert len(test) == 16281
    assert sum(e.label for e in test) == 3846
    first = dict(zip(ADULT.features().names, test[0].input.tolist(), strict=True))
    assert first["race=Black"] == first["sex=Male"] == first["education=11th"] == 1.0
    assert dict(test[0].groups) == {"sex": "Male", "race": "Black", "age": "25-39"}
    assert sum(e.label for e in GERMAN.examples()) == 59
    assert len(GERMAN.features().names) == 61

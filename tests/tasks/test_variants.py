"""Varied tasks: rows, seeds, pairing, metrics; typing errors; input groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Ran

from suite import measure, outcomes
from suite.fakes import Constant, Oracle
from suite.manifest import Inputs
from suite.metrics.base import Metric
from suite.metrics.classification import ACCURACY
from suite.metrics.shift import mean_drop, mean_over, robust_accuracy
from suite.metrics.utilisation import imbalance, utilisation
from suite.stats import Interval
from suite.task import Example
from tasks import TASKS
from tasks.choices import Question
from tasks.classification import DIGITS, Classification
from tasks.input_groups import grouped
from tasks.metric_sets import Measured
from tasks.shifted import DIGITS_CORRUPTED, DIGITS_HALVES, GENERATED_CHOICES_TYPOS
from tasks.typos import NEIGHBOURS, mistyped, typos
from tasks.variants import CLEAN, Variant, Varied, VariedImages, shift_metrics

SIDE = 4


def task_of(items: int = 6) -> Classification:
    """Images whose first pixel is their class, as `Oracle` reads it."""

    def load() -> list[Example]:
        rng = np.random.default_rng(0)
        found = []
        for number in range(items):
            image = rng.random((1, SIDE, SIDE)).astype(np.float32)
            image[0, 0, 0] = (number % 10) / 255
            found.append(Example(f"i{number}", image, number % 10))
        return found

    return Classification(
        name="tiny",
        title="t",
        version="1",
        dataset=DIGITS.dataset,
        shape=(1, SIDE, SIDE),
        measured=Measured(tuple(map(str, range(10)))),
        load=load,
    )


def dark(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Everything becomes class 0."""
    return image * 0


def jitter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image + rng.normal(size=image.shape).astype(np.float32)


def varied(*variants: Variant) -> Varied:
    return VariedImages(
        task_of(),
        (CLEAN, *variants),
        name="tiny-varied",
        title="t",
        version="1",
        changes="test-1",
        metrics=shift_metrics(ACCURACY, "variant", "clean", [v.name for v in variants]),
        primary="mean_accuracy[variant]",
    )


def scored(task: Varied, model: Oracle | Constant) -> dict[str, np.ndarray]:
    examples = task.examples(model)
    answers = task.ask(model, [e.input for e in examples], Inputs())
    rows = []
    for example, answer in zip(examples, answers, strict=True):
        groups = {f"group.{name}": value for name, value in example.groups.items()}
        rows.append({"item": example.item, "cluster": example.cluster, **groups, **task.row(example, answer)})
    return outcomes.to_columns(outcomes.to_table(rows))


def test_an_oracle_of_the_first_pixel_loses_what_darkness_hides() -> None:
    """Six items of classes 0 to 5: in the dark all look like class 0, so one of six stays right."""
    task = varied(Variant("dark", dark), Variant("same", CLEAN.change))
    c = scored(task, Oracle())
    values = {m.name: m(c) for m in task.metrics}
    assert values["accuracy[variant=clean]"] == 1
    assert values["accuracy[variant=dark]"] == pytest.approx(1 / 6)
    assert values["mean_accuracy[variant]"] == pytest.approx((1 / 6 + 1) / 2)
    assert values["accuracy_drop[variant=dark]"] == pytest.approx(5 / 6)
    assert values["mean_accuracy_drop[variant]"] == pytest.approx(5 / 12)
    assert robust_accuracy("variant")(c) == pytest.approx(1 / 6)
    assert list(c["item"][:3]) == ["i0@clean", "i0@dark", "i0@same"]
    assert list(c["cluster"][:4]) == ["i0", "i0", "i0", "i1"]
    assert c["origin"][3] == "i1"


def test_a_change_is_seeded_by_the_row_alone() -> None:
    one, two = varied(Variant("jitter", jitter)), varied(Variant("dark", dark), Variant("jitter", jitter))
    first = {e.item: e.input.changed() for e in one.examples(None)}
    second = {e.item: e.input.changed() for e in reversed(two.examples(None))}
    for item, image in first.items():
        np.testing.assert_array_equal(image, second[item])
    noise = [first[f"i{k}@jitter"] - first[f"i{k}@clean"] for k in range(2)]
    assert (noise[0] != noise[1]).any()


def test_protocol_version_and_data_are_the_other_tasks() -> None:
    task = varied(Variant("dark", dark))
    assert task.protocol(None) == "native/test-1"
    assert task.version == "1.1"
    assert task.data_sha256() == DIGITS.data_sha256()
    assert DIGITS_CORRUPTED.dataset is DIGITS.dataset


def test_a_calibration_split_is_shown_clean_and_once() -> None:
    inner = task_of()
    inner._load = lambda: [Example("c0", np.zeros((1, SIDE, SIDE), np.float32), 0, calibration=True)]
    task = varied(Variant("dark", dark))
    task._task = inner
    assert [e.item for e in task.examples(None)] == ["c0@clean"]


def test_means_and_drops_agree_with_the_variants_values() -> None:
    """By another way: each variant's own value, then their plain mean, of a metric that is no mean of items."""
    from suite.metrics.calibration import ECE_15

    rng = np.random.default_rng(0)
    n, names = 900, ("clean", "a", "b")
    probs = rng.dirichlet(np.ones(3), n)
    c = {
        "probs": probs,
        "correct": rng.integers(0, 2, n),
        "label": rng.integers(0, 3, n),
        "group.variant": np.array(names)[np.arange(n) % 3],
        "cluster": np.arange(n) // 3,
    }
    each = {v: ECE_15({k: x[c["group.variant"] == v] for k, x in c.items()}) for v in names}
    mean = mean_over(ECE_15, "variant", ["a", "b"])
    assert mean(c) == pytest.approx((each["a"] + each["b"]) / 2)
    assert mean(c) != pytest.approx(ECE_15({k: x[c["group.variant"] != "clean"] for k, x in c.items()}))
    drop = mean_drop(ECE_15, "variant", "clean", ["a", "b"])
    assert drop(c) == pytest.approx((mean(c) - each["clean"]) / each["clean"])  # lower is better: rising is losing
    (m,) = measure.scores([mean], c, seed=0)
    assert m.n_clusters == 300
    assert m.low < m.value < m.high


def test_a_metric_gets_what_it_can_have() -> None:
    from suite.metrics.decisions import MCC
    from suite.metrics.ranking import ranking
    from suite.metrics.temperature import TEMPERATURE

    def stems(metric: Metric) -> list[str]:
        made = shift_metrics(metric, "site", "in", ["out"])
        return [m.name.partition("[")[0].replace(metric.name.partition("[")[0], "x") for m in made]

    assert stems(ACCURACY) == ["x", "x", "mean_x", "mean_x_drop", "x_drop"]
    assert "mean_x_drop" not in stems(MCC)
    assert stems(TEMPERATURE)[:2] == ["x", "x"]
    rows = next(m for m in ranking() if m.whole is not None)
    assert stems(rows) == ["x", "x", "x_drop"]


def test_robust_accuracy_counts_items_whatever_their_rows() -> None:
    """Items a (right, wrong), b (right), c (right, right): two of three."""
    c = {"correct": np.array([1, 0, 1, 1, 1]), "origin": np.array(list("aabcc")), "cluster": np.array(list("aabcc"))}
    assert robust_accuracy("variant")(c) == pytest.approx(2 / 3)


def test_utilisation_by_hand_and_its_interval_is_paired() -> None:
    """All right with both; left blanked loses half of the items, right none: u = 0.5 and 0."""
    right = {"all": [1, 1, 1, 1], "without:left": [1, 0, 1, 0], "without:right": [1, 1, 1, 1]}
    c = {
        "correct": np.concatenate([np.array(values) for values in right.values()]),
        "group.variant": np.repeat(list(right), 4),
        "cluster": np.tile(np.arange(4), 3),
    }
    left, other = utilisation(ACCURACY, "left"), utilisation(ACCURACY, "right")
    assert (left(c), other(c)) == (0.5, 0)
    assert left.name == "accuracy_utilisation[group=left]"
    assert imbalance(ACCURACY, "left", "right")(c) == 0.5
    (paired,) = measure.scores(
        [left],
        {k: np.tile(v, 50) if k != "cluster" else np.concatenate([v + 4 * i for i in range(50)]) for k, v in c.items()},
        seed=0,
    )
    rows = paired.low, paired.high
    assert Interval(*rows, "x").low == pytest.approx(0.43, abs=0.02)  # 0.5 -+ 1.97 sqrt(.25 / 200): that of one share
    with pytest.raises(ValueError, match="higher is better"):
        from suite.metrics.classification import NLL

        utilisation(NLL, "left")


def test_blanked_inputs_hold_the_mean_and_say_nothing_of_their_item() -> None:
    task = grouped(task_of(), {"top": np.s_[:, :2], "bottom": np.s_[:, 2:]}, name="halves", title="t")
    shown = {e.item: e.input.changed() for e in task.examples(None)}
    mean = np.mean([e.input for e in task_of().examples(None)], axis=0)
    for number in range(6):
        np.testing.assert_allclose(shown[f"i{number}@without:top"][:, :2], mean[:, :2], rtol=1e-6)
        np.testing.assert_array_equal(shown[f"i{number}@without:top"][:, 2:], shown[f"i{number}@all"][:, 2:])
    values = {m.name: m(scored(task, Oracle())) for m in task.metrics}
    assert values["accuracy_utilisation[group=top]"] == pytest.approx(5 / 6)  # the class is read off the top
    assert values["accuracy_utilisation[group=bottom]"] == 0
    assert values["accuracy_imbalance[first=top,second=bottom]"] == pytest.approx(5 / 6)
    assert {m.name for m in DIGITS_HALVES.metrics} >= {"accuracy_utilisation[group=left]"}


def test_keys_that_touch() -> None:
    assert set(NEIGHBOURS["g"]) == set("tyfhvb")
    assert set(NEIGHBOURS["q"]) == set("wa")
    assert all(key in NEIGHBOURS[other] for key, others in NEIGHBOURS.items() for other in others)


def test_typing_errors_hit_letters_at_the_stated_rate() -> None:
    text = "the Quick brown fox; 12 jumps! " * 300
    rng = np.random.default_rng(0)
    assert mistyped(text, 0, rng) == text
    hit = mistyped(text, 0.05, rng)
    assert [ch for ch in hit if not ch.isalpha()] == [ch for ch in text if not ch.isalpha()]
    import difflib

    letters = sum(ch.isalpha() for ch in text)
    blocks = [
        difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() < 1
        for a, b in zip(text.split(), hit.split(), strict=False)
    ]
    words = len(text.split())
    per_word = 1 - 0.95 ** (letters / words)  # of words with at least one error, lengths alike
    assert sum(blocks) / words == pytest.approx(per_word, abs=0.05)


def test_typos_leave_the_choices_alone() -> None:
    question = Question("a small story about nothing at all", ("one", "two"))
    light, *_, heavy = typos()
    assert (light.name, heavy.name) == ("typos_2", "typos_10")
    changed = heavy.change(question, np.random.default_rng(1))
    assert changed.choices == question.choices
    assert changed.context != question.context
    assert {v.name for v in GENERATED_CHOICES_TYPOS.variants} == {"clean", "typos_2", "typos_5", "typos_10"}


def test_a_run_is_verified(fake: Callable[..., Path], hallmark: Callable[..., Ran]) -> None:
    """A constant model: whatever the variant, it is right as often as its class is the label."""
    model = fake("constant", {"fake": "constant", "probs": [1.0, *[0.0] * 9]})
    ran = hallmark("run", model, "-t", "digits-halves", "--limit", "60", "--json")
    assert ran.code == 0, ran.err
    (record,) = ran.json["records"]
    assert record["task"] == "digits-halves"
    assert record["protocol"] == "native/blanked-by-mean-1"
    assert hallmark("verify").code == 0


def test_every_varied_task_names_the_variants_of_its_metrics() -> None:
    for task in TASKS.values():
        if not isinstance(task, Varied):
            continue
        names = {v.name for v in task.variants}
        named = {value for m in task.metrics for column, value in m.where if column == "group.variant"}
        assert named <= names, task.name

"""Every metric, registered or declared by a task: documented, bounded, independent of row order, honest when empty."""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from segmentation_samples import segmented

from suite import measure
from suite.errors import Undefined
from suite.metrics import METRICS
from suite.metrics.base import Columns, Metric
from suite.metrics.calibration import top_bins
from suite.metrics.counted import ByCounts
from suite.metrics.scored import metrics_of
from suite.metrics.scoring import Scoring
from suite.task import Task
from tasks import TASKS
from tasks.bias import bbq, crows_pairs, stereoset, winobias, winogender
from tasks.variants import Varied

N = 240  # every category of every task holds at least 20
CLASSES = 12
DESCRIPTIONS = (
    "volume_error",
    *("n_na", "ties", "stereotype_share", "pronoun_stereotype_share", "tied_share", "pronoun_tied_share"),
    *("s_amb", "s_dis", "unresolved_share", "pro_anti_gap", "ss", "overconfidence", "temperature", "selection_rate"),
    *("unmoved_share", "accuracy_utilisation", "accuracy_imbalance"),
)  # best at a middle, or just said
OF_CHANCE = ("_null", "_gap_p")  # what chance alone would give: described by the end of the name, falls with more items
GRAINED = (
    "aurc",
    "e_aurc",
    "ef_1pc",
    "bedroc_20",
    "smece",
    "recall_iou10",
    "recall_iou50",
)  # of ranks 1..n, or on a grid: finer with more items
OPTIONAL = {"smece": "relplot"}  # metric -> package of an extra that computes it
MANY = 2400  # items of a metric that needs a thousand negatives, or of the best one in a hundred


def probabilities(rng: np.random.Generator, n: int = N) -> Columns:
    probs = rng.dirichlet(np.ones(CLASSES), n)
    labels = rng.integers(0, CLASSES, n)
    picked = np.clip(probs[np.arange(n), labels], 1e-12, 1)
    return {
        "probs": probs,
        "label": labels,
        "decided": probs.argmax(axis=1),
        "confidence": probs.max(axis=1),
        "rank": (probs > probs[np.arange(n), labels][:, None]).sum(axis=1),
        "correct": (probs.argmax(axis=1) == labels).astype(int),
        "nll": -np.log(picked),
        "brier": ((probs - np.eye(CLASSES)[labels]) ** 2).sum(axis=1),
        "correct_parent": rng.integers(0, 2, n),
        "correct_norm": rng.integers(0, 2, n),
        "probs_norm": rng.dirichlet(np.ones(CLASSES), n),
        "nll_norm": rng.exponential(size=n),
        "brier_norm": rng.random(n),
        "tied": rng.integers(0, 2, n),
        "token_bins": top_bins(rng.random(n), rng.random(n) < 0.5),
        "temperature": np.full(n, 1.3),
    }


def distances(rng: np.random.Generator) -> Columns:
    tokens = rng.integers(1, 90, N)
    lists = {name: np.empty(N, dtype=object) for name in ("kl", "agree", "overlap", "logp_true", "logq_true")}
    for i, size in enumerate(tokens):
        lists["kl"][i] = rng.exponential(size=size)
        lists["agree"][i] = rng.random(size) < 0.8
        lists["overlap"][i] = rng.random(size)
        lists["logp_true"][i], lists["logq_true"][i] = -rng.exponential(size=(2, size))
    return {**lists, "n_tokens": tokens}


def biases(rng: np.random.Generator) -> Columns:
    """Outcomes of the bias tasks; a seventh of the pairs tie, a fifth of the answers name nobody."""
    i, named = np.arange(N), rng.random(N) < 0.8
    return {
        "dll": np.where(rng.random(N) < 1 / 7, 0.0, rng.normal(size=N)),
        "named": named.astype(int),
        "biased": (named & (rng.random(N) < 0.6)).astype(int),
        "resolved": (rng.random(N) < 0.9).astype(int),
        "correct_pro": rng.integers(0, 2, N),
        "correct_anti": rng.integers(0, 2, N),
        "prefers": rng.integers(0, 2, N),
        "related": rng.integers(0, 3, N) / 2,
        "group.category": np.array(bbq.CATEGORIES)[i // 2 % 4],
        "group.context": np.array(bbq.CONTEXTS)[i % 2],
        "group.bias_type": np.array(crows_pairs.BIAS_TYPES)[i % 9],
        "group.direction": np.array(crows_pairs.DIRECTIONS)[i % 2],
        "group.type": np.array(winobias.TYPES)[i % 2],
        "group.minimal": np.full(N, winobias.MINIMAL),
        "group.pronoun": np.array(winogender.PRONOUNS)[i % 3],
        "group.gotcha": np.where(i % 3 == 2, "", np.array(winogender.GOTCHA)[i // 3 % 2]),
        "group.part": np.array(stereoset.PARTS)[i % 2],
        "group.domain": np.array(stereoset.DOMAINS)[i // 2 % 4],
        "group.target": np.array([f"term-{k // 5}" for k in i]),
    }


def variants(rng: np.random.Generator, n: int) -> Columns:
    """Columns of varied tasks: every variant of every one, and in which kind it is."""
    every = [v for task in TASKS.values() if isinstance(task, Varied) for v in task.variants]
    names = sorted({v.name for v in every})
    kinds = sorted({kind for v in every for kind in v.groups.values()})
    i = np.arange(n)
    return {
        "group.variant": np.where(i % 2, np.array(names)[i // 2 % len(names)], "clean"),
        "group.corruption": np.where(i % 2, np.array(kinds)[i // 2 % len(kinds)], "clean"),
        "origin": np.array([f"o{k // 2}" for k in i]),
        "unmoved": rng.integers(0, 2, n),
    }


def timings(rng: np.random.Generator) -> Columns:
    """Outcomes of the efficiency tasks, 30 items a scenario."""
    names = ("call_seconds", "call_cpu_seconds", "first_seconds", "last_seconds", "read_bytes", "flops")
    names += ("load_peak", "load_anon", "load_file", "forward_peak", "forward_anon", "forward_file", "held")
    names += ("cuda_allocated", "cuda_reserved", "energy_j", "energy_s", "idle_w", "energy_items")
    lists = {name: np.empty(N, dtype=object) for name in (*names, "peak_bandwidth", "peak_flops")}
    lists |= {f"parent_{name}": np.empty(N, dtype=object) for name in ("call_seconds", "first_seconds", "last_seconds")}
    for i, size in enumerate(rng.integers(1, 9, N)):
        for values in lists.values():
            values[i] = rng.random(size) + 0.1
        for side in ("", "parent_"):
            lists[f"{side}last_seconds"][i] = lists[f"{side}first_seconds"][i] + rng.random(size) + 0.1
    scenarios = ("prefill-128", "prefill-1024", "decode-64", "offline", "batch-1", "batch-8", "memory", "energy")
    return {
        **lists,
        "scenario": np.array(scenarios)[np.arange(N) % len(scenarios)],
        **{name: rng.integers(1, 9, N).astype(float) for name in ("batch", "parent_batch", "units", "load", "threads")},
        "new": np.full(N, 64),
        **dict.fromkeys(("alone", "energy_reason"), np.full(N, "")),
    }


def columns(seed: int = 0) -> Columns:
    """Random outcomes that hold every column that any metric needs; made once, and not to be written to."""
    return dict(_columns(seed))


@cache
def _columns(seed: int) -> Columns:
    rng = np.random.default_rng(seed)
    return held({
        **probabilities(rng),
        **distances(rng),
        **biases(rng),
        **timings(rng),
        "n_bytes": rng.integers(100, 400, N),
        "cluster": np.array([f"c{i // 3}" for i in range(N)]),
        "group.dialect": rng.choice(["north", "south"], N),
        "group.skill": rng.choice(["recall", "fact", "agreement"], N),
        "group.scanner": rng.choice(["A", "B"], N),
        **variants(rng, N),
    })  # fmt: skip


def held(c: Columns) -> Columns:
    """The same columns, which nobody can write to."""
    for values in c.values():
        values.flags.writeable = False
    return c


def absent(metric: Metric) -> str:
    """The package that the metric needs and that is not here."""
    package = OPTIONAL.get(metric.name, "")
    return package if package and find_spec(package) is None else ""


EVERYTHING = Scoring(  # what a segmentation task can declare; all of them make their metrics from such a declaration
    classes=("a", "b"), dimensions=3, tolerance=2.0, tubular=("a",), lesions=("b",), lesion_least_mm3=2.0,
    instances=True, raters=True, failure_dice=0.5, policy="brats",
)  # fmt: skip
SEGMENTED = tuple(
    metric
    for metric in metrics_of(EVERYTHING, {"scanner": ("A", "B")})
    if "class=a" in metric.name or "class=b" not in metric.name or "iou" in metric.name  # one class of two is enough
)
OF_MASKS = {id(metric) for metric in SEGMENTED}


def group_of(task: Any) -> str:
    """Classification tasks make their metrics in one place, so one of each name stands for all."""
    return task.kind if task.kind == "classification" else task.name


ALL = {
    **METRICS,
    **{f"{group_of(t)}: {m.name}": m for t in TASKS.values() if t.kind != "segmentation" for m in t.metrics},
    **{f"segmentation: {metric.name}": metric for metric in SEGMENTED},
}
each = pytest.mark.parametrize(
    "metric",
    [
        pytest.param(m, id=name, marks=pytest.mark.skipif(bool(absent(m)), reason=f"{absent(m)} is not installed"))
        for name, m in ALL.items()
    ],
)


def columns_for(metric: Metric) -> Columns:
    """`columns`, or as many items as the metric needs."""
    if id(metric) in OF_MASKS:
        return columns() | of_masks()
    early = any(part in metric.name for part in ("logauc", "ef_1pc"))
    if not early and not any(
        part in metric.name for part in ("variant", "corruption", "first=", "utilisation", "imbalance")
    ):
        return columns()
    return dict(early_columns() if early else varied_columns())


@cache
def early_columns() -> Columns:
    """Items enough for a thousand negatives, or for the best one in a hundred."""
    rng = np.random.default_rng(0)
    clusters = np.array([f"c{i // 3}" for i in range(MANY)])
    return held({**probabilities(rng, MANY), **variants(rng, MANY), "cluster": clusters})


@cache
def varied_columns() -> Columns:
    """Items enough for every variant of every task."""
    rng, n = np.random.default_rng(0), 4 * MANY  # two dozen items of every variant, half of which are right
    right = {"correct": rng.integers(0, 2, n), "cluster": np.array([f"c{i // 16}" for i in rng.permutation(n)])}
    return held({**probabilities(rng, n), **variants(rng, n), **right})


@cache
def of_masks() -> Columns:
    """Outcomes of a segmentation task that declares everything."""
    return segmented(EVERYTHING, N)


def shuffled(c: Columns, order: np.ndarray[Any, Any]) -> Columns:
    return {name: values[order] for name, values in c.items()}


@each
def test_row_order_changes_nothing(metric: Metric) -> None:
    c = columns_for(metric)
    order = np.random.default_rng(1).permutation(len(c["cluster"]))
    assert metric(shuffled(c, order)) == pytest.approx(metric(c), rel=1e-12)


@each
@pytest.mark.usefixtures("fewer_resamples")
def test_values_stay_within_the_bounds_and_so_do_intervals(metric: Metric) -> None:
    low, high = (-math.inf if metric.bounds[0] is None else metric.bounds[0],
                 math.inf if metric.bounds[1] is None else metric.bounds[1])  # fmt: skip
    (m,) = measure.scores([metric], columns_for(metric), seed=0)
    assert m.value is not None
    assert low <= m.value <= high
    if metric.no_interval:
        assert (m.low, m.high, m.method, m.reason) == (None, None, None, metric.no_interval)
        return
    assert m.low is not None
    assert m.high is not None
    assert low <= m.low <= m.value <= m.high <= high
    assert m.method


@each
def test_no_items_is_undefined_and_not_a_number(metric: Metric) -> None:
    empty = {name: values[:0] for name, values in columns_for(metric).items()}
    with pytest.raises(Undefined):
        metric(empty)
    (m,) = measure.scores([metric], empty, seed=0)
    assert (m.value, m.low, m.high) == (None, None, None)
    assert m.reason


@each
def test_twice_the_rows_change_no_mean_and_double_every_count(metric: Metric) -> None:
    c = columns_for(metric)
    twice = {name: np.concatenate([values, values]) for name, values in c.items()}
    stem = metric.name.partition("[")[0]
    factor = 2 if metric.unit in ("cases", "items") or stem.startswith("fp_per_patient") else 1
    if stem not in GRAINED and not stem.endswith(OF_CHANCE):
        assert metric(twice) == pytest.approx(factor * metric(c), rel=1e-12)
    assert metric.observations(twice) == 2 * metric.observations(c)


@each
def test_a_value_by_counts_is_that_of_repeated_rows(metric: Metric) -> None:
    """What the bootstrap asks for: the same as the metric of rows that are repeated, or left out, so often."""
    if not isinstance(metric.whole, ByCounts):
        return
    c, rng = columns_for(metric), np.random.default_rng(6)
    c = metric.rows({name: np.round(v, 2) if name in ("confidence", "score") else v for name, v in c.items()})  # ties
    n = len(c[metric.needs[0]])
    value = metric.whole.prepared(c)
    draws = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(5)]
    for counts_N in (np.ones(n, dtype=int), *draws, draws[0] * 3):
        expected = metric.of_rows(c, np.repeat(np.arange(n), counts_N))
        assert value(counts_N) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@each
def test_terms_have_the_declared_width_and_finish_takes_stacks(metric: Metric) -> None:
    c = metric.rows(columns_for(metric))
    if metric.whole is not None:
        with pytest.raises(TypeError, match="no terms"):
            metric.terms(c)
        assert metric.of_rows(c, np.arange(len(c["cluster"]))) == metric(c)
        return
    terms = metric.terms(c)
    assert terms.dtype == np.float64
    assert terms.shape[0] == len(c["cluster"])
    if metric.total is not None:
        np.testing.assert_allclose(metric.total(c), terms.sum(axis=0), rtol=1e-12)
    sums = terms.sum(axis=0)
    stacked = metric.finish(np.stack([sums, sums, 2 * sums]))
    assert stacked.shape == (3,)
    assert stacked[0] == stacked[1] == pytest.approx(float(metric.finish(sums)))
    if metric.width:  # a spread has as many as there are groups
        assert terms.shape[1] == metric.width


@each
def test_documentation(metric: Metric) -> None:
    assert metric.reference
    assert metric.needs
    assert metric.higher_is_better in (True, False, None)
    stem = metric.name.partition("[")[0]
    described = stem in DESCRIPTIONS or stem.endswith(OF_CHANCE) or stem.startswith("n_left_out_")
    assert (metric.higher_is_better is None) == described


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_metrics_of_a_task_have_distinct_names_and_the_primary_is_one(task: Any) -> None:
    names = [m.name for m in task.metrics]
    assert len(set(names)) == len(names)
    assert task.primary in names
    assert task.title
    assert task.version
    if task.dataset.content_sha256:
        assert len(task.dataset.content_sha256) == 64
    else:  # nobody has published one: the task digests what it finds
        assert type(task).data_sha256 is not Task.data_sha256
    assert task.dataset.licence
    assert task.dataset.source

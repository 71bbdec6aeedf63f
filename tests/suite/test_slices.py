"""Error slices: a planted one is found and described, none is made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import REPOSITORY, Ran, one_line

from suite import slice_rules, slices
from suite.errors import InputError
from suite.metrics.base import Columns
from suite.metrics.classification import ACCURACY, NLL
from suite.metrics.groups import of_group
from suite.metrics.language import PERPLEXITY

N = 800
RESULTS = ("--results", str(REPOSITORY / "results"))


def outcomes(seed: int, wrong_in_slice: float, wrong: float = 0.1) -> Columns:
    """Items of two sites with an image statistic; at site B above 0.7 a model errs with another rate."""
    rng = np.random.default_rng(seed)
    site, mean = rng.choice(["A", "B"], N), rng.random(N)
    planted = (site == "B") & (mean > 0.7)
    correct = rng.random(N) >= np.where(planted, wrong_in_slice, wrong)
    return {
        "item": np.array([f"i{k:04d}" for k in range(N)]),
        "cluster": np.array([f"i{k:04d}" for k in range(N)]),
        "group.site": site,
        "stat.mean": mean,
        "stat.std": rng.random(N),
        "label": rng.integers(0, 5, N),
        "probs": rng.dirichlet(np.ones(5), N),
        "correct": correct.astype(int),
        "nll": np.where(correct, 0.1, 2.0),
    }


def test_a_planted_slice_is_found_and_described() -> None:
    c = outcomes(0, wrong_in_slice=0.6)
    found = slices.search(c, ACCURACY)
    best = found.slices[0]
    assert "group.site" in best.words
    assert "stat.mean > 0." in best.words
    assert (best.value, best.rest) == (pytest.approx(0.4, abs=0.15), pytest.approx(0.9, abs=0.05))
    assert best.gap == pytest.approx(best.rest - best.value)
    assert 0 < best.low < best.gap < best.high
    assert 0.05 <= best.share == best.n / N
    worst = np.isin(c["item"], best.examples)
    assert worst.sum() == slices.EXAMPLES
    assert not c["correct"][worst].any()
    planted = (c["group.site"] == "B") & (c["stat.mean"] > 0.7)
    assert planted[worst].mean() > 0.7
    assert found.n_tested <= sum(found.candidates.values())


def test_lower_is_better_too_and_the_same_twice() -> None:
    c = outcomes(0, wrong_in_slice=0.6)
    one, two = slices.search(c, NLL), slices.search(c, NLL)
    assert one == two
    assert one.slices[0].value > one.slices[0].rest
    order = np.random.default_rng(1).permutation(N)
    again = slices.search({name: values[order] for name, values in c.items()}, NLL)
    assert {s.words for s in again.slices if s.method == "tree"} == {s.words for s in one.slices if s.method == "tree"}


def test_clusters_find_what_no_metadata_says() -> None:
    c = dict(outcomes(0, wrong_in_slice=0.1))
    rng = np.random.default_rng(3)
    strange = rng.random(N) < 0.15
    c["probs"] = np.where(strange[:, None], [0.1, 0.8, 0.1, 0, 0], [0.1, 0, 0, 0.1, 0.8]) + rng.random((N, 5)) * 0.01
    c["correct"] = (rng.random(N) >= np.where(strange, 0.6, 0.05)).astype(int)
    best = slices.search(c, ACCURACY).slices[0]
    assert best.method == "clusters of the model's probabilities"
    assert "0.8" in best.words
    assert "for class 1" in best.words


def test_without_a_slice_nothing_is_reported_in_95_of_100_data_sets() -> None:
    made_up = sum(bool(slices.search(outcomes(seed, wrong_in_slice=0.1), ACCURACY).slices) for seed in range(20))
    assert made_up <= 2  # of 20; 2 of 300 data sets had one when this was written


def test_rows_of_one_item_stay_in_one_half() -> None:
    half = slices._half(np.array(["a", "b", "c", "d"] * 5), 0)
    assert half.reshape(5, 4).sum(axis=0).tolist() in ([5 * (half[k]) for k in range(4)],)
    assert half.sum() == 10


@pytest.mark.parametrize("clusters", (1, 2, 3, 19))
def test_too_few_clusters_to_search_and_to_test(clusters: int) -> None:
    c = {name: values[:200] for name, values in outcomes(0, wrong_in_slice=0.6).items()}
    with pytest.raises(InputError, match=f"of {clusters} independent clusters, too few .* at least 20"):
        slices.search({**c, "cluster": np.arange(200) % clusters}, ACCURACY)


def test_a_gap_of_the_search_alone_has_no_interval_above_zero() -> None:
    """By hand: 2 of 4 wrong in the slice, 0 of 4 elsewhere: the gap is one half."""
    terms = np.array([[0, 1], [0, 1], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1], [1, 1]], dtype=float)
    mask = np.arange(8) < 4
    assert slices._gap(slices._terms(terms, mask).sum(axis=0)) == pytest.approx(0.5)
    assert slices._gap(slices._terms(-terms, mask).sum(axis=0)) == pytest.approx(-0.5)


def test_features_are_metadata_only() -> None:
    used = slice_rules.features(outcomes(0, 0.1), ())
    assert {f.column for f in used} == {"group.site", "stat.mean", "stat.std", "label"}
    more = slice_rules.features(outcomes(0, 0.1), ("nll",))
    assert {f.column for f in more} - {f.column for f in used} == {"nll"}


def ragged(n: int) -> np.ndarray[Any, Any]:
    made = np.empty(n, dtype=object)
    made[:] = [np.zeros(1 + k % 3) for k in range(n)]
    return made


def test_lists_describe_no_slice() -> None:
    c = {**outcomes(0, 0.1), "metadata.boxes": ragged(N)}
    used = slice_rules.features(c, ())
    assert {f.column for f in used} == {"group.site", "stat.mean", "stat.std", "label"}
    for name in ("metadata.boxes", "probs"):
        with pytest.raises(InputError, match=f"column '{name}' holds lists"):
            slice_rules.features(c, (name,))


@pytest.mark.parametrize("extreme", (1e40, -1e300, np.inf))
def test_numbers_beyond_float32_are_searched_too(extreme: float) -> None:
    """Half of the items, and all those on which the model errs, hold it; infinite ones count as missing."""
    large = np.arange(N) % 2 == 0
    c = {name: outcomes(0, 0.1)[name] for name in ("item", "cluster")}
    c |= {"metadata.dose": np.where(large, extreme, 1.0), "stat.peak": np.where(large, extreme, np.arange(N) % 7)}
    c |= {"correct": np.where(large, np.arange(N) % 4 == 0, 1)}
    best = slices.search(c, ACCURACY).slices[0]
    assert best.value == pytest.approx(0.5, abs=0.1)
    assert best.rest == 1.0
    c["metadata.dose"] = np.where(large, np.nan, np.inf)
    assert "metadata.dose" not in {feature.column for feature in slice_rules.features(c, ())}


def test_the_metric_is_a_mean_over_items() -> None:
    c = outcomes(0, 0.1)
    assert slices.chosen_metric((PERPLEXITY, NLL), "perplexity", {"nll": c["nll"]}, None) is NLL
    assert slices.chosen_metric((PERPLEXITY, NLL), "perplexity", c, None) is ACCURACY
    with pytest.raises(InputError, match="mean over items"):
        slices.chosen_metric((PERPLEXITY,), "perplexity", {}, None)
    with pytest.raises(InputError, match="did you mean 'nll'"):
        slices.chosen_metric((NLL,), "nll", c, "nnl")


def test_items_of_none_of_the_classes_are_no_slice() -> None:
    """A classifier is never right on them: among all items they would be the worst slice, by 0.9."""
    c = dict(outcomes(0, wrong_in_slice=0.1))
    novel = np.random.default_rng(4).random(N) < 0.3
    c |= {"part": np.where(novel, "novel", "known"), "label": np.where(novel, -1, c["label"])}
    c |= {"correct": np.where(novel, 0, c["correct"]), "nll": np.where(novel, np.nan, c["nll"])}
    accuracy, nll = (replace(metric, where=(("part", "known"),)) for metric in (ACCURACY, NLL))
    assert slices.search(c, ACCURACY).slices[0].words == "label = -1"
    by_site = [
        replace(of_group(accuracy, "site", site), where=(("group.site", site), *accuracy.where)) for site in "AB"
    ]
    for declared, name in (((nll, accuracy), None), ((nll, accuracy), "nll"), (by_site, "accuracy")):
        chosen = slices.chosen_metric(declared, "accuracy", c, name)
        found = slices.search(c, chosen)
        assert (chosen.name, found.n) == (name or "accuracy", np.sum(~novel))
        assert not [one for one in found.slices if "label = -1" in one.words]
    one = slices.search(c, slices.chosen_metric(by_site, "accuracy", c, "accuracy[site=B]"))
    assert one.n == np.sum(~novel & (c["group.site"] == "B"))
    with pytest.raises(InputError, match="0 items with part = none are too few"):
        slices.search(c, replace(ACCURACY, where=(("part", "none"),)))


def test_too_few_items_and_unknown_columns() -> None:
    c = outcomes(0, 0.1)
    with pytest.raises(InputError, match="at least 100"):
        slices.search({name: values[:99] for name, values in c.items()}, ACCURACY)
    with pytest.raises(InputError, match="unknown column 'site'"):
        slices.search(c, ACCURACY, more=("site",))


def test_the_verb(hallmark: Callable[..., Ran]) -> None:
    ran = hallmark("slices", "embedded-digits-int2", "-t", "digits", *RESULTS, "--json")
    assert ran.code == 0
    found = ran.json
    assert (found["metric"], found["n"], found["level"]) == ("accuracy", 897, 0.95)
    assert found["slices"]
    assert all(s["low"] > 0 and s["share"] >= 0.05 and s["examples"] for s in found["slices"])
    text = hallmark("slices", "embedded-digits-int2", "-t", "digits", *RESULTS)
    assert found["slices"][0]["words"].split(",")[0] in text.out
    one_line(hallmark("slices", "nobody", "-t", "digits", *RESULTS), 2, "no record of 'nobody' on digits")
    one_line(hallmark("slices", "embedded-digits", "-t", "digts", *RESULTS), 2, "did you mean 'digits'")
    one_line(
        hallmark("slices", "embedded-digits", "-t", "digits", *RESULTS, "--metric", "ece_15"), 2, "mean over items"
    )
    assert Path(found["record"]).suffix == ".json"
    assert json.loads(ran.out) == found

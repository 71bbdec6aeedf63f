"""Compression harm: changes of every group's value and of the gap, paired, and flips by group."""

from __future__ import annotations

import numpy as np
import pytest

from suite import harm
from suite.compare import _difference
from suite.errors import IncomparableError, InputError
from suite.metrics import groups
from suite.metrics.base import Columns
from suite.metrics.classification import ACCURACY, NLL
from suite.metrics.frame import Framed


def outcomes(correct: list[int], nll: float) -> Columns:
    n = len(correct)
    return {
        "item": np.array([f"i{i:03d}" for i in range(n)]),
        "cluster": np.array([f"c{i // 2:03d}" for i in range(n)]),
        "group.x": np.array(["a"] * (n // 2) + ["b"] * (n - n // 2)),
        "correct": np.array(correct),
        "nll": np.random.default_rng(0).exponential(size=n) + nll * np.linspace(0, 1, n),
    }


PARENT = outcomes([1] * 30 + [0] * 10 + [1] * 30 + [0] * 10, 0.0)
CHILD = outcomes([1] * 32 + [0] * 8 + [0] * 10 + [1] * 20 + [0] * 10, 0.5)  # a gains 2, b loses 10


def test_changes_and_flips_by_hand() -> None:
    found = harm.harm(PARENT, CHILD, Framed(metrics=(ACCURACY, NLL)), seed=0)
    changes = {one.name: one for one in found.changes}
    assert (changes["accuracy[x=a]"].parent, changes["accuracy[x=a]"].child) == (0.75, 0.8)
    assert changes["accuracy[x=b]"].change.value == pytest.approx(-0.25)
    gap = changes["accuracy_gap[x]"]
    assert (gap.parent, gap.child, gap.change.value) == (0, pytest.approx(0.3), pytest.approx(0.3))
    assert gap.change.low is not None
    assert gap.change.low < 0.3
    flips = {m.name: m.value for m in found.flips}
    assert flips["flips"] == pytest.approx(12 / 80)
    assert (flips["losses[x=a]"], flips["losses[x=b]"]) == (0, 0.25)
    assert (flips["gains[x=a]"], flips["gains[x=b]"]) == (0.05, 0)
    assert flips["losses_gap[x]"] == 0.25
    assert found.summary()["changes"][0]["name"] == "accuracy[x=a]"


def test_shared_resamples_change_no_paired_number() -> None:
    changes = {c.name: c.change for c in harm.harm(PARENT, CHILD, Framed(metrics=(NLL, ACCURACY)), seed=3).changes}
    for make, base in ((groups.gap, NLL), (groups.worst_group, NLL), (groups.gap, ACCURACY)):
        alone = _difference(make(base, "x", 20, merged=True), PARENT, CHILD, 3).difference
        shared = changes[make(base, "x").name]
        assert (shared.value, shared.low, shared.high) == pytest.approx((alone.value, alone.low, alone.high))
        assert (shared.method, shared.n, shared.n_clusters) == (alone.method, alone.n, alone.n_clusters)


def test_what_cannot_be_compared_is_said() -> None:
    framed = Framed(metrics=(ACCURACY,))
    with pytest.raises(IncomparableError, match="same items"):
        harm.harm(PARENT, {**CHILD, "item": CHILD["item"][::-1]}, framed, seed=0)
    with pytest.raises(InputError, match="no group column"):
        harm.harm(PARENT, {n: v for n, v in CHILD.items() if n != "group.x"}, framed, seed=0)
    without = [{n: v for n, v in c.items() if n != "correct"} for c in (PARENT, CHILD)]
    assert harm.harm(without[0], without[1], Framed(metrics=(NLL,)), seed=0).flips == ()

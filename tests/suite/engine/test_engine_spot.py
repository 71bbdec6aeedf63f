"""The check on a run's own items: what it picks and allows, and what follows when it finds a wrong score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from engine_samples import CONTEXT, QUIET, VOCABULARY, Maker, assert_same, build, language, naive, runtime, tokenizer

from suite.engine import spot
from suite.engine.plain import Plain
from suite.engine.runtime import Runtime
from suite.engine.scorer import Shared
from suite.formats._language import CausalModel
from suite.model import Facts, Ints, TokenScores

pytestmark = QUIET


@pytest.fixture(scope="module")
def llama() -> Any:
    return build("llama")


def asked(model: Any, sequences: list[Ints], tails: list[int], shift: float = 0.0) -> list[spot.Asked]:
    """Right scores, each request's first token `shift` nats too high."""
    found = []
    for ids, tail, scores in zip(sequences, tails, naive(model, sequences, tails), strict=True):
        wrong = scores.logprobs_T + shift * (np.arange(tail) == 0)
        found.append((ids, tail, TokenScores(wrong, scores.top_logprobs_T, scores.greedy_T)))
    return found


class TestLook:
    def test_right_scores_hold(self, llama: Any) -> None:
        found = spot.look(Plain(runtime(llama), VOCABULARY), asked(llama, *Maker().mixture()), 2e-4, 10**6)
        assert (found.requests, found.holds) == (spot.MOST, True)
        assert found.gap < 2e-5

    @pytest.mark.parametrize(("tail", "shift", "holds"), [(9, 1e-3, True), (9, 3e-3, False), (18, 3e-3, True)])
    def test_a_longer_request_may_differ_more(self, llama: Any, tail: int, shift: float, holds: bool) -> None:
        requests = asked(llama, [Maker().ids(40)], [tail], shift)
        found = spot.look(Plain(runtime(llama), VOCABULARY), requests, 2e-3, 0)
        assert found.holds == holds
        assert found.gap == pytest.approx(shift, abs=1e-4)

    def test_no_number_does_not_hold(self, llama: Any) -> None:
        requests = asked(llama, [Maker().ids(40), Maker(1).ids(30)], [3, 3])
        good = runtime(llama)
        broken = Plain(Runtime(good.body, lambda rows: good.head(rows) * float("nan")), VOCABULARY)
        found = spot.look(broken, requests, 2e-4, 0)
        assert not found.holds
        assert np.isnan(found.gap)

    @pytest.mark.parametrize(("budget", "count"), [(0, 2), (29, 2), (30, 3), (35, 3), (10**6, 8)])
    def test_cost_is_bounded(self, budget: int, count: int) -> None:
        chosen = spot._choose([11] * 20, budget)
        assert len(chosen) == len(set(chosen)) == count

    def test_the_longest_is_among_them(self) -> None:
        assert spot._choose([5, 6, 99, 7], 0)[0] == 2
        assert spot._choose([5], 0) == [0]


def misled(model: Any) -> CausalModel:
    """A model whose engine ignores masks, though the check at load time has said that it is exact."""
    good = runtime(model)
    assert good.forward is not None
    inner = good.forward

    def forward(ids: Any, visible: Any = None, positions: Any = None, cache: Any = None) -> Any:
        return inner(ids, None, positions, cache)

    bad = Runtime(good.body, good.head, 0, forward)
    facts = Facts("float32", "tree", CONTEXT, VOCABULARY, 0, ("engine tree: it seemed right",))
    return CausalModel(facts, None, bad, Shared(bad, VOCABULARY))


class TestRuns:
    def test_an_exact_engine_is_kept_and_its_difference_told(self, llama: Any) -> None:
        model = language(llama, tokenizer())
        sequences, tails = Maker(2).mixture()
        assert_same(model.score(sequences, tails), naive(llama, sequences, tails))
        assert model.engine is not None
        assert (model.facts.engine, len(model.facts.notes)) == ("tree", 2)
        assert "tree differs from plain by" in model.facts.notes[1]
        assert "requests of the task" in model.facts.notes[1]
        model.score(sequences, tails)
        assert len(model.facts.notes) == 2

    def test_an_engine_that_is_wrong_on_the_task_is_left_and_no_wrong_score_given(self, llama: Any) -> None:
        sequences, tails = Maker(2).task(Maker(1).ids(20), (5, 9, 20))
        model = misled(llama)
        assert model.engine is not None
        wrong = model.engine.score(sequences, tails)
        with pytest.raises(AssertionError):
            assert_same(wrong, naive(llama, sequences, tails))
        for _ in range(2):
            assert_same(model.score(sequences, tails), naive(llama, sequences, tails))
        assert model.engine is None
        assert model.facts.engine == "plain"
        assert model.facts.notes[0] == "engine tree: it seemed right"
        assert model.facts.notes[1].startswith("engine plain: tree differs from plain by ")
        assert model.facts.notes[1].endswith("requests of the task, allowed 2.0e-04")

    def test_nothing_is_checked_where_nothing_is_shared(self, llama: Any) -> None:
        model = language(llama, tokenizer())
        model.token_logprobs([Maker().ids(20)])
        assert model.score([], []) == []
        assert (model.checked, len(model.facts.notes)) == (False, 1)

    def test_threads_do_not_matter(self, llama: Any) -> None:
        sequences, tails = Maker(5).mixture()
        before, scored = torch.get_num_threads(), []
        try:
            for threads in (1, 2):
                torch.set_num_threads(threads)
                scored.append(language(llama, tokenizer()).score(sequences, tails))
        finally:
            torch.set_num_threads(before)
        assert_same(scored[0], scored[1], 1e-5)

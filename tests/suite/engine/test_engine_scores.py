"""Shared scores against whole sequences one at a time, for every architecture and both ways of sharing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine_samples import ARCHITECTURES, QUIET, SHARING, Maker, assert_same, build, naive, runtime

from suite.engine.plain import Plain
from suite.engine.runtime import Runtime
from suite.engine.scorer import Mode, Shared
from suite.engine.trie import Costs

pytestmark = QUIET

EAGER = Costs(prefix=8, saved=8, branches=3, pack=32, tokens=200, cells=4000)
VOCABULARY = 120


@pytest.fixture(scope="module")
def llama() -> Any:
    return build("llama")


def shared(model: Any, mode: Mode = "tree", costs: Costs = EAGER) -> Shared:
    return Shared(runtime(model), VOCABULARY, mode, costs=costs)


@pytest.mark.parametrize("name", SHARING)
def test_the_mode_of_each_architecture(name: str) -> None:
    model = build(name)
    sequences, tails = Maker().mixture()
    scorer = shared(model, ARCHITECTURES[name][0])  # type: ignore[arg-type]
    assert_same(scorer.score(sequences, tails), naive(model, sequences, tails))


@pytest.mark.parametrize("mode", ["tree", "kv"])
@pytest.mark.parametrize("costs", [Costs(), EAGER, replace(EAGER, tokens=1, cells=1), replace(EAGER, branches=99)])
def test_budgets_do_not_matter(llama: Any, mode: Mode, costs: Costs) -> None:
    sequences, tails = Maker(1).mixture()
    assert_same(shared(llama, mode, costs).score(sequences, tails), naive(llama, sequences, tails))


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_the_plain_path_of_each_architecture(name: str) -> None:
    """Padding follows the tokens, so that no model needs a mask."""
    model = build(name)
    sequences, tails = Maker(2).mixture()
    assert_same(Plain(runtime(model), VOCABULARY, 300).score(sequences, tails), naive(model, sequences, tails))


@pytest.mark.parametrize(
    ("lengths", "batches"),
    [
        ([1025, 701, 1025, 1025, 701, 701], [[0, 2], [3], [1, 4], [5]]),  # two a forward; a shorter one is not padded
        ([30, 5, 5, 900], [[3], [0, 1, 2]]),
        ([101, 2, 2], [[0, 1, 2]]),  # too little work to be cut further
        ([1, 2, 0], [[1]]),
        ([5000], [[0]]),
    ],
)
def test_unshared_work_is_padded_little(llama: Any, lengths: list[int], batches: list[list[int]]) -> None:
    sequences = [np.zeros(length, dtype=np.int64) for length in lengths]
    assert list(Plain(runtime(llama), VOCABULARY, 2048)._batches(sequences)) == batches


@pytest.mark.parametrize("mode", ["tree", "kv"])
class TestCalls:
    def test_a_prefix_is_kept_between_calls(self, llama: Any, mode: Mode) -> None:
        maker, scorer = Maker(), shared(llama, mode, Costs())
        block = maker.ids(60)
        for size in (60, 60, 40, 60, 55):
            sequences, tails = maker.task(block[:size], (3, 5))
            assert_same(scorer.score(sequences, tails), naive(llama, sequences, tails))
        assert scorer._kept.computed < 2 * 60
        before = scorer.counts.positions
        sequences, tails = maker.task(block, (5,), lengths=(1, 1))
        scorer.score(sequences, tails)
        assert scorer.counts.positions - before < 60

    def test_unrelated_calls_after_each_other(self, llama: Any, mode: Mode) -> None:
        maker, scorer = Maker(), shared(llama, mode)
        for _ in range(3):
            sequences, tails = maker.task(maker.ids(30), (3, 5, 5, 9))
            assert_same(scorer.score(sequences, tails), naive(llama, sequences, tails))

    def test_order_subset_and_batch_do_not_matter(self, llama: Any, mode: Mode) -> None:
        sequences, tails = Maker(3).mixture()
        whole = shared(llama, mode).score(sequences, tails)
        scorer = shared(llama, mode)
        for order in np.array_split(np.random.default_rng(0).permutation(len(sequences)), 5):
            part = scorer.score([sequences[i] for i in order], [tails[i] for i in order])
            assert_same(part, [whole[i] for i in order], 1e-5)

    def test_nothing_asked(self, llama: Any, mode: Mode) -> None:
        assert shared(llama, mode).score([], []) == []

    def test_duplicates_are_computed_once(self, llama: Any, mode: Mode) -> None:
        ids, scorer = Maker().ids(20), shared(llama, mode, Costs())
        scored = scorer.score([ids] * 6, [3] * 6)
        assert_same(scored, naive(llama, [ids] * 6, [3] * 6))
        assert scorer.counts.positions == 19

    def test_one_token_choices_need_the_context_alone(self, llama: Any, mode: Mode) -> None:
        maker, scorer = Maker(), shared(llama, mode, Costs())
        sequences, tails = maker.item(maker.ids(30), (1, 1, 1, 1))
        assert_same(scorer.score(sequences, tails), naive(llama, sequences, tails))
        assert scorer.counts.positions == 30

    def test_a_whole_sequence_is_scored(self, llama: Any, mode: Mode) -> None:
        """All but the first token: the context is one token."""
        maker = Maker()
        sequences = [maker.ids(n) for n in (2, 9, 30)]
        tails = [len(ids) - 1 for ids in sequences]
        assert_same(shared(llama, mode).score(sequences, tails), naive(llama, sequences, tails))


def test_choices_share_among_themselves(llama: Any) -> None:
    maker, scorer = Maker(), shared(llama, "tree", Costs())
    context, stem = maker.ids(40), maker.ids(10)
    sequences = [np.concatenate([context, stem, maker.ids(2)]) for _ in range(4)]
    scored = scorer.score(sequences, [12] * 4)
    assert_same(scored, naive(llama, sequences, [12] * 4))
    assert scorer.counts.positions <= 40 + 10 + 4


def test_each_position_is_projected_once(llama: Any) -> None:
    plain, rows = runtime(llama), 0

    def head(features: torch.Tensor) -> torch.Tensor:
        nonlocal rows
        rows += len(features)
        return plain.head(features)

    maker = Maker()
    sequences, tails = maker.item(maker.ids(30), (1, 1, 3, 3))
    Shared(replace(plain, head=head), VOCABULARY).score(sequences, tails)
    assert rows == 1 + 2 + 2  # what follows the context is predicted at one position


def test_a_runtime_that_gives_logits_only(llama: Any) -> None:
    split = runtime(llama)
    from suite.engine.runtime import transformers_forward

    logits = transformers_forward(llama, "logits", llama.device, llama.dtype)
    whole = Runtime(lambda ids, _: logits(ids), lambda rows: rows, VOCABULARY, logits)
    sequences, tails = Maker(4).mixture()
    one, two = (Shared(each, VOCABULARY, costs=EAGER).score(sequences, tails) for each in (split, whole))
    assert_same(one, two, 2e-5)


def test_distinct_tokens_alone_cost(llama: Any) -> None:
    """Sixteen times the items after one block: the block is computed once."""
    maker = Maker()
    block, counts = maker.ids(100), []
    for items in (4, 16, 64):
        scorer = shared(llama, "tree", Costs())
        for _ in range(items // 4):
            scorer.score(*maker.task(block, (5, 6, 7, 8), lengths=(1, 1)))
        counts.append(scorer.counts.positions)
    assert counts[2] < 64 * 12 + 400
    assert counts[2] - counts[1] < 48 * 12


def test_bfloat16_is_closer_to_float32_than_summing_in_bfloat16() -> None:
    """As lm-eval does it: log-softmax and sum in the model's dtype."""
    exact = build("llama")
    sequences, tails = Maker(5).task(Maker(5).ids(30), (4, 8, 9, 12), lengths=(6, 12, 20))
    truth = np.array([scores.logprobs_T.sum() for scores in naive(exact, sequences, tails)])
    half = build("llama").to(torch.bfloat16)
    theirs = []
    for ids, tail in zip(sequences, tails, strict=True):
        with torch.no_grad():
            logprobs = half(input_ids=torch.from_numpy(ids)[None, :-1]).logits[0].log_softmax(dim=-1)[-tail:]
        theirs.append(float(logprobs.gather(1, torch.from_numpy(ids[-tail:])[:, None]).sum()))
    ours = [scores.logprobs_T.sum() for scores in shared(half).score(sequences, tails)]
    assert np.abs(np.array(ours) - truth).mean() < np.abs(np.array(theirs) - truth).mean()
    assert len({float(value) % 0.25 for value in ours}) > 6  # no lattice of sixteen-bit sums

"""The engine's scores against lm_eval's Hugging Face backend: random models of many architectures, and a real one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_samples import ARCHITECTURES, CONTEXT, QUIET, Maker, build, language, naive, tokenizer

from suite.formats import LOADERS
from suite.formats._language import CausalModel
from suite.formats.base import Place
from suite.manifest import Inputs
from suite.model import Ints

pytestmark = QUIET

BARE = ("llama", "gpt2", "mistral", "mamba")  # also asked with a tokenizer that begins with nothing
TOLERANCE = 2e-4  # nats of a request's summed log-probability
STORY = "once upon a time there was a little girl. the cat sat in the sun, and the girl sang to her cat."
SHOTS = "".join(f"Q: what did {name} see?\nA: a bird.\n\n" for name in ("ann", "ben", "the hen"))


def peer(model: Any, tokens: Any, batch: int = 4, **options: Any) -> Any:
    """lm_eval's backend around the same model."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=model, tokenizer=tokens, batch_size=batch, max_length=CONTEXT, **options)


def answers(theirs: Any, contexts: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[tuple[float, bool]]]:
    from lm_eval.api.instance import Instance

    pairs = [(context, choice) for context, options in zip(contexts, choices, strict=True) for choice in options]
    found = iter(theirs.loglikelihood([Instance("loglikelihood", {}, pair, 0) for pair in pairs], disable_tqdm=True))
    return [[next(found) for _ in options] for options in choices]


def rolling(theirs: Any, texts: Sequence[str]) -> list[float]:
    from lm_eval.api.instance import Instance

    requests = [Instance("loglikelihood_rolling", {}, (text,), 0) for text in texts]
    found: list[float] = theirs.loglikelihood_rolling(requests, disable_tqdm=True)
    return found


def agree(ours: CausalModel, theirs: Any, contexts: Sequence[str], choices: Sequence[Sequence[str]]) -> None:
    expected = answers(theirs, contexts, choices)
    for scores, pairs in zip(ours.choice_logprobs(contexts, choices), expected, strict=True):
        np.testing.assert_allclose(scores.logprobs_K, [logprob for logprob, _ in pairs], atol=TOLERANCE)
        assert scores.greedy_K.tolist() == [greedy for _, greedy in pairs]


def agree_on_tokens(ours: CausalModel, theirs: Any, sequences: list[Ints], tails: list[int]) -> list[bool]:
    pairs = [(ids[: len(ids) - tail].tolist(), ids[len(ids) - tail :].tolist())
             for ids, tail in zip(sequences, tails, strict=True)]  # fmt: skip
    expected = theirs._loglikelihood_tokens([(("", ""), *pair) for pair in pairs], disable_tqdm=True)
    scored = ours.score(sequences, tails)
    np.testing.assert_allclose([one.logprobs_T.sum() for one in scored], [two[0] for two in expected], atol=TOLERANCE)
    flags = [bool(one.greedy_T.all()) for one in scored]
    assert flags == [two[1] for two in expected]
    return flags


def continued(model: Any, ids: Ints, length: int) -> Ints:
    """A sequence with what greedy decoding adds."""
    row = torch.from_numpy(ids)[None]
    for _ in range(length):
        with torch.no_grad():
            best = model(input_ids=row, use_cache=False).logits[0, -1].argmax()
        row = torch.cat([row, best.view(1, 1)], dim=1)
    extended: Ints = row[0].numpy()
    return extended


CONTEXTS = [
    STORY,
    STORY[:31],
    STORY[:32],  # ends in the middle of "there"
    STORY[:33],
    "once upon a t",
    "once upon a th",
    "",
    "  ",
    STORY + "  ",
    STORY * 3,  # longer than the model's context
    STORY * 3 + " upon",
    STORY,
]
CHOICES = [
    " the end.",
    " the",
    "her eyes",
    "ere was",
    " a",
    "z",
    " the end.",
    " and then the girl sang to her cat in the sun.",
]


@pytest.mark.parametrize(
    ("name", "begins"), [*((name, True) for name in ARCHITECTURES), *((name, False) for name in BARE)]
)
def test_every_architecture_on_text(name: str, begins: bool) -> None:
    """Truncation, empty contexts, duplicates, choices of one token, prefixes cut inside a token."""
    model, tokens = build(name), tokenizer(begins)
    contexts = [context for context in CONTEXTS if begins or context.strip() or not context]  # lm-eval stops at blanks
    ours = language(model, tokens)
    assert ours.facts.engine == ARCHITECTURES[name][0]
    agree(ours, peer(model, tokens), contexts, [CHOICES] * len(contexts))


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_every_architecture_on_tokens(name: str) -> None:
    """A shared block, and what greedy decoding gives: the flags are not all false."""
    model, maker = build(name), Maker(3)
    sequences, tails = maker.mixture()
    for length in (1, 3, 6):
        start = sequences[0][: 20 + length]
        sequences.append(continued(model, start, length))
        tails.append(length)
    theirs = peer(model, tokenizer(), logits_cache=False)  # its cache confuses equal sequences that are cut elsewhere
    flags = agree_on_tokens(language(model, tokenizer()), theirs, sequences, tails)
    assert flags[-3:] == [True] * 3
    assert not all(flags)


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt", "mistral", "mpt", "mamba"])
def test_rolling(name: str) -> None:
    """lm-eval predicts a text from a begin token in windows of the context; ours are given the same windows."""
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    model, tokens = build(name), tokenizer(begins=False)
    ours, theirs = language(model, tokens), peer(model, tokens, softmax_dtype=torch.float64)  # its sums, too
    texts = [STORY, STORY * 3, "a"]
    for text, expected in zip(texts, rolling(theirs, texts), strict=True):
        windows = get_rolling_token_windows(tokens.encode(text), tokens.bos_token_id, CONTEXT, 1)
        pairs = [make_disjoint_window(window) for window in windows]
        scored = ours.token_logprobs([np.array(before + after) for before, after in pairs])
        found = sum(float(s.logprobs_T[-len(after) :].sum()) for s, (_, after) in zip(scored, pairs, strict=True))
        assert found == pytest.approx(expected, abs=TOLERANCE)
    assert not ours.checked


def test_bfloat16_is_closer_to_float32() -> None:
    """lm-eval takes log-softmax and sums in bfloat16, on a lattice; 200 requests, since both share the body's error."""
    model, maker = build("llama", initializer_range=0.1), Maker(5)
    sequences, tails = maker.task(maker.ids(30), (4, 8, 9, 12) * 10, lengths=(2, 6, 12, 20, 40))
    truth = np.array([scores.logprobs_T.sum() for scores in naive(model, sequences, tails)])
    half = build("llama", initializer_range=0.1).to(torch.bfloat16)
    pairs = [(("", ""), ids[:-tail].tolist(), ids[-tail:].tolist()) for ids, tail in zip(sequences, tails, strict=True)]
    theirs = np.array([one[0] for one in peer(half, tokenizer())._loglikelihood_tokens(pairs, disable_tqdm=True)])
    shared = language(half, tokenizer())
    assert shared.facts.engine == "tree"
    found = np.array([scores.logprobs_T.sum() for scores in shared.score(sequences, tails)])
    assert shared.facts.engine == "tree"
    assert np.abs(found - truth).mean() < 0.7 * np.abs(theirs - truth).mean()
    assert len(set(theirs % 0.25)) < len(set(found % 0.25)) / 4


@pytest.fixture(scope="module")
def stories() -> tuple[CausalModel, Any]:
    """The real model in both hands."""
    mirror = os.environ.get("HALLMARK_DATA")
    if not mirror:
        pytest.skip("HALLMARK_DATA is not set: needs lm_stories260k")
    from lm_eval.models.huggingface import HFLM

    folder = Path(mirror) / "lm_stories260k"
    loaded = LOADERS["transformers"].load(folder, "language", Inputs(), Place())
    assert isinstance(loaded, CausalModel)
    return loaded, HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=4)


class TestStories:
    def test_contexts_and_choices(self, stories: tuple[CausalModel, Any]) -> None:
        ours, theirs = stories
        assert ours.facts.engine == "tree"
        contexts = [STORY, STORY + " One day", "Tom", "Tom ", "", "  ", STORY + "  ", "Once upon a tim", STORY]
        options = [" she went home.", " the", " a", "She", "xyz", " The cat sat on the mat and was happy", " the"]
        agree(ours, theirs, contexts, [options] * len(contexts))

    def test_few_shots(self, stories: tuple[CausalModel, Any]) -> None:
        contexts = [f"{SHOTS}Q: What did {name} see {where}?\nA:" for name in ("Tom", "Lily", "Ben", "Mia", "the dog")
                    for where in ("there", "in the park")]  # fmt: skip
        options = [" A ball.", " A big red ball.", " A big dog ran.", " yes", " no"]
        agree(*stories, contexts, [options] * len(contexts))
        for context in contexts:  # one call an item: the block of the calls before is still there
            agree(*stories, [context], [options])

    def test_truncation(self, stories: tuple[CausalModel, Any]) -> None:
        long = " ".join(STORY for _ in range(30))
        agree(*stories, [long, long + " Lily", long[50:]], [[" was", " was happy and", " ran"]] * 3)

    def test_greedy_continuations(self, stories: tuple[CausalModel, Any]) -> None:
        ours, theirs = stories
        sequences, tails = [], []
        for context in ("Once upon a time", "The dog was", "Lily and Tom"):
            ids = np.array(ours.tokenizer.encode(context))
            for length in (1, 2, 5, 9):
                sequences.append(continued(theirs.model, ids, length))
                tails.append(length)
        assert agree_on_tokens(ours, theirs, sequences, tails) == [True] * len(sequences)

    def test_rolling(self, stories: tuple[CausalModel, Any]) -> None:
        """A begin token before the tokenizer's own, as lm-eval has it; it sums in float32."""
        ours, theirs = stories
        ids = np.array([ours.tokenizer.bos_token_id, *ours.tokenizer.encode(STORY * 4)])
        assert len(ids) - 1 <= ours.context
        (expected,) = rolling(theirs, [STORY * 4])
        assert float(ours.token_logprobs([ids])[0].logprobs_T.sum()) == pytest.approx(expected, abs=5e-4)


def test_results_do_not_depend_on_batch_order_or_subset() -> None:
    """What the engine gives for one item is what it gives in any company, to 1e-5."""
    model, tokens = build("llama"), tokenizer()
    items = [(context, CHOICES) for context in CONTEXTS] + [(SHOTS + f"Q: {c}\nA:", CHOICES) for c in "abcdefgh"]
    whole = language(model, tokens).choice_logprobs(*zip(*items, strict=True))
    draw = np.random.default_rng(0)
    for size in (1, 3, 7):
        ours, order = language(model, tokens), draw.permutation(len(items))[:15]
        for start in range(0, len(order), size):
            part = order[start : start + size]
            for i, scores in zip(part, ours.choice_logprobs(*zip(*[items[i] for i in part], strict=True)), strict=True):
                np.testing.assert_allclose(scores.logprobs_K, whole[i].logprobs_K, atol=1e-5)
                assert scores.greedy_K.tolist() == whole[i].greedy_K.tolist()

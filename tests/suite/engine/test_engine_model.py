"""The engine inside a language model: lengths, blame, and the plain path."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_samples import CONTEXT, QUIET, VOCABULARY, Maker, assert_same, build, naive, runtime

from suite.engine.runtime import Runtime
from suite.engine.scorer import Shared
from suite.errors import AnswerError
from suite.formats import _language
from suite.formats._language import CausalModel
from suite.model import Facts

pytestmark = QUIET


def wrap(computes: Runtime, limit: int | None = None) -> CausalModel:
    facts = Facts("float32", "tree", CONTEXT, VOCABULARY, 0)
    return CausalModel(facts, None, computes, Shared(computes, VOCABULARY, limit=limit))


class TestTokens:
    def test_long_ones_take_the_plain_path(self) -> None:
        model = build("mistral")
        sequences, tails = Maker(1).mixture()
        language = wrap(runtime(model), limit=16)
        assert_same(language.score(sequences, tails), naive(model, sequences, tails))
        assert language.engine is not None
        assert language.engine.counts.positions > 0

    def test_one_broken_token_is_blamed_on_its_item(self) -> None:
        """Its neighbours share a row of the forward with it; they are finite all the same."""
        model = build("llama")
        with torch.no_grad():
            model.get_input_embeddings().weight[50] = float("nan")
        maker = Maker()
        block = np.array([3, 4, 5] * 15)
        sequences = [np.concatenate([block, maker.ids(4) % 40 + 3, [60]]) for _ in range(12)]
        language = wrap(runtime(model))
        expected = naive(model, sequences, [1] * 12)
        assert_same(language.score(sequences, [1] * 12), expected)
        sequences[7][-2] = 50
        with pytest.raises(AnswerError, match="not a number") as caught:
            language.score(sequences, [1] * 12, owners=[i // 2 for i in range(12)])
        assert caught.value.index == 3

    def test_infinity_is_an_error(self) -> None:
        good = runtime(build("llama"))

        def head(rows: torch.Tensor) -> torch.Tensor:
            logits = good.head(rows)
            logits[:, 77] = -torch.inf
            return logits

        language = wrap(Runtime(good.body, head, 0, good.forward))
        fine, bad = np.array([3, 4, 5]), np.array([3, 4, 77])
        assert np.isfinite(language.score([fine], [1])[0].logprobs_T).all()
        with pytest.raises(AnswerError, match="infinite") as caught:
            language.score([fine, bad], [1, 1])
        assert caught.value.index == 1

    @pytest.mark.parametrize("ids", [[3, 120], [-1, 3], [3] * (CONTEXT + 2)])
    def test_unusable_ids(self, ids: list[int]) -> None:
        with pytest.raises(AnswerError) as caught:
            wrap(runtime(build("llama"))).score([np.array([3, 4]), np.array(ids)], [1, 1])
        assert caught.value.index == 1


def test_running_text_takes_the_plain_path_and_a_chunked_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """No mask, no cache, and no more rows of logits at once than the budget holds."""
    model, calls, rows = build("llama"), [], []
    language = wrap(runtime(model))
    model.base_model.register_forward_pre_hook(lambda _m, _a, named: calls.append(dict(named)), with_kwargs=True)
    model.lm_head.register_forward_pre_hook(lambda _m, given: rows.append(given[0].shape[0]))
    monkeypatch.setattr(_language, "_LOGITS_BYTES", 4 * VOCABULARY * 50)
    sequences = [Maker(n).ids(n) for n in (CONTEXT, CONTEXT - 9, 40)]
    assert_same(language.token_logprobs(sequences), naive(model, sequences, [len(ids) - 1 for ids in sequences]))
    theirs = 3  # forwards of `naive`, each with all its rows
    assert all(set(call) == {"input_ids", "use_cache"} and not call["use_cache"] for call in calls[:-theirs])
    assert len(calls) > theirs
    assert max(rows[:-theirs]) == 50
    assert sum(rows[:-theirs]) == sum(len(ids) - 1 for ids in sequences)

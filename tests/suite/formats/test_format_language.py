"""Scores of a language model against the library's own logits, one sequence at a time."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from format_samples import TEXTS, expected_logprobs, expected_scores, save_tokenizer

from suite.child import Child
from suite.errors import AnswerError
from suite.formats import LOADERS, _language
from suite.formats._language import CausalModel
from suite.formats.base import Place
from suite.manifest import Inputs
from suite.remote import RemoteLanguageModel


def load(folder: Path) -> CausalModel:
    loaded = LOADERS["transformers"].load(folder, "language", Inputs(), Place())
    assert isinstance(loaded, CausalModel)
    return loaded


@pytest.fixture(scope="module")
def model(made: Path) -> CausalModel:
    return load(made / "llama")


class TestEncode:
    def test_offsets_rise_to_the_text_s_end(self, model: CausalModel) -> None:
        for text, encoded in zip(TEXTS, model.encode(TEXTS), strict=True):
            assert (np.diff(encoded.ends_T) >= 0).all()
            assert encoded.ends_T[-1] == len(text)
            assert encoded.ids_T.dtype == encoded.ends_T.dtype == np.int64
            assert 0 not in encoded.ids_T

    def test_empty_text(self, model: CausalModel) -> None:
        assert model.encode([""])[0].ids_T.shape == (0,)


class TestTokenLogprobs:
    def test_against_whole_logits(self, made: Path, model: CausalModel) -> None:
        sequences = [encoded.ids_T for encoded in model.encode(TEXTS)]
        for ids, scored in zip(sequences, model.token_logprobs(sequences), strict=True):
            right, top, greedy = expected_scores(made / "llama", ids)
            assert (scored.logprobs_T.dtype, scored.top_logprobs_T.dtype) == (np.float64, np.float64)
            np.testing.assert_allclose(scored.logprobs_T, right, atol=1e-5)
            np.testing.assert_allclose(scored.top_logprobs_T, top, atol=1e-5)
            assert scored.greedy_T.tolist() == greedy.tolist()

    def test_chunks_and_batches_do_not_matter(self, model: CausalModel, monkeypatch: pytest.MonkeyPatch) -> None:
        sequences = [encoded.ids_T for encoded in model.encode(TEXTS)]
        before = model.token_logprobs(sequences)
        monkeypatch.setattr(_language, "_LOGITS_BYTES", 4 * 300 * 3)
        monkeypatch.setattr(_language, "_FORWARD_TOKENS", 20)
        for one, two in zip(before, model.token_logprobs(sequences), strict=True):
            np.testing.assert_allclose(one.logprobs_T, two.logprobs_T, atol=1e-5)

    def test_full_logits_where_body_and_head_do_not_tell(
        self, made: Path, model: CausalModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("suite.formats._causal._heads", lambda model: [lambda rows: rows])
        whole = load(made / "llama")
        assert (model.runtime.width, whole.runtime.width) == (0, whole.facts.vocabulary)
        sequences = [encoded.ids_T for encoded in model.encode(TEXTS)]
        for one, two in zip(model.token_logprobs(sequences), whole.token_logprobs(sequences), strict=True):
            np.testing.assert_allclose(one.logprobs_T, two.logprobs_T, atol=1e-5)

    def test_short_sequences(self, model: CausalModel) -> None:
        one, none, two = model.token_logprobs([np.array([3]), np.array([], dtype=np.int64), np.array([3, 4])])
        assert [len(scores.logprobs_T) for scores in (one, none, two)] == [0, 0, 1]
        assert [len(scores.greedy_T) for scores in (one, none, two)] == [0, 0, 1]
        assert model.token_logprobs([]) == []

    def test_logits_scaled_by_the_head(self, tmp_path: Path) -> None:
        from transformers import Gemma2Config, Gemma2ForCausalLM

        size = save_tokenizer(tmp_path)
        torch.manual_seed(0)
        config = Gemma2Config(
            vocab_size=size, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, head_dim=8, final_logit_softcapping=0.5, max_position_embeddings=32,
            bos_token_id=0, eos_token_id=1,
        )  # fmt: skip
        Gemma2ForCausalLM(config).save_pretrained(tmp_path)
        capped = load(tmp_path)
        assert capped.runtime.width == 0
        ids = capped.encode(["the dog"])[0].ids_T
        np.testing.assert_allclose(
            capped.token_logprobs([ids])[0].logprobs_T, expected_logprobs(tmp_path, ids), atol=1e-5
        )

    @pytest.mark.parametrize(
        ("ids", "said"),
        [
            ([3, 999], "token ids must be"),
            ([-1, 2], "token ids must be"),
            ([3] * 66, "exceeds the model's context of 64"),
        ],
    )
    def test_unusable_ids(self, model: CausalModel, ids: list[int], said: str) -> None:
        with pytest.raises(AnswerError, match=said) as caught:
            model.token_logprobs([np.array([3, 4]), np.array(ids)])
        assert caught.value.index == 1

    def test_nan_is_an_error(self, model: CausalModel) -> None:
        broken = CausalModel(
            model.facts, model.tokenizer, _language.Runtime(model.runtime.body, lambda rows: rows[:, :1] * float("nan"))
        )
        with pytest.raises(AnswerError, match="not a number"):
            broken.token_logprobs([np.array([0, 0])])


class TestChoiceLogprobs:
    def naive(self, folder: Path, model: CausalModel, context: str, choice: str) -> tuple[float, int]:
        """Each choice alone; token boundaries by the harness's rule, written out again."""
        stripped = context.rstrip()
        prefix = model.tokenizer.encode(stripped) if context else [0]
        whole = model.tokenizer.encode(context + choice)
        whole = whole if context else [0, *model.tokenizer.encode(choice, add_special_tokens=False)]
        tail = len(whole) - len(prefix)
        return float(expected_logprobs(folder, np.array(whole))[-tail:].sum()), tail

    def test_against_one_sequence_at_a_time(self, made: Path, model: CausalModel) -> None:
        contexts = ["once upon", "once upon  ", "", "the dog ran"]
        choices = [[" a time", "!"], ["a time", "the"], ["dog"], [" the", "the", " wörld"]]
        for context, options, scores in zip(contexts, choices, model.choice_logprobs(contexts, choices), strict=True):
            pairs = [self.naive(made / "llama", model, context, option) for option in options]
            np.testing.assert_allclose(scores.logprobs_K, [pair[0] for pair in pairs], atol=1e-4)
            assert scores.n_tokens_K.tolist() == [pair[1] for pair in pairs]

    def test_greedy(self, model: CausalModel) -> None:
        ids = torch.tensor(model.tokenizer.encode("once upon"))[None]
        with torch.no_grad():
            best = int(model.runtime.head(model.runtime.body(ids, None)[0, -1:]).argmax())
        letters = [chr(code) for code in range(33, 127)]
        scores = model.choice_logprobs(["once upon"], [letters])[0]
        tokens = [model.tokenizer.encode(letter, add_special_tokens=False)[0] for letter in letters]
        assert scores.greedy_K.tolist() == [token == best for token in tokens]

    def test_greedy_by_a_head_that_always_says_x(self, model: CausalModel) -> None:
        (favourite,) = model.tokenizer.encode("x", add_special_tokens=False)
        one_hot = torch.nn.functional.one_hot(torch.tensor(favourite), model.facts.vocabulary).float()
        parrot = CausalModel(
            model.facts,
            model.tokenizer,
            _language.Runtime(model.runtime.body, lambda rows: one_hot.expand(len(rows), -1)),
        )
        scores = parrot.choice_logprobs(["once", ""], [["x", "xx", "y", "xy"], ["x"]])
        assert scores[0].greedy_K.tolist() == [True, True, False, False]
        each = 1 - np.log(np.e + model.facts.vocabulary - 1)  # type: ignore[operator]
        np.testing.assert_allclose(scores[0].logprobs_K, [each, 2 * each, each - 1, 2 * each - 1], atol=1e-5)
        assert scores[1].greedy_K.tolist() == [True]

    def test_long_context_loses_its_beginning(self, model: CausalModel) -> None:
        long, short = "b " * 100 + "c d", "a " * 100 + "b " * 50 + "c d"
        one, two = model.choice_logprobs([long, short], [[" e"], [" e"]])
        np.testing.assert_allclose(one.logprobs_K, two.logprobs_K, atol=1e-5)

    def test_text_that_already_begins_with_bos(self, model: CausalModel) -> None:
        one, two = model.choice_logprobs(["<s>once", "once"], [[" upon"], [" upon"]])
        np.testing.assert_allclose(one.logprobs_K, two.logprobs_K, atol=1e-6)

    def test_empty_choice(self, model: CausalModel) -> None:
        with pytest.raises(AnswerError, match="0 tokens") as caught:
            model.choice_logprobs(["once", "once"], [["a"], [""]])
        assert caught.value.index == 1

    def test_blanks_alone_before_a_tokenizer_without_begin(self, made: Path, model: CausalModel) -> None:
        from tokenizers import processors

        tokenizer = copy.deepcopy(model.tokenizer)
        tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        bare = CausalModel(model.facts, tokenizer, model.runtime)
        ids = tokenizer.encode("  dog")
        assert ids[0] != 0
        scores = bare.choice_logprobs(["  "], [["dog"]])[0]
        expected = expected_logprobs(made / "llama", np.array([0, *ids]))
        np.testing.assert_allclose(scores.logprobs_K, [expected.sum()], atol=1e-5)
        assert scores.n_tokens_K.tolist() == [len(ids)]

    def test_no_items(self, model: CausalModel) -> None:
        assert model.choice_logprobs([], []) == []
        assert model.choice_logprobs(["a"], [[]])[0].logprobs_K.shape == (0,)


def test_what_the_run_s_own_items_show_reaches_the_parent(made: Path) -> None:
    order = {"format": "transformers", "weights": str(made / "llama"), "kind": "language", "inputs": {},
             "device": "cpu", "threads": 1}  # fmt: skip
    with Child(order, 120.0) as child:
        model = RemoteLanguageModel(child)
        assert [note.split(":")[0] for note in child.facts.notes] == ["engine tree for shared prefixes"]
        model.token_logprobs([np.array([3, 4, 5])])
        assert len(child.facts.notes) == 1
        for _ in range(2):
            model.choice_logprobs(["once upon", "the dog"], [[" a time", " the"]] * 2)
        assert (child.facts.engine, len(child.facts.notes)) == ("tree", 2)
        assert "requests of the task" in child.facts.notes[1]

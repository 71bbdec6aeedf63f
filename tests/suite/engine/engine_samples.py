"""Tiny random models of many architectures, requests of many shapes, and the slow way to score them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from suite.engine import check
from suite.engine.runtime import Runtime
from suite.formats._causal import parted
from suite.formats._language import CausalModel
from suite.model import Facts, Ints, TokenScores

QUIET = [  # transformers and torchao warn about their own future; the engine does not answer for them
    pytest.mark.filterwarnings(f"ignore::{name}") for name in ("DeprecationWarning", "FutureWarning", "UserWarning")
]
VOCABULARY = 120
CONTEXT = 128
WINDOW = 16
_COMMON = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT, "initializer_range": 0.4,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip
_GPT = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}
_SSM = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.4}
_SLIDING = {**_COMMON, "sliding_window": WINDOW}
_GEMMA = {**_SLIDING, "head_dim": 8, "query_pre_attn_scalar": 8}

ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {  # name: what the self-check should say, configuration
    "llama": ("tree", _COMMON),
    "qwen2": ("tree", _COMMON),
    "qwen3": ("tree", {**_COMMON, "head_dim": 8}),
    "phi": ("tree", _COMMON),
    "cohere": ("tree", {**_COMMON, "logit_scale": 0.25}),
    "gpt2": ("tree", {**_GPT, "initializer_range": 0.4}),
    "gptj": ("tree", {**_GPT, "rotary_dim": 8, "initializer_range": 0.4}),
    "gpt_neox": ("tree", _COMMON),
    "opt": ("tree", {**_COMMON, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.4}),
    "phi3": ("tree", {**_COMMON, "sliding_window": None}),
    "granite": ("tree", {**_COMMON, "logits_scaling": 3.0}),
    "mixtral": ("tree", {**_COMMON, "num_local_experts": 4, "sliding_window": None}),
    "mistral": ("kv", _SLIDING),
    "gpt_neo": ("kv", {**_COMMON, "num_layers": 2, "num_heads": 4, "window_size": WINDOW,
                       "attention_types": [[["global", "local"], 1]]}),
    "llama4_text": ("kv", {**_COMMON, "head_dim": 8, "attention_chunk_size": WINDOW, "num_local_experts": 2,
                           "intermediate_size_mlp": 48}),
    "falcon": ("kv", {**_COMMON, "alibi": True, "new_decoder_architecture": False}),
    "gemma2": ("kv", _GEMMA),
    "gemma3_text": ("kv", _GEMMA),
    "bloom": ("kv", {**_SSM, "n_head": 4, "n_layer": 2}),
    "mpt": ("kv", {"vocab_size": VOCABULARY, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": CONTEXT}),
    "roberta": ("kv", {**_COMMON, "is_decoder": True, "max_position_embeddings": CONTEXT + 3}),
    "mamba": ("plain", {**_SSM, "state_size": 4}),
    "mamba2": ("plain", {**_SSM, "num_heads": 8, "head_dim": 8, "state_size": 4, "n_groups": 1,
                          "chunk_size": 16}),  # 256 by default, which every sequence is padded to
    "recurrent_gemma": ("plain", {**_COMMON, "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": WINDOW}),
    "rwkv": ("plain", {**_SSM, "attention_hidden_size": 32, "context_length": CONTEXT}),
    "jamba": ("plain", {**_COMMON, "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 2,
                        "use_mamba_kernels": False, "mamba_d_state": 4}),
}  # fmt: skip
SHARING = [name for name, (engine, _) in ARCHITECTURES.items() if engine != "plain"]


def build(name: str, **changes: Any) -> Any:
    """A random model of an architecture."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(name, **{**ARCHITECTURES[name][1], **changes})
    return AutoModelForCausalLM.from_config(config).eval()


def runtime(model: Any) -> Runtime:
    """Body and head of a model."""
    return parted(model)[0]


def naive(model: Any, sequences: list[Ints], tails: list[int]) -> list[TokenScores]:
    """One whole sequence at a time through the whole model; log-softmax in float64."""
    found = []
    for ids, tail in zip(sequences, tails, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.from_numpy(ids)[None, :-1], use_cache=False).logits[0, -tail:].double()
        targets = torch.from_numpy(ids[-tail:])
        logprobs = logits.log_softmax(dim=1)
        top, likeliest = logprobs.max(dim=1)
        scores = (logprobs[torch.arange(tail), targets], top, likeliest == targets)
        found.append(TokenScores(*(values.numpy() for values in scores)))
    return found


def assert_same(scored: list[TokenScores], expected: list[TokenScores], tolerance: float = 1e-4) -> None:
    """The same log-probabilities and the same greedy flags."""
    for one, two in zip(scored, expected, strict=True):
        assert (one.logprobs_T.dtype, one.top_logprobs_T.dtype) == (np.float64, np.float64)
        np.testing.assert_allclose(one.logprobs_T, two.logprobs_T, atol=tolerance)
        np.testing.assert_allclose(one.top_logprobs_T, two.top_logprobs_T, atol=tolerance)
        assert one.greedy_T.tolist() == two.greedy_T.tolist()
        assert (one.top_logprobs_T >= one.logprobs_T).all()


def tokenizer(begins: bool = True) -> Any:
    """Bytes and a few merged pieces, below `VOCABULARY`; puts <s> before a text, or nothing."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?:'", "Ġ", "Ċ"]
    pieces = ["th", "the", "Ġt", "he", "in", "er", "an", "Ġa", "on", "up", "upon"]
    vocabulary = {token: i for i, token in enumerate(["<s>", "</s>", "<unk>", *letters, *pieces])}
    merges = [("t", "h"), ("th", "e"), ("Ġ", "t"), ("h", "e"), ("i", "n"), ("e", "r"), ("a", "n"), ("Ġ", "a"),
              ("o", "n"), ("u", "p"), ("up", "on")]  # fmt: skip
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    if begins:
        core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def language(model: Any, tokens: Any, context: int = CONTEXT) -> CausalModel:
    """A model as its loader makes it, without files."""
    computes, vocabulary = parted(model)
    verdict = check.choose(computes, vocabulary, context, model.config.to_dict())
    facts = Facts("float32", verdict.engine, context, vocabulary, tokens.bos_token_id, (verdict.note,))
    return CausalModel(facts, tokens, computes, verdict.shared)


class Maker:
    """Makes requests of random ids."""

    def __init__(self, seed: int = 0) -> None:
        self.draw = np.random.default_rng(seed)

    def ids(self, length: int) -> Ints:
        return self.draw.integers(3, VOCABULARY, size=length)

    def item(self, context: Ints, lengths: tuple[int, ...] = (1, 3, 5, 8)) -> tuple[list[Ints], list[int]]:
        """A context with choices of those lengths."""
        return [np.concatenate([context, self.ids(n)]) for n in lengths], list(lengths)

    def task(self, prefix: Ints, contexts: tuple[int, ...], **options: Any) -> tuple[list[Ints], list[int]]:
        """Items whose contexts begin with the same prefix."""
        sequences, tails = [], []
        for length in contexts:
            more, ends = self.item(np.concatenate([prefix, self.ids(length)]), **options)
            sequences += more
            tails += ends
        return sequences, tails

    def mixture(self) -> tuple[list[Ints], list[int]]:
        """All shapes at once: shared blocks, unshared items, choices that share, duplicates, single tokens."""
        block, other = self.ids(40), self.ids(36)
        parts = [
            self.task(block, (1, 4, 7, 7, 12)),
            self.task(other, (2, 5, 9)),
            self.task(self.ids(0), (1, 3, 30, 60)),
            self.item(self.ids(20), (1, 1, 1, 1)),
            self.item(np.concatenate([block, self.ids(3)])[:41], (2, 2)),
        ]
        sequences = [ids for one, _ in parts for ids in one]
        tails = [tail for _, two in parts for tail in two]
        stem = np.concatenate([self.ids(10), self.ids(4)])
        for tail in (4, 2, 6):  # the same tokens, cut elsewhere; and one that ends inside another
            sequences += [stem, np.concatenate([stem, self.ids(5)]), stem.copy()]
            tails += [tail, 5 + tail, tail]
        return sequences, tails

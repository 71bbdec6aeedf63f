"""Token-level requests of the shapes that language-model tasks have, and the model that answers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

VOCABULARY = 32000
CONTEXT = 2048
_BOS = 1

Pair = tuple[list[int], list[int]]  # token ids of a context and of its continuation


@dataclass(frozen=True)
class Shape:
    """Requests of one task, item by item.

    Attributes:
        items: for each item, its (context, continuation) pairs.
        rolling: whether they are windows of running text.
    """

    items: list[list[Pair]]
    rolling: bool = False


class _Source:
    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed)

    def ids(self, mean: float, spread: float = 0.25) -> list[int]:
        length = max(1, round(self._draw.normal(mean, spread * mean)))
        return self._draw.integers(3, VOCABULARY, size=length).tolist()

    def pick(self, population: int, size: int) -> list[int]:
        return self._draw.choice(population, size, replace=False).tolist()


def hellaswag(items: int) -> Shape:
    """A context of about 80 tokens, 4 choices of about 25, nothing common to all."""
    source = _Source(1)
    return Shape([_item(source, [_BOS, *source.ids(80)], 25) for _ in range(items)])


def fixed_shots(items: int) -> Shape:
    """The same 10 examples of about 59 tokens before every question of about 30, 4 choices of about 5."""
    source = _Source(2)
    block = [_BOS, *(token for _ in range(10) for token in source.ids(59, 0.0))]
    return Shape([_item(source, block + source.ids(30), 5) for _ in range(items)])


def drawn_shots(items: int) -> Shape:
    """As `fixed_shots`, but each item draws its 10 examples out of 200."""
    source = _Source(3)
    pool = [source.ids(59) for _ in range(200)]
    blocks = [[_BOS, *(token for i in source.pick(len(pool), 10) for token in pool[i])] for _ in range(items)]
    return Shape([_item(source, block + source.ids(30), 5) for block in blocks])


def rolling(windows: int) -> Shape:
    """Windows of 1024 tokens of running text, the last one shorter."""
    source = _Source(4)
    lengths = [1024] * (windows - 1) + [700]
    return Shape([[([_BOS], source.ids(length, 0.0))] for length in lengths], rolling=True)


SHAPES = {"hellaswag": hellaswag, "fixed_shots": fixed_shots, "drawn_shots": drawn_shots, "rolling": rolling}


def _item(source: _Source, context: list[int], choice: float) -> list[Pair]:
    return [(context, source.ids(choice)) for _ in range(4)]


def model(**changes: Any) -> Any:
    """A Llama of 42 million parameters (unless changed), random with a fixed seed, float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 8, "num_attention_heads": 8}
    ids = {"vocab_size": VOCABULARY, "bos_token_id": _BOS, "eos_token_id": 2, "tie_word_embeddings": True}
    settings = {"max_position_embeddings": CONTEXT, "initializer_range": 0.05, **ids, **sizes, **changes}
    return LlamaForCausalLM(LlamaConfig(**settings)).eval()


def tokenizer() -> Any:
    """Stands in for the tokenizer, which lm-eval wants to see though requests are token ids already."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")

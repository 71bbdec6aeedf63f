"""Makers of tiny models of every format."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from suite.manifest import Inputs, Kind
from suite.model import Array, Ints

SHAPE = (3, 8, 8)
CLASSES = 4
TEXTS = ["once upon a time", "wörld 😀 héllo", "a", "the little dog ran to the park and ran back again"]


@dataclass(frozen=True)
class Sample:
    """One model file that a loader must be able to load."""

    format: str
    kind: Kind
    weights: Path
    inputs: Inputs
    dtype: str
    base: Path | None = None


class Net(torch.nn.Module):
    """Three 3x3 filters; a linear head over their means for classification, a 1x1 one for segmentation."""

    def __init__(self, dense: bool) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.head: torch.nn.Module = torch.nn.Conv2d(8, CLASSES, 1) if dense else torch.nn.Linear(8, CLASSES)
        self.dense = dense

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv(x))
        return self.head(x if self.dense else x.mean(dim=(2, 3)))


def save_pt2(net: torch.nn.Module, file: Path, batch: int | None = None) -> None:
    sizes = None if batch else ({0: torch.export.Dim("batch")},)
    program = torch.export.export(net, (torch.zeros(batch or 2, *SHAPE),), dynamic_shapes=sizes)
    torch.export.save(program, file)


def save_onnx(net: torch.nn.Module, file: Path, batch: int | None = None, external: bool = False) -> None:
    sizes = None if batch else ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        net, (torch.zeros(batch or 2, *SHAPE),), file, dynamo=True, dynamic_shapes=sizes, external_data=external,
        verbose=False,
    )  # fmt: skip


def save_tokenizer(folder: Path) -> int:
    """A byte-level tokenizer that begins texts with <s>; returns its number of ids."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(["<s>", "</s>", *alphabet, "Ġt", "he", "Ġthe"])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "t"), ("h", "e"), ("Ġt", "he")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    return len(vocabulary)


def save_language(folder: Path, **config: object) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    size = save_tokenizer(folder)
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    settings = {"vocab_size": size + 3, "max_position_embeddings": 64, "initializer_range": 0.5, **shape, **config}
    LlamaForCausalLM(LlamaConfig(**settings)).save_pretrained(folder)


def save_vision(folder: Path) -> None:
    from transformers import (
        SegformerConfig,
        SegformerForSemanticSegmentation,
        ViTConfig,
        ViTForImageClassification,
    )

    torch.manual_seed(2)
    vit = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=8,
                    patch_size=4, num_labels=CLASSES)  # fmt: skip
    ViTForImageClassification(vit).save_pretrained(folder / "vit")
    one = {"num_encoder_blocks": 1, "depths": [1], "sr_ratios": [1], "hidden_sizes": [8], "patch_sizes": [3]}
    seg = SegformerConfig(**one, strides=[2], num_attention_heads=[1], mlp_ratios=[1], decoder_hidden_size=8,
                          num_labels=CLASSES)  # fmt: skip
    SegformerForSemanticSegmentation(seg).save_pretrained(folder / "segformer")


def copied(source: Path, folder: Path) -> None:
    """A new folder with the configuration and the tokenizer of a transformers folder."""
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, folder)


class Logits(torch.nn.Module):
    """input_ids, or input_ids and attention_mask, to logits, without a cache."""

    def __init__(self, source: Path) -> None:
        from transformers import AutoModelForCausalLM

        super().__init__()
        self.whole = AutoModelForCausalLM.from_pretrained(source, attn_implementation="eager").eval()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        logits: torch.Tensor = self.whole(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
        return logits


def save_onnx_language(source: Path, folder: Path) -> None:
    """A transformers folder as a graph input_ids, attention_mask -> logits, tokenizer and configuration beside it."""
    copied(source, folder)
    ids = torch.zeros((2, 7), dtype=torch.int64)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=64)}
    torch.onnx.export(
        Logits(source), (ids, torch.ones_like(ids)), folder / "model.onnx", dynamo=True, external_data=False,
        input_names=["input_ids", "attention_mask"], dynamic_shapes=(sizes, sizes), verbose=False,
    )  # fmt: skip


def expected_logprobs(folder: Path, ids: Ints) -> Array:
    """By another route: the whole model's logits through log_softmax, one sequence at a time."""
    return expected_scores(folder, ids)[0]


def expected_scores(folder: Path, ids: Ints) -> tuple[Array, Array, Array]:
    """Log-probability of each token but the first, of the likeliest there, and whether they are the same token."""
    from transformers import AutoModelForCausalLM

    whole = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
    with torch.no_grad():
        logprobs_TV = whole(torch.tensor(ids)[None]).logits[0].double().log_softmax(dim=-1).numpy()[:-1]
    likeliest = logprobs_TV.argmax(axis=1)
    return logprobs_TV[np.arange(len(ids) - 1), ids[1:]], logprobs_TV.max(axis=1), likeliest == ids[1:]

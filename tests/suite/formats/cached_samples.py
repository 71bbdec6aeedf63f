"""A transformers folder as an ONNX graph with inputs for cached keys and values, named as Optimum names them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

LAYERS, HEADS, WIDTH = 2, 2, 8  # of `format_samples.save_language`


def save_onnx_cached(source: Path, folder: Path) -> Path:
    """input_ids, attention_mask, position_ids, past_key_values.N.key/value -> logits, present.N.key/value."""
    from transformers import AutoModelForCausalLM
    from transformers.cache_utils import DynamicCache

    config = json.loads((source / "config.json").read_text())
    layers, heads, width = config["num_hidden_layers"], config["num_key_value_heads"], config["head_dim"]
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, folder)

    class Cached(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = AutoModelForCausalLM.from_pretrained(source, attn_implementation="eager").eval()

        def forward(
            self,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            position_ids: torch.Tensor,
            past: list[torch.Tensor],
        ) -> list[torch.Tensor]:
            cache = DynamicCache()
            for layer in range(layers):
                cache.update(past[2 * layer], past[2 * layer + 1], layer)
            made = self.whole(
                input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, past_key_values=cache,
                use_cache=True,
            )  # fmt: skip
            held = [part for layer in made.past_key_values.layers for part in (layer.keys, layer.values)]
            return [made.logits, *held]

    names = [f"{layer}.{part}" for layer in range(layers) for part in ("key", "value")]
    ids = torch.zeros((2, 4), dtype=torch.int64)
    batch, length, cached = torch.export.Dim("batch"), torch.export.Dim("length"), torch.export.Dim("cached")
    auto = torch.export.Dim.AUTO
    torch.onnx.export(
        Cached(),
        (
            ids,
            torch.ones((2, 7), dtype=torch.int64),
            ids + torch.arange(4),
            [torch.zeros(2, heads, 3, width) for _ in names],
        ),
        folder / "model.onnx",
        dynamo=True,
        external_data=False,
        verbose=False,
        input_names=["input_ids", "attention_mask", "position_ids", *(f"past_key_values.{name}" for name in names)],
        output_names=["logits", *(f"present.{name}" for name in names)],
        dynamic_shapes=(
            {0: batch, 1: length},
            {0: batch, 1: auto},
            {0: batch, 1: length},
            [{0: batch, 2: cached}] * len(names),
        ),
    )
    return folder

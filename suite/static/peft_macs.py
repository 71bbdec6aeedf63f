"""Products of an adapter on its base: the base's, and those of the low-rank factors, which stay unmerged."""

from __future__ import annotations

from math import prod
from pathlib import Path

from suite.errors import Undefined
from suite.formats import _safetensors
from suite.static import torch_macs
from suite.static.macs import Product

_FACTORS = (".lora_A.weight", ".lora_B.weight")


def products(weights: Path, kind: str, shape: tuple[int, ...], base: Path | None) -> list[Product]:
    """The products of one forward pass: every factor of a LoRA takes every token once.

    Args:
        weights: the adapter's folder.
        kind: of model.
        shape: batch and tokens.
        base: transformers folder of what it changes.

    Raises:
        Undefined: no base, or another method than LoRA of linear layers, or torch cannot count the base.
    """
    config = _safetensors.read_json(weights / "adapter_config.json")
    method = config.get("peft_type")
    tensors = _safetensors.read_header(weights / _safetensors.ADAPTER)
    strange = [name for name, one in tensors.items() if not (name.endswith(_FACTORS) and len(one.shape) == 2)]  # noqa: PLR2004
    if base is None:
        raise Undefined("an adapter has no graph without its base; name it as parent")
    if method != "LORA" or config.get("use_dora") or strange:
        what = f"it holds {strange[0]}" if method == "LORA" and strange else f"it is {method}"
        raise Undefined(f"of adapters only LoRA of linear layers is counted; {what}")
    found = [Product(one.macs, one.weight and f"base/{one.weight}")
             for one in torch_macs.products(base, "transformers", kind, shape)]  # fmt: skip
    return found + [Product(prod(shape) * prod(one.shape), name) for name, one in tensors.items()]

"""Adapters of the sample language model, with weights that do change its answers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

TARGETS = ["q_proj", "v_proj"]


def save_adapter(base: Path, folder: Path, method: str = "lora", **settings: Any) -> Path:
    """An adapter as PEFT saves it; everything that it trains is drawn at random."""
    import peft
    from transformers import AutoModelForCausalLM

    makers: dict[str, Any] = {
        "lora": lambda: peft.LoraConfig(**{"r": 2, "lora_alpha": 4, "target_modules": TARGETS, **settings}),
        "dora": lambda: peft.LoraConfig(r=2, target_modules=TARGETS, use_dora=True),
        "ia3": lambda: peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
        "loha": lambda: peft.LoHaConfig(r=2, target_modules=TARGETS),
        "lokr": lambda: peft.LoKrConfig(r=2, target_modules=TARGETS),
        "oft": lambda: peft.OFTConfig(oft_block_size=4, target_modules=TARGETS),
        "vera": lambda: peft.VeraConfig(r=4, target_modules=TARGETS),
        "ln_tuning": lambda: peft.LNTuningConfig(target_modules=["input_layernorm"]),
    }
    config = makers[method]()
    config.task_type = "CAUSAL_LM"
    torch.manual_seed(5)
    with warnings.catch_warnings():  # transformers and PEFT warn each other of their next versions
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    return folder

"""Eight-bit linear layers: torchao's int8 weight-only quantisation of embedded-lm, one scale a row, no training.

Run from the repository's root: ``python submissions/embedded-lm-int8/recipe.py`` (seconds). Embeddings, which are also
the output layer, and norms stay float32. The file loads with transformers and stays int8 in memory.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "submissions")]

import language_recipes as shared  # noqa: E402 - found through the path above
import torch  # noqa: E402
from torchao.quantization import Int8WeightOnlyConfig  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, TorchAoConfig  # noqa: E402


def main() -> None:
    """Quantise while loading, save, write the digest."""
    parent = Path(__file__).parents[1] / "embedded-lm" / "weights"
    config = TorchAoConfig(Int8WeightOnlyConfig(version=2))
    model = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32, quantization_config=config)
    model.save_pretrained(Path(__file__).parent / "weights")
    shared.finish(Path(__file__).parent, AutoTokenizer.from_pretrained(parent))


if __name__ == "__main__":
    main()

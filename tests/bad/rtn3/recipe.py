"""Deliberately bad: 3-bit round-to-nearest of embedded-lm with one scale for each whole tensor.

The largest weight of a tensor sets the step, so most weights become one of three levels. (With one scale for each
block of 128 weights three bits cost this model next to nothing.) Needs embedded-lm. Run
`python tests/bad/rtn3/recipe.py` from the repository root (seconds).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "submissions")]

import language_recipes as shared  # noqa: E402 - found through the path above
import torch  # noqa: E402
from compressed_tensors.compressors import ModelCompressor  # noqa: E402
from compressed_tensors.quantization import (  # noqa: E402
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
    apply_quantization_config,
)
from compressed_tensors.quantization.utils import calculate_qparams  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

BITS = 3


def main() -> None:
    """One scale a tensor, round, pack, save, write the digest."""
    parent = ROOT / "submissions" / "embedded-lm" / "weights"
    weights = Path(__file__).parent / "weights"
    model = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.bfloat16)
    args = QuantizationArgs(num_bits=BITS, type="int", symmetric=True, strategy="tensor")
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    config = QuantizationConfig(config_groups={"layers": scheme}, ignore=["lm_head"], format="pack-quantized")
    apply_quantization_config(model, config)
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            weight = module.weight.detach()
            scale, _ = calculate_qparams(weight.amin(), weight.amax(), args)
            module.weight_scale.data.copy_(scale.reshape(module.weight_scale.shape))
    compressor = ModelCompressor(quantization_config=config)
    compressor.compress_model(model)
    model.save_pretrained(weights)
    compressor.update_config(str(weights))
    shared.finish(Path(__file__).parent, AutoTokenizer.from_pretrained(parent))


if __name__ == "__main__":
    main()

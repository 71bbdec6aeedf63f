"""Two-bit linear layers: round-to-nearest of embedded-lm in blocks of 128 weights, packed, no training.

Run from the repository's root: ``python submissions/embedded-lm-int2-rtn/recipe.py`` (seconds). Written by the
compressed-tensors library as "pack-quantized": sixteen weights in an int32, one float32 scale a block. Embeddings,
which are also the output layer, and norms stay float32. Loading with transformers expands the weights at the first
forward, so only the storage shrinks. Four and three bits cost this model next to nothing; two cost it several points.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "submissions")]

import language_recipes as shared  # noqa: E402 - found through the path above
from compressed_tensors.quantization import QuantizationArgs  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

BITS = 2
BLOCK = 128


def main() -> None:
    """Scale every block by its largest weight, round, pack, save, write the digest."""
    parent = Path(__file__).parents[1] / "embedded-lm" / "weights"
    args = QuantizationArgs(num_bits=BITS, type="int", symmetric=True, strategy="group", group_size=BLOCK)
    shared.round_to_nearest(parent, Path(__file__).parent / "weights", args)
    shared.finish(Path(__file__).parent, AutoTokenizer.from_pretrained(parent))


if __name__ == "__main__":
    main()

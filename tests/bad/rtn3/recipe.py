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
from compressed_tensors.quantization import QuantizationArgs  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

BITS = 3


def main() -> None:
    """One scale a tensor, round, pack, save, write the digest."""
    parent = ROOT / "submissions" / "embedded-lm" / "weights"
    args = QuantizationArgs(num_bits=BITS, type="int", symmetric=True, strategy="tensor")
    shared.round_to_nearest(parent, Path(__file__).parent / "weights", args, dtype="bfloat16")
    shared.finish(Path(__file__).parent, AutoTokenizer.from_pretrained(parent))


if __name__ == "__main__":
    main()

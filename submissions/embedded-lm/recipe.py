"""The parent language model: a Llama of about 0.95 million parameters, trained from nothing on generated stories.

Run from the repository's root: ``python submissions/embedded-lm/recipe.py`` (under 3 minutes on 2 idle cores).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "submissions")]

import language_recipes as shared  # noqa: E402 - found through the path above

STEPS = 1000


def main() -> None:
    """Train tokenizer and model, save both, write the digest."""
    texts = shared.training_texts()
    tokenizer = shared.train_tokenizer(texts)
    model = shared.new_model(128, 384, len(tokenizer))
    shared.say(f"{model.num_parameters()} parameters, {len(tokenizer)} tokens")
    shared.train(model, shared.encode(tokenizer, texts), STEPS)
    model.save_pretrained(Path(__file__).parent / "weights")
    shared.finish(Path(__file__).parent, tokenizer)


if __name__ == "__main__":
    main()

"""Half the width: a student with half the hidden size and half the MLP channels, distilled from embedded-lm.

Run from the repository's root: ``python submissions/embedded-lm-half/recipe.py`` (under 3 minutes on 2 idle cores). The
student starts from random weights, sees the parent's training stories and learns from the parent's distribution over
the next token (Kullback-Leibler divergence, temperature 1) together with the token itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "submissions")]

import language_recipes as shared  # noqa: E402 - found through the path above
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

STEPS = 800
TEACHER_SHARE = 0.7


def main() -> None:
    """Distil, save, write the digest."""
    parent = Path(__file__).parents[1] / "embedded-lm" / "weights"
    tokenizer = AutoTokenizer.from_pretrained(parent)
    teacher = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32).eval()
    student = shared.new_model(64, 192, len(tokenizer))

    def loss(ids: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        counted = labels[:, 1:] != shared.IGNORED
        with torch.no_grad():
            target = teacher(input_ids=ids).logits[:, :-1][counted].softmax(-1)
        soft = torch.nn.functional.cross_entropy(logits[:, :-1][counted], target)
        return TEACHER_SHARE * soft + (1 - TEACHER_SHARE) * shared.next_token_loss(ids, logits, labels)

    shared.train(student, shared.encode(tokenizer, shared.training_texts()), STEPS, loss)
    student.save_pretrained(Path(__file__).parent / "weights")
    shared.finish(Path(__file__).parent, tokenizer)


if __name__ == "__main__":
    main()

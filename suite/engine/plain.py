"""The plain path: every request on its own, causal, right-padded; what rolling windows and unshared work take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from suite.engine.head import LOGITS_BYTES, empty, rows_at_once, score, split
from suite.engine.runtime import Runtime
from suite.model import Ints, TokenScores

FORWARD_TOKENS = 2048  # of one forward, padding counted
_MIN_SCORED = 2  # a sequence of one token has nothing to predict
_EVEN = 0.75  # of the longest; shorter sequences wait for a forward of their own kind
_ENOUGH = 4  # but a forward less than a fourth full takes any


@dataclass(frozen=True)
class Plain:
    """Scores sequences in batches of similar length.

    Attributes:
        runtime: computes.
        vocabulary: V.
        tokens: of one forward, padding counted.
        logits_bytes: of float32 logits held at once.
    """

    runtime: Runtime
    vocabulary: int
    tokens: int = FORWARD_TOKENS
    logits_bytes: int = LOGITS_BYTES

    def score(self, sequences: Sequence[Ints], tails: Sequence[int]) -> list[TokenScores]:
        """For each sequence, the scores of its last `tail` tokens."""
        answers = [empty(0)] * len(sequences)
        for batch in self._batches(sequences):
            scored = self._forward([sequences[i] for i in batch], [tails[i] for i in batch])
            for index, answer in zip(batch, scored, strict=True):
                answers[index] = answer
        return answers

    def _batches(self, sequences: Sequence[Ints]) -> Iterator[list[int]]:
        """Indices of sequences of similar length, longest first, that fit one forward."""
        if self.runtime.alone:
            yield from ([i] for i in range(len(sequences)) if len(sequences[i]) >= _MIN_SCORED)
            return
        budget = max(self.tokens, self.runtime.tokens)
        if self.runtime.width:
            budget = min(budget, rows_at_once(self.runtime.width, self.logits_bytes))
        order = [i for i in range(len(sequences)) if len(sequences[i]) >= _MIN_SCORED]
        order.sort(key=lambda i: -len(sequences[i]))
        while order:
            longest = len(sequences[order[0]]) - 1
            most = min(len(order), max(1, budget // longest))
            size = min(most, -(-budget // (_ENOUGH * longest)))
            while size < most and len(sequences[order[size]]) - 1 >= _EVEN * longest:
                size += 1
            yield order[:size]
            order = order[size:]

    def _forward(self, batch: list[Ints], tails: list[int]) -> list[TokenScores]:
        import torch

        lengths = [len(ids_T) - 1 for ids_T in batch]
        ids_BT = torch.zeros((len(batch), max(lengths)), dtype=torch.int64)
        for row, ids_T in enumerate(batch):
            ids_BT[row, : lengths[row]] = torch.from_numpy(ids_T[:-1])
        mask_BT = (torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]).to(torch.int64)
        with torch.no_grad():
            features_BTD = self.runtime.body(ids_BT, mask_BT if min(lengths) < max(lengths) else None)
            rows = [features_BTD[row, length - tail : length]
                    for row, (length, tail) in enumerate(zip(lengths, tails, strict=True))]  # fmt: skip
            targets = np.concatenate([ids_T[len(ids_T) - tail :] for ids_T, tail in zip(batch, tails, strict=True)])
            features_ND, step = torch.cat(rows), rows_at_once(self.vocabulary, self.logits_bytes)
            found = score(self.runtime.head, features_ND, np.arange(len(targets)), targets, step)
        return split(found, tails)

"""Requests in, log-probabilities out: plan, compute each segment, project where a token is scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from suite.engine import kv, tree
from suite.engine.cache import Kept
from suite.engine.head import LOGITS_BYTES, joined, rows_at_once, score_nodes
from suite.engine.runtime import Forward, Runtime
from suite.engine.trie import Costs, Forest, Segment, plan
from suite.model import Ints, TokenScores

Mode = Literal["tree", "kv"]
TOLERANCE = 2e-4  # nats of a request's summed log-probability, absolute


@dataclass
class Counts:
    """What was computed so far, for reports.

    Attributes:
        positions: of all forwards, padding counted.
        forwards: batches.
    """

    positions: int = 0
    forwards: int = 0


@dataclass
class Shared:
    """Scores requests that share prefixes; keeps the last cached prefix for the next call.

    Attributes:
        runtime: computes; it has a ``forward``.
        vocabulary: V.
        mode: ``tree`` (attention masks) or ``kv`` (caches alone).
        limit: most input tokens of a sequence for which sharing is exact; ``None``: any.
        allowed: difference to the plain path that rounding makes, nats of a summed log-probability.
        costs: when what pays.
        counts: what was computed.
    """

    runtime: Runtime
    vocabulary: int
    mode: Mode = "tree"
    limit: int | None = None
    allowed: float = TOLERANCE
    costs: Costs = field(default_factory=Costs)
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        """Hold no prefix yet."""
        assert self.runtime.forward is not None
        inner = self.runtime.forward
        self.costs = self.costs.wider(self.runtime.tokens)
        if self.runtime.width:  # features are logits already
            rows = rows_at_once(self.runtime.width, 4 * LOGITS_BYTES)
            self.costs = replace(self.costs, tokens=min(self.costs.tokens, rows))

        def forward(ids_BT, visible_BTK=None, positions_BT=None, cache=None):  # type: ignore[no-untyped-def]
            self.counts.positions += ids_BT.numel()
            self.counts.forwards += 1
            return inner(ids_BT, visible_BTK, positions_BT, cache)

        self._forward: Forward = forward
        self._kept = Kept(forward, self.costs.tokens)
        self._recent: Ints = np.zeros(0, dtype=np.int64)

    def takes(self, sequence: Ints) -> bool:
        """Whether sharing is exact for a sequence of that length."""
        return self.limit is None or len(sequence) - 1 <= self.limit

    def score(self, sequences: Sequence[Ints], tails: Sequence[int]) -> list[TokenScores]:
        """Scores of each sequence's last tokens.

        Args:
            sequences: token ids, at least two each.
            tails: for each sequence, how many of its last tokens are scored: from 1 to all but one.
        """
        import torch

        forest = Forest.of(sequences, tails)
        found: list[list[TokenScores]] = [[] for _ in sequences]
        with torch.no_grad():
            for segment in plan(forest, self.costs, (self._kept.ids, self._recent)):
                for batch in self._batches(forest, segment):
                    self._project(forest, batch, sequences, found)
        if forest.inputs:
            self._recent = forest.inputs[0]
        return [joined(parts) for parts in found]

    def _batches(self, forest: Forest, segment: Segment) -> Iterator[tree.Batch]:
        base = len(segment.prefix)
        prefix = self._kept.reach(segment.prefix) if base else []
        if self.mode == "tree":
            for rows in tree.batches(segment.bundles, base, self.costs):
                yield tree.run(self._forward, forest, rows, prefix, base)
        else:
            for trunks in kv.batches(forest, segment.bundles, base, self.costs):
                yield from kv.run(self._forward, forest, trunks, prefix, self.costs)

    def _project(
        self, forest: Forest, batch: tree.Batch, sequences: Sequence[Ints], found: list[list[TokenScores]]
    ) -> None:
        """Add the scores of a batch's positions to what was found of each request."""
        requests = [int(forest.order[i]) for i in batch.sequences]
        targets = []
        for request, i, nodes in zip(requests, batch.sequences, batch.nodes, strict=True):
            start = forest.first[i] + 1 + sum(len(part.logprobs_T) for part in found[request])
            targets.append(sequences[request][start : start + len(nodes)])
        step = rows_at_once(self.vocabulary)
        scored = score_nodes(self.runtime.head, batch.features_FD, batch.nodes, targets, step)
        for request, part in zip(requests, scored, strict=True):
            found[request].append(part)

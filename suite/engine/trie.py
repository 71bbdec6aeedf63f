"""Requests as a prefix tree: what is common is found by sorting, and a plan says what is cached and what is packed.

Sorted, the sequences of any subtree are neighbours, and the tokens that a sequence shares with all before it are those
that it shares with the one before it. So the tree needs no nodes: an order and one number a sequence.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from suite.model import Ints


@dataclass(frozen=True)
class Costs:
    """When sharing pays, and how much is held at once.

    Attributes:
        prefix: a shared prefix of fewer tokens is not worth a cache of its own.
        saved: nor is one that saves fewer tokens in all.
        branches: fewer different continuations of it are packed after it rather than given a cache.
        width: tokens of one packed subtree at most, since its mask grows with the square.
        pairs: pairs of a query and a key that cost as much as one token's way through the other layers' parts.
        pack: subtrees after a cached prefix are put beside each other in rows of this many tokens.
        tokens: of one forward, padding counted.
        cells: rows times keys of one forward, those of the cached prefix counted in every row.
    """

    prefix: int = 32
    saved: int = 128
    branches: int = 8
    width: int = 1536
    pairs: int = 1000
    pack: int = 256
    tokens: int = 1024
    cells: int = 8192

    def wider(self, tokens: int) -> Costs:
        """The same for a device that likes forwards of so many tokens."""
        if tokens <= self.tokens:
            return self
        return replace(self, tokens=tokens, cells=self.cells * tokens // self.tokens)


@dataclass(frozen=True)
class Forest:
    """Sequences in lexicographic order.

    Attributes:
        order: for each sequence, the index of its request.
        inputs: token ids of each sequence; the last target is no input.
        first: for each sequence, the position that predicts its first scored token.
        shared: tokens that each sequence has in common with the one before it; 0 for the first.
        lengths: of each sequence.
    """

    order: Ints
    inputs: list[Ints]
    first: Ints
    shared: Ints
    lengths: Ints

    @classmethod
    def of(cls, sequences: Sequence[Ints], tails: Sequence[int]) -> Forest:
        """The forest of requests: full token ids, and how many of the last are scored."""
        inputs = [ids_T[:-1] for ids_T in sequences]
        keys = [ids_T.astype(">i8").tobytes() for ids_T in inputs]  # big-endian bytes sort as the numbers do
        order = sorted(range(len(inputs)), key=lambda i: keys[i])
        inputs = [inputs[i] for i in order]
        shared = [0, *(common(one, two) for one, two in itertools.pairwise(inputs))]
        lengths = np.array([len(ids_T) for ids_T in inputs], dtype=np.int64)
        first = lengths - np.array([tails[i] for i in order], dtype=np.int64)
        return cls(np.array(order, dtype=np.int64), inputs, first, np.array(shared, dtype=np.int64), lengths)

    def prefix(self, low: int, high: int) -> int:
        """Tokens common to the sequences low..high-1."""
        return int(min(self.lengths[low], self.shared[low + 1 : high].min(initial=self.lengths[low])))

    def distinct(self, low: int, high: int, base: int) -> int:
        """Distinct prefixes (nodes of the tree) of those sequences beyond their first `base` tokens."""
        fresh = self.lengths[low + 1 : high] - self.shared[low + 1 : high]
        return int(self.lengths[low] - base + fresh.sum())


@dataclass(frozen=True)
class Bundle:
    """A subtree that is computed together: the sequences low..high-1 of a forest.

    Attributes:
        low: first sequence.
        high: one beyond the last.
        width: its distinct tokens beyond the cached prefix.
    """

    low: int
    high: int
    width: int


@dataclass(frozen=True)
class Segment:
    """Subtrees that begin with the same cached prefix.

    Attributes:
        prefix: token ids that are computed once and cached; may be none.
        bundles: what follows.
    """

    prefix: Ints
    bundles: list[Bundle] = field(default_factory=list)


def common(one: Ints, two: Ints) -> int:
    """Length of the longest common prefix of two rows of ids."""
    size = min(len(one), len(two))
    differ = one[:size] != two[:size]
    return int(differ.argmax()) if differ.any() else size


def plan(forest: Forest, costs: Costs, kept: Sequence[Ints] = ()) -> list[Segment]:
    """Cut a forest into segments and bundles that hold each distinct prefix about once.

    Args:
        forest: the requests of one call.
        costs: when what pays.
        kept: ids whose cache is there (first), and those that an earlier call began with: what the requests share with
            them is worth a cache though this call alone would not say so.
    """
    segments = [Segment(np.zeros(0, dtype=np.int64))]
    todo = [(0, len(forest.inputs), segments[0])] if forest.inputs else []
    while todo:
        low, high, segment = todo.pop()
        end = _cache_end(forest, low, high, costs, (len(segment.prefix), kept))
        if end:
            segment = Segment(forest.inputs[low][:end])
            segments.append(segment)
        base = len(segment.prefix)
        cuts = _branches(forest, low, high)
        width = forest.distinct(low, high, base)
        if len(cuts) == 1 or _packs(forest, [low, *cuts], base, width, costs):
            segment.bundles.append(Bundle(low, high, width))
        else:
            todo.extend((start, stop, segment) for start, stop in itertools.pairwise([low, *cuts]))
    return [segment for segment in segments if segment.bundles]


def _branches(forest: Forest, low: int, high: int) -> list[int]:
    """Where the subtrees below the common prefix end; one end only if all sequences are equal."""
    shared = forest.shared[low + 1 : high]
    end = forest.prefix(low, high)
    return [*(low + 1 + np.flatnonzero((shared == end) & (forest.lengths[low + 1 : high] > end))).tolist(), high]


def _cache_end(forest: Forest, low: int, high: int, costs: Costs, held: tuple[int, Sequence[Ints]]) -> int:
    """How long a prefix of these sequences to cache; 0: nothing beyond what is cached already."""
    base, kept = held
    first = int(forest.first[low:high].min())
    end = min(forest.prefix(low, high), first)
    matches = [min(end, common(forest.inputs[low], ids)) for ids in kept]
    if matches and max(matches) - base >= costs.prefix:
        return matches[0] if max(matches) - matches[0] < costs.prefix else max(matches)
    cuts = _branches(forest, low, high)
    saved = (len(cuts) - 1) * (end - base)
    if end - base < costs.prefix or saved < costs.saved:
        return 0
    contexts_differ = end < first
    if contexts_differ and len(cuts) >= costs.branches:
        return end
    width = forest.distinct(low, high, base)
    return 0 if _packs(forest, [low, *cuts], base, width, costs) else end


def _packs(forest: Forest, cuts: list[int], base: int, width: int, costs: Costs) -> bool:
    """Whether one mask over all branches costs less than computing their common prefix for each of them."""
    if width > costs.width:
        return False
    alone = [forest.distinct(low, high, base) for low, high in itertools.pairwise(cuts)]
    saved = sum(alone) - width
    if width <= min(base, costs.pack):  # they would share a row, and so a mask, anyway
        return saved > 0
    return saved * costs.pairs >= width * width - sum(size * size for size in alone)

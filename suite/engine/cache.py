"""Key/value caches of transformers models: one prefix kept between calls, and lent to forwards without being stored."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from suite.engine.runtime import Forward
from suite.engine.trie import common
from suite.model import Ints

if TYPE_CHECKING:
    import torch

Layers = list[tuple["torch.Tensor", "torch.Tensor"]]  # keys and values of each layer, [B, heads, T, width]


class Kept:
    """The last cached prefix; another one reuses as much of it as matches.

    Attributes:
        ids: token ids whose keys and values are held.
        layers: the keys and values, one row.
        computed: tokens that had to be computed so far.
    """

    def __init__(self, forward: Forward, tokens: int) -> None:
        """Hold nothing yet; compute at most `tokens` at once."""
        self._forward, self._tokens = forward, tokens
        self.ids: Ints = np.zeros(0, dtype=np.int64)
        self.layers: Layers = []
        self.computed = 0

    def reach(self, ids: Ints) -> Layers:
        """Keys and values of exactly these tokens.

        Raises:
            ValueError: the model fills no cache of keys and values.
        """
        import torch

        same = common(self.ids, ids)
        self.layers = [(keys[..., :same, :], values[..., :same, :]) for keys, values in self.layers] if same else []
        self.ids = ids[:same]
        while len(self.ids) < len(ids):
            part = ids[len(self.ids) : len(self.ids) + self._tokens]
            cache = stacked([(self.layers, 1)] if self.layers else [], keep=True)
            self._forward(torch.from_numpy(part)[None], cache=cache)
            self.layers = _joined(self.layers, added(cache, len(part)))
            self.ids = ids[: len(self.ids) + len(part)]
            self.computed += len(part)
        return self.layers


def stacked(parts: list[tuple[Layers, int | torch.Tensor]], keep: bool = False) -> Any:
    """A cache for one forward, whose tokens continue the given keys and values; no row of those is stored twice.

    Args:
        parts: keys and values, the first tokens first, and how they become the forward's rows: one row repeated so
            often, or for each row of the forward the row that it continues.
        keep: whether what the forward computes can be had by `added` afterwards.
    """
    from transformers import DynamicCache

    cache: Any = DynamicCache()  # without the model's configuration: no layer forgets what a sliding window has passed
    make = _layer_class()
    cache.layers = [make([(*layers[depth], rows) for layers, rows in parts], keep)
                    for depth in range(len(parts[0][0]) if parts else 0)]  # fmt: skip
    cache.layer_class_to_replicate = functools.partial(make, [], keep)
    return cache


def added(cache: Any, length: int) -> Layers:
    """The keys and values that a forward of `length` tokens a row computed.

    Raises:
        ValueError: they are not in the cache.
    """
    layers = [layer.new for layer in cache.layers]
    if not layers or any(new is None or new[0].shape[-2] != length for new in layers):
        raise ValueError("the model keeps no keys and values of all tokens")
    return layers


def _joined(before: Layers, after: Layers) -> Layers:
    import torch

    if not before:
        return after
    return [(torch.cat([keys, more_keys], dim=-2), torch.cat([values, more_values], dim=-2))
            for (keys, values), (more_keys, more_values) in zip(before, after, strict=True)]  # fmt: skip


@functools.cache
def _layer_class() -> Any:
    """Made on first use, since transformers is imported where models are loaded only."""
    import torch
    from transformers import cache_utils

    base: Any = cache_utils.DynamicLayer

    class Stacked(base):  # type: ignore[misc]
        """Joins held keys and values with what a forward brings, for that forward alone."""

        def __init__(self, parts: list[Any], keep: bool) -> None:
            super().__init__()
            self.parts, self.keep = parts, keep
            self.new: tuple[torch.Tensor, torch.Tensor] | None = None

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            self.new = (key_states, value_states) if self.keep else None
            if not self.parts:
                return key_states, value_states
            keys, values = ([_rows(part[side], part[2]) for part in self.parts] for side in (0, 1))
            return torch.cat([*keys, key_states], dim=-2), torch.cat([*values, value_states], dim=-2)

        def get_seq_length(self) -> int:
            return sum(keys.shape[-2] for keys, *_ in self.parts)

    return Stacked


def _rows(held: torch.Tensor, rows: int | torch.Tensor) -> torch.Tensor:
    return held.expand(rows, -1, -1, -1) if isinstance(rows, int) else held.index_select(0, rows)

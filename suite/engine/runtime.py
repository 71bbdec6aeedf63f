"""What the engine needs of a model: a body, a head, and whether the body takes masks and caches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


class Forward(Protocol):
    """A body that can be told what each token sees, where it stands, and what was computed before."""

    def __call__(
        self,
        ids_BT: torch.Tensor,
        visible_BTK: torch.Tensor | None = None,
        positions_BT: torch.Tensor | None = None,
        cache: Any = None,
    ) -> torch.Tensor:
        """Features [B, T, D] of the tokens.

        Args:
            ids_BT: token ids, int64.
            visible_BTK: bool, whether a token sees a key (those of the cache first); ``None``: plain causal.
            positions_BT: int64; ``None``: the model counts.
            cache: a ``transformers.Cache``; ``None``: nothing was computed before.
        """
        ...


@dataclass(frozen=True)
class Runtime:
    """How one runtime computes logits, in two steps so that the second can be taken in chunks of rows.

    Attributes:
        body: ids [B, T] and attention mask [B, T] (``None``: no padding), int64, to features [B, T, D].
        head: features [N, D] to logits [N, V].
        width: V if `body` gives logits already, so that batches stay small; 0 otherwise.
        forward: `body` with masks and caches; ``None`` if the runtime has no such thing.
        tokens: of one forward, more than a processor likes, if the device is another; 0: it is a processor.
        alone: answers depend on what else is in the forward, so every sequence gets one of its own.
    """

    body: Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
    head: Callable[[torch.Tensor], torch.Tensor]
    width: int = 0
    forward: Forward | None = None
    tokens: int = 0
    alone: bool = False


def transformers_forward(module: Any, field: str, device: Any, dtype: Any) -> Forward:
    """`Forward` of a module of transformers.

    Args:
        module: a model, or the part of it without the head.
        field: of its output, e.g. ``last_hidden_state``.
        device: where the inputs go.
        dtype: of the additive mask: 0 where a key is seen, the lowest finite number elsewhere.
    """

    def forward(
        ids_BT: torch.Tensor,
        visible_BTK: torch.Tensor | None = None,
        positions_BT: torch.Tensor | None = None,
        cache: Any = None,
    ) -> torch.Tensor:
        import torch

        inputs: dict[str, Any] = {"use_cache": cache is not None}
        if visible_BTK is not None:
            hidden = ~visible_BTK[:, None].to(device)
            mask = torch.zeros(hidden.shape, dtype=dtype, device=device)
            inputs["attention_mask"] = mask.masked_fill_(hidden, torch.finfo(dtype).min)
        if positions_BT is not None:
            inputs["position_ids"] = positions_BT.to(device)
        if cache is not None:
            inputs["past_key_values"] = cache
        features: torch.Tensor = getattr(module(input_ids=ids_BT.to(device), **inputs), field)
        return features

    return forward

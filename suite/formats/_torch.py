"""What the formats that torch runs share: the device, and the dtype that was observed."""

from __future__ import annotations

from typing import Any

from suite.errors import UnitError
from suite.formats.base import Place


def torch_device(place: Place) -> str:
    """Set torch's threads and name its device.

    Raises:
        UnitError: a GPU is asked for and torch sees none.
    """
    import torch

    torch.set_num_threads(place.threads)
    if place.device == "cuda" and not torch.cuda.is_available():
        raise UnitError("device cuda was asked for, but torch sees no CUDA device; use --device cpu")
    return place.device


def observed_dtype(module: Any) -> str:
    """The dtype that holds most bytes of a torch module, looking inside packed tensor classes."""
    sizes: dict[str, int] = {}
    tensors = {id(leaf): leaf for whole in (*module.parameters(), *module.buffers()) for leaf in _leaves(whole)}
    for tensor in tensors.values():
        name = str(tensor.dtype).removeprefix("torch.")
        sizes[name] = sizes.get(name, 0) + tensor.numel() * tensor.element_size()
    return max(sorted(sizes), key=lambda name: sizes[name]) if sizes else "none"


def _leaves(tensor: Any) -> list[Any]:
    """The plain tensors inside a tensor; torchao's classes say theirs by ``__tensor_flatten__``."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return [tensor]
    return [leaf for name in tensor.__tensor_flatten__()[0] for leaf in _leaves(getattr(tensor, name))]

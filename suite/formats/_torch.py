"""What the formats that torch runs share: the device, and the dtype that was observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suite.errors import UnitError
from suite.formats.base import Place

_CODES = ("int", "uint", "float8")  # what quantised weights are stored as
_NOTABLE = 0.05  # of the stored bytes; below, integers are positions and counters


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
    sizes = held_dtypes(module)
    return max(sorted(sizes), key=lambda name: sizes[name]) if sizes else "none"


def held_dtypes(module: Any) -> dict[str, int]:
    """Dtype to the bytes of a torch module's parameters and buffers in it, looking inside packed tensor classes."""
    sizes: dict[str, int] = {}
    tensors = {id(leaf): leaf for whole in (*module.parameters(), *module.buffers()) for leaf in _leaves(whole)}
    for tensor in tensors.values():
        name = str(tensor.dtype).removeprefix("torch.")
        sizes[name] = sizes.get(name, 0) + tensor.numel() * tensor.element_size()
    return sizes


def expanded(stored: Mapping[str, int], held: Mapping[str, int]) -> str | None:
    """The codes that a runtime expanded on load; None if it computes with them, or there are none to speak of.

    Embeddings left alone may hold most bytes, so codes are compared with codes: fewer than half of their stored bytes
    are still there.

    Args:
        stored: dtype to its bytes in the files.
        held: dtype to its bytes in memory, once a forward has run.

    >>> expanded({"float32": 30, "int32": 7}, {"float32": 47})
    'int32'
    >>> expanded({"float32": 30, "int32": 7}, {"float32": 30, "int32": 7}) is None
    True
    """
    codes = {name: size for name, size in stored.items() if name.startswith(_CODES)}
    here = sum(size for name, size in held.items() if name.startswith(_CODES))
    size = sum(codes.values())
    if size <= _NOTABLE * sum(stored.values()) or here >= size / 2:
        return None
    return max(sorted(codes), key=lambda name: codes[name])


def _leaves(tensor: Any) -> list[Any]:
    """The plain tensors inside a tensor; torchao's classes say theirs by ``__tensor_flatten__``."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return [tensor]
    return [leaf for name in tensor.__tensor_flatten__()[0] for leaf in _leaves(getattr(tensor, name))]

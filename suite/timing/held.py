"""What a loaded model holds: bytes of all live tensors, the operations of a call, memory of a CUDA device."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

_PACKED = 0.1  # of the held bytes, at most, are integers where the float operations are the model's


def tensor_bytes() -> float:
    """Bytes of the distinct storages of all live torch tensors in this process.

    Called after forwards: what a runtime expanded on load or on first use is counted as it now stands. Weights inside
    another runtime (ONNX Runtime, llama.cpp) cannot be seen.
    """
    gc.collect()
    return _bytes(_tensors())


def flops(step: Callable[[], Any]) -> float:
    """Floating-point operations of one call (2 a multiply-add), by torch's FlopCounterMode with eager attention.

    Only of float weights: the counter does not see what quantised kernels compute, so for them it is 0. Weights are
    quantised as well where they are packed into integers that are no parameters (GPTQ's buffers).
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    live = _tensors()
    if any(type(t) is not torch.nn.Parameter or not t.is_floating_point() for t in live if _weight(t)):
        return 0.0
    if _bytes([one for one in live if _packable(one)]) > _PACKED * _bytes(live):
        return 0.0
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        step()
    return float(counter.get_total_flops())


def reset_cuda() -> None:
    """Begin a new peak of device memory."""
    import torch

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()


def cuda_bytes() -> dict[str, float]:
    """Peak bytes that torch's allocator handed out, and that it took from the device."""
    import torch

    torch.cuda.synchronize()
    return {"cuda_allocated": float(torch.cuda.max_memory_allocated()),
            "cuda_reserved": float(torch.cuda.max_memory_reserved())}  # fmt: skip


def _tensors() -> list[Any]:
    """Live tensors with storage. Fake ones, of exported graphs, are not even asked: that would fix their open sizes."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensor

    found = [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor)]
    return [one for one in found if not issubclass(type(one), FakeTensor) and one.device.type != "meta"]


def _bytes(tensors: list[Any]) -> float:
    """Bytes of the distinct storages of these tensors."""
    seen = {}
    for tensor in tensors:
        for one in _plain(tensor):
            try:
                storage = one.untyped_storage()
                seen[storage.data_ptr()] = storage.nbytes()
            except (RuntimeError, NotImplementedError):
                continue
    return float(sum(seen.values()))


def _packable(tensor: Any) -> bool:
    """Whether it may hold packed weights: an integer, but for masks (bool) and ids or positions (int64)."""
    import torch

    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype in (torch.bool, torch.int64))


def _weight(tensor: Any) -> bool:
    import torch

    return issubclass(type(tensor), torch.nn.Parameter) or hasattr(type(tensor), "__tensor_flatten__")


def _plain(tensor: Any) -> list[Any]:
    """The tensors that a subclass (torchao's) is made of; else the tensor itself."""
    import torch

    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None or type(tensor) in (torch.Tensor, torch.nn.Parameter):
        return [tensor]
    try:
        names = flatten()[0]
    except (RuntimeError, TypeError, NotImplementedError):
        return [tensor]
    return [inner for name in names for inner in _plain(getattr(tensor, name))]

"""Activations: what share of them is zero, and which units never fire, seen while a model answers a sample.

Every call of an activation operator is a site: the module that calls it, and which of its calls it is. A unit is a
channel: axis 1 of the output of a convolutional layer [B, C, H, W] or [B, C, D, H, W], else the last axis [..., F]. A
unit is dead if it is zero wherever the sample led it (Lu et al. 2019, "Dying ReLU"): of so small a sample, an upper
bound. Only operators that give exact zeros are counted; a GELU or SiLU is never zero, so a model of those has no sites.
Torch's operators are counted as they run; an ONNX graph is run a second time with its activations as further outputs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OPERATORS = frozenset({"relu", "relu_", "hardtanh", "hardtanh_", "threshold", "threshold_", "hardswish", "hardswish_"})
_NODES = frozenset({"Relu", "Clip", "ThresholdedRelu", "HardSwish"})  # of ONNX
_IMAGES = (4, 5)  # axes of a batch of feature maps, in two and three dimensions

Series = dict[str, list[float]]


@dataclass
class Site:
    """Counts of one activation.

    Attributes:
        zeros: outputs that are exactly 0.
        elements: outputs.
        fired: for each unit, whether it was ever another number than 0.
    """

    zeros: int = 0
    elements: int = 0
    fired: NDArray[np.bool_] | None = None

    def add(self, nonzero: NDArray[np.int64], elements: int) -> None:
        """Count one call: how many outputs of each unit are not 0, and how many outputs there are."""
        self.elements += elements
        self.zeros += elements - int(nonzero.sum())
        if self.fired is None or self.fired.shape == nonzero.shape:
            self.fired = (nonzero > 0) | (False if self.fired is None else self.fired)


@dataclass
class Sites:
    """All activations of a model by where they are called.

    Attributes:
        by_place: their counts.
        graphs: for each watched ONNX session, by its identity, the one that gives its activations, and their names.
    """

    by_place: dict[Any, Site] = field(default_factory=dict)
    graphs: dict[int, tuple[Any, list[str]]] = field(default_factory=dict)

    def series(self) -> Series:
        """For each site its zeros, outputs, units and dead units; empty if the model has none."""
        found = [site for site in self.by_place.values() if site.fired is not None]
        if not found:
            return {}
        return {
            "activation_zeros": [float(site.zeros) for site in found],
            "activations": [float(site.elements) for site in found],
            "dead_units": [float((~site.fired).sum()) for site in found if site.fired is not None],
            "units": [float(site.fired.size) for site in found if site.fired is not None],
        }


_now: list[Sites] = []  # what is being watched; empty most of the time


@contextmanager
def watched(sites: Sites) -> Iterator[None]:
    """Count all activations of the models that compute in this thread into `sites`."""
    _now.append(sites)
    try:
        if "torch" not in sys.modules:
            yield
        else:
            with _torch_watched(sites):
                yield
    finally:
        _now.pop()


def see_graph(session: Any, feed: Mapping[str, Any], file: Path) -> None:
    """Count the activations of an ONNX Runtime session for one feed, while anything is watched.

    Args:
        session: loaded from `file`.
        feed: input name -> array.
        file: the graph.
    """
    for sites in _now:
        if id(session) not in sites.graphs:
            sites.graphs[id(session)] = _with_activations(file)
        told, names = sites.graphs[id(session)]
        for name, output in zip(names, told.run(names, feed) if names else (), strict=True):
            sites.by_place.setdefault((id(session), name), Site()).add(*_counted(output))


def _with_activations(file: Path) -> tuple[Any, list[str]]:
    """A session of the same graph that gives the outputs of its activations too, and their names."""
    import onnx
    import onnxruntime

    model = onnx.load(file)
    names = [node.output[0] for node in model.graph.node if node.op_type in _NODES]
    stated = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in stated)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"]), names


@contextmanager
def _torch_watched(sites: Sites) -> Iterator[None]:
    import torch
    from torch.nn.modules import module as modules
    from torch.utils._python_dispatch import TorchDispatchMode

    within: list[tuple[int, list[int]]] = []  # the modules that are computing, and how often each has activated

    class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            output = func(*args, **(kwargs or {}))
            if func.overloadpacket.__name__ in _OPERATORS and isinstance(output, torch.Tensor):
                module, count = within[-1] if within else (0, [0])
                sites.by_place.setdefault((module, count[0]), Site()).add(
                    *_counted((output.detach() != 0).cpu().numpy())
                )
                count[0] += 1
            return output

    def leave(module: Any, _args: Any, _output: Any) -> None:
        if within and within[-1][0] == id(module):
            within.pop()

    def enter(module: Any, _args: Any) -> None:
        within.append((id(module), [0]))

    removers: list[Callable[[], None]] = [
        modules.register_module_forward_pre_hook(enter).remove,
        modules.register_module_forward_hook(leave, always_call=True).remove,
    ]
    try:
        with Counting():  # type: ignore[no-untyped-call]
            yield
    finally:
        for remove in removers:
            remove()


def _counted(output: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """Outputs of each unit that are not 0, and the number of outputs."""
    axis = 1 if output.ndim in _IMAGES else output.ndim - 1
    nonzero = np.count_nonzero(output, axis=tuple(one for one in range(output.ndim) if one != axis))
    return np.asarray(nonzero, dtype=np.int64), output.size

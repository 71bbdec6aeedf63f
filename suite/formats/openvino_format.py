"""Format ``openvino``: a folder with an OpenVINO IR (``.xml`` and ``.bin``), run by OpenVINO on the processor.

Shape suffixes: B batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError, UnitError
from suite.formats import _openvino_file, _vision
from suite.formats._causal import unrolled
from suite.formats._errors import one_line
from suite.formats._files import reasons
from suite.formats._generate import stepping
from suite.formats.base import Description, Place
from suite.manifest import KINDS, Inputs, Kind
from suite.model import Array, Facts, Ints, Model

_KNOWN = ("input_ids", "attention_mask", "position_ids", "beam_idx")


class OpenVino:
    """An OpenVINO graph of standard operators; a language model has its tokenizer beside it, and may keep a state."""

    name = "openvino"
    title = "OpenVINO IR (folder with .xml and .bin), run by OpenVINO on the CPU"
    kinds: tuple[Kind, ...] = KINDS
    packages: tuple[str, ...] = ("openvino", "numpy")
    extra: str | None = "openvino"
    gradients = False

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse the folder: no IR, operators from elsewhere, or tensors beyond the ``.bin``."""
        return reasons(lambda: _openvino_file.Graph.open(weights).findings())

    def describe(self, weights: Path) -> Description:
        """Constants by dtype; shapes of the first input and output."""
        return _openvino_file.describe(weights)

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """A compiled graph with the runtime's own choice of precision, which is noted.

        Raises:
            InputError: `check` refuses the folder.
            UnitError: OpenVINO cannot compile it, or another device is asked for.
        """
        for finding in self.check(weights):
            raise InputError(finding)
        if place.device != "cpu":
            raise UnitError(f"OpenVINO graphs are run on the processor only, not on {place.device}; use --device cpu")
        network = _Network(_openvino_file.model_file(weights), place.threads)
        found = self.describe(weights)
        facts = Facts(found.dtype, notes=(f"computes in {network.precision}",))
        if kind == "language":
            return _language(network, weights, inputs, facts, place.threads)
        if len(network.names) != 1:
            raise UnitError(f"the graph's inputs are {', '.join(network.names)}; expected one")
        batch = found.signature.input_shape[0] if found.signature and found.signature.input_shape else None

        def forward(array: NDArray[np.float32]) -> Array:
            return network({network.names[0]: array})

        return _vision.network(kind, forward, inputs, facts, batch)


class _Network:
    """A compiled graph with one request, whose state is forgotten before every call that does not go on.

    It holds far more than its file. Of a float32 graph of 445 MB: the mapped file (445 MB, file-backed) and beside it
    OpenVINO's own copy of the weights in the order of its kernels (350 MB) after compiling, and some 100 MB more for
    every other length of input that comes. Without the map, or with the graph let go, it is as much.
    """

    def __init__(self, file: Path, threads: int) -> None:
        import openvino

        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        try:
            compiled = core.compile_model(core.read_model(file), "CPU", settings)
            self._request = compiled.create_infer_request()
            self._states = bool(self._request.query_state())
        except RuntimeError as error:
            raise UnitError(f"OpenVINO {openvino.__version__} cannot load {file.name}: {one_line(error)}") from None
        self.names = [_name(value, index) for index, value in enumerate(compiled.inputs)]
        self._types = [value.get_element_type().to_dtype() for value in compiled.inputs]
        outputs = [_name(value, index) for index, value in enumerate(compiled.outputs)]
        self._last = compiled.output(outputs.index("logits") if "logits" in outputs else 0)
        self.precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()

    @property
    def stateful(self) -> bool:
        return self._states

    def __call__(self, feed: Mapping[str, Array], goes_on: bool = False) -> Array:
        """The first output, or that with the logits."""
        given = [np.ascontiguousarray(feed[name], dtype=dtype)
                 for name, dtype in zip(self.names, self._types, strict=True)]  # fmt: skip
        try:
            if self._states and not goes_on:
                self._request.reset_state()
            return np.array(self._request.infer(given)[self._last])
        except RuntimeError as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(self.names, given, strict=True))
            raise UnitError(f"the graph fails on {shapes}: {one_line(error)}") from None


def _name(value: Any, index: int) -> str:
    names = sorted(value.get_names())
    return next((name for name in (*_KNOWN, "logits") if name in names), names[0] if names else f"port {index}")


def _feed(ids_BT: Array, mask_BP: Array, cached: int = 0) -> dict[str, Array]:
    """What a causal graph may ask for, for tokens behind so many that its state holds."""
    positions_BT = np.broadcast_to(np.arange(cached, cached + ids_BT.shape[1]), ids_BT.shape)
    whole = {"input_ids": ids_BT, "attention_mask": mask_BP, "position_ids": positions_BT}
    return whole | {"beam_idx": np.arange(len(ids_BT))}


def _language(network: _Network, weights: Path, inputs: Inputs, facts: Facts, threads: int) -> Model:
    """A causal model from a graph input_ids (, attention_mask, position_ids, beam_idx) -> logits."""
    strange = [name for name in network.names if name not in _KNOWN]
    if strange or "input_ids" not in network.names:
        raise UnitError(f"the graph's inputs are {', '.join(network.names)}; expected {', '.join(_KNOWN)}")

    def logits_of(ids_BT: Array, mask_BT: Array) -> Array:
        return network(_feed(ids_BT, mask_BT))

    def step(ids_1T: Ints, cached: int) -> Array:
        mask = np.ones((1, cached + ids_1T.shape[1]), dtype=np.int64)
        return network(_feed(ids_1T, mask, cached), goes_on=cached > 0)

    generator = stepping(lambda: step) if network.stateful else None
    return unrolled(logits_of, weights, inputs, facts, threads=threads, generator=generator)

"""Format ``onnx``: an ``.onnx`` file, or a folder with one, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError, UnitError
from suite.formats import _activations, _onnx_file, _vision
from suite.formats._errors import one_line
from suite.formats._files import reasons
from suite.formats._onnx_language import Graph, language
from suite.formats.base import Description, Loader, Place, Point
from suite.manifest import KINDS, Inputs, Kind
from suite.model import Array, Facts, Model

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_SETTINGS = {**_TYPES, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}


class Onnx:
    """An ONNX graph of standard and ``com.microsoft`` operators; a language model has its tokenizer beside it."""

    name = "onnx"
    title = "ONNX graph (.onnx, or a folder with one), run by ONNX Runtime"
    kinds: tuple[Kind, ...] = KINDS
    packages: tuple[str, ...] = ("onnxruntime", "onnx", "numpy")
    extra: str | None = None
    gradients = False

    def __init__(self, point: Point | None = None) -> None:
        self._point = dict(point or {})

    def at(self, point: Point) -> Loader:
        """Every setting is fed to the graph's input of that name, which holds one number."""
        return Onnx(point)

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse the file: not ONNX, operators from elsewhere, or external data outside the folder."""
        return reasons(lambda: _onnx_file.findings(weights) + self._unknown(weights))

    def _unknown(self, weights: Path) -> list[str]:
        """Settings of the operating point that the graph has no input for."""
        names = _onnx_file.input_names(weights)
        strange = [name for name in self._point if name not in names]
        said = f"the graph's inputs are {', '.join(names)}; name one of them"
        return [f"operating_point.{strange[0]}: {said}"] if strange else []

    def describe(self, weights: Path) -> Description:
        """Initializers and constants by dtype; shapes of the first input and output."""
        return _onnx_file.describe(weights)

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """A session on the CPU provider, or the CUDA one where the place says so.

        Raises:
            InputError: `check` refuses the file.
            UnitError: ONNX Runtime cannot load it.
        """
        for finding in self.check(weights):
            raise InputError(finding)
        file, facts = _onnx_file.model_file(weights), Facts(self.describe(weights).dtype)
        place.looked()
        session = _session(file, place)
        settings = _settings(session, self._point)
        if kind == "language":
            return language(Graph(session, settings), weights, inputs, facts, place.threads)
        first = _only(session, settings, weights.name)
        batch = first.shape[0] if first.shape and isinstance(first.shape[0], int) else None

        def forward(array: NDArray[np.float32]) -> Array:
            return _run(session, {first.name: array.astype(_TYPES[first.type], copy=False), **settings}, file)

        return _vision.network(kind, forward, inputs, facts, batch)


def _session(file: Path, place: Place) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = place.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    provider = "CUDAExecutionProvider" if place.device == "cuda" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise UnitError(f"this ONNX Runtime has no {provider}; install onnxruntime-gpu or use --device cpu")
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=[provider])
    except Exception as error:
        raise UnitError(f"ONNX Runtime {onnxruntime.__version__} cannot load {file.name}: {one_line(error)}") from None


def _settings(session: Any, point: Point) -> dict[str, Array]:
    """The operating point as the graph takes it."""
    found: dict[str, Array] = {}
    for value in session.get_inputs():
        if value.name not in point:
            continue
        given = point[value.name]
        if value.type not in _SETTINGS or isinstance(given, str) or any(size != 1 for size in value.shape):
            raise UnitError(
                f"operating_point.{value.name} = {given!r}, but that input is {value.type} {list(value.shape)}; "
                "a setting is one number"
            )
        found[value.name] = np.full(value.shape, given, dtype=_SETTINGS[value.type])
    return found


def _only(session: Any, settings: dict[str, Array], name: str) -> Any:
    """The one input of a network that is not a setting."""
    values = [value for value in session.get_inputs() if value.name not in settings]
    if len(values) == 1 and values[0].type in _TYPES:
        return values[0]
    said = ", ".join(f"{value.name} {value.type}" for value in values)
    raise UnitError(f"{name} takes {said}; expected one float tensor (settings go into operating_point)")


def _run(session: Any, feed: dict[str, Array], file: Path) -> Array:
    """The first output."""
    _activations.see_graph(session, feed, file)
    try:
        output: Array = session.run([session.get_outputs()[0].name], feed)[0]
    except Exception as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in feed.items())
        raise UnitError(f"the graph fails on {shapes}: {one_line(error)}") from None
    return output

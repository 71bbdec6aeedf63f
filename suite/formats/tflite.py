"""Format ``tflite``: a ``.tflite`` file, run by LiteRT (which was TensorFlow Lite) on the processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError, UnitError
from suite.formats import _vision
from suite.formats._errors import one_line
from suite.formats._files import reasons
from suite.formats._tflite_file import End, Graph
from suite.formats.base import Description, Place
from suite.manifest import Inputs, Kind
from suite.model import Array, Facts, Model


class TFLite:
    """A TFLite graph of builtin operators with one input, floats or codes with a scale and a zero point.

    Tasks give floats: they become the codes that the file takes, and its codes become floats again. Probabilities that
    were stored as codes are off 1 in sum by rounding: they are divided by it.
    """

    name = "tflite"
    title = "TFLite graph (.tflite), float or int8, run by LiteRT on the CPU"
    kinds: tuple[Kind, ...] = ("classification", "segmentation")
    packages: tuple[str, ...] = ("ai-edge-litert", "numpy")
    extra: str | None = "tflite"
    gradients = False

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse the file: not TFLite, operators from elsewhere, or more than one input."""
        return reasons(lambda: Graph.open(weights).findings())

    def describe(self, weights: Path) -> Description:
        """Stored tensors by dtype; shapes of the first input and output as the file lays them out."""
        return Graph.open(weights).described()

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """An interpreter with its default kernels.

        Raises:
            InputError: `check` refuses the file.
            UnitError: LiteRT cannot load it, or another device is asked for.
        """
        for finding in self.check(weights):
            raise InputError(finding)
        if place.device != "cpu":
            raise UnitError(f"TFLite graphs are run on the processor only, not on {place.device}; use --device cpu")
        graph = Graph.open(weights)
        given, made = graph.end(True), graph.end(False)
        if inputs.output == "logits" and graph.gives_probabilities():
            raise UnitError(f'{weights.name} ends in a softmax: set inputs.output = "probabilities"')
        runner = _Runner(weights, place.threads, given, made, inputs.output == "probabilities")
        facts = Facts(graph.described().dtype, notes=(*_notes(given, made), *graph.expanded()))
        return _vision.network(kind, runner, inputs, facts, given.shape[0] if given.shape else None)


def _notes(given: End, made: End) -> tuple[str, ...]:
    if given.scale is None and made.scale is None:
        return ()
    ends = (f"{name} {end.dtype} (scale {end.scale:.6g}, zero point {end.zero})"
            for name, end in (("input", given), ("output", made)) if end.scale is not None)  # fmt: skip
    return (f"quantised {', '.join(ends)}",)


class _Runner:
    """Calls an interpreter; its input is resized where the batch changes."""

    def __init__(self, file: Path, threads: int, given: End, made: End, probabilities: bool) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._given, self._made = given, made
        self._divide = probabilities and made.scale is not None
        try:
            self._interpreter: Any = Interpreter(model_path=str(file), num_threads=threads)
            self._interpreter.allocate_tensors()
        except Exception as error:
            raise UnitError(f"LiteRT cannot load {file.name}: {one_line(error)}") from None
        self._first = self._interpreter.get_input_details()[0]["index"]
        self._last = self._interpreter.get_output_details()[0]["index"]

    def __call__(self, batch: NDArray[np.float32]) -> Array:
        try:
            if tuple(self._interpreter.get_input_details()[0]["shape"]) != batch.shape:
                self._interpreter.resize_tensor_input(self._first, batch.shape, strict=True)
                self._interpreter.allocate_tensors()
            self._interpreter.set_tensor(self._first, self._given.codes(batch))
            self._interpreter.invoke()
            output = self._made.values(self._interpreter.get_tensor(self._last))
        except (ValueError, RuntimeError) as error:
            raise UnitError(f"the graph fails on shape {batch.shape}: {one_line(error)}") from None
        if self._divide and output.ndim > 1:
            sums = output.sum(axis=-1, keepdims=True)
            output = np.divide(output, sums, out=output.copy(), where=sums > 0)
        return output

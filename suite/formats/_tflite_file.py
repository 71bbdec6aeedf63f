"""A TFLite file read without running it: operators, stored tensors, shapes, and how its ends are quantised."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.formats import _expanded
from suite.formats._errors import one_line
from suite.formats.base import Description, Signature

_MARK = b"TFL3"
_MARK_AT = slice(4, 8)
_MOST = 1 << 20  # tensors, operators or buffers of a file
_BROKEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, struct.error)


@dataclass(frozen=True)
class End:
    """The one input or output of a graph.

    Attributes:
        shape: channels last, as the file states it; None where it is open (the batch, as a rule).
        dtype: NumPy's name.
        scale: of a quantised end: value = scale * (code - zero); None for floats.
        zero: the code of 0.
    """

    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero: int = 0

    def codes(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """Values as the graph takes them: rounded half away from zero, and held within the codes, as TFLite does.

        >>> End((1, 3), "int8", 0.5, 2).codes(np.array([0.25, -0.25, 900.0], np.float32)).tolist()
        [3, 1, 127]
        """
        if self.scale is None:
            return values.astype(self.dtype, copy=False)
        steps = values.astype(np.float64) / self.scale
        ends = np.iinfo(self.dtype)
        coded = np.trunc(steps + np.copysign(0.5, steps)) + self.zero
        return coded.clip(ends.min, ends.max).astype(self.dtype)

    def values(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        """Codes as values.

        >>> End((1, 2), "int8", 0.5, 2).values(np.array([3, 2], np.int8)).tolist()
        [0.5, 0.0]
        """
        if self.scale is None:
            return codes.astype(np.float32, copy=False)
        return ((codes.astype(np.float64) - self.zero) * self.scale).astype(np.float32)


@dataclass(frozen=True)
class Stored:
    """A tensor whose values lie in the file.

    Attributes:
        name: as the file has it.
        shape: channels last.
        dtype: NumPy's name.
        size: bytes of its values.
        raw: reads them, as unsigned bytes.
        zeros: zero points of codes, one for all or one a channel; empty where it has no scales.
        channel: axis of those channels.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    raw: Callable[[], NDArray[np.uint8]]
    zeros: NDArray[np.int64]
    channel: int


@dataclass(frozen=True)
class Graph:
    """A parsed file.

    Attributes:
        model: the flatbuffer's root.
        main: its first subgraph, which is the model.
        name: of the file.
        content: its bytes.
    """

    model: Any
    main: Any
    name: str
    content: bytes

    @classmethod
    def open(cls, weights: Path) -> Graph:
        """Parse a file.

        Raises:
            InputError: no TFLite file, cut off, or the reader of its schema is not installed.
        """
        if not weights.is_file():
            raise InputError(f"{weights.name} is not a file; weights of format tflite are one .tflite file")
        content = weights.read_bytes()
        if content[_MARK_AT] != _MARK:
            raise InputError(f"{weights.name} is not a TFLite file: it does not bear the mark TFL3")
        try:
            model = _schema().Model.GetRootAs(content, 0)
            if (
                not 0 < model.SubgraphsLength() < _MOST
                or max(model.BuffersLength(), model.OperatorCodesLength()) > _MOST
            ):
                raise ValueError("absurd numbers of subgraphs, buffers or operators")
            graph = cls(model, model.Subgraphs(0), weights.name, content)
            if max(graph.main.TensorsLength(), graph.main.OperatorsLength()) > _MOST:
                raise ValueError("absurd numbers of tensors or operators")
            if graph.described().tensor_bytes > len(content):
                raise ValueError(f"its tensors are more than its {len(content)} bytes")
            graph.findings()
        except _BROKEN as error:
            raise InputError(f"{weights.name} cannot be read ({one_line(error)}); it may be cut off") from None
        return graph

    def findings(self) -> list[str]:
        """Reasons not to load it: operators that are not TFLite's own, or other than one input."""
        schema = _schema()
        for index in range(self.model.OperatorCodesLength()):
            code = self.model.OperatorCodes(index)
            if max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) == schema.BuiltinOperator.CUSTOM:
                name = (code.CustomCode() or b"?").decode(errors="replace")
                return [f"{self.name} uses the custom operator {name!r}; allowed are TFLite's builtin operators"]
        if self.main.InputsLength() != 1 or self.main.OutputsLength() < 1:
            return [f"{self.name} has {self.main.InputsLength()} inputs and {self.main.OutputsLength()} outputs; "
                    "expected one input and an output"]  # fmt: skip
        if "?" in (self.end(True).dtype, self.end(False).dtype):
            return [f"{self.name} takes or gives another type than floats and 8 or 16 bit codes with one scale"]
        return []

    def end(self, first: bool) -> End:
        """The first input, or the first output."""
        tensor = self.main.Tensors(self.main.Inputs(0) if first else self.main.Outputs(0))
        stated = tensor.ShapeSignatureAsNumpy() if tensor.ShapeSignatureLength() else tensor.ShapeAsNumpy()
        shape = tuple(None if size < 0 else int(size) for size in np.atleast_1d(stated))
        dtype = _types()[tensor.Type()].lower()
        if dtype in ("float32", "float16", "float64"):
            return End(shape, dtype)
        how = tensor.Quantization()
        if dtype not in ("int8", "uint8", "int16") or how is None or how.ScaleLength() != 1:
            return End(shape, "?")
        return End(shape, dtype, float(how.Scale(0)), int(how.ZeroPoint(0)) if how.ZeroPointLength() else 0)

    def gives_probabilities(self) -> bool:
        """Whether the first output is a softmax, codes and shapes of it aside."""
        schema, wanted = _schema().BuiltinOperator, self.main.Outputs(0)
        made = {self.main.Operators(i).Outputs(0): self.main.Operators(i) for i in range(self.main.OperatorsLength())}
        for _ in range(len(made)):
            if wanted not in made:
                return False
            code = self.model.OperatorCodes(made[wanted].OpcodeIndex())
            kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            if kind not in (schema.QUANTIZE, schema.DEQUANTIZE, schema.RESHAPE):
                return bool(kind == schema.SOFTMAX)
            wanted = made[wanted].Inputs(0)
        return False

    def described(self) -> Description:
        """Stored tensors by dtype, and the shapes of the first input and output, as the file lays them out."""
        ends = self.main.InputsLength() and self.main.OutputsLength()
        signature = Signature(self.end(True).shape, self.end(False).shape) if ends else None
        return Description.of(((one.dtype, one.size, prod(one.shape)) for one in self.stored()), signature)

    def stored(self) -> Iterator[Stored]:
        """Every tensor whose values lie in the file; those that share a buffer count once."""
        seen: set[int] = set()
        for part in range(self.model.SubgraphsLength()):
            graph = self.model.Subgraphs(part)
            for index in range(graph.TensorsLength()):
                tensor = graph.Tensors(index)
                buffer = self.model.Buffers(tensor.Buffer())
                size = buffer.DataLength() or buffer.Size()
                if size and tensor.Buffer() not in seen:
                    seen.add(tensor.Buffer())
                    yield self._one(tensor, buffer, size)

    def texts(self) -> Iterator[str]:
        """Free texts: the description, names of graphs and tensors, and the metadata that converters add."""
        names = [self.model.Description()]
        for part in range(self.model.SubgraphsLength()):
            graph = self.model.Subgraphs(part)
            names += [graph.Name(), *(graph.Tensors(index).Name() for index in range(graph.TensorsLength()))]
        for index in range(self.model.MetadataLength()):
            buffer = self.model.Buffers(self.model.Metadata(index).Buffer())
            names.append(buffer.DataAsNumpy().tobytes() if buffer.DataLength() else b"")
        yield from (name.decode("latin-1") for name in names if name)

    def operators(self) -> Iterator[tuple[str, list[int], list[int]]]:
        """Operators of the main graph in their order: name, and the numbers of the tensors that they take and make."""
        names = {number: name for name, number in vars(_schema().BuiltinOperator).items() if isinstance(number, int)}
        for index in range(self.main.OperatorsLength()):
            operator = self.main.Operators(index)
            code = self.model.OperatorCodes(operator.OpcodeIndex())
            ends = (
                [int(n) for n in np.atleast_1d(part)] for part in (operator.InputsAsNumpy(), operator.OutputsAsNumpy())
            )
            yield (names.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "?"), *ends)

    def shape(self, number: int) -> tuple[int, ...]:
        """Of a tensor of the main graph, as the file lays it out."""
        tensor = self.main.Tensors(number)
        return tuple(int(axis) for axis in np.atleast_1d(tensor.ShapeAsNumpy())) if tensor.ShapeLength() else ()

    def stored_name(self, number: int) -> str | None:
        """The name of a tensor whose values lie in the file, or of the one that is expanded to it."""
        made = {out: inputs[0] for kind, inputs, (out, *_) in self.operators() if kind == "DEQUANTIZE"}
        tensor = self.main.Tensors(made.get(number, number))
        buffer = self.model.Buffers(tensor.Buffer())
        return (tensor.Name() or b"").decode(errors="replace") if buffer.DataLength() or buffer.Size() else None

    def expanded(self) -> tuple[str, ...]:
        """What a record says of weights that the graph itself makes floats of, once, before it computes with them."""
        expanding = {self.stored_name(inputs[0]) for kind, inputs, _ in self.operators() if kind == "DEQUANTIZE"}
        weights = [one for one in self.stored() if len(one.shape) > 1]
        wide = [one for one in weights if one.name in expanding]
        narrow, total = (sum(one.size for one in part) for part in (wide, weights))
        return _expanded.note([one.dtype for one in wide], narrow, total, "by the graph")

    def weights_of(self, operators: Sequence[str]) -> Iterator[str]:
        """Names of the tensors that operators of these names take as their second input."""
        for kind, inputs, _ in self.operators():
            if kind in operators and len(inputs) > 1:
                yield (self.main.Tensors(inputs[1]).Name() or b"").decode(errors="replace")

    def _one(self, tensor: Any, buffer: Any, size: int) -> Stored:
        how = tensor.Quantization()
        scaled = how is not None and how.ScaleLength()
        zeros = np.zeros(how.ScaleLength() if scaled else 0, np.int64)
        if scaled and how.ZeroPointLength():
            zeros = np.broadcast_to(how.ZeroPointAsNumpy(), zeros.shape).astype(np.int64)

        def raw() -> NDArray[np.uint8]:
            if buffer.DataLength():
                return np.asarray(buffer.DataAsNumpy(), np.uint8)
            return np.frombuffer(self.content, np.uint8, size, buffer.Offset())

        shape = tuple(int(axis) for axis in np.atleast_1d(tensor.ShapeAsNumpy())) if tensor.ShapeLength() else ()
        name, dtype = (tensor.Name() or b"").decode(errors="replace"), _types()[tensor.Type()].lower()
        return Stored(name, shape, dtype, size, raw, zeros, how.QuantizedDimension() if scaled else 0)


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise InputError("TFLite files need ai-edge-litert: pip install 'hallmark-bench[tflite]'") from None
    return schema_py_generated


@cache
def _types() -> dict[int, str]:
    return {number: name for name, number in vars(_schema().TensorType).items() if isinstance(number, int)}

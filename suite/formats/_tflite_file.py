"""A TFLite file read without running it: operators, stored tensors, shapes, and how its ends are quantised."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
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
class Graph:
    """A parsed file.

    Attributes:
        model: the flatbuffer's root.
        main: its first subgraph, which is the model.
        name: of the file.
    """

    model: Any
    main: Any
    name: str

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
            graph = cls(model, model.Subgraphs(0), weights.name)
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
        dtypes: dict[str, int] = {}
        parameters = 0
        for tensor, size in self._stored():
            dtype = _types()[tensor.Type()].lower()
            dtypes[dtype] = dtypes.get(dtype, 0) + size
            parameters += (
                int(np.prod(np.atleast_1d(tensor.ShapeAsNumpy()), dtype=np.int64)) if tensor.ShapeLength() else 1
            )
        ends = self.main.InputsLength() and self.main.OutputsLength()
        signature = Signature(self.end(True).shape, self.end(False).shape) if ends else None
        return Description(parameters, sum(dtypes.values()), dtypes, signature)

    def _stored(self) -> Iterator[tuple[Any, int]]:
        """Every tensor whose values lie in the file, and their bytes; those that share a buffer count once."""
        seen: set[int] = set()
        for part in range(self.model.SubgraphsLength()):
            graph = self.model.Subgraphs(part)
            for index in range(graph.TensorsLength()):
                tensor = graph.Tensors(index)
                buffer = self.model.Buffers(tensor.Buffer())
                size = buffer.DataLength() or buffer.Size()
                if size and tensor.Buffer() not in seen:
                    seen.add(tensor.Buffer())
                    yield tensor, size


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise InputError("TFLite files need ai-edge-litert: pip install 'hallmark-bench[tflite]'") from None
    return schema_py_generated


@cache
def _types() -> dict[int, str]:
    return {number: name for name, number in vars(_schema().TensorType).items() if isinstance(number, int)}

"""TFLite files written with the format's own schema: a network with the weights of `format_samples.Net`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import torch
from format_samples import CLASSES, Net
from numpy.typing import NDArray


class Writer:
    """A graph of builtin operators, tensor by tensor."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers, self.model.operatorCodes, self.model.subgraphs = [schema.BufferT()], [], [self.graph]

    def tensor(self, shape: list[int], dtype: str, scale: tuple[float, int] | None = None, values: Any = None) -> int:
        one = self.schema.TensorT()
        one.shape, one.type, one.name = shape, getattr(self.schema.TensorType, dtype), f"t{len(self.graph.tensors)}"
        if values is None:
            one.shapeSignature, one.buffer = [-1, *shape[1:]], 0
        else:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            one.buffer = len(self.model.buffers) - 1
        if scale is not None:
            one.quantization = self.schema.QuantizationParametersT()
            one.quantization.scale, one.quantization.zeroPoint = [scale[0]], [scale[1]]
        self.graph.tensors.append(one)
        return len(self.graph.tensors) - 1

    def constant(self, values: NDArray[Any], dtype: str = "FLOAT32") -> int:
        return self.tensor(list(values.shape), dtype, values=values)

    def operator(
        self, name: str, inputs: list[int], output: int, options: str = "", custom: str = "", **set: Any
    ) -> int:
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version, code.customCode = 1, custom or None
        self.model.operatorCodes.append(code)
        one = self.schema.OperatorT()
        one.opcodeIndex, one.inputs, one.outputs = len(self.model.operatorCodes) - 1, inputs, [output]
        if options:
            one.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            one.builtinOptions = getattr(self.schema, options + "T")()
            for key, value in set.items():
                setattr(one.builtinOptions, key, value)
        self.graph.operators.append(one)
        return output

    def save(self, file: Path, first: int, last: int) -> Path:
        self.graph.inputs, self.graph.outputs = [first], [last]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        file.write_bytes(bytes(builder.Output()))
        return file


def save_tflites(folder: Path, nets: dict[str, Net]) -> None:
    """Both networks into a folder, one file a kind."""
    for kind, net in nets.items():
        save_tflite(net, folder / f"{kind}.tflite")


def save_tflite(
    net: Net, file: Path, given: tuple[float, int] | None = None, made: tuple[float, int] | None = None
) -> Path:
    """The network, channels last; with int8 ends where scales and zero points are given."""
    write, first = Writer(), (1, 8, 8, 3)
    kind = {None: "FLOAT32"}
    entry = write.tensor(list(first), kind.get(given, "INT8"), given)  # type: ignore[call-overload]
    x = entry if given is None else write.operator("DEQUANTIZE", [entry], write.tensor(list(first), "FLOAT32"))
    x = _conv(write, x, net.conv, "RELU", [1, 8, 8, 8])
    if net.dense:
        shape = [1, 8, 8, CLASSES]
        x = _conv(write, x, net.head, "NONE", shape)
    else:
        shape, axes = [1, CLASSES], write.constant(np.array([1, 2], np.int32), "INT32")
        x = write.operator("MEAN", [x, axes], write.tensor([1, 8], "FLOAT32"), "ReducerOptions", keepDims=False)
        weight, bias = (write.constant(part.detach().numpy()) for part in (net.head.weight, net.head.bias))  # type: ignore[union-attr, operator]
        x = write.operator(
            "FULLY_CONNECTED", [x, weight, bias], write.tensor(shape, "FLOAT32"), "FullyConnectedOptions"
        )
    if made is not None:
        x = write.operator("QUANTIZE", [x], write.tensor(shape, "INT8", made))
    return write.save(file, entry, x)


def _conv(write: Writer, x: int, layer: Any, activation: str, shape: list[int]) -> int:
    kernel: torch.Tensor = layer.weight.detach().permute(0, 2, 3, 1).contiguous()
    ends = [write.constant(kernel.numpy()), write.constant(layer.bias.detach().numpy())]
    how = {"strideW": 1, "strideH": 1, "padding": write.schema.Padding.SAME}
    act = getattr(write.schema.ActivationFunctionType, activation)
    return write.operator(
        "CONV_2D", [x, *ends], write.tensor(shape, "FLOAT32"), "Conv2DOptions",
        fusedActivationFunction=act, dilationWFactor=1, dilationHFactor=1, **how,
    )  # fmt: skip

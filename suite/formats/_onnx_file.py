"""An ONNX file read without running it: operators, external data, stored tensors, shapes."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from suite.errors import InputError
from suite.formats._errors import one_line
from suite.formats._files import only_file
from suite.formats._tokenizer import config_context
from suite.formats.base import Description, Signature

_OLDEST = (1, 21)
_DOMAINS = ("", "com.microsoft")
_BITS = {"float16": 16, "bfloat16": 16, "int4": 4, "uint4": 4, "float4e2m1": 4, "int2": 2, "uint2": 2, "bool": 8}


def model_file(weights: Path) -> Path:
    """The ``.onnx`` file itself, or the only one in a folder.

    Raises:
        InputError: none, or several.
    """
    return only_file(weights, ".onnx")


def findings(weights: Path) -> list[str]:
    """Reasons not to load this graph, one line each.

    Raises:
        InputError: not an ONNX file.
    """
    import onnx

    file = model_file(weights)
    model = _parse(file)
    outside = [tensor for tensor in _tensors(model) if tensor.data_location == tensor.EXTERNAL]
    found = [reason for tensor in outside if (reason := _external_refusal(tensor, file, weights))][:1]
    local = {(function.domain, function.name) for function in model.functions}
    for node in _nodes(model):
        known = node.domain in _DOMAINS or node.domain == "ai.onnx" or node.domain.startswith("ai.onnx.")
        if not known and (node.domain, node.op_type) not in local:
            found.append(
                f"{file.name} uses the custom operator {node.domain}.{node.op_type}; "
                "allowed are ai.onnx, com.microsoft and functions inside the file"
            )
            break
    if not found:
        try:
            onnx.checker.check_model(str(file))
        except Exception as error:
            found.append(f"{file.name} is not a valid ONNX model: {one_line(error)}; export it again")
    return found


def input_names(weights: Path) -> list[str]:
    """What the graph must be given.

    Raises:
        InputError: not an ONNX file.
    """
    model = _parse(model_file(weights))
    stored = {tensor.name for tensor in model.graph.initializer}
    return [value.name for value in model.graph.input if value.name not in stored]


def _sizes(tensor: Any) -> tuple[str, int, int]:
    """Dtype, bytes and elements."""
    import onnx

    dtype = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
    dtype = {"float": "float32", "double": "float64"}.get(dtype, dtype)
    size = prod(tensor.dims)
    return dtype, (size * _bits(dtype) + 7) // 8, size


def describe(weights: Path) -> Description:
    """Stored tensors by dtype, and the shapes of the first input and output.

    Raises:
        InputError: not an ONNX file.
    """
    model = _parse(model_file(weights))
    stored = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in stored]
    signature = Signature(_shape(given[0]), _shape(model.graph.output[0])) if given and model.graph.output else None
    return Description.of(map(_sizes, _tensors(model)), signature, config_context(weights))


def _parse(file: Path) -> Any:
    import onnx

    version = tuple(int(part) for part in onnx.__version__.split(".")[:2] if part.isdecimal())
    if version < _OLDEST:  # older ones follow external data out of the folder
        raise InputError(f"onnx {onnx.__version__} is installed, 1.21 or later is needed: pip install -U 'onnx>=1.21'")
    try:
        model = onnx.load(str(file), format="protobuf", load_external_data=False)
    except Exception as error:
        raise InputError(f"{file.name} is not a readable ONNX file ({one_line(error)}); it may be cut off") from None
    if not model.graph.node:
        raise InputError(f"{file.name} has no nodes, so it is not an ONNX model; export it again")
    return model


def _graphs(model: Any) -> Iterator[Any]:
    """The main graph, the local functions and every graph inside a node."""
    pending = [model.graph, *model.functions]
    while pending:
        graph = pending.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                pending += [attribute.g] if attribute.HasField("g") else []
                pending += attribute.graphs


def _nodes(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: Any) -> Iterator[Any]:
    """Every stored tensor: initializers, and tensors in the attributes of nodes."""
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def _external_refusal(tensor: Any, file: Path, weights: Path) -> str | None:
    """Why the external data of a tensor cannot be trusted, if so."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    where = entries.get("location", "")
    if weights.is_file():
        return f"{file.name} keeps data in {where!r}, which its sha256 does not cover; make weights the folder"
    folder = file.parent.resolve()
    target = (folder / where).resolve()
    if not where or Path(where).is_absolute() or ".." in Path(where).parts or not target.is_relative_to(folder):
        return f"{file.name} keeps data outside its folder ({where!r}); save it with the data beside the file"
    if not target.is_file():
        return f"{file.name}: its external data {where!r} is missing; copy the whole folder"
    numbers = [entries.get(key, "0") for key in ("offset", "length")]
    expected = sum(int(number) for number in numbers if number.isdecimal())
    found = target.stat().st_size
    if expected > found or not all(number.isdecimal() for number in numbers):
        return f"{where} is truncated: expected at least {expected} bytes, found {found}; copy it again"
    return None


def _bits(dtype: str) -> int:
    if dtype in _BITS:
        return _BITS[dtype]
    return next((bits for bits in (128, 64, 32, 16, 8) if str(bits) in dtype), 8)


def _shape(value: Any) -> tuple[int | None, ...]:
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)

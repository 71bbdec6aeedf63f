"""ONNX files as OpenVINO IR folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

_TEXTS = ("config.json", "tokenizer.json", "tokenizer_config.json")


def save_openvino(source: Path, folder: Path, half: bool = False) -> Path:
    """The graph of an ONNX file, or of a language model's folder, whose tokenizer goes with it."""
    import openvino

    folder.mkdir()
    file = source / "model.onnx" if source.is_dir() else source
    for name in _TEXTS if source.is_dir() else ():
        shutil.copy(source / name, folder)
    openvino.save_model(openvino.convert_model(file), folder / "model.xml", compress_to_fp16=half)
    return folder


def save_stateful(source: Path, folder: Path) -> Path:
    """An ONNX folder with cached keys and values as an IR that keeps them in a state, as Optimum saves them."""
    import openvino
    from openvino._offline_transformations import apply_make_stateful_transformation

    layers = json.loads((source / "config.json").read_text())["num_hidden_layers"]
    names = [f"{layer}.{part}" for layer in range(layers) for part in ("key", "value")]
    graph = openvino.convert_model(source / "model.onnx")
    apply_make_stateful_transformation(graph, {f"past_key_values.{n}": f"present.{n}" for n in names})
    _begin_empty(graph)
    folder.mkdir()
    openvino.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    for name in _TEXTS:
        shutil.copy(source / name, folder)
    return folder


def _begin_empty(graph: Any) -> None:
    """States begin with the batch of input_ids and no positions, as Optimum has them begin."""
    from openvino import opset13 as op

    batch = op.gather(op.shape_of(graph.input("input_ids"), output_type="i64"), op.constant([0]), op.constant(0))
    for node in graph.get_ops():
        if node.get_type_name() == "ReadValue":
            sizes: list[Any] = [op.constant([size.min_length]) for size in node.get_output_partial_shape(0)]
            zero = op.constant(0.0, dtype=node.get_output_element_type(0))
            node.set_arguments([op.broadcast(zero, op.concat([batch, *sizes[1:]], axis=0))])
    graph.validate_nodes_and_infer_types()


def save_openvinos(folder: Path) -> None:
    """All kinds, from their ONNX files in a folder."""
    for kind in ("classification", "segmentation"):
        save_openvino(folder / f"{kind}.onnx", folder / f"openvino-{kind}")
    save_openvino(folder / "onnx-llama", folder / "openvino-llama")

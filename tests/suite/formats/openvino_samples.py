"""ONNX files as OpenVINO IR folders."""

from __future__ import annotations

import shutil
from pathlib import Path


def save_openvino(source: Path, folder: Path, half: bool = False) -> Path:
    """The graph of an ONNX file, or of a language model's folder, whose tokenizer goes with it."""
    import openvino

    folder.mkdir()
    file = source / "model.onnx" if source.is_dir() else source
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if source.is_dir():
            shutil.copy(source / name, folder)
    openvino.save_model(openvino.convert_model(file), folder / "model.xml", compress_to_fp16=half)
    return folder


def save_openvinos(folder: Path) -> None:
    """All kinds, from their ONNX files in a folder."""
    for kind in ("classification", "segmentation"):
        save_openvino(folder / f"{kind}.onnx", folder / f"openvino-{kind}")
    save_openvino(folder / "onnx-llama", folder / "openvino-llama")

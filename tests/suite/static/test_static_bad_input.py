"""Files that cannot be what they say: one line, exit code 2, and nothing is written."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from support import REPOSITORY, Ran, one_line, write_submission

from suite.formats import _pt2

Hallmark = Callable[..., Ran]


def checked(hallmark: Hallmark, folder: Path, *words: str) -> None:
    for options in ([], ["--static"], ["--strip", folder.parent / "out"]):
        one_line(hallmark("check", folder, *options), 2, *words)
    assert not (folder.parent / "out").exists()


def safetensors(tmp_path: Path, content: bytes) -> Path:
    source = REPOSITORY / "submissions" / "embedded-lm-half" / "weights"
    files = {f"w/{p.name}": p.read_bytes() for p in source.iterdir()} | {"w/model.safetensors": content}
    return write_submission(tmp_path, "m", files, "w", kind="language", format="transformers")


def test_a_key_twice(hallmark: Hallmark, tmp_path: Path) -> None:
    one = '"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'
    header = f"{{{one}, {one}}}".encode()
    folder = safetensors(tmp_path, struct.pack("<Q", len(header)) + header + bytes(4))
    ran = hallmark("check", folder, "--static")
    assert ran.code == 2
    assert "a key appears twice" in ran.err
    assert "Traceback" not in ran.err


def test_a_header_of_more_than_100_megabytes(hallmark: Hallmark, tmp_path: Path) -> None:
    ran = hallmark("check", safetensors(tmp_path, struct.pack("<Q", 100_000_001) + b"{" + bytes(1000)))
    assert ran.code == 2
    assert "declares a header of 100000001 bytes, allowed are 100000000" in ran.err


def graph(tmp_path: Path, location: str = "") -> Path:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    if location:
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    made = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", values[:1], values[1:], [tensor])
    content = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString()
    return write_submission(tmp_path, "m", {"w/model.onnx": content}, "w", format="onnx")


def test_external_data_outside_the_folder_is_not_read(hallmark: Hallmark, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(4))
    checked(hallmark, graph(tmp_path, "../../secret"), "outside its folder")


def test_an_old_onnx(hallmark: Hallmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = graph(tmp_path)
    assert hallmark("check", folder).code == 0
    monkeypatch.setattr(onnx, "__version__", "1.20.1")
    ran = hallmark("check", folder)
    assert ran.code == 2
    assert "onnx 1.20.1 is installed, 1.21 or later is needed" in ran.err


def test_an_archive_full_of_sample_inputs(hallmark: Hallmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    torch.export.save(torch.export.export(torch.nn.Linear(64, 2), (torch.zeros(32, 64),)), tmp_path / "a.pt2")
    content = (tmp_path / "a.pt2").read_bytes()
    folder = write_submission(tmp_path, "m", {"a.pt2": content}, "a.pt2", format="torch-export")
    assert hallmark("check", folder).code == 0
    monkeypatch.setattr(_pt2, "MAX_SAMPLE_BYTES", 8000)
    checked(hallmark, folder, "bytes of sample inputs, allowed are 8000", "cloned")


def test_a_quantisation_that_cannot_be_read(hallmark: Hallmark, tmp_path: Path) -> None:
    source = REPOSITORY / "submissions" / "embedded-lm-half" / "weights"
    files = {f"w/{p.name}": p.read_bytes() for p in source.iterdir()}
    config = json.loads(files["w/config.json"]) | {"quantization_config": {"quant_method": "exotic"}}
    files["w/config.json"] = json.dumps(config).encode()
    folder = write_submission(tmp_path, "m", files, "w", kind="language", format="transformers")
    checked(hallmark, folder, "quantisation 'exotic' cannot be read here; allowed: ")

"""Configurations and headers that are not of the form that their libraries read: one line, never a traceback."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from support import REPOSITORY, write_submission

from suite import submission
from suite.check import Checked, check
from suite.errors import InputError
from suite.formats import LOADERS, _safetensors
from suite.unit import prepare

SOURCE = REPOSITORY / "submissions" / "embedded-lm-half" / "weights"
WEIGHTS = {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "strategy": "channel"}}


def folder(target: Path, tensors: dict[str, Any] | None = None, scheme: Any = None, **fields: Any) -> Path:
    """A submission of the smallest language model, with another scheme or other tensors."""
    files = {f"w/{file.name}": file.read_bytes() for file in SOURCE.iterdir()}
    if scheme is not None:
        config = json.loads(files["w/config.json"]) | {"quantization_config": scheme}
        files["w/config.json"] = json.dumps(config).encode()
    if tensors is not None:
        target.mkdir(parents=True, exist_ok=True)
        save_file(tensors, target / "made.safetensors")
        files["w/model.safetensors"] = (target / "made.safetensors").read_bytes()
    return write_submission(target, "m", files, "w", kind="language", format="transformers", **fields)


def compressed(groups: Any, **more: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "format": "int-quantized", "config_groups": groups, **more}


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ({"quant_method": ["gptq"]}, "quantisation ['gptq'] cannot be read here; allowed: "),
        (compressed(["x"]), "config_groups = ['x'], allowed: an object of groups"),
        (compressed({"g": 3}), "config_groups.g = 3, allowed: an object with targets"),
        (compressed({"g": {"targets": 3}}), "config_groups.g.targets = 3, allowed: a list of strings"),
        (compressed({"g": {"weights": WEIGHTS["weights"]}}), "config_groups.g.targets = None"),
        (compressed({"g": WEIGHTS | {"weights": "all"}}), "g.weights = 'all', allowed: an object with num_bits"),
        (compressed({"g": WEIGHTS | {"weights": {"num_bits": [4]}}}), "g.weights.num_bits = [4], allowed: a whole"),
        (compressed({"g": WEIGHTS | {"weights": {"num_bits": True}}}), "g.weights.num_bits = True"),
        (
            compressed({"g": WEIGHTS | {"input_activations": {"type": "nf4"}}}),
            "type = 'nf4', allowed: 'int' or 'float'",
        ),
        (compressed({"g": WEIGHTS | {"output_activations": {"strategy": 1}}}), "strategy = 1, allowed: a string or"),
        (compressed({"g": WEIGHTS}, format=["x"]), "quantization_config.format = ['x'], allowed: a string"),
        (compressed({"g": WEIGHTS}, ignore="lm_head"), "ignore = 'lm_head', allowed: a list of strings"),
    ],
)
def test_a_scheme_of_another_form(tmp_path: Path, scheme: dict[str, Any], said: str) -> None:
    (finding,) = LOADERS["transformers"].check(folder(tmp_path, scheme=scheme) / "w")
    assert finding.startswith("config.json: ")
    assert said in finding


def test_a_scheme_of_bitsandbytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    for key, value in (("load_in_4bit", "maybe"), ("load_in_8bit", 1), ("bnb_4bit_quant_type", 7)):
        scheme = {"quant_method": "bitsandbytes", key: value}
        (finding,) = LOADERS["transformers"].check(folder(tmp_path / key, scheme=scheme) / "w")
        assert f"quantization_config.{key} = {value!r}, allowed: " in finding


@pytest.mark.parametrize(
    "scheme",
    [
        compressed({"g": WEIGHTS}, ignore=["lm_head"], kv_cache_scheme=None),
        compressed({"g": WEIGHTS | {"input_activations": None}}, ignore=None),
        compressed({"W8A8": ["Linear"]}),  # known by its name
        compressed({"g": {"targets": ["Linear"], "weights": {}}}),  # the library's defaults
    ],
)
def test_a_scheme_that_its_library_reads(tmp_path: Path, scheme: dict[str, Any]) -> None:
    assert LOADERS["transformers"].check(folder(tmp_path, scheme=scheme) / "w") == []


def of_parent(tmp_path: Path, tensors: dict[str, Any], scheme: Any = None, bits: int = 8, static: bool = False) -> Any:
    """Such a model, checked as the child of an unchanged one."""
    folder(tmp_path / "submissions")
    (tmp_path / "submissions" / "m").rename(tmp_path / "submissions" / "par")
    manifest = tmp_path / "submissions" / "par" / "submission.toml"
    manifest.write_text(manifest.read_text().replace('name = "m"', 'name = "par"'))
    claim = {"method": "x", "bits": bits}
    made = folder(tmp_path / "submissions", tensors, scheme, parent="par", compression=claim)
    return check(submission.load(made), [], static)


@pytest.mark.parametrize("bits", [8, 2])
@pytest.mark.parametrize(
    ("tensors", "scheme"),
    [
        ({"a.qweight": np.zeros(4, np.int32), "a.scales": np.zeros(4, np.float16)}, None),
        (
            {
                "a.weight": np.ones((4, 4), np.uint8),
                "a.weight.quant_state.bitsandbytes__nf4": np.frombuffer(b"notjs", np.uint8),
                "a.weight.absmax": np.zeros(1, np.float32),
            },
            None,
        ),
        ({"a.weight": np.ones((4, 4), np.float32)}, {"quant_method": "torchao", "config_groups": ["x"]}),
        ({"a.weight": np.ones((4, 4), np.float32)}, {"quant_method": "torchao", "bits": [4]}),
    ],
)
def test_tensors_that_cannot_be_read(tmp_path: Path, tensors: dict[str, Any], scheme: Any, bits: int) -> None:
    """With a claim and a parent they are looked at though nobody asked for --static, which says what is wrong."""
    assert of_parent(tmp_path, tensors, scheme, bits).problems == ()
    (problem,) = of_parent(tmp_path / "static", tensors, scheme, bits, static=True).problems
    assert "w: the tensor" in problem
    assert "cannot be read" in problem


def test_a_tensor_whose_values_cannot_be_read(tmp_path: Path) -> None:
    """Codes that their shape tells wrong are found when they are read, not when they are named."""
    wrong = {"a.weight_packed": np.zeros((2, 1), np.int32), "a.weight_scale": np.zeros((2, 1), np.float32),
             "a.weight_shape": np.array([3, 8], np.int64)}  # fmt: skip
    found: Checked = of_parent(tmp_path, wrong, compressed({"g": WEIGHTS}), static=True)
    (problem,) = found.problems
    assert "cannot be read" in problem


def test_bits_per_weight_of_packed_codes_are_over_the_weights_and_not_over_the_words(tmp_path: Path) -> None:
    """Eight codes a word: 64 x 64 weights in 64 x 8 words, a scale a row, and two numbers of a shape."""
    packed = {"a.weight_packed": np.zeros((64, 8), np.int32), "a.weight_scale": np.ones((64, 1), np.float32),
              "a.weight_shape": np.array([64, 64], np.int64)}  # fmt: skip
    made = folder(tmp_path, packed, compressed({"g": WEIGHTS}, format="pack-quantized"))
    alone = prepare(submission.load(made))
    assert alone.description.tensor_bytes == 64 * 8 * 4 + 64 * 4 + 16
    assert alone.parent_parameters == 64 * 64
    made.rename(tmp_path / "par")
    manifest = tmp_path / "par" / "submission.toml"
    manifest.write_text(manifest.read_text().replace('name = "m"', 'name = "par"'))
    assert prepare(submission.load(folder(tmp_path, parent="par"))).parent_parameters == 64 * 64


def test_plain_tensors_are_counted_as_they_are_stored() -> None:
    prepared = prepare(submission.load(REPOSITORY / "submissions" / "embedded-digits"))
    assert prepared.parent_parameters == prepared.description.parameters == 78060


@pytest.mark.parametrize("notes", [["/srv/ann/x.pt"], {"a": 1}, "x"])
def test_notes_that_are_no_strings(tmp_path: Path, notes: Any) -> None:
    header = json.dumps({"__metadata__": notes, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(InputError, match="__metadata__ is no object of strings"):
        _safetensors.read_header(file)


def test_a_folder_named_like_a_file(tmp_path: Path) -> None:
    weights = folder(tmp_path) / "w"
    (weights / "x.safetensors").mkdir()
    assert LOADERS["transformers"].check(weights) == []


def test_a_file_that_the_disk_does_not_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(file: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(file))

    weights = folder(tmp_path) / "w"
    monkeypatch.setattr(_safetensors, "read_header", broken)
    (finding,) = LOADERS["transformers"].check(weights)
    assert "a file of w cannot be read ([Errno 13] Permission denied" in finding

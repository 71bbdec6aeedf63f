"""Claims that the files contradict are findings of `hallmark check`; those that they bear out are not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from support import REPOSITORY, Ran, one_line

from suite.claims import contradictions, stored_zeros
from suite.formats.base import Description, Signature
from suite.manifest import Manifest

Hallmark = Callable[..., Ran]
WEIGHTS = 1_000_000


def manifest(name: str = "child", sha256: str = "1" * 64, **fields: Any) -> Manifest:
    known = {"schema_version": 1, "name": name, "title": "x", "kind": "classification", "format": "transformers"}
    return Manifest.model_validate({**known, "weights": "w", "sha256": sha256, **fields})


PARENT = (manifest("parent", "0" * 64), Description(WEIGHTS, 4 * WEIGHTS, {"float32": 4 * WEIGHTS}))


def of_bits(bits: float, dtypes: dict[str, int]) -> list[str]:
    claimed = manifest(parent="parent", compression={"method": "m", "bits": bits})
    return contradictions(claimed, Path("w"), Description(0, sum(dtypes.values()), dtypes), PARENT)


@pytest.mark.parametrize(
    ("bits", "dtypes"),
    [
        (4, {"uint8": WEIGHTS // 2, "float16": WEIGHTS // 16}),  # two a byte, a half scale for each 32
        (4, {"int32": WEIGHTS // 2 * 9 // 10, "float32": WEIGHTS // 10 * 4}),  # eight a word; embeddings left alone
        (3, {"int32": 3 * WEIGHTS // 8, "float32": WEIGHTS // 8}),
        (1.58, {"uint8": WEIGHTS // 4}),
        (8, {"int8": WEIGHTS, "int32": WEIGHTS // 50, "float32": WEIGHTS // 50}),
        (8, {"float8_e4m3fn": WEIGHTS, "float32": WEIGHTS // 10}),
        (16, {"bfloat16": 2 * WEIGHTS}),
        (32, {"float32": WEIGHTS}),
        (4, {"int4": WEIGHTS // 2, "float32": 100}),
    ],
)
def test_bits_that_the_files_bear_out(bits: float, dtypes: dict[str, int]) -> None:
    assert of_bits(bits, dtypes) == []


def test_bits_that_the_files_contradict() -> None:
    (line,) = of_bits(4, {"float32": 4 * WEIGHTS, "int64": 16})
    assert line == "compression.bits = 4, but the files store its weights with 32 bits (float32)"
    (line,) = of_bits(4, {"int8": WEIGHTS, "float32": 1000})
    assert line == "compression.bits = 4, but its integers take 8 bits per weight of the parent"
    assert of_bits(8, {"bfloat16": 2 * WEIGHTS})


def test_shape_and_classes_against_the_file() -> None:
    stated = Description(10, 40, {"float32": 40}, Signature((None, 1, None, 8), (None, 10)))
    fine = manifest(inputs={"shape": [1, 8, 8], "classes": 10})
    assert contradictions(fine, Path("w"), stated, None) == []
    wrong = manifest(inputs={"shape": [1, 8, 9], "classes": 4})
    assert contradictions(wrong, Path("w"), stated, None) == [
        "inputs.shape = [1, 8, 9], but the file takes [1, any, 8]",
        "inputs.classes = 4, but the file gives 10",
    ]
    assert contradictions(manifest(kind="language", inputs={"shape": [9]}), Path("w"), stated, None) == []


def test_a_child_that_is_its_parent() -> None:
    copied = manifest(sha256="0" * 64, parent="parent", compression={"method": "m", "bits": 4})
    (line,) = contradictions(copied, Path("w"), PARENT[1], PARENT)
    assert "it changes nothing" in line
    other_point = manifest(sha256="0" * 64, parent="parent", operating_point={"steps": 2})
    assert contradictions(other_point, Path("w"), PARENT[1], PARENT) == []


def test_compression_needs_a_parent() -> None:
    (line,) = contradictions(manifest(compression={"method": "m"}), Path("w"), PARENT[1], None)
    assert "no parent is named" in line


def half_zero(dtype: str) -> np.ndarray[Any, Any]:
    values = np.arange(1, 41).reshape(4, 10).astype(dtype)
    values[:, ::2] = 0
    return values


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "float64"])
def test_zeros_of_safetensors_are_counted(tmp_path: Path, dtype: str) -> None:
    values = half_zero(dtype)
    save_file({"a": values, "b": np.ones((3, 5), dtype), "bias": np.zeros(7, dtype)}, tmp_path / "model.safetensors")
    counted = stored_zeros(tmp_path, "transformers")
    assert counted is not None
    assert sorted(counted) == sorted([(int((values == 0).sum()), 40), (0, 15)])


def test_zeros_of_packed_words_are_not_guessed(tmp_path: Path) -> None:
    save_file({"a": np.zeros((4, 4), np.int32)}, tmp_path / "model.safetensors")
    assert stored_zeros(tmp_path, "transformers") is None
    assert stored_zeros(tmp_path, "torch-export") is None


def test_zeros_of_onnx_are_counted(tmp_path: Path) -> None:
    values = half_zero("float32")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(values, "w")],
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    assert stored_zeros(tmp_path / "m.onnx", "onnx") == [(20, 40)]


@pytest.mark.parametrize(("claimed", "fine"), [(0.5, True), (0.51, True), (0.6, False)])
def test_sparsity_against_exact_zeros(tmp_path: Path, claimed: float, fine: bool) -> None:
    """Half of the 40 weights are zero."""
    save_file({"a": half_zero("float32")}, tmp_path / "model.safetensors")
    found = Description(40, 160, {"float32": 160})
    one = manifest(parent="parent", compression={"method": "m", "sparsity": claimed})
    problems = contradictions(one, tmp_path, found, (PARENT[0], found))
    assert (problems == []) == fine
    if not fine:
        assert problems == ["compression.sparsity = 0.6, but 0.5 of the weights are exactly zero or were removed"]


def test_sparsity_counts_weights_that_are_gone(tmp_path: Path) -> None:
    """40 stored of 160, none zero: three in four were removed."""
    save_file({"a": np.ones((4, 10), np.float32)}, tmp_path / "model.safetensors")
    parent = (PARENT[0], Description(160, 640, {"float32": 640}))
    for claimed, fine in ((0.75, True), (0.8, False)):
        one = manifest(parent="parent", compression={"method": "m", "sparsity": claimed})
        assert (contradictions(one, tmp_path, Description(40, 160, {"float32": 160}), parent) == []) == fine


def test_check_tells_what_a_copied_reference_gets_wrong(hallmark: Hallmark, tmp_path: Path) -> None:
    submissions = tmp_path / "submissions"
    shutil.copytree(REPOSITORY / "submissions" / "embedded-digits", submissions / "embedded-digits")
    shutil.copytree(REPOSITORY / "submissions" / "embedded-digits-pruned", submissions / "mine")
    path = submissions / "mine" / "submission.toml"
    text = path.read_text().replace('"embedded-digits-pruned"', '"mine"')
    path.write_text(text)
    assert hallmark("check", "mine").code == 0
    (submissions / "mine" / "recipe.py").unlink()  # a recipe is asked for, not required
    assert hallmark("check", "mine").code == 0
    for old, new, said in (
        ("bits = 32", "bits = 4", "bits = 4, but the files store its weights with 32 bits"),
        ("sparsity = 0.74", "sparsity = 0.9", "sparsity = 0.9, but 0.73"),
        ("shape = [1, 8, 8]", "shape = [1, 9, 8]", "inputs.shape = [1, 9, 8], but the file takes [1, 8, 8]"),
        ('parent = "embedded-digits"\n', "", "no parent is named"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        one_line(hallmark("check", "mine"), 2, said)
    shutil.copy(submissions / "embedded-digits" / "model.onnx", submissions / "mine" / "model.onnx")
    parent = (submissions / "embedded-digits" / "submission.toml").read_text()
    (digest,) = re.findall('sha256 = "(.*)"', parent)
    path.write_text(re.sub('sha256 = ".*"', f'sha256 = "{digest}"', text))
    one_line(hallmark("check", "mine"), 2, "changes nothing")

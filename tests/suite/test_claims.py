"""Claims that the files contradict are findings of `hallmark check`; those that they bear out are not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from support import REPOSITORY, Ran, one_line

from suite.claims import Files, contradictions
from suite.formats.base import Description, Signature
from suite.manifest import Manifest
from suite.static import report

Hallmark = Callable[..., Ran]
WEIGHTS = 1_000_000


def manifest(name: str = "child", sha256: str = "1" * 64, **fields: Any) -> Manifest:
    known = {"schema_version": 1, "name": name, "title": "x", "kind": "classification", "format": "transformers"}
    return Manifest.model_validate({**known, "weights": "w", "sha256": sha256, **fields})


def files(claimed: Manifest, found: Description, weights: Path = Path("w")) -> Files:
    return Files(claimed, weights, found, lambda: report(weights, claimed.format))


PARENT = files(manifest("parent", "0" * 64), Description(WEIGHTS, 4 * WEIGHTS, {"float32": 4 * WEIGHTS}))


def of_bits(bits: float, dtypes: dict[str, int]) -> list[str]:
    claimed = manifest(parent="parent", compression={"method": "m", "bits": bits}, format="predictions")
    return contradictions(files(claimed, Description(0, sum(dtypes.values()), dtypes)), PARENT)


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


def test_four_bits_of_fifteen() -> None:
    """A third of the weights in 4 bits, the others in float32: as a small model whose embeddings are left alone."""
    (line,) = of_bits(4, {"int32": WEIGHTS // 6, "float32": WEIGHTS * 2 // 3 * 4 - WEIGHTS})
    assert line == (
        "compression.bits = 4, but all tensors together take 14.7 bits per weight: 56% of the weights are left wide"
    )


def test_shape_and_classes_against_the_file() -> None:
    stated = Description(10, 40, {"float32": 40}, Signature((None, 1, None, 8), (None, 10)))
    fine = manifest(inputs={"shape": [1, 8, 8], "classes": 10})
    assert contradictions(files(fine, stated), None) == []
    wrong = manifest(inputs={"shape": [1, 8, 9], "classes": 4})
    assert contradictions(files(wrong, stated), None) == [
        "inputs.shape = [1, 8, 9], but the file takes [1, any, 8]",
        "inputs.classes = 4, but the file gives 10",
    ]
    assert contradictions(files(manifest(kind="language", inputs={"shape": [9]}), stated), None) == []


def test_a_child_that_is_its_parent() -> None:
    copied = manifest(sha256="0" * 64, parent="parent", compression={"method": "m", "bits": 4})
    (line,) = contradictions(files(copied, PARENT.found), PARENT)
    assert "it changes nothing" in line
    other_point = manifest(sha256="0" * 64, parent="parent", operating_point={"steps": 2})
    assert contradictions(files(other_point, PARENT.found), PARENT) == []


def test_compression_needs_a_parent() -> None:
    (line,) = contradictions(files(manifest(compression={"method": "m"}), PARENT.found), None)
    assert "no parent is named" in line


def half_zero(dtype: str) -> np.ndarray[Any, Any]:
    values = np.arange(1, 41).reshape(4, 10).astype(dtype)
    values[:, ::2] = 0
    return values


@pytest.mark.parametrize(("claimed", "fine"), [(0.5, True), (0.51, True), (0.6, False)])
def test_sparsity_against_exact_zeros(tmp_path: Path, claimed: float, fine: bool) -> None:
    """Half of the 40 weights are zero."""
    save_file({"a": half_zero("float32")}, tmp_path / "model.safetensors")
    found = Description(40, 160, {"float32": 160})
    one = manifest(parent="parent", compression={"method": "m", "sparsity": claimed})
    problems = contradictions(files(one, found, tmp_path), files(PARENT.manifest, found))
    assert (problems == []) == fine
    if not fine:
        assert problems == ["compression.sparsity = 0.6, but 0.5 of the weights are exactly zero or were removed"]


def test_sparsity_counts_weights_that_are_gone(tmp_path: Path) -> None:
    """40 stored of 160, none zero: three in four were removed."""
    save_file({"a": np.ones((4, 10), np.float32)}, tmp_path / "model.safetensors")
    parent = files(PARENT.manifest, Description(160, 640, {"float32": 640}))
    for claimed, fine in ((0.75, True), (0.8, False)):
        one = manifest(parent="parent", compression={"method": "m", "sparsity": claimed})
        assert (contradictions(files(one, Description(40, 160, {"float32": 160}), tmp_path), parent) == []) == fine


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
        one_line(hallmark("check", "mine"), 1, said)
    shutil.copy(submissions / "embedded-digits" / "model.onnx", submissions / "mine" / "model.onnx")
    parent = (submissions / "embedded-digits" / "submission.toml").read_text()
    (digest,) = re.findall('sha256 = "(.*)"', parent)
    path.write_text(re.sub('sha256 = ".*"', f'sha256 = "{digest}"', text))
    one_line(hallmark("check", "mine"), 1, "changes nothing")


def rewritten(folder: Path, target: Path, change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> None:
    """A copy of a safetensors folder with its matrices changed."""
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    target.mkdir()
    save_file({k: change(v) if v.ndim > 1 else v for k, v in tensors.items()}, target / "model.safetensors", {"x": "y"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w, "its 2 weight tensors are bit by bit those of its parent parent: it changes nothing"),
        (np.round, "with 32 bits (float32); their values lie on a grid"),
        (lambda w: w * np.float32(1.0001), "the files store its weights with 32 bits (float32)"),
    ],
)
def test_a_quantiser_that_did_nothing(tmp_path: Path, change: Any, said: str) -> None:
    """Another digest, for the header differs: the tensors are what is compared."""
    random = np.random.default_rng(0)
    (tmp_path / "parent").mkdir()
    tensors = {name: random.normal(0, 1, (8, 64)).astype(np.float32) for name in ("a.weight", "b.weight")}
    save_file({**tensors, "bias": np.ones(3, np.float32)}, tmp_path / "parent" / "model.safetensors")
    rewritten(tmp_path / "parent", tmp_path / "child", change)
    found = Description(1027, 4108, {"float32": 4108})
    child = manifest(parent="parent", compression={"method": "rtn", "bits": 4})
    (line,) = contradictions(
        files(child, found, tmp_path / "child"), files(PARENT.manifest, found, tmp_path / "parent")
    )
    assert said in line
    assert ("grid" in line) == ("grid" in said)


def test_one_small_layer_of_zeros_bears_out_no_sparsity(tmp_path: Path) -> None:
    thin = np.zeros((2, 4), np.float32)
    save_file({"a": np.ones((40, 40), np.float32), "b": thin}, tmp_path / "model.safetensors")
    found = Description(1608, 6432, {"float32": 6432})
    one = manifest(parent="parent", compression={"method": "m", "sparsity": 0.5})
    (line,) = contradictions(files(one, found, tmp_path), files(PARENT.manifest, found))
    assert "sparsity = 0.5, but 0.00498 of" in line


def of_ten_matrices(tmp_path: Path, thinned: int, claimed: float) -> list[str]:
    """Ten equal matrices, half of the first ones zero."""
    tensors = {f"{n}.weight": np.ones((8, 8), np.float32) for n in range(10)}
    for n in range(thinned):
        tensors[f"{n}.weight"][::2] = 0
    save_file(tensors, tmp_path / "model.safetensors")
    found = Description(640, 2560, {"float32": 2560})
    one = manifest(parent="parent", compression={"method": "m", "sparsity": claimed})
    return contradictions(files(one, found, tmp_path), files(PARENT.manifest, found))


def test_half_of_a_tenth_is_no_half(tmp_path: Path) -> None:
    """The layers with zeros speak for the model only where they hold most of its weights."""
    for thinned, zeros in ((1, "0.05"), (4, "0.2")):
        (line,) = of_ten_matrices(tmp_path, thinned, 0.5)
        assert line == f"compression.sparsity = 0.5, but {zeros} of the weights are exactly zero or were removed"
    assert of_ten_matrices(tmp_path, 1, 0.05) == []
    assert of_ten_matrices(tmp_path, 5, 0.5) == []
    (line,) = of_ten_matrices(tmp_path, 6, 0.6)
    assert line.startswith(
        "compression.sparsity = 0.6, but 0.5 of the weights are exactly zero or were removed in the "
    )
    assert line.endswith(" layers that hold zeros, 0.3 in the whole model")


def test_the_record_carries_what_the_claims_get_wrong(hallmark: Hallmark, tmp_path: Path) -> None:
    submissions = tmp_path / "submissions"
    for name in ("embedded-digits", "embedded-digits-pruned"):
        shutil.copytree(REPOSITORY / "submissions" / name, submissions / name)
    path = submissions / "embedded-digits-pruned" / "submission.toml"
    path.write_text(path.read_text().replace("bits = 32", "bits = 4"))
    ran = hallmark("run", "embedded-digits", "embedded-digits-pruned", "-t", "digits", "--limit", "50", "--json")
    assert ran.code == 0
    parent, child = ran.json["records"]
    counted = [next(m["value"] for m in r["measurements"] if m["name"] == "claim_mismatches") for r in (parent, child)]
    assert counted == [0, 1]
    (note,) = [note for note in child["provenance"]["notes"] if note.startswith("claim mismatch: ")]
    assert "compression.bits = 4, but the files store its weights with 32 bits (float32)" in note
    assert hallmark("verify").code == 0


def test_members_of_an_ensemble_are_counted_together(tmp_path: Path) -> None:
    source = REPOSITORY / "submissions" / "embedded-digits" / "model.onnx"
    for name in ("a.onnx", "b.onnx"):
        shutil.copy(source, tmp_path / name)
    one, both = report(source, "onnx"), report(tmp_path, "onnx", ("a.onnx", "b.onnx"))
    assert (both.parameters, both.weights) == (2 * one.parameters, 2 * one.weights)
    assert both.distinct == one.distinct
    assert both.layers[0].layer.name == f"a.onnx/{one.layers[0].layer.name}"

"""OpenVINO IR: the answers of the ONNX graph that it was made of, states, refusals."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openvino", reason="needs the extra: pip install 'hallmark-bench[openvino]'")

from format_samples import CLASSES, SHAPE, TEXTS
from openvino_samples import save_openvino, save_stateful

from suite.errors import UnitError
from suite.files import unsafe_files
from suite.formats import LOADERS
from suite.formats.base import Place
from suite.manifest import Inputs

LOADER = LOADERS["openvino"]
IMAGE = Inputs(shape=SHAPE, classes=CLASSES)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, made: Path, cached: Path) -> Path:
    folder = tmp_path_factory.mktemp("openvino")
    for source, name in ((made / "llama", "llama"), (made / "openvino-classification", "net"), (cached, "cached")):
        shutil.copytree(source, folder / name)
    shutil.copy(made / "classification.onnx", folder / "net.onnx")
    save_openvino(folder / "net.onnx", folder / "half", half=True)
    return folder


def probs(folder: Path, format: str = "openvino") -> Any:
    images = list(np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(np.float32))
    model: Any = LOADERS[format].load(folder, "classification", IMAGE, Place())
    return np.stack(model.predict_proba(images))


def test_answers_are_those_of_the_graph(root: Path) -> None:
    np.testing.assert_allclose(probs(root / "net"), probs(root / "net.onnx", "onnx"), atol=1e-5)


def test_half_of_the_bytes_and_nearly_the_same_answers(root: Path) -> None:
    whole, half = LOADER.describe(root / "net"), LOADER.describe(root / "half")
    assert (whole.dtype, half.dtype) == ("float32", "float16")
    assert half.parameters == whole.parameters
    assert half.dtypes["float16"] * 2 == whole.dtypes["float32"]
    assert 0 < np.abs(probs(root / "half") - probs(root / "net")).max() < 1e-2


def test_the_runtimes_precision_is_noted(root: Path) -> None:
    facts = LOADER.load(root / "net", "classification", IMAGE, Place()).facts
    assert facts.notes[0] in ("computes in f32", "computes in bf16", "computes in f16")


def test_a_state_gives_the_texts_of_transformers(root: Path, tmp_path: Path) -> None:
    """Cached keys and values inside the graph, as Optimum saves language models."""
    save = save_stateful(root / "cached", tmp_path / "stateful")
    ours: Any = LOADER.load(save, "language", Inputs(), Place())
    theirs: Any = LOADERS["transformers"].load(root / "llama", "language", Inputs(), Place())
    ids = [encoded.ids_T for encoded in theirs.encode(TEXTS)]
    for one, two in zip(ours.token_logprobs(ids), theirs.token_logprobs(ids), strict=True):
        np.testing.assert_allclose(one.logprobs_T, two.logprobs_T, atol=1e-3)
    asked = (["once upon a", "the little dog"], [["\n"]] * 2, [10, 6])
    assert ours.generate(*asked) == theirs.generate(*asked)


def edited(root: Path, folder: Path, old: str, new: str) -> Path:
    shutil.copytree(root / "net", folder)
    file = folder / "model.xml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return folder


class TestRefusals:
    def test_operators_from_elsewhere(self, root: Path, tmp_path: Path) -> None:
        folder = edited(root, tmp_path / "m", 'type="Convolution" version="opset1"', 'type="Mine" version="extension"')
        assert "uses the operator extension.Mine; allowed are OpenVINO's own" in LOADER.check(folder)[0]

    def test_a_cut_binary(self, root: Path, tmp_path: Path) -> None:
        shutil.copytree(root / "net", tmp_path / "m")
        binary = tmp_path / "m" / "model.bin"
        binary.write_bytes(binary.read_bytes()[:-20])
        assert "model.bin is truncated" in LOADER.check(tmp_path / "m")[0]
        binary.unlink()
        assert "no model.bin beside it" in LOADER.check(tmp_path / "m")[0]

    def test_entities(self, root: Path, tmp_path: Path) -> None:
        folder = edited(root, tmp_path / "m", "<net ", '<!DOCTYPE a [<!ENTITY b "c">]><net ')
        assert "declares XML entities" in LOADER.check(folder)[0]

    def test_numbers_that_are_none(self, root: Path, tmp_path: Path) -> None:
        folder = edited(root, tmp_path / "m", 'offset="0"', 'offset="-8"')
        assert "has no shape and place" in LOADER.check(folder)[0]

    def test_a_file_without_its_folder(self, root: Path) -> None:
        assert "must be the folder" in LOADER.check(root / "net" / "model.xml")[0]

    def test_other_devices(self, root: Path) -> None:
        with pytest.raises(UnitError, match="--device cpu"):
            LOADER.load(root / "net", "classification", IMAGE, Place("cuda"))

    def test_caches_as_inputs(self, root: Path, tmp_path: Path) -> None:
        folder = save_openvino(root / "cached", tmp_path / "m")
        with pytest.raises(UnitError, match=r"expected input_ids"):
            LOADER.load(folder, "language", Inputs(), Place())


def test_only_its_own_binary_passes_for_tensors(root: Path, tmp_path: Path) -> None:
    """A .bin is refused as a pickle, unless it lies beside the graph of an IR; one that is a pickle still is."""
    assert unsafe_files(root / "net") == []
    shutil.copytree(root / "net", tmp_path / "m")
    (tmp_path / "m" / "other.bin").write_bytes(b"\0" * 8)
    (found,) = unsafe_files(tmp_path / "m")
    assert found.startswith("other.bin: .bin files are pickles")
    (tmp_path / "m" / "other.bin").unlink()
    import pickle

    (tmp_path / "m" / "model.bin").write_bytes(pickle.dumps({"a": [1, 2]}))
    assert "a pickle renamed" in unsafe_files(tmp_path / "m")[0]
    (tmp_path / "m" / "model.xml").write_text("<html></html>")
    assert ".bin files are pickles" in unsafe_files(tmp_path / "m")[0]

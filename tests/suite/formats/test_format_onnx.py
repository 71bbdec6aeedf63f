"""ONNX files: external data, operators, packed tensors, language models, refusals."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from format_samples import CLASSES, SHAPE, TEXTS, Net, save_onnx
from onnx import TensorProto, helper, numpy_helper

from suite.errors import InputError, UnitError
from suite.formats import LOADERS, _onnx_file, onnx_format
from suite.formats.base import Place
from suite.manifest import Inputs
from suite.model import Array, LanguageModel

LOADER = LOADERS["onnx"]
IMAGE = Inputs(shape=SHAPE, classes=CLASSES)


def small(nodes: list[Any] | None = None, **fields: Any) -> Any:
    """x [N, 2] -> y = x W."""
    weight = numpy_helper.from_array(np.eye(2, dtype=np.float32), "W")
    graph = helper.make_graph(
        nodes or [helper.make_node("MatMul", ["x", "W"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [weight],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9, **fields)


def external(model: Any, location: str, offset: str = "0", length: str = "16") -> Any:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=value)
    return model


def saved(model: Any, file: Path) -> Path:
    file.write_bytes(model.SerializeToString())
    return file


class TestExternalData:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "outside.bin").write_bytes(b"\0" * 16)
        (tmp_path / "net").mkdir()
        return tmp_path / "net"

    def test_beside_the_file(self, folder: Path, nets: dict[str, Net], images: list[Array]) -> None:
        save_onnx(nets["classification"], folder / "net.onnx", external=True)
        assert len(list(folder.iterdir())) == 2
        assert LOADER.check(folder) == []
        model = LOADER.load(folder, "classification", IMAGE, Place())
        with torch.no_grad():
            expected = nets["classification"](torch.from_numpy(np.stack(images))).softmax(dim=1)
        np.testing.assert_allclose(np.stack(model.predict_proba(images)), expected, atol=1e-6)  # type: ignore[union-attr]
        inline = folder.parent / "inline.onnx"
        save_onnx(nets["classification"], inline)
        assert LOADER.describe(folder).dtypes == LOADER.describe(inline).dtypes
        assert "make weights the folder" in LOADER.check(folder / "net.onnx")[0]
        data = next(file for file in folder.iterdir() if file.suffix != ".onnx")
        data.write_bytes(data.read_bytes()[:-1])
        assert "is truncated" in LOADER.check(folder)[0]
        data.unlink()
        assert "is missing" in LOADER.check(folder)[0]

    @pytest.mark.parametrize("location", ["../outside.bin", "{}/outside.bin", "link.data", "a/../../outside.bin", ""])
    def test_elsewhere(self, folder: Path, location: str) -> None:
        (folder / "link.data").symlink_to(folder.parent / "outside.bin")
        saved(external(small(), location.format(folder.parent)), folder / "net.onnx")
        (finding,) = LOADER.check(folder)
        assert "keeps data outside its folder" in finding
        with pytest.raises(InputError, match="outside its folder"):
            LOADER.load(folder, "classification", Inputs(), Place())

    @pytest.mark.parametrize(("offset", "length"), [("8", "16"), ("-8", "16"), ("x", "16"), ("0", "99999")])
    def test_bad_places(self, folder: Path, offset: str, length: str) -> None:
        (folder / "w.data").write_bytes(b"\0" * 16)
        saved(external(small(), "w.data", offset, length), folder / "net.onnx")
        assert "w.data is truncated" in LOADER.check(folder)[0]


class TestOperators:
    def test_custom_operator(self, tmp_path: Path) -> None:
        file = saved(small([helper.make_node("Evil", ["x"], ["y"], domain="mine")]), tmp_path / "a.onnx")
        (finding,) = LOADER.check(file)
        assert "custom operator mine.Evil" in finding

    def test_custom_operator_in_a_branch(self, tmp_path: Path) -> None:
        evil = helper.make_node("Evil", ["x"], ["y"], domain="mine")
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])
        branch = helper.make_graph([evil], "branch", [], [out])
        true = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True)))
        node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
        assert "custom operator" in LOADER.check(saved(small([true, node]), tmp_path / "a.onnx"))[0]

    def test_local_functions_are_allowed(self, tmp_path: Path) -> None:
        body = [helper.make_node("MatMul", ["a", "b"], ["c"])]
        function = helper.make_function("mine", "Times", ["a", "b"], ["c"], body, [helper.make_opsetid("", 18)])
        nodes = [helper.make_node("Times", ["x", "W"], ["y"], domain="mine")]
        file = saved(small(nodes, functions=[function]), tmp_path / "a.onnx")
        assert LOADER.check(file) == []
        model = LOADER.load(file, "classification", Inputs(), Place())
        assert model.predict_proba([np.zeros(2)])[0].tolist() == [0.5, 0.5]  # type: ignore[union-attr]
        inner = [helper.make_node("E", ["a"], ["c"], domain="z")]
        evil = helper.make_function("mine", "Times", ["a", "b"], ["c"], inner, [helper.make_opsetid("z", 1)])
        assert "custom operator z.E" in LOADER.check(saved(small(nodes, functions=[evil]), tmp_path / "b.onnx"))[0]

    def test_microsoft_operators_are_allowed(self, tmp_path: Path) -> None:
        node = helper.make_node("FusedMatMul", ["x", "W"], ["y"], domain="com.microsoft")
        file = saved(small([node]), tmp_path / "a.onnx")
        assert LOADER.check(file) == []
        LOADER.load(file, "classification", Inputs(), Place())


class TestFiles:
    def test_cut_off(self, made: Path, tmp_path: Path) -> None:
        whole = (made / "classification.onnx").read_bytes()
        for cut in (0, 1, 10, len(whole) // 2, len(whole) - 1):
            (tmp_path / "a.onnx").write_bytes(whole[:cut])
            assert len(LOADER.check(tmp_path / "a.onnx")) == 1, cut

    def test_invalid_graph(self, tmp_path: Path) -> None:
        file = saved(small([helper.make_node("MatMul", ["x", "nowhere"], ["y"])]), tmp_path / "a.onnx")
        assert "is not a valid ONNX model" in LOADER.check(file)[0]

    def test_runtime_refuses(self, tmp_path: Path) -> None:
        file = saved(small([helper.make_node("NoSuch", ["x"], ["y"], domain="com.microsoft")]), tmp_path / "a.onnx")
        assert LOADER.check(file) == []
        with pytest.raises(UnitError, match=r"cannot load a\.onnx"):
            LOADER.load(file, "classification", Inputs(), Place())

    def test_folder_with_two(self, made: Path, tmp_path: Path) -> None:
        assert "exactly one .onnx file, found none" in LOADER.check(tmp_path)[0]
        for name in ("a.onnx", "b.onnx"):
            shutil.copy(made / "classification.onnx", tmp_path / name)
        assert "found a.onnx, b.onnx" in LOADER.check(tmp_path)[0]

    def test_packed_tensors(self, tmp_path: Path) -> None:
        model = small()
        model.graph.initializer.append(helper.make_tensor("i4", TensorProto.INT4, [5], [1, 2, 3, 4, 5]))
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(7, np.int8), "i8"))
        described = LOADER.describe(saved(model, tmp_path / "a.onnx"))
        assert described.dtypes == {"float32": 16, "int4": 3, "int8": 7}
        assert described.parameters == 4 + 5 + 7

    def test_int8_dynamic(self, tmp_path: Path) -> None:
        from onnxruntime.quantization import quantize_dynamic

        model = small()
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.eye(2, dtype=np.float32), "W"))
        quantize_dynamic(saved(model, tmp_path / "a.onnx"), tmp_path / "b.onnx")
        assert LOADER.check(tmp_path / "b.onnx") == []
        loaded = LOADER.load(tmp_path / "b.onnx", "classification", Inputs(), Place())
        expected = 1 / (1 + np.exp(-2.0))
        assert loaded.predict_proba([np.array([2.0, 0.0])])[0][0] == pytest.approx(expected, abs=0.01)  # type: ignore[union-attr]


class TestLanguage:
    @pytest.fixture
    def folder(self, made: Path) -> Path:
        return made / "onnx-llama"

    def test_agrees_with_transformers(self, made: Path, folder: Path) -> None:
        assert LOADER.check(folder) == []
        assert LOADER.describe(folder).context == 64
        ours = LOADER.load(folder, "language", Inputs(), Place())
        theirs = LOADERS["transformers"].load(made / "llama", "language", Inputs(), Place())
        assert isinstance(ours, LanguageModel)
        assert isinstance(theirs, LanguageModel)
        assert replace(ours.facts, notes=()) == replace(theirs.facts, engine="plain", notes=())
        assert "batches move answers by" in ours.facts.notes[0]
        sequences = [encoded.ids_T for encoded in ours.encode(TEXTS)]
        for one, two in zip(ours.token_logprobs(sequences), theirs.token_logprobs(sequences), strict=True):
            np.testing.assert_allclose(one.logprobs_T, two.logprobs_T, atol=1e-4)
            np.testing.assert_allclose(one.top_logprobs_T, two.top_logprobs_T, atol=1e-4)
            assert one.greedy_T.tolist() == two.greedy_T.tolist()
        one, two = (model.choice_logprobs(["once"], [[" upon", "the"]])[0] for model in (ours, theirs))
        np.testing.assert_allclose(one.logprobs_K, two.logprobs_K, atol=1e-4)

    def test_needs_its_folder(self, made: Path, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="make weights the folder"):
            LOADER.load(folder / "model.onnx", "language", Inputs(), Place())
        shutil.copy(folder / "model.onnx", tmp_path)
        with pytest.raises(InputError, match=r"set inputs\.context"):
            LOADER.load(tmp_path, "language", Inputs(), Place())
        with pytest.raises(InputError, match="without a tokenizer"):
            LOADER.load(tmp_path, "language", Inputs(context=8), Place())

    def test_another_graph(self, made: Path, tmp_path: Path) -> None:
        shutil.copy(made / "classification.onnx", tmp_path)
        with pytest.raises(UnitError, match="expected input_ids"):
            LOADER.load(tmp_path, "language", Inputs(context=8), Place())
        assert onnx.load(tmp_path / "classification.onnx").graph.input[0].name == "x"


def test_memory_is_measured_once_the_file_was_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is parsed several times over, at thrice its size, before it is loaded; nothing is parsed afterwards."""
    seen = list[str]()
    parse, session = _onnx_file._parse, onnx_format._session
    monkeypatch.setattr(_onnx_file, "_parse", lambda file: (seen.append("parse"), parse(file))[1])
    monkeypatch.setattr(onnx_format, "_session", lambda *given: (seen.append("session"), session(*given))[1])
    onnx.save(small(), tmp_path / "m.onnx")
    place = Place(looked=lambda: seen.append("looked"))
    LOADER.load(tmp_path / "m.onnx", "classification", Inputs(shape=(2,), classes=2), place)
    assert seen[-2:] == ["looked", "session"]
    assert set(seen[:-2]) == {"parse"}

"""GGUF, OpenVINO, TFLite and adapters: what their files hold and leak, and clean copies that answer as before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_samples import TEXTS, Net, save_language
from support import Ran, write_submission

from suite.formats import LOADERS, WEIGHTLESS
from suite.formats.base import Place
from suite.manifest import Inputs
from suite.static import report
from suite.static.clean import write_clean
from suite.static.leaks import leaks

SECRET = "/Users/ann/secret-project"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static-exchanged") / "llama"
    save_language(folder, hidden_size=32, intermediate_size=64)
    return folder


def rows(weights: Path, format: str, **more: Any) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in report(weights, format, **more).summary()["layers"]}


def logprobs(loader: Any, weights: Path) -> Any:
    model = loader.load(weights, "language", Inputs(), Place())
    ids = [encoded.ids_T for encoded in model.encode(TEXTS)]
    return np.concatenate([one.logprobs_T for one in model.token_logprobs(ids)])


def holds(folder: Path, word: str) -> list[str]:
    """Names of the files below a folder that hold a word."""
    files = [folder] if folder.is_file() else [file for file in folder.rglob("*") if file.is_file()]
    return sorted(file.name for file in files if word.encode() in file.read_bytes())


class TestGguf:
    def test_blocks_by_hand(self, tmp_path: Path) -> None:
        """Codes of 8 and of 4 bits; a block whose scale is 0 is zero whatever its codes."""
        gguf = pytest.importorskip("gguf")
        kinds = gguf.GGMLQuantizationType
        codes = np.r_[np.zeros(3), np.arange(1, 30)].astype(np.int8)
        one, none = np.array([0.5], np.float16).tobytes(), np.array([0], np.float16).tobytes()
        eight = np.frombuffer(one + codes.tobytes() + none + codes.tobytes(), np.uint8).reshape(2, 34)
        nibbles = np.frombuffer(one + bytes([0x88] * 4 + [0x8F] * 12), np.uint8).reshape(1, 18)
        writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
        writer.add_tensor("eight", eight, raw_dtype=kinds.Q8_0)
        writer.add_tensor("four", nibbles, raw_dtype=kinds.Q4_0)
        writer.add_tensor("norm", np.array([0, -0.0, 3], np.float32))
        for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
            step()
        writer.close()
        found = rows(tmp_path / "m.gguf", "gguf")
        assert (found["eight"]["shape"], found["eight"]["sparsity"]) == ([2, 32], (3 + 32) / 64)
        assert found["eight"]["distinct"] == 30  # 0 to 29
        assert (found["four"]["shape"], found["four"]["sparsity"]) == ([1, 32], (2 * 4 + 12) / 32)  # 8 stands for 0
        assert found["four"]["distinct"] == 2
        assert found["norm"]["sparsity"] == pytest.approx(2 / 3)
        assert found["eight"]["bits_per_weight"] == 8.5

    @pytest.mark.parametrize("kind", ["F16", "Q4_1", "Q5_0"])
    def test_the_packages_own_reader_counts_the_same(self, llama: Path, tmp_path: Path, kind: str) -> None:
        gguf = pytest.importorskip("gguf")
        from gguf_samples import save_gguf

        folder = save_gguf(llama, tmp_path / "m", kind)
        found = rows(folder, "gguf")
        tensors = gguf.GGUFReader(folder / "model.gguf").tensors
        assert {tensor.name for tensor in tensors} == set(found)
        for tensor in tensors:
            values = gguf.dequantize(tensor.data, tensor.tensor_type)
            assert found[tensor.name]["sparsity"] == pytest.approx((values == 0).mean(), abs=1e-12)
            assert found[tensor.name]["shape"] == list(tensor.shape[::-1])
        assert report(folder, "gguf").parameters == report(llama, "transformers").parameters

    def test_paths_are_said_and_overwritten(self, llama: Path, tmp_path: Path) -> None:
        """As llama.cpp's quantiser leaves them; texts of the tokenizer are none of the machine's."""
        pytest.importorskip("gguf")
        from gguf_samples import save_gguf

        notes = {"quantize.imatrix.file": f"{SECRET}/imatrix.gguf", "general.description": f"wörld of {SECRET}/a.txt b",
                 "tokenizer.chat_template": "reads /usr/share/dict/words"}  # fmt: skip
        folder = save_gguf(llama, tmp_path / "m", "Q8_0", notes)
        (leak,) = leaks(folder, "gguf")
        assert (leak.file, leak.count, leak.example) == ("model.gguf", 2, f"{SECRET}/imatrix.gguf")
        write_clean(folder, "gguf", tmp_path / "clean")
        assert holds(tmp_path / "clean", "ann") == []
        before, after = ((one / "model.gguf").read_bytes() for one in (folder, tmp_path / "clean"))
        assert len(before) == len(after)
        assert b"/usr/share/dict/words" in after and "wörld of __".encode() in after and b"__ b" in after
        np.testing.assert_array_equal(*(logprobs(LOADERS["gguf"], one) for one in (folder, tmp_path / "clean")))
        write_clean(folder / "model.gguf", "gguf", tmp_path / "one.gguf")
        assert (tmp_path / "one.gguf").read_bytes() == after


class TestOpenVino:
    def compressed(self, folder: Path, notes: str = "") -> Path:
        """Codes less their zero points, times scales, in groups of two that the graph joins again."""
        openvino = pytest.importorskip("openvino")
        from openvino import opset13 as op

        codes = np.array([[[3, 5], [1, 1]], [[0, 3], [2, 1]]], np.uint8)  # [out, groups, 2]
        zeros = np.array([[[3], [1]], [[3], [1]]], np.uint8)
        scales = np.array([[[0.5], [2]], [[1], [1]]], np.float16)
        less = op.subtract(op.convert(op.constant(codes), "f16"), op.convert(op.constant(zeros), "f16"))
        whole = op.reshape(op.multiply(less, op.constant(scales)), op.constant(np.array([2, 4], np.int64)), False)
        given = op.parameter([-1, 4], np.float32, name="x")
        made = op.matmul(given, op.convert(whole, "f32"), False, True)
        bias = op.constant(np.array([[0.25, -1]], np.float32))
        graph = openvino.Model([op.add(made, bias)], [given], "net")
        if notes:
            graph.set_rt_info(notes, ["conversion_parameters", "input_model"])
        folder.mkdir(parents=True)
        openvino.save_model(graph, folder / "model.xml", compress_to_fp16=False)
        return folder

    def test_codes_scales_and_zero_points_are_one_weight(self, tmp_path: Path) -> None:
        found = report(self.compressed(tmp_path / "m"), "openvino")
        weights = [one for one in found.layers if one.layer.is_weight]
        (weight,) = weights
        assert (weight.layer.shape, weight.layer.dtype) == ((2, 4), "uint8")
        assert weight.counts.zeros == 5  # 3 less 3, 1 less 1 twice; 3 less 3, 1 less 1
        assert weight.layer.stored_bytes == 8 + 4 + 2 * 4
        assert found.quantised == (20, 8)
        assert found.parameters == 8 + 2

    def test_four_bits(self, tmp_path: Path) -> None:
        """Two codes a byte, the low one first, signed: 0 is 0."""
        openvino = pytest.importorskip("openvino")
        from openvino import opset13 as op

        packed = openvino.Tensor(np.array([0x10, 0xF0, 0x00, 0x78], np.uint8), [2, 4], openvino.Type.i4)
        codes = op.constant(packed)
        scales = op.constant(np.array([[0.5], [1]], np.float16))
        given = op.parameter([-1, 4], np.float32, name="x")
        made = op.matmul(given, op.convert(op.multiply(op.convert(codes, "f16"), scales), "f32"), False, True)
        openvino.save_model(openvino.Model([made], [given], "net"), tmp_path / "model.xml", compress_to_fp16=False)
        (weight,) = report(tmp_path, "openvino").layers
        assert (weight.layer.shape, weight.layer.dtype, weight.layer.stored_bytes) == ((2, 4), "int4", 4 + 2 * 2)
        assert weight.counts.zeros == 4
        assert weight.counts.distinct == 5  # 0, 1, 15, 8, 7

    def test_a_network_has_the_parameters_of_its_onnx_file(self, tmp_path: Path) -> None:
        pytest.importorskip("openvino")
        from format_samples import save_onnx
        from openvino_samples import save_openvino

        save_onnx(Net(False).eval(), tmp_path / "net.onnx")
        folder = save_openvino(tmp_path / "net.onnx", tmp_path / "ov")
        theirs, mine = report(tmp_path / "net.onnx", "onnx"), report(folder, "openvino")
        assert (mine.parameters, mine.weights, mine.zeros) == (theirs.parameters, theirs.weights, theirs.zeros)

    def test_paths_are_said_and_overwritten(self, tmp_path: Path) -> None:
        folder = self.compressed(tmp_path / "m", notes=f'{SECRET}/a "quoted" & odd/net.onnx')
        (leak,) = leaks(folder, "openvino")
        assert (leak.file, leak.example) == ("model.xml", f"{SECRET}/a")
        write_clean(folder, "openvino", tmp_path / "clean")
        assert holds(tmp_path / "clean", "ann") == []
        assert LOADERS["openvino"].check(tmp_path / "clean") == []
        image = [np.array([1, 2, 3, 4], np.float32)]
        loaded = [LOADERS["openvino"].load(one, "classification", Inputs(shape=(4,), classes=2), Place())
                  for one in (folder, tmp_path / "clean")]  # fmt: skip
        answers: Any = [one.predict_proba(image)[0] for one in loaded]  # type: ignore[union-attr]
        np.testing.assert_array_equal(*answers)
        logits = np.array([0 * 1 + 1 * 2 + 0 + 0 + 0.25, -3 * 1 + 0 + 1 * 3 + 0 - 1])
        np.testing.assert_allclose(answers[0], np.exp(logits) / np.exp(logits).sum(), atol=1e-3)


class TestTFLite:
    def graph(self, file: Path, name: str = "", description: str = "") -> Path:
        """Logits of [1, 4]: two rows of codes, each with a zero point and a scale of its own, and a float bias."""
        pytest.importorskip("ai_edge_litert")
        from tflite_samples import Writer

        write = Writer()
        given = write.tensor([1, 4], "FLOAT32")
        codes = write.tensor([2, 4], "INT8", (0.5, 0), np.array([[0, 1, 0, -3], [2, 0, 7, 1]], np.int8))
        bias = write.constant(np.array([0.25, -1], np.float32))
        last = write.tensor([1, 2], "FLOAT32")
        write.operator("FULLY_CONNECTED", [given, codes, bias], last, "FullyConnectedOptions")
        if name:
            write.graph.tensors[codes].name = name
        write.model.description = description or None
        return write.save(file, given, last)

    def test_codes_are_counted_against_their_zero_points(self, tmp_path: Path) -> None:
        found = rows(self.graph(tmp_path / "m.tflite"), "tflite")
        assert {row["dtype"]: (row["shape"], row["bytes"], row["sparsity"]) for row in found.values()} == {
            "int8": ([2, 4], 8, 3 / 8),
            "float32": ([2], 8, 0.0),
        }

    def test_a_zero_point_a_channel(self, tmp_path: Path) -> None:
        from suite.formats._tflite_file import Stored
        from suite.static.tflite_layers import _read

        codes = np.array([[1, 2, 1], [2, 2, 5]], np.int8)
        one = Stored("w", (2, 3), "int8", 6, lambda: codes.reshape(-1).view(np.uint8), np.array([1, 2]), 0)
        nonzero = _read(one).nonzero
        assert nonzero is not None
        assert nonzero.tolist() == [[False, True, False], [False, False, True]]

    def test_a_network_has_the_parameters_of_its_layers(self, tmp_path: Path) -> None:
        pytest.importorskip("ai_edge_litert")
        from tflite_samples import save_tflite

        net = Net(False).eval()
        save_tflite(net, tmp_path / "m.tflite")
        found = report(tmp_path / "m.tflite", "tflite")
        weights = [p for p in net.parameters() if p.dim() > 1]
        assert found.weights == sum(p.numel() for p in weights)
        shapes = {row["shape"][-1] for row in found.summary()["layers"] if len(row["shape"]) == 4}
        assert shapes == {3}  # channels last

    def test_paths_are_said_and_overwritten(self, tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
        """By the command line, original and copy run in processes of their own."""
        told = {"name": f"{SECRET}/net/w", "description": f"MLIR converted from {SECRET}/saved_model"}
        content = self.graph(tmp_path / "m.tflite", **told).read_bytes()
        more: dict[str, Any] = {"format": "tflite", "inputs": {"shape": [4], "classes": 2}}
        folder = write_submission(tmp_path / "s", "m", {"m.tflite": content}, "m.tflite", **more)
        said = hallmark("check", folder)
        assert "m.tflite carries names or notes with paths of the machine that made it (2, e.g." in said.out
        ran = hallmark("check", folder, "--strip", tmp_path / "out")
        assert (ran.code, "stripped copy with equal answers" in ran.out) == (0, True), ran
        assert holds(tmp_path / "out", "ann") == []
        assert len((tmp_path / "out" / "m" / "m.tflite").read_bytes()) == len(content)


class TestPeft:
    def test_base_and_adapter_are_counted_and_neither_leaks(self, llama: Path, tmp_path: Path) -> None:
        pytest.importorskip("peft")
        from peft_samples import save_adapter

        folder = save_adapter(llama, tmp_path / "adapter")
        config = json.loads((folder / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = f"{SECRET}/base"
        (folder / "adapter_config.json").write_text(json.dumps(config))
        (folder / "README.md").write_text(f"---\nbase_model: {SECRET}/base\n---\nA card.\n")
        own, both = report(folder, "peft"), report(folder, "peft", base=llama)
        whole = report(llama, "transformers")
        assert both.parameters == own.parameters + whole.parameters
        assert both.file_bytes == own.file_bytes + whole.file_bytes
        assert own.parameters == 2 * 2 * 2 * (32 + 32)  # rank 2 on q and v of two layers, both factors
        assert {leak.file for leak in leaks(folder, "peft")} == {"adapter_config.json", "README.md"}
        write_clean(folder, "peft", tmp_path / "clean")
        assert holds(tmp_path / "clean", "ann") == []
        assert (tmp_path / "clean" / "README.md").read_text() == "---\nbase_model: \n---\nA card.\n"
        loader = LOADERS["peft"].on(llama)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(*(logprobs(loader, one) for one in (folder, tmp_path / "clean")))


def test_every_format_with_tensors_is_read_and_cleaned() -> None:
    from suite.static.clean import CLEANERS
    from suite.static.leaks import FINDERS
    from suite.static.report import LAYERS

    assert set(LAYERS) == set(FINDERS) == set(CLEANERS) == set(LOADERS) - set(WEIGHTLESS)

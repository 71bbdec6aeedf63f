"""Layers of quantised files: shapes, bits and zeros as the library that wrote them says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from support import REPOSITORY

from suite import submission
from suite.errors import InputError
from suite.static import Report, report
from suite.static.report import zstd_bytes


def of(name: str) -> Report:
    one = submission.load(REPOSITORY / "submissions" / name)
    return report(one.weights(), one.manifest.format)


def rows(found: Report) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in found.summary()["layers"]}


def test_compressed_tensors_agree_with_its_own_decompressor() -> None:
    """The dequantised weights that transformers computes with have the zeros and the parameters that were counted."""
    from transformers import AutoModelForCausalLM

    folder = REPOSITORY / "submissions" / "embedded-lm-int2-rtn" / "weights"
    found = of("embedded-lm-int2-rtn")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    import torch

    with torch.no_grad():
        model(torch.zeros((1, 2), dtype=torch.int64))  # it expands on the first forward
    weights = {name: p for name, p in model.state_dict().items() if p.dtype.is_floating_point and p.ndim > 1}
    for name, row in rows(found).items():
        if "weight_packed" in name:
            weight = weights[name.replace("weight_packed", "weight")]
            assert row["shape"] == list(weight.shape)
            assert row["sparsity"] == pytest.approx(float((weight == 0).double().mean()), abs=1e-12)
            assert row["distinct"] <= 4
    assert found.parameters == of("embedded-lm").parameters
    size, elements = found.quantised
    assert 8 * size / elements == pytest.approx(2 + 32 / 128, abs=0.01)  # a float32 scale for each 128


def test_torchao_and_onnx_count_the_parents_parameters() -> None:
    assert of("embedded-lm-int8").parameters == of("embedded-lm").parameters
    assert of("embedded-digits-int2").parameters == of("embedded-digits").parameters
    assert of("embedded-volumes-int4").weights == of("embedded-volumes").weights
    assert 8.0 < 8 * np.divide(*of("embedded-lm-int8").quantised) < 8.4


def test_gptq_and_awq_shapes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def words(*shape: int) -> Any:
        return random.integers(0, 2**31, shape).astype(np.int32)

    tensors = {
        "a.qweight": words(8, 16), "a.qzeros": words(2, 2), "a.scales": np.ones((2, 16), np.float16),
        "a.g_idx": np.zeros(64, np.int32),
        "b.qweight": words(64, 4), "b.qzeros": words(2, 4), "b.scales": np.ones((2, 32), np.float16),
        "norm.weight": np.ones(64, np.float16),
    }  # fmt: skip
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "gptq", "bits": 4}}))
    found = report(tmp_path, "transformers")
    assert rows(found)["a.qweight"]["shape"] == [64, 16]
    assert rows(found)["b.qweight"]["shape"] == [64, 32]
    assert found.parameters == 64 * 16 + 64 * 32 + 64
    packed = sum(tensors[n].nbytes for n in tensors if n[0] in "ab")
    assert found.quantised == (packed, 64 * 16 + 64 * 32)
    assert rows(found)["a.qweight"]["distinct"] == 16
    assert rows(found)["a.qweight"]["sparsity"] is None  # zero points have several conventions


def test_nf4_layout(tmp_path: Path) -> None:
    levels = np.linspace(-1, 1, 16).astype(np.float32)
    levels[7] = 0
    codes = np.random.default_rng(1).integers(0, 16, (6, 10)).astype(np.uint8)
    flat = codes.reshape(-1)
    state = json.dumps({"quant_type": "nf4", "blocksize": 64, "shape": [6, 10]}).encode()
    tensors = {
        "a.weight": (flat[::2] << 4 | flat[1::2])[:, None],
        "a.weight.absmax": np.ones(1, np.float32),
        "a.weight.quant_map": levels,
        "a.weight.quant_state.bitsandbytes__nf4": np.frombuffer(state, np.uint8),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    (row,) = report(tmp_path, "transformers").summary()["layers"]
    assert (row["shape"], row["distinct"]) == ([6, 10], len(np.unique(codes)))
    assert row["sparsity"] == (codes == 7).mean()


def graph_of(nodes: list[Any], tensors: dict[str, Any], path: Path, width: int) -> Path:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    stored = [v if hasattr(v, "dims") else numpy_helper.from_array(v, k) for k, v in tensors.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    return path


@pytest.mark.parametrize("with_zero_points", [False, True])
def test_blocks_of_four_bits_as_onnxruntime_packs_them(tmp_path: Path, with_zero_points: bool) -> None:
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    weight = np.random.default_rng(2).normal(0, 1, (64, 24)).astype(np.float32)  # [K, N]
    weight[np.random.default_rng(3).random(weight.shape) < 0.5] = 0
    file = graph_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight}, tmp_path / "a.onnx", 64)
    config = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=not with_zero_points, bits=4)
    quantizer = MatMulNBitsQuantizer(onnx.load(file), algo_config=config)
    quantizer.process()
    onnx.save(quantizer.model.model, tmp_path / "b.onnx")
    found = report(tmp_path / "b.onnx", "onnx")
    (row,) = [row for row in found.summary()["layers"] if row["shape"] == [24, 64]]
    assert row["sparsity"] >= 0.5  # an exact zero is a code of its own
    assert row["bits_per_weight"] == pytest.approx(4 + (32 + 4 * with_zero_points) / 32, abs=0.13)
    assert found.parameters == weight.size


def test_codes_against_their_zero_points(tmp_path: Path) -> None:
    codes = np.array([[0, 3, 3, 7], [3, 5, 0, 5]], np.uint8).T.copy()  # [in 4, out 2], zero points 3 and 5
    tensors = {"w": codes, "s": np.ones(2, np.float32), "z": np.array([3, 5], np.uint8)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"], axis=1),
        helper.make_node("MatMul", ["x", "d"], ["y"]),
    ]
    found = report(graph_of(nodes, tensors, tmp_path / "a.onnx", 4), "onnx")
    (row,) = found.summary()["layers"]
    assert row["sparsity"] == 4 / 8
    assert row["pattern"] == "2:4"  # along the input axis, the first
    assert row["bytes"] == 8 + 2 * 4 + 2


@pytest.mark.parametrize(("op", "shape", "axis"), [("Conv", (6, 8, 3, 3), 1), ("ConvTranspose", (8, 6, 3, 3), 0)])
def test_the_input_axis_of_kernels(tmp_path: Path, op: str, shape: tuple[int, ...], axis: int) -> None:
    weight = np.moveaxis(np.ones(shape, np.float32), axis, -1).copy()
    weight[..., ::4] = weight[..., 1::4] = 0
    weight = np.ascontiguousarray(np.moveaxis(weight, -1, axis))
    file = graph_of([helper.make_node(op, ["x", "w"], ["y"])], {"w": weight}, tmp_path / "a.onnx", 8)
    assert report(file, "onnx").patterns == {"2:4": weight.size}


def test_archives_of_exported_programs(tmp_path: Path) -> None:
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.Linear(8, 4))
    with torch.no_grad():
        net[0].weight[:, ::2] = 0
    torch.export.save(torch.export.export(net, (torch.zeros(1, 16),)), tmp_path / "a.pt2")
    found = report(tmp_path / "a.pt2", "torch-export")
    assert found.parameters == 16 * 8 + 8 + 8 * 4 + 4
    assert (found.weights, found.zeros) == (16 * 8 + 8 * 4, 64)
    assert found.patterns == {"2:4": 128}


def test_zstd_of_a_folder_is_the_sum_over_its_files(tmp_path: Path) -> None:
    import zstandard

    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(bytes(100_000))
    (tmp_path / "sub" / "b").write_bytes(np.random.default_rng(0).bytes(5_000_000))
    whole = [
        zstandard.ZstdCompressor(level=3).compress(p.read_bytes()) for p in (tmp_path / "a", tmp_path / "sub" / "b")
    ]
    assert zstd_bytes(tmp_path) == pytest.approx(sum(map(len, whole)), abs=64)
    assert zstd_bytes(tmp_path / "a") < 100


def test_a_format_whose_tensors_are_not_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"123")
    found = report(tmp_path / "a.npz", "predictions")
    assert set(found.series()) == {"zstd_bytes"}
    assert "predictions" in found.reasons()["weights"]
    assert found.summary()["sparsity"] is None


def test_a_broken_quantisation_state_is_one_line(tmp_path: Path) -> None:
    tensors = {"a.weight": np.zeros((4, 1), np.uint8), "a.weight.quant_state.bitsandbytes__nf4": np.zeros(3, np.uint8)}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="cannot be read"):
        report(tmp_path, "transformers")
    wrong = {"a.weight_packed": np.zeros((4, 1), np.int32), "a.weight_shape": np.array([4, 9])}
    save_file(wrong, tmp_path / "model.safetensors")
    groups = {"config_groups": {"g": {"weights": {"num_bits": 4}}}}
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": groups}))
    with pytest.raises(InputError, match=r"a\.weight_packed has 32 values, its shape \[4, 9\] says otherwise"):
        report(tmp_path, "transformers")

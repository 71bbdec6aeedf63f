"""MACs by hand, and the same net counted from its ONNX graph, by torch's counter, and from its archive."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession
from support import REPOSITORY, Ran
from torch.utils.flop_counter import FlopCounterMode

from suite import submission
from suite.errors import Undefined
from suite.formats import LOADERS
from suite.formats.base import Description
from suite.manifest import Manifest
from suite.model import Signature
from suite.static import onnx_macs, report
from suite.static.macs import Macs, Product, _effective, input_shape, macs

SHAPE = (1, 4, 16, 12)
Hallmark = Callable[..., Ran]


class Net(torch.nn.Module):
    """Every product that is counted: grouped, strided, transposed convolution, a layer, a product of activations."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a = torch.nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.b = torch.nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.up = torch.nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.head = torch.nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.up(torch.relu(self.b(torch.relu(self.a(x))))))
        out: torch.Tensor = self.head(torch.matmul(x.transpose(2, 3), x).mean(dim=2)[:, :, :12])
        return out


A = 8 * 6 * 8 * 4 * 9  # [8, 6] of 8 channels, 4 of [3, 3] each
B = 8 * 6 * 8 * 2 * 9  # in 4 groups of 2
UP = 8 * 6 * 8 * 6 * 4  # each of [8, 6] inputs of 8 channels goes to 6 channels of [2, 2]
REST = 6 * (12 * 16 * 12) + 6 * 12 * 5  # 6 channels of [12, 16] @ [16, 12], then 6 rows of 12 to 5
ALL = A + B + UP + REST


def manifest(form: str, kind: str = "classification", shape: tuple[int, ...] | None = SHAPE[1:]) -> Manifest:
    fields: dict[str, Any] = {"schema_version": 1, "name": "m", "title": "x", "kind": kind, "format": form}
    inputs = {"shape": shape} if shape else {}
    return Manifest.model_validate(fields | {"weights": "w", "sha256": "0" * 64, "inputs": inputs})


def export(net: Net, x: torch.Tensor, file: Path, **more: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch's own
        torch.onnx.export(net, (x,), file, dynamo=True, external_data=False, verbose=False, **more)


def count(form: str, file: Path) -> Macs:
    return macs(manifest(form), file, LOADERS[form].describe(file), lambda: report(file, form))


@pytest.fixture(scope="module")
def net() -> Net:
    made = Net().eval()
    with torch.no_grad():
        made.a.weight[:4] = 0  # half of its kernels
    return made


def test_graph_archive_and_torchs_counter_agree(net: Net, tmp_path: Path) -> None:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net(torch.zeros(SHAPE))
    assert counter.get_total_flops() == 2 * ALL
    sizes = ({0: torch.export.Dim("batch")},)
    x = torch.zeros(2, *SHAPE[1:])
    export(net, x, tmp_path / "a.onnx", dynamic_shapes=sizes)
    torch.export.save(torch.export.export(net, (x,), dynamic_shapes=sizes), tmp_path / "a.pt2")
    graph, archive = count("onnx", tmp_path / "a.onnx"), count("torch-export", tmp_path / "a.pt2")
    assert graph == archive == Macs(ALL, ALL - A / 2, "1x4x16x12")


def test_a_language_model_by_hand() -> None:
    """Products with weights: parameters of matrices times tokens, the tied head too; two of T x T x width."""
    one = submission.load(REPOSITORY / "submissions" / "embedded-lm-int2-rtn")
    weights = one.weights()
    counted = report(weights, "transformers")
    found = macs(one.manifest, weights, LOADERS["transformers"].describe(weights), lambda: counted)
    attention = 4 * 2 * 128 * 128 * 128
    assert found.dense == counted.weights * 128 + attention
    assert found.effective == pytest.approx((counted.weights - counted.zeros) * 128 + attention)
    assert found.input == "1 x 128 tokens"


def quantised(tmp_path: Path, net: Net) -> tuple[Path, Path]:
    from onnxruntime.quantization import quantize_dynamic

    x = torch.zeros(SHAPE)
    export(net, x, tmp_path / "a.onnx")
    quantize_dynamic(tmp_path / "a.onnx", tmp_path / "b.onnx", op_types_to_quantize=["MatMul", "Gemm"])
    return tmp_path / "a.onnx", tmp_path / "b.onnx"


def test_a_quantised_graph_counts_as_its_parent(net: Net, tmp_path: Path) -> None:
    before, after = quantised(tmp_path, net)
    assert any(node.op_type == "MatMulInteger" for node in onnx.load(after).graph.node)
    assert count("onnx", after).dense == count("onnx", before).dense == ALL


def graph_of(nodes: list[Any], tensors: dict[str, Any], path: Path, sizes: list[Any]) -> Path:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(v, k) for k, v in tensors.items()])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def test_blocks_of_four_bits(tmp_path: Path) -> None:
    packed = np.full((24, 2, 16), 0x88, np.uint8)  # every code is the middle: zero
    packed[:12] = 0x99
    facts = {"K": 64, "N": 24, "bits": 4, "block_size": 32}
    nodes = [
        helper.make_node("MatMulNBits", ["x", "w", "s"], ["h"], domain="com.microsoft", **facts),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
    ]  # fmt: skip
    tensors = {"w": packed, "s": np.ones((24, 2), np.float32), "v": np.ones((24, 3), np.float32)}
    file = graph_of(nodes, tensors, tmp_path / "a.onnx", ["batch", 64])
    counted = report(file, "onnx")
    found = macs(manifest("onnx", shape=(64,)), file, Description(0, 0), lambda: counted)
    assert (found.dense, found.effective) == (64 * 24 + 24 * 3, 32 * 24 + 24 * 3)


@pytest.mark.parametrize("batch", [1, 4, "batch"])
def test_a_fixed_batch_counts_one_item(tmp_path: Path, batch: Any) -> None:
    """A file of a batch of four, whose Reshape holds that four, does the same for one item as one of an open batch."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], pads=[1, 1, 1, 1]),
        helper.make_node("Reshape", ["h", "to"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"]),
    ]
    first = -1 if batch == "batch" else batch
    tensors = {"w": np.ones((3, 1, 3, 3), np.float32), "to": np.array([first, 3 * 8 * 8]),
               "v": np.ones((3 * 8 * 8, 10), np.float32)}  # fmt: skip
    file = graph_of(nodes, tensors, tmp_path / "a.onnx", [batch, 1, 8, 8])
    expected = [Product(8 * 8 * 3 * 9, "w"), Product(3 * 8 * 8 * 10, "v")]
    assert onnx_macs.products(file, (1, 1, 8, 8)) == (expected, ())


@pytest.mark.parametrize(("trans_a", "trans_b"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_fused_product_is_counted_as_onnxruntime_turns_it(tmp_path: Path, trans_a: int, trans_b: int) -> None:
    weight = np.ones((5, 7) if trans_b else (7, 5), np.float32)
    facts = {"domain": "com.microsoft", "transA": trans_a, "transB": trans_b}
    nodes = [helper.make_node("FusedMatMul", ["x", "w"], ["y"], **facts)]
    sizes = (1, 7, 3) if trans_a else (1, 3, 7)
    file = graph_of(nodes, {"w": weight}, tmp_path / "a.onnx", list(sizes))
    assert onnx_macs.products(file, sizes) == ([Product(3 * 7 * 5, "w")], ())
    (out,) = InferenceSession(file).run(None, {"x": np.ones(sizes, np.float32)})
    assert out.shape == (1, 3, 5)
    assert (out == 7).all()


def test_a_fused_product_with_its_batch_in_the_middle(tmp_path: Path) -> None:
    nodes = [helper.make_node("FusedMatMul", ["x", "w"], ["y"], domain="com.microsoft", transBatchA=1)]
    file = graph_of(nodes, {"w": np.ones((2, 7, 5), np.float32)}, tmp_path / "a.onnx", [3, 2, 7])
    assert onnx_macs.products(file, (3, 2, 7)) == ([Product(2 * 3 * 7 * 5, "w")], ())
    (out,) = InferenceSession(file).run(None, {"x": np.ones((3, 2, 7), np.float32)})
    assert out.shape == (2, 3, 5)


def test_a_fixed_number_of_tokens_is_not_counted_as_another(tmp_path: Path) -> None:
    nodes = [helper.make_node("Gather", ["e", "x"], ["h"]), helper.make_node("MatMul", ["h", "w"], ["y"])]
    tensors = {"e": np.ones((9, 4), np.float32), "w": np.ones((4, 9), np.float32)}
    file = graph_of(nodes, tensors, tmp_path / "a.onnx", [2, 16])
    model = onnx.load(file)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    onnx.save(model, file)
    assert onnx_macs.products(file, (1, 16)) == ([Product(16 * 4 * 9, "w")], ())
    with pytest.raises(Undefined, match="takes 16 tokens at a time, not 128"):
        onnx_macs.products(file, (1, 128))


@pytest.mark.parametrize(("trans_a", "trans_b"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_gemm(tmp_path: Path, trans_a: int, trans_b: int) -> None:
    weight = np.ones((5, 7) if trans_b else (7, 5), np.float32)
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], transA=trans_a, transB=trans_b)]
    file = graph_of(nodes, {"w": weight}, tmp_path / "a.onnx", [7, 3] if trans_a else [3, 7])
    assert onnx_macs.products(file, (3, 7)) == ([Product(3 * 7 * 5, "w")], ())


def test_what_is_not_counted_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Einsum", ["x", "w"], ["y"], equation="ij,jk->ik")]
    file = graph_of(nodes, {"w": np.ones((4, 4), np.float32)}, tmp_path / "a.onnx", [1, 4])
    assert onnx_macs.products(file, (1, 4)) == ([], ("Einsum",))


def test_shapes_that_cannot_be_told_are_a_reason(tmp_path: Path) -> None:
    other = helper.make_node("Other", ["x"], ["h"], domain="com.microsoft")
    nodes = [other, helper.make_node("MatMul", ["h", "w"], ["y"])]
    file = graph_of(nodes, {"w": np.ones((4, 4), np.float32)}, tmp_path / "a.onnx", [1, 4])
    with pytest.raises(Undefined, match="cannot be told from the graph"):
        onnx_macs.products(file, (1, 4))


def test_weights_whose_zeros_are_unknown_leave_no_effective_count() -> None:
    assert _effective([Product(10, "a"), Product(5, None)], {"a": 0.5}) == 10.0
    assert _effective([Product(10, "a")], {"a": None}) is None
    assert _effective([Product(10, "b")], {"a": 0.5}) is None


def test_the_stated_input() -> None:
    file = Description(1, 4, {}, Signature((None, 3, 8, 8), (None, 4)), context=64)
    assert input_shape(manifest("onnx", shape=None), file) == (1, 3, 8, 8)
    assert input_shape(manifest("onnx"), file) == SHAPE
    assert input_shape(manifest("onnx", "language", None), file) == (1, 64)
    with pytest.raises(Undefined, match="fixes the input's shape"):
        input_shape(manifest("onnx", shape=None), Description(1, 4, {}, Signature((None, 3, None, 8), (None, 4))))


def test_check_prints_the_report(hallmark: Hallmark) -> None:
    folder = REPOSITORY / "submissions" / "embedded-digits-int2"
    printed = hallmark("check", folder, "--static").out
    for said in ("after zstd", "2.07 bit, scales included", "2.087 M at 1x1x8x8", "convs.b.weight.levels", "64×32×3×3"):
        assert said in printed
    (check,) = hallmark("check", folder, "--static", "--json").json["checks"]
    assert check["static"]["macs"] == 2086656
    assert check["static"]["layers"][0]["distinct"] == 288
    assert check["claim_mismatches"] == []

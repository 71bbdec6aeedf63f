"""MACs of OpenVINO, TFLite and GGUF files and of adapters: by hand, and as torch counts the same network."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from gguf_samples import save_gguf
from onnx import TensorProto, helper, numpy_helper
from peft_samples import save_adapter
from support import REPOSITORY
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from suite.errors import Undefined
from suite.formats import LOADERS, _gguf_file
from suite.manifest import Manifest
from suite.static import apart, gguf_macs, macs, openvino_macs, peft_macs, report, tflite_macs, torch_macs
from suite.static.macs import Product

LANGUAGE = REPOSITORY / "submissions/embedded-lm/weights"
TOKENS = (1, 128)


def total(found: tuple[list[Product], tuple[str, ...]]) -> int:
    assert found[1] == ()
    return sum(one.macs for one in found[0])


def of_torch(weights: Path, shape: tuple[int, ...]) -> int:
    """MACs of a transformers folder as torch counts it."""
    order = {"weights": str(weights), "format": "transformers", "class": "AutoModelForCausalLM", "shape": shape}
    return sum(found for found, _ in torch_macs.counted(order))


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count in this process: another one imports torch again."""
    monkeypatch.setattr(apart, "ask", lambda module, order, _: import_module(module).counted(order))


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Every product of vision: a grouped, strided and a transposed convolution, a layer, a product of activations."""
    tensors = {
        "a": np.ones((8, 4, 3, 3)), "b": np.ones((8, 2, 3, 3)), "up": np.ones((8, 6, 2, 2)),
        "upg": np.ones((6, 1, 2, 2)), "v": np.ones((24, 5)),
    }  # fmt: skip
    tensors["a"][:4] = 0
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["h"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["h", "b"], ["i"], pads=[1, 1, 1, 1], group=4),
        helper.make_node("ConvTranspose", ["i", "up"], ["j"], strides=[2, 2]),
        helper.make_node("ConvTranspose", ["j", "upg"], ["k"], strides=[2, 2], group=6),
        helper.make_node("Transpose", ["k"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["t", "k"], ["m"]),
        helper.make_node("MatMul", ["m", "v"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 16, 12])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    stored = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in tensors.items()]
    made = helper.make_graph(nodes, "g", inputs, outputs, stored)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


@pytest.mark.usefixtures("_here")
def test_an_openvino_graph_counts_as_its_onnx_graph_and_by_hand(graph: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    from openvino_samples import save_openvino

    folder = save_openvino(graph, tmp_path / "ov")
    shape = (1, 4, 16, 12)
    found, left = openvino_macs.products(folder, shape)
    expected = [
        8 * 8 * 6 * 4 * 9, 8 * 8 * 6 * 2 * 9, 8 * 8 * 6 * 6 * 4, 6 * 16 * 12 * 4, 6 * 24 * 32 * 24, 6 * 24 * 24 * 5
    ]  # fmt: skip
    assert left == ()
    assert sorted(one.macs for one in found) == sorted(expected)
    assert sorted(expected) == sorted(one.macs for one in macs.of_file("onnx", graph, shape)[0])
    fields = {"schema_version": 1, "name": "m", "title": "x", "kind": "segmentation", "format": "openvino"}
    fields |= {"weights": "w", "sha256": "0" * 64, "inputs": {"shape": shape[1:]}}  # type: ignore[dict-item]
    described = LOADERS["openvino"].describe(folder)
    work = macs.macs(Manifest.model_validate(fields), folder, described, lambda: report(folder, "openvino"))
    assert work.effective is not None  # half of the first kernel is zero
    assert (work.dense, work.dense - work.effective) == (sum(expected), pytest.approx(expected[0] / 2))


@pytest.mark.usefixtures("_here")
def test_openvino_language_models_count_as_torch_does(made: Path, cached: Path, tmp_path: Path) -> None:
    """With states, as Optimum saves them, and without; rotary embeddings are a product of one element there."""
    pytest.importorskip("openvino", reason="needs the extra openvino")
    from openvino_samples import save_stateful

    expected = of_torch(made / "llama", (1, 32))
    for folder in (save_stateful(cached, tmp_path / "ov"), made / "openvino-llama"):
        assert total(openvino_macs.products(folder, (1, 32))) == pytest.approx(expected, rel=0.01)


def test_an_openvino_graph_that_cannot_be_counted_is_a_reason(graph: Path, tmp_path: Path) -> None:
    """Of a process of its own: what it says itself, or its last words."""
    pytest.importorskip("openvino", reason="needs the extra openvino")
    from openvino_samples import save_openvino

    folder = save_openvino(graph, tmp_path / "ov")
    with pytest.raises(Undefined, match=r"^the shape of '\w+' stays open$"):
        openvino_macs.products(folder, (1, 3, 16, 12, 5))
    (folder / "model.xml").write_text("<net")
    with pytest.raises(Undefined, match=r"^OpenVINO cannot count it: "):
        openvino_macs.products(folder, (1, 4, 16, 12))


def test_tflite_operators_by_hand(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra tflite")
    from tflite_samples import Writer

    write = Writer()
    x = write.tensor([1, 8, 6, 4], "FLOAT32")

    def weight(*shape: int) -> int:
        return write.constant(np.ones(shape, np.float32))

    a = write.operator("CONV_2D", [x, weight(10, 3, 3, 4), weight(10)], write.tensor([1, 4, 3, 10], "FLOAT32"))
    b = write.operator("DEPTHWISE_CONV_2D", [a, weight(1, 3, 2, 10)], write.tensor([1, 4, 3, 10], "FLOAT32"))
    size = write.constant(np.array([1, 8, 6, 5], np.int32), "INT32")
    c = write.operator("TRANSPOSE_CONV", [size, weight(5, 2, 2, 10), b], write.tensor([1, 8, 6, 5], "FLOAT32"))
    d = write.operator("BATCH_MATMUL", [c, weight(1, 8, 5, 7)], write.tensor([1, 8, 6, 7], "FLOAT32"))
    half = write.constant(np.ones((9, 7), np.float16), "FLOAT16")
    e = write.operator("DEQUANTIZE", [half], write.tensor([9, 7], "FLOAT32"))
    y = write.operator("FULLY_CONNECTED", [d, e, -1], write.tensor([1, 8, 6, 9], "FLOAT32"))
    file = write.save(tmp_path / "a.tflite", x, y)
    found, left = tflite_macs.products(file, (1, 8, 6, 4))
    expected = [4 * 3 * 10 * 9 * 4, 4 * 3 * 10 * 6, 4 * 3 * 10 * 5 * 4, 8 * 6 * 5 * 7, 8 * 6 * 7 * 9]
    assert ([one.macs for one in found], left) == (expected, ())
    assert found[-1].weight == f"t{half}"  # the stored one, in float16
    stored = {one.layer.name for one in report(file, "tflite").layers}
    assert {one.weight for one in found} <= stored
    with pytest.raises(Undefined, match="takes an input of 1x8x6x4"):
        tflite_macs.products(file, (1, 9, 9, 4))


def test_the_keyword_spotter_of_mlperf_tiny(tmp_path: Path) -> None:
    """Its depthwise-separable blocks, by their sizes: 25 x 5 positions of 64 channels."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra tflite")
    from tflite_samples import Writer

    write, where = Writer(), [1, 25, 5, 64]
    x = first = write.tensor([1, 49, 10, 1], "FLOAT32")
    x = write.operator(
        "CONV_2D", [x, write.constant(np.ones((64, 10, 4, 1), np.float32))], write.tensor(where, "FLOAT32")
    )
    for _ in range(4):
        deep, flat = (write.constant(np.ones(size, np.float32)) for size in ((1, 3, 3, 64), (64, 1, 1, 64)))
        x = write.operator("DEPTHWISE_CONV_2D", [x, deep], write.tensor(where, "FLOAT32"))
        x = write.operator("CONV_2D", [x, flat], write.tensor(where, "FLOAT32"))
    x = write.operator("RESHAPE", [x], write.tensor([1, 64], "FLOAT32"))
    x = write.operator(
        "FULLY_CONNECTED", [x, write.constant(np.ones((12, 64), np.float32))], write.tensor([1, 12], "FLOAT32")
    )
    file = write.save(tmp_path / "kws.tflite", first, x)
    assert total(tflite_macs.products(file, (1, 49, 10, 1))) == 125 * (64 * 40 + 4 * (64 * 9 + 64 * 64)) + 64 * 12


@pytest.mark.parametrize("kind", ["F32", "Q8_0"])
def test_a_gguf_file_counts_as_torch_does(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("gguf", reason="needs the extra gguf")
    folder = save_gguf(LANGUAGE, tmp_path / "a", kind)
    found = gguf_macs.products(folder, TOKENS)
    assert total(found) == of_torch(LANGUAGE, TOKENS)
    names = {one.layer.name for one in report(folder, "gguf").layers}
    assert {one.weight for one in found[0]} - {None} <= names


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"attention.head_count": 4}, 3 * 2 * 32),
        ({"attention.head_count": [4, 2, 1], "attention.key_length": 10, "attention.value_length": 6}, 7 * 16),
        ({"attention.head_count": [4, 4]}, "no number of heads for each of 3 layers"),
        ({"attention.head_count": 0}, "does not state its attention.head_count"),
        ({"attention.head_count": 4, "attention.key_length": "x"}, "width of its heads"),
        ({"attention.head_count": 4, "block_count": 1 << 60}, (1 << 60) * 2 * 32),
    ],
)
def test_attention_of_a_gguf_file_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], expected: int | str
) -> None:
    """4 tokens: every one with every one, key and value of every head."""
    stated = {"embedding_length": 32, "block_count": 3} | keys
    named = {"general.architecture": "a"} | {f"a.{key}": value for key, value in stated.items()}
    header = _gguf_file.Header(named, {"token_embd.weight": _gguf_file.Tensor((7, 32), "float32", 0, 0)}, 0, {})
    monkeypatch.setattr(_gguf_file, "model_file", lambda weights: weights)
    monkeypatch.setattr(_gguf_file, "read_header", lambda _: header)
    if isinstance(expected, str):
        with pytest.raises(Undefined, match=expected):
            gguf_macs.products(tmp_path, (1, 4))
        return
    head, attention = gguf_macs.products(tmp_path, (1, 4))[0]
    assert head == Product(4 * 7 * 32, "token_embd.weight")  # the table is the head
    assert attention == Product(16 * expected, None)


def test_a_gguf_file_of_another_sort_is_a_reason(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf", reason="needs the extra gguf")
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "mamba")
    writer.add_tensor("blk.0.ssm_in.weight", np.ones((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(Undefined, match=r"blk.0.ssm_in.weight is no tensor of a dense decoder"):
        gguf_macs.products(tmp_path / "a.gguf", TOKENS)


@pytest.mark.usefixtures("_here")
def test_an_adapter_counts_as_torch_does(tmp_path: Path) -> None:
    peft: Any = pytest.importorskip("peft", reason="needs the extra peft")
    from transformers import AutoModelForCausalLM

    folder = save_adapter(LANGUAGE, tmp_path / "a", r=4)
    base = AutoModelForCausalLM.from_pretrained(LANGUAGE, attn_implementation="eager")
    model = peft.PeftModel.from_pretrained(base, folder).eval()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model(torch.zeros(TOKENS, dtype=torch.int64))
    found = peft_macs.products(folder, "language", TOKENS, LANGUAGE)
    assert 2 * sum(one.macs for one in found) == counter.get_total_flops()
    names = {one.layer.name for one in report(folder, "peft", base=LANGUAGE).layers}
    assert {one.weight for one in found} - {None} <= names


def test_other_adapters_and_none_are_reasons(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="needs the extra peft")
    folder = save_adapter(LANGUAGE, tmp_path / "a", "ia3")
    with pytest.raises(Undefined, match="only LoRA of linear layers is counted; it is IA3"):
        peft_macs.products(folder, "language", TOKENS, LANGUAGE)
    with pytest.raises(Undefined, match="without its base"):
        peft_macs.products(folder, "language", TOKENS, None)

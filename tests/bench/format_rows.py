"""What ``tests/bench/formats.py`` measures: two Llamas and a 3-D U-Net in every format that can be made."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import llama_files as llama
import unet_files as unet

from suite.manifest import Inputs, Kind
from suite.timing.scenario import Scenario

Make = Callable[[Path, Path], Path]
"""Where to write, and the weights of the row that it is made of -> the weights."""
Needs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Model:
    """One network that is put into formats.

    Attributes:
        name: rows are ``name/format``.
        kind: language or segmentation.
        reference: the row that every other one is also compared with: PyTorch in float32.
        scenarios: what is timed.
        else_s: seconds that a row takes besides its timing on a quiet machine, about.
        fresh_s: that a fresh pair of processes takes to load and to warm up, about.
        items: stories or volumes whose answers are compared.
        tokens: most of a story's; None: all that fit.
    """

    name: str
    kind: Kind
    reference: str
    scenarios: tuple[Scenario, ...]
    else_s: float
    fresh_s: float
    items: int
    tokens: int | None = None

    @property
    def inputs(self) -> Inputs:
        """As a manifest would say."""
        return Inputs(shape=(1, 24, 32, 32), classes=6) if self.kind == "segmentation" else Inputs()


@dataclass(frozen=True)
class Row:
    """One format of one model.

    Attributes:
        name: unique, ``model/format``.
        format: a key of ``LOADERS``.
        make: writes the weights; raises for what cannot be written here.
        parent: the row that holds the same model unquantised in the same runtime; its own name for that row.
        source: the row whose weights it is made of; None: of the model itself.
        needs: modules that it takes, with the extra that brings each ("": none does).
        hidden: a module that its process must not find.
    """

    name: str
    format: str
    make: Make
    parent: str
    source: str | None = None
    needs: Needs = ()
    hidden: str = ""

    @property
    def model(self) -> str:
        """Whose row it is."""
        return self.name.split("/")[0]

    def missing(self) -> str | None:
        """Why it cannot be made."""
        for module, extra in self.needs:
            if importlib.util.find_spec(module) is None:
                source = f"'hallmark-bench[{extra}]'" if extra else module.replace("_", "-")
                return f"{module} is not installed: pip install {source}"
        return None


MODELS = {
    "unet": Model("unet", "segmentation", "unet/pt2", (Scenario("batch-1"), Scenario("batch-8", batch=8)), 8, 20, 24),
    "small": Model("small", "language", "small/torch-fp32",
                   (Scenario("prefill-128", tokens=128), Scenario("decode-64", tokens=128, new=64)), 12, 20, 30),
    "mid": Model("mid", "language", "mid/torch-fp32",
                 (Scenario("prefill-128", tokens=128), Scenario("one-token", tokens=1)), 30, 30, 6, 96),
}  # fmt: skip
"""`embedded-volumes` (0.2 million weights), `embedded-lm` (0.96), a random Llama of 111 million: what matters first."""

_BNB: Needs = (("bitsandbytes", "bitsandbytes"),)
_AO: Needs = (("torchao", ""),)
_LLAMA: Needs = (("gguf", "gguf"), ("llama_cpp", "llama-cpp"))
_OV: Needs = (("openvino", "openvino"),)
_NNCF: Needs = (*_OV, ("nncf", ""))
_GPTQ: Needs = (("gptqmodel", "gptq"), ("optimum", "gptq"))
_T, _G, _O, _V = "torch-fp32", "gguf-f32", "onnx-fp32", "ov-fp32"
_LANGUAGE = (
    Row("torch-bf16", "transformers", llama.cast("bfloat16"), _T, _T),
    Row("torchao-int8-wo", "transformers", llama.torchao("Int8WeightOnlyConfig"), _T, _T, _AO),
    Row("torchao-int8-dyn", "transformers", llama.torchao("Int8DynamicActivationInt8WeightConfig"), _T, _T, _AO),
    Row("torchao-fp8-wo", "transformers", llama.torchao("Float8WeightOnlyConfig"), _T, _T, _AO),
    Row("torchao-int4", "transformers", llama.torchao("Int4WeightOnlyConfig"), _T, _T, _AO),
    Row("ct-w8a8", "transformers", llama.compressed_tensors("W8A8"), _T, _T),
    Row("ct-w4a16", "transformers", llama.compressed_tensors("W4A16"), _T, _T),
    Row("ct-fp8", "transformers", llama.compressed_tensors("FP8"), _T, _T),
    Row("sparse-2:4", "transformers", llama.two_of_four, _T, _T),
    Row("bnb-int8", "transformers", llama.bitsandbytes(load_in_8bit=True), _T, _T, _BNB),
    Row("bnb-nf4", "transformers", llama.bitsandbytes(load_in_4bit=True, bnb_4bit_quant_type="nf4"), _T, _T, _BNB),
    Row("hqq-int4", "transformers", llama.hqq, _T, _T, (("hqq", ""),)),
    Row("quanto-int8", "transformers", llama.quanto, _T, _T, (("optimum.quanto", ""),)),
    Row(_G, "gguf", llama.gguf("F32"), _G, _T, _LLAMA),
    Row("gguf-q8_0", "gguf", llama.gguf("Q8_0"), _G, _T, _LLAMA),
    Row("gguf-q4_0", "gguf", llama.gguf("Q4_0"), _G, _T, _LLAMA),
    Row("gguf-q4_0-torch", "gguf", llama.gguf("Q4_0"), _T, _T, _LLAMA[:1], hidden="llama_cpp"),
    Row(_O, "onnx", llama.onnx_fp32, _O, _T),
    Row("onnx-int8-dyn", "onnx", llama.onnx_int8, _O, _O),
    Row("onnx-int4-b32", "onnx", llama.onnx_int4, _O, _O),
    Row(_V, "openvino", llama.openvino_fp32, _V, _O, _OV),
    Row("ov-int8", "openvino", llama.openvino_weights("INT8_ASYM"), _V, _V, _NNCF),
    Row("ov-int4-g64", "openvino", llama.openvino_weights("INT4_SYM", 64), _V, _V, _NNCF),
    Row("pt2", "torch-export", llama.exported, _T, _T),
    Row("gptq-w4", "transformers", llama.gptq, _T, _T, _GPTQ),
    Row("torch-fp16", "transformers", llama.cast("float16"), _T, _T),
)
_UNET = (
    Row("unet/pt2", "torch-export", unet.exported, "unet/pt2"),
    Row("unet/pt2-bf16", "torch-export", unet.exported_half, "unet/pt2"),
    Row("unet/pt2e-int8", "torch-export", unet.pt2e, "unet/pt2", needs=_AO),
    Row("unet/torchao-int8-wo", "torch-export", unet.weight_only, "unet/pt2", needs=_AO),
    Row("unet/torchscript", "torch-export", unet.scripted, "unet/pt2"),
    Row("unet/onnx", "onnx", unet.committed("embedded-volumes"), "unet/onnx"),
    Row("unet/onnx-int8", "onnx", unet.committed("embedded-volumes-int8"), "unet/onnx"),
    Row("unet/onnx-int4", "onnx", unet.committed("embedded-volumes-int4"), "unet/onnx"),
    Row("unet/onnx-pruned", "onnx", unet.committed("embedded-volumes-pruned"), "unet/onnx"),
    Row("unet/ov", "openvino", unet.openvino(), "unet/ov", "unet/onnx", _OV),
    Row("unet/ov-fp16", "openvino", unet.openvino(half=True), "unet/ov", "unet/onnx", _OV),
    Row("unet/ov-int8", "openvino", unet.nncf_int8, "unet/ov", "unet/onnx", _NNCF),
)


_MID = ("torch-", "torchao-int8", "bnb-", "gguf-", "onnx-", "ov-")


def _of(model: str, make: Make, heads: tuple[str, ...] = ("",)) -> tuple[Row, ...]:
    """The rows of one Llama, those whose names begin so."""
    whole = Row(f"{model}/{_T}", "transformers", make, f"{model}/{_T}")
    rest = (replace(row, name=f"{model}/{row.name}", parent=f"{model}/{row.parent}", source=f"{model}/{row.source}")
            for row in _LANGUAGE if row.name.startswith(heads))  # fmt: skip
    return (whole, *rest)


ROWS: dict[str, Row] = {
    row.name: row for row in (*_of("small", llama.embedded), *_UNET, *_of("mid", llama.random, _MID))
}
"""Every row of the matrix; the large model takes those whose speed its size decides."""
QUICK = ("small/torchao-int8-dyn", "small/onnx-int8-dyn", "unet/onnx-int8")

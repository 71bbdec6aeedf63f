"""What ``tests/bench/formats.py`` measures: a small Llama and a small 3-D U-Net in every format that can be made."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from suite.manifest import Kind

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests/suite/formats"), str(REPOSITORY / "submissions")]
LLAMA = REPOSITORY / "submissions/embedded-lm/weights"
Make = Callable[[Path, Path], Path]
"""Where to write, and the folder of all rows -> the weights."""


@dataclass(frozen=True)
class Row:
    """One format of one model.

    Attributes:
        name: unique.
        kind: language (the Llama) or segmentation (the U-Net).
        format: a key of ``LOADERS``.
        parent: the row that holds the same model unquantised in the same runtime; its own name for that row.
        make: writes the weights; raises for what cannot be written here.
        needs: module that it takes, with the extra that brings it, if one does.
    """

    name: str
    kind: Kind
    format: str
    parent: str
    make: Make
    needs: tuple[str, str] | None = None

    def missing(self) -> str | None:
        """Why it cannot be made."""
        if self.needs is None or importlib.util.find_spec(self.needs[0]) is not None:
            return None
        module, extra = self.needs
        source = f"'hallmark-bench[{extra}]'" if extra else module
        return f"{module} is not installed: pip install {source}"


def _model(**settings: Any) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(LLAMA, **settings)


def _saved(out: Path, **settings: Any) -> Path:
    """The Llama loaded so and saved again, its tokenizer with it."""
    _model(**settings).save_pretrained(out)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(LLAMA / name, out)
    return out


def _copied(out: Path, _: Path) -> Path:
    return Path(shutil.copytree(LLAMA, out))


def _torchao(kind: str) -> Make:
    def make(out: Path, _: Path) -> Path:
        import torchao.quantization
        from transformers import TorchAoConfig

        config = TorchAoConfig(getattr(torchao.quantization, kind)())
        return _saved(out, dtype=torch.float32, quantization_config=config)

    return make


def _bitsandbytes(**settings: Any) -> Make:
    def make(out: Path, _: Path) -> Path:
        from transformers import BitsAndBytesConfig

        return _saved(out, dtype=torch.float32, quantization_config=BitsAndBytesConfig(**settings))

    return make


def _compressed(out: Path, _: Path) -> Path:
    """W8A16 as llm-compressor writes it: int8 codes and a scale an output channel."""
    from safetensors.numpy import load_file, save_file

    _copied(out, out)
    stored = load_file(out / "model.safetensors")
    for name, array in list(stored.items()):
        if name.endswith("proj.weight"):
            scale = (np.abs(array).max(axis=1, keepdims=True) / 127).astype(np.float32)
            stored[name] = np.round(array / scale).astype(np.int8)
            stored[name.replace("weight", "weight_scale")] = scale
    save_file(stored, out / "model.safetensors", metadata={"format": "pt"})
    weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False}
    group = {"targets": ["Linear"], "weights": weights, "format": "int-quantized"}
    scheme = {"quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
              "ignore": ["lm_head"], "config_groups": {"group_0": group}}  # fmt: skip
    config = json.loads((out / "config.json").read_text()) | {"quantization_config": scheme}
    (out / "config.json").write_text(json.dumps(config))
    return out


def _gptq(out: Path, _: Path) -> Path:
    from gptqmodel import GPTQModel, QuantizeConfig

    from tasks.generators.language import training_documents

    model = GPTQModel.load(str(LLAMA), QuantizeConfig(bits=4, group_size=32))
    model.quantize([document.text for document in training_documents(64, seed=0)], batch_size=1)
    model.save(str(out))
    shutil.copy(LLAMA / "tokenizer.json", out)
    return out


def _gguf(kind: str) -> Make:
    def make(out: Path, _: Path) -> Path:
        from gguf_samples import save_gguf

        return save_gguf(LLAMA, out, kind)

    return make


def _onnx_fp32(out: Path, _: Path) -> Path:
    from cached_samples import save_onnx_cached

    return save_onnx_cached(LLAMA, out)


def _beside(source: Path, out: Path) -> tuple[Path, Path]:
    """A copy of an ONNX folder without its graph: the old and the new graph."""
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("*.onnx"))
    return source / "model.onnx", out / "model.onnx"


def _onnx_int8(out: Path, root: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(*_beside(root / "onnx-fp32", out), weight_type=QuantType.QInt8, per_channel=True)
    return out


def _onnx_int4(out: Path, root: Path) -> Path:
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    old, new = _beside(root / "onnx-fp32", out)
    quantizer = MatMulNBitsQuantizer(onnx.load(old), block_size=32, is_symmetric=True)
    quantizer.process()
    quantizer.model.save_model_to_file(str(new))
    return out


def _unet() -> Any:
    import vision_recipes

    return vision_recipes.load("embedded-volumes", vision_recipes.volume_net(_width()))


def _width() -> int:
    import onnx
    import vision_recipes

    stored = onnx.load(REPOSITORY / "submissions/embedded-volumes/model.onnx").graph.initializer
    sizes = {tensor.name: tuple(tensor.dims) for tensor in stored}
    for width in range(1, 129):
        net = type(vision_recipes.volume_net(width))(vision_recipes.volume_net(width).widths, folded=True)
        if all(sizes.get(name) == tuple(value.shape) for name, value in net.state_dict().items()):
            return width
    raise RuntimeError("embedded-volumes has another network than vision_recipes.volume_net")


def _unet_pt2(out: Path, _: Path) -> Path:
    net = _unet()
    sizes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    file = out.with_suffix(".pt2")
    torch.export.save(torch.export.export(net, (torch.zeros(2, *net.shape),), dynamic_shapes=sizes), file)
    return file


def _unet_onnx(name: str) -> Make:
    def make(out: Path, _: Path) -> Path:
        return Path(shutil.copy(REPOSITORY / "submissions" / name / "model.onnx", out.with_suffix(".onnx")))

    return make


def _openvino(source: str, how: str = "") -> Make:
    def make(out: Path, root: Path) -> Path:
        from openvino_samples import save_openvino

        if how != "int8":
            return save_openvino(root / source, out, half=how == "half")
        import nncf
        import openvino
        from vision_recipes import volume_data

        images = volume_data(32)[0].numpy().astype(np.float32)
        graph = openvino.convert_model(root / source)
        done = nncf.quantize(graph, nncf.Dataset(list(images[:, None])), subset_size=32)
        out.mkdir()
        openvino.save_model(done, out / "model.xml", compress_to_fp16=False)
        return out

    return make


_BNB, _AO = ("bitsandbytes", "bitsandbytes"), ("torchao", "")
_GGUF, _OV = ("gguf", "gguf"), ("openvino", "openvino")
ROWS = (
    Row("torch-fp32", "language", "transformers", "torch-fp32", _copied),
    Row("torch-bf16", "language", "transformers", "torch-fp32", lambda out, _: _saved(out, dtype=torch.bfloat16)),
    Row("torch-fp16", "language", "transformers", "torch-fp32", lambda out, _: _saved(out, dtype=torch.float16)),
    Row("torchao-int8-wo", "language", "transformers", "torch-fp32", _torchao("Int8WeightOnlyConfig"), _AO),
    Row("torchao-int8-dyn", "language", "transformers", "torch-fp32",
        _torchao("Int8DynamicActivationInt8WeightConfig"), _AO),
    Row("ct-w8a16", "language", "transformers", "torch-fp32", _compressed),
    Row("bnb-int8", "language", "transformers", "torch-fp32", _bitsandbytes(load_in_8bit=True), _BNB),
    Row("bnb-nf4", "language", "transformers", "torch-fp32",
        _bitsandbytes(load_in_4bit=True, bnb_4bit_quant_type="nf4"), _BNB),
    Row("gptq-w4", "language", "transformers", "torch-fp32", _gptq, ("gptqmodel", "gptq")),
    Row("gguf-f32", "language", "gguf", "gguf-f32", _gguf("F32"), _GGUF),
    Row("gguf-q8_0", "language", "gguf", "gguf-f32", _gguf("Q8_0"), _GGUF),
    Row("gguf-q4_0", "language", "gguf", "gguf-f32", _gguf("Q4_0"), _GGUF),
    Row("onnx-fp32", "language", "onnx", "onnx-fp32", _onnx_fp32),
    Row("onnx-int8-dyn", "language", "onnx", "onnx-fp32", _onnx_int8),
    Row("onnx-int4-b32", "language", "onnx", "onnx-fp32", _onnx_int4),
    Row("unet-pt2", "segmentation", "torch-export", "unet-pt2", _unet_pt2),
    Row("unet-onnx", "segmentation", "onnx", "unet-onnx", _unet_onnx("embedded-volumes")),
    Row("unet-onnx-int8", "segmentation", "onnx", "unet-onnx", _unet_onnx("embedded-volumes-int8")),
    Row("unet-ov", "segmentation", "openvino", "unet-ov", _openvino("unet-onnx.onnx"), _OV),
    Row("unet-ov-fp16", "segmentation", "openvino", "unet-ov", _openvino("unet-onnx.onnx", "half"), _OV),
    Row("unet-ov-int8", "segmentation", "openvino", "unet-ov", _openvino("unet-onnx.onnx", "int8"), ("nncf", "")),
)  # fmt: skip
REFERENCE = {"language": "torch-fp32", "segmentation": "unet-pt2"}
"""Of a kind: the row that every other one is also compared with, PyTorch in float32."""
SOURCES = {"onnx-fp32": "onnx-int", "unet-onnx": "unet-ov"}
"""Rows whose file others, by the beginning of their names, are made of."""
QUICK = ("torch-fp32", "torchao-int8-dyn", "gguf-f32", "gguf-q4_0", "unet-pt2", "unet-onnx", "unet-onnx-int8")

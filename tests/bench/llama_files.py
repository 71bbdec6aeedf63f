"""Writers of a small Llama's files: each puts the model of one folder into one format."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests/suite/formats"), str(REPOSITORY / "submissions")]
_TEXTS = ("tokenizer.json", "tokenizer_config.json")
Make = Callable[[Path, Path], Path]


def embedded(out: Path, _: Path) -> Path:
    """The committed model."""
    return Path(shutil.copytree(REPOSITORY / "submissions/embedded-lm/weights", out))


def random(out: Path, _: Path) -> Path:
    """111.2 million random weights: 8 layers of width 1024, vocabulary 4096, the committed model's tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4096, hidden_size=1024, intermediate_size=2816, num_hidden_layers=8, num_attention_heads=16,
        max_position_embeddings=512, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(out)
    return _with_tokenizer(out, REPOSITORY / "submissions/embedded-lm/weights")


def _with_tokenizer(out: Path, source: Path) -> Path:
    for name in _TEXTS:
        shutil.copy(source / name, out)
    return out


def _saved(out: Path, source: Path, **settings: Any) -> Path:
    """The model loaded so and saved again, its tokenizer with it."""
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(source, **settings).save_pretrained(out)
    return _with_tokenizer(out, source)


def cast(dtype: str) -> Make:
    """In another float type."""
    return lambda out, source: _saved(out, source, dtype=dtype)


def torchao(config: str) -> Make:
    """By a configuration of torchao's."""

    def make(out: Path, source: Path) -> Path:
        import torchao.quantization
        from transformers import TorchAoConfig

        chosen = TorchAoConfig(getattr(torchao.quantization, config)())
        return _saved(out, source, dtype="float32", quantization_config=chosen)

    return make


def bitsandbytes(**settings: Any) -> Make:
    """By bitsandbytes, on the fly, and saved."""

    def make(out: Path, source: Path) -> Path:
        from transformers import BitsAndBytesConfig

        return _saved(out, source, dtype="float32", quantization_config=BitsAndBytesConfig(**settings))

    return make


def compressed_tensors(scheme: str) -> Make:
    """Round to nearest as llm-compressor names its schemes, written by compressed-tensors."""

    def make(out: Path, source: Path) -> Path:
        import language_recipes
        from compressed_tensors.quantization import QuantizationArgs

        whole = {"num_bits": 8, "strategy": "channel"}
        weights, format = {
            "W8A8": (whole | {"type": "int"}, "int-quantized"),
            "W4A16": ({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}, "pack-quantized"),
            "FP8": (whole | {"type": "float"}, "float-quantized"),
        }[scheme]
        inputs = None
        if scheme != "W4A16":
            inputs = QuantizationArgs(num_bits=8, type=weights["type"], strategy="token", dynamic=True, symmetric=True)
        args = QuantizationArgs(symmetric=True, **weights)
        language_recipes.round_to_nearest(source, out, args, format=format, inputs=inputs)
        return _with_tokenizer(out, source)

    return make


def two_of_four(out: Path, source: Path) -> Path:
    """Of every four neighbouring weights of a linear layer the two smallest are 0, in a dense file."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(source, out)
    stored = load_file(out / "model.safetensors")
    for name, array in stored.items():
        if name.endswith("proj.weight"):
            fours = array.reshape(-1, 4)
            np.put_along_axis(fours, np.abs(fours).argsort(axis=1)[:, :2], 0, axis=1)
            stored[name] = fours.reshape(array.shape)
    save_file(stored, out / "model.safetensors", metadata={"format": "pt"})
    return out


def gptq(out: Path, source: Path) -> Path:
    """Four bits in groups of 32, calibrated on 16 generated stories."""
    from gptqmodel import GPTQModel, QuantizeConfig

    from tasks.generators.language import training_documents

    with contextlib.chdir(out.parent):  # it leaves a log where it runs
        model = GPTQModel.load(str(source), QuantizeConfig(bits=4, group_size=32))
        model.quantize([document.text for document in training_documents(16, seed=0)], batch_size=1)
        model.save(str(out))
    return _with_tokenizer(out, source)


def hqq(out: Path, source: Path) -> Path:
    """Half-quadratic quantisation to four bits."""
    from transformers import HqqConfig

    return _saved(out, source, dtype="float32", quantization_config=HqqConfig(nbits=4, group_size=64))


def quanto(out: Path, source: Path) -> Path:
    """optimum-quanto's int8 weights."""
    from transformers import QuantoConfig

    return _saved(out, source, dtype="float32", quantization_config=QuantoConfig(weights="int8"))


def gguf(kind: str) -> Make:
    """One GGML type for all matrices, embeddings included."""

    def make(out: Path, source: Path) -> Path:
        from gguf_samples import save_gguf

        return save_gguf(source, out, kind)

    return make


def onnx_fp32(out: Path, source: Path) -> Path:
    """With inputs for cached keys and values."""
    from cached_samples import save_onnx_cached

    return save_onnx_cached(source, out)


def _beside(source: Path, out: Path) -> tuple[Path, Path]:
    """A copy of an ONNX folder without its graph: the old and the new graph."""
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("*.onnx"))
    return source / "model.onnx", out / "model.onnx"


def onnx_int8(out: Path, source: Path) -> Path:
    """ONNX Runtime's dynamic quantisation, a scale for every output channel."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(*_beside(source, out), weight_type=QuantType.QInt8, per_channel=True)
    return out


def onnx_int4(out: Path, source: Path) -> Path:
    """ONNX Runtime's MatMulNBits in blocks of 32."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    old, new = _beside(source, out)
    quantizer = MatMulNBitsQuantizer(onnx.load(old), block_size=32, is_symmetric=True)
    quantizer.process()
    quantizer.model.save_model_to_file(str(new))
    return out


def openvino_fp32(out: Path, source: Path) -> Path:
    """The ONNX graph as an IR that keeps its keys and values in a state."""
    from openvino_samples import save_stateful

    return save_stateful(source, out)


def openvino_weights(mode: str, group: int = -1) -> Make:
    """NNCF's weight compression, of embeddings and head too."""

    def make(out: Path, source: Path) -> Path:
        import nncf
        import openvino

        graph = openvino.Core().read_model(source / "model.xml")
        four = {"group_size": group, "ratio": 1.0, "all_layers": True} if group > 0 else {}
        done = nncf.compress_weights(graph, mode=nncf.CompressWeightsMode[mode], **four)
        shutil.copytree(source, out, ignore=shutil.ignore_patterns("model.*"))
        openvino.save_model(done, out / "model.xml", compress_to_fp16=False)
        return out

    return make


def exported(out: Path, source: Path) -> Path:
    """``torch.export`` of tokens to logits, the tokenizer beside it."""
    from pt2_samples import save_pt2_language

    return save_pt2_language(source, out)

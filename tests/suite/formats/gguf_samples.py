"""A transformers Llama as a GGUF file, by the gguf package: q and k rows in llama.cpp's order."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def save_gguf(source: Path, folder: Path, kind: str = "F32", notes: dict[str, str] | None = None) -> Path:
    """The model's tensors as GGML type `kind` where rows are made of whole blocks; its tokenizer.json beside it.

    Args:
        source: a transformers folder.
        folder: where to write.
        kind: a name of ``GGMLQuantizationType``.
        notes: further keys of the header.
    """
    import gguf
    from safetensors.numpy import load_file

    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, folder)
    config = json.loads((source / "config.json").read_text())
    writer = gguf.GGUFWriter(folder / "model.gguf", "llama")
    _keys(writer, config)
    for key, text in (notes or {}).items():
        writer.add_string(key, text)
    wanted = gguf.GGMLQuantizationType[kind]
    for name, tensor in load_file(source / "model.safetensors").items():
        values = _permuted(name, tensor.astype(np.float32), config)
        narrow = kind != "F32" and values.ndim == 2 and values.shape[1] % gguf.GGML_QUANT_SIZES[wanted][0] == 0
        raw = gguf.quantize(values, wanted) if narrow else values
        writer.add_tensor(_renamed(name), raw, raw_dtype=wanted if narrow else gguf.GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder


def _keys(writer: Any, config: dict[str, Any]) -> None:
    size = config["vocab_size"]
    writer.add_name("sample")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", *(f"t{n}" for n in range(size - 3))])
    writer.add_token_scores([0.0] * size)
    writer.add_token_types([2, 3, 3, *([1] * (size - 3))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _renamed(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem in _WHOLE:
        return f"{_WHOLE[stem]}.weight"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{_NAMES[rest]}.weight"


def _permuted(name: str, values: Any, config: dict[str, Any]) -> Any:
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for part, count in heads.items():
        if f".{part}." in name:
            halves = values.reshape(count, 2, values.shape[0] // count // 2, values.shape[1])
            return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))
    return values

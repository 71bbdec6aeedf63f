"""Products of a GGUF language model, derived from the shapes of its tensors: the file holds no graph.

Of dense decoders only, whose layers are attention and a feed-forward net: every matrix takes every token once, and
attention multiplies all positions with all, as in eager attention.
"""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from typing import Any

from suite.errors import Undefined
from suite.formats import _gguf_file
from suite.static.macs import Product

_EMBEDDING, _HEAD = "token_embd.weight", "output.weight"
_KNOWN = re.compile(
    r"(token_embd|output|output_norm|token_embd_norm|rope_freqs|rope_factors_(long|short)|blk\.\d+\.(attn_(q|k|v|qkv|output)|"
    r"ffn_(gate|up|down)|(attn|ffn|attn_q|attn_k|post_attention|post_ffw|layer_output)_norm(_2)?))\.(weight|bias)"
)


def products(weights: Path, shape: tuple[int, ...]) -> tuple[list[Product], tuple[str, ...]]:
    """The products of one forward pass over a prompt.

    Args:
        weights: the file, or the folder with it.
        shape: batch and tokens.

    Raises:
        Undefined: not a dense decoder, or without the numbers of its heads.
    """
    header = _gguf_file.read_header(_gguf_file.model_file(weights))
    strange = [name for name in header.tensors if not _KNOWN.fullmatch(name)]
    if strange:
        raise Undefined(f"{strange[0]} is no tensor of a dense decoder; of those alone the products are derived")
    matrices = {name: one.shape for name, one in header.tensors.items() if len(one.shape) > 1 and name != _EMBEDDING}
    tokens = prod(shape)
    found = [Product(tokens * prod(size), name) for name, size in matrices.items()]
    if _HEAD not in matrices and _EMBEDDING in header.tensors:  # the table is the head as well
        found.append(Product(tokens * prod(header.tensors[_EMBEDDING].shape), _EMBEDDING))
    return [*found, Product(tokens * shape[-1] * _attention(header), None)], ()


def _attention(header: _gguf_file.Header) -> int:
    """Products of one position with another, all layers together."""
    width, layers = (_number(header, key) for key in ("embedding_length", "block_count"))
    heads = header.keys.get(f"{header.architecture}.attention.head_count")
    if isinstance(heads, list):
        if len(heads) != layers or not all(_is_count(one) for one in heads):
            raise Undefined(f"its attention.head_count is no number of heads for each of {layers} layers")
        return sum(_of_heads(header, one, width) for one in heads)
    return layers * _of_heads(header, _number(header, "attention.head_count"), width)


def _of_heads(header: _gguf_file.Header, count: int, width: int) -> int:
    """Products of one position with another in one layer: with its key and with its value."""
    stated = [f"{header.architecture}.attention.{part}_length" for part in ("key", "value")]
    sizes: list[int] = [header.keys.get(key, width // count) for key in stated]
    if not all(_is_count(size) for size in sizes):
        raise Undefined("the file does not state the width of its heads")
    return count * sum(sizes)


def _number(header: _gguf_file.Header, key: str) -> int:
    value: Any = header.keys.get(f"{header.architecture}.{key}")
    if not _is_count(value):
        raise Undefined(f"the file does not state its {key}")
    return int(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value > 0

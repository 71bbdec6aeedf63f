"""Layers of a transformers folder: plain tensors, and the codes of the quantisers that transformers reads.

compressed-tensors (packed int, int8, fp8), torchao int8, bitsandbytes int8 and 4 bit, GPTQ and AWQ are told by the
names of their tensors; ``config.json`` gives the bits of a code. Other schemes show their stored tensors one by one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from suite.formats import _safetensors
from suite.static.layer import Layer, Patterns, Values, is_narrow, nonzero, plain, unpack

_CODES = ("weight_packed", "qweight", "_weight_qdata", "weight")
_BESIDE = re.compile(
    r"weight_(scale|scale_inv|zero_point|shape|g_idx|global_scale)|_weight_(scale|zero_point)|qzeros|scales|g_idx"
    r"|SCB|weight_format|weight\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..+)"
)
_LENGTH_BYTES = 8
_WORD_BITS = 32


@dataclass(frozen=True)
class _Part:
    file: Path
    begin: int
    tensor: _safetensors.Tensor

    def raw(self) -> bytearray:
        content = bytearray(self.tensor.size)
        with self.file.open("rb") as stream:
            stream.seek(self.begin)
            stream.readinto(content)
        return content

    def values(self) -> Values:
        return plain(self.raw(), self.tensor.shape, self.tensor.dtype)


def layers(folder: Path) -> Iterator[Layer]:
    """The layers of the files that transformers would load, in the order of their data.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    return of_files(_safetensors.model_files(folder), _code_bits(folder))


def of_files(files: list[Path], bits: int | None = None) -> Iterator[Layer]:
    """The layers of some safetensors files.

    Args:
        files: in the order in which they are read.
        bits: of a code; None: not known.
    """
    parts = dict(_parts(files))
    owners = {name: owner for name in parts if (owner := _owner(name, parts))}
    beside: dict[str, dict[str, _Part]] = {}
    for name, owner in owners.items():
        beside.setdefault(owner, {})[name.removeprefix(owner + ".")] = parts[name]
    for name, part in parts.items():
        if name not in owners:
            yield _layer(name, part, beside.get(_stem(name), {}), bits)


def _parts(files: list[Path]) -> Iterator[tuple[str, _Part]]:
    for file in files:
        with file.open("rb") as stream:
            begin = _LENGTH_BYTES + int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        for name, tensor in _safetensors.read_header(file).items():  # in the order of their data
            yield name, _Part(file, begin, tensor)
            begin += tensor.size


def _stem(name: str) -> str:
    """The module that a tensor of codes belongs to."""
    return next((name.removesuffix("." + code) for code in _CODES if name.endswith("." + code)), name)


def _owner(name: str, parts: Mapping[str, _Part]) -> str | None:
    """The module whose codes this tensor stands beside; None for a tensor of its own."""
    found = re.search(rf"\.({_BESIDE.pattern})$", name)
    stem = name[: found.start()] if found else ""
    return stem if found and any(f"{stem}.{code}" in parts for code in _CODES) else None


def _layer(name: str, part: _Part, beside: Mapping[str, _Part], bits: int | None) -> Layer:
    size = part.tensor.size + sum(one.tensor.size for one in beside.values())
    dtype = part.tensor.dtype
    if not beside:
        shape = part.tensor.shape
        axis = 1 if len(shape) > 1 and "embed" not in name else None
        return Layer(name, shape, dtype, size, is_narrow(dtype), axis, part.values)
    kind = name.rsplit(".", 1)[-1]
    if kind == "weight_packed":
        shape, read = _packed(part, beside, bits)
    elif kind == "qweight":
        shape, read = _qweight(part, beside, bits)
    elif any("quant_state" in one for one in beside):
        shape, read = _four_bits(part, beside)
    else:
        shape, read = part.tensor.shape, partial(_coded, part, beside)
    axis = 0 if kind == "qweight" else 1
    return Layer(name, shape, dtype, size, True, axis if len(shape) > 1 else None, read)


def _coded(part: _Part, beside: Mapping[str, _Part]) -> Values:
    """One code an element: int8 with a scale and maybe a zero point for each row, or float8."""
    patterns = part.values().patterns
    if patterns is None:
        return Values(None, None)
    codes = patterns.view(np.int8) if part.tensor.dtype == "int8" else patterns
    offset = next((one for end, one in beside.items() if end.endswith("zero_point")), None)
    if offset is None or "float" in part.tensor.dtype:
        return Values(patterns, nonzero(patterns, part.tensor.dtype))
    zero = np.frombuffer(offset.raw(), _numpy(offset.tensor.dtype)).reshape(offset.tensor.shape)
    per_row = zero.size == 1 or zero.shape == (codes.shape[0], 1)
    return Values(patterns, codes != zero.reshape(-1, 1) if per_row else None)


def _packed(part: _Part, beside: Mapping[str, _Part], bits: int | None) -> tuple[tuple[int, ...], Any]:
    """compressed-tensors: words of 32 bits along the rows, signed codes shifted by ``2**(bits - 1)``."""
    stated = beside.get("weight_shape")
    rows, words = part.tensor.shape[0], part.tensor.shape[-1]
    if stated is not None:
        shape = tuple(int(n) for n in np.frombuffer(stated.raw(), _numpy(stated.tensor.dtype)))
    else:
        shape = (rows, words * _WORD_BITS // (bits or _WORD_BITS))

    def read() -> Values:
        if bits is None or _WORD_BITS % bits or len(shape) != len(part.tensor.shape):
            return Values(None, None)
        words = np.frombuffer(part.raw(), "<u4").reshape(part.tensor.shape)
        codes = unpack(words, bits)[..., : shape[-1]]
        symmetric = "weight_zero_point" not in beside
        return Values(codes, codes != 1 << (bits - 1) if symmetric else None)

    return shape, read


def _qweight(part: _Part, beside: Mapping[str, _Part], bits: int | None) -> tuple[tuple[int, ...], Any]:
    """GPTQ: ``[in * bits / 32, out]``; AWQ, told by a first axis as long as the input: ``[in, out * bits / 32]``."""
    first, second = part.tensor.shape
    scales = beside.get("scales")
    out = scales.tensor.shape[-1] if scales else second
    narrow = bits or 4
    gptq = out == second
    shape = (first * _WORD_BITS // narrow, second) if gptq else (first, out)

    def read() -> Values:
        if bits is None or _WORD_BITS % bits:
            return Values(None, None)
        words: Patterns = np.frombuffer(part.raw(), "<u4").reshape(first, second)
        codes = unpack(np.ascontiguousarray(words.T), bits).T if gptq else unpack(words, bits)
        return Values(np.ascontiguousarray(codes), None)  # zero points have several conventions

    return shape, read


def _four_bits(part: _Part, beside: Mapping[str, _Part]) -> tuple[tuple[int, ...], Any]:
    """Of fp4 and nf4 by bitsandbytes: two codes a byte, the high one first; the shape stands in a JSON beside it."""
    state = next(one for end, one in beside.items() if "quant_state" in end)
    shape = tuple(int(n) for n in json.loads(bytes(state.raw()))["shape"])
    levels = beside.get("weight.quant_map")

    def read() -> Values:
        packed = np.frombuffer(part.raw(), np.uint8)
        codes = np.stack([packed >> 4, packed & 15], axis=-1).reshape(-1)[: prod(shape)].reshape(shape)
        if levels is None:
            return Values(codes, None)
        level = np.frombuffer(levels.raw(), _numpy(levels.tensor.dtype))
        return Values(codes, level[codes] != 0)

    return shape, read


def _code_bits(folder: Path) -> int | None:
    """Bits of a code as ``config.json`` states them; None where it does not, or states several."""
    if not (folder / "config.json").is_file():
        return None
    quantization = _safetensors.read_json(folder / "config.json").get("quantization_config")
    if not isinstance(quantization, dict):
        return None
    groups = quantization.get("config_groups")
    stated = {quantization.get("bits")} if groups is None else _group_bits(groups)
    stated.discard(None)
    (bits,) = stated if len(stated) == 1 else (None,)
    return bits if isinstance(bits, int) and 0 < bits <= _WORD_BITS else None


def _group_bits(groups: Any) -> set[Any]:
    weights = [group.get("weights") for group in groups.values() if isinstance(group, dict)]
    return {one.get("num_bits") for one in weights if isinstance(one, dict)}


def _numpy(dtype: str) -> np.dtype[Any]:
    """bfloat16 has no numpy type: its pattern is zero where it is."""
    return np.dtype("<u2") if dtype == "bfloat16" else np.dtype(dtype).newbyteorder("<")

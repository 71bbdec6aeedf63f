"""Headers of safetensors files, read and checked without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from suite.errors import InputError
from suite.files import is_pickle
from suite.formats.base import Description

MAX_HEADER_BYTES = 100_000_000  # as the reference implementation
SINGLE = "model.safetensors"
ADAPTER = "adapter_model.safetensors"
INDEX = "model.safetensors.index.json"
_LENGTH_BYTES = 8
_TYPES = {
    "F64": ("float64", 64), "F32": ("float32", 32), "F16": ("float16", 16), "BF16": ("bfloat16", 16),
    "I64": ("int64", 64), "I32": ("int32", 32), "I16": ("int16", 16), "I8": ("int8", 8),
    "U64": ("uint64", 64), "U32": ("uint32", 32), "U16": ("uint16", 16), "U8": ("uint8", 8), "BOOL": ("bool", 8),
    "F8_E4M3": ("float8_e4m3fn", 8), "F8_E5M2": ("float8_e5m2", 8), "F8_E8M0": ("float8_e8m0fnu", 8),
    "F8_E4M3FNUZ": ("float8_e4m3fnuz", 8), "F8_E5M2FNUZ": ("float8_e5m2fnuz", 8),
    "F6_E2M3": ("float6_e2m3", 6), "F6_E3M2": ("float6_e3m2", 6), "F4": ("float4", 4), "C64": ("complex64", 64),
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """One tensor as a header states it.

    Attributes:
        dtype: dtype name as torch spells it.
        shape: sizes.
        size: bytes in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    size: int


def read_header(file: Path) -> dict[str, Tensor]:
    """The tensors of one file, after checking that the file holds exactly them.

    Raises:
        InputError: a pickle, cut off, too long, or a header that breaks the format's rules.
    """
    found = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(1 << 12)
        length = int.from_bytes(head[:_LENGTH_BYTES], "little")
        if found <= _LENGTH_BYTES:
            raise InputError(
                f"{file.name} is truncated: {found} bytes, expected more than {_LENGTH_BYTES}; copy it again"
            )
        if head[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{" and is_pickle(head):
            raise InputError(f"{file.name} is a pickle renamed .safetensors; write it with safetensors' save_file")
        if length > MAX_HEADER_BYTES:
            raise InputError(
                f"{file.name} declares a header of {length} bytes, allowed are {MAX_HEADER_BYTES}; no safetensors file"
            )
        if found < _LENGTH_BYTES + length:
            raise _truncated(file, f"at least {_LENGTH_BYTES + length}", found)
        stream.seek(_LENGTH_BYTES)
        raw = stream.read(length)
    tensors, end = _parse(file, raw)
    expected = _LENGTH_BYTES + length + end
    if found < expected:
        raise _truncated(file, str(expected), found)
    if found > expected:
        raise InputError(
            f"{file.name} has {found - expected} bytes after its last tensor; write it again with save_file"
        )
    return tensors


def files_in(folder: Path) -> list[Path]:
    """Its safetensors files, whether they are loaded or not; a folder of that name is none."""
    return sorted(path for path in folder.glob("*.safetensors") if path.is_file())


def model_files(folder: Path) -> list[Path]:
    """The files that transformers would load: ``model.safetensors``, or the shards that the index names.

    Raises:
        InputError: neither is there, or a shard or tensor that the index names is missing.
    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        raise InputError(f"{folder.name} has no {SINGLE} and no {INDEX}; save it with save_pretrained")
    index = read_json(folder / INDEX)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(s, str) for s in weight_map.values()):
        raise InputError(f"{INDEX} has no weight_map from tensor names to files; save it with save_pretrained")
    shards = sorted(set(weight_map.values()))
    for shard in shards:
        if "/" in shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise InputError(f"{INDEX} names {shard!r}; a shard is a .safetensors file in the same folder")
        if not (folder / shard).is_file():
            raise InputError(f"shard {shard} is missing though {INDEX} names it; copy the whole folder")
    headers = {shard: read_header(folder / shard) for shard in shards}
    for name, shard in weight_map.items():
        if name not in headers[shard]:
            raise InputError(
                f"tensor {name!r} is not in {shard} though {INDEX} says so; the shards do not fit together"
            )
    return [folder / shard for shard in shards]


def describe(files: list[Path]) -> Description:
    """Stored tensors of some files by dtype.

    Raises:
        InputError: as `read_header`.
    """
    tensors = (tensor for file in files for tensor in read_header(file).values())
    return Description.of((one.dtype, one.size, prod(one.shape)) for one in tensors)


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        InputError: not readable, or no object.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file.name} is not readable JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{file.name} holds a JSON {type(value).__name__}, expected an object")
    return value


def _truncated(file: Path, expected: str, found: int) -> InputError:
    return InputError(f"{file.name} is truncated: expected {expected} bytes, found {found}; copy it again")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _parse(file: Path, raw: bytes) -> tuple[dict[str, Tensor], int]:
    """The tensors of a header and the length of the data that they cover."""
    try:
        if not raw.startswith(b"{"):
            raise ValueError("it does not begin with a brace")
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
        notes = header.pop("__metadata__", None)
        if notes is not None and not (isinstance(notes, dict) and all(isinstance(n, str) for n in notes.values())):
            raise ValueError("__metadata__ is no object of strings")
        entries = sorted(header.items(), key=lambda item: tuple(item[1]["data_offsets"]))
        tensors, position = {}, 0
        for name, entry in entries:
            tensors[name] = _tensor(name, entry, position)
            position = entry["data_offsets"][1]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = f"key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{file.name} has a bad safetensors header: {said}; write it with save_file") from None
    return tensors, position


def _tensor(name: str, entry: dict[str, Any], position: int) -> Tensor:
    shape, (begin, end), code = entry["shape"], entry["data_offsets"], entry["dtype"]
    if code not in _TYPES:
        raise ValueError(f"tensor {name!r} has the unknown dtype {code!r}")
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError(f"tensor {name!r} has sizes or offsets that are not whole numbers")
    if begin != position:
        raise ValueError(f"tensor {name!r} begins at {begin}, the one before ends at {position}")
    dtype, bits = _TYPES[code]
    if (end - begin) * 8 != prod(shape) * bits:
        raise ValueError(f"tensor {name!r} of shape {shape} and dtype {code} cannot have {end - begin} bytes")
    return Tensor(dtype, tuple(shape), end - begin)

"""Clean: a copy of a model's files without what tells of where they were made. Weights and graphs stay as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from suite.errors import InputError
from suite.formats import _onnx_file, _pt2, _safetensors
from suite.static.leaks import TEXTS, leaks, onnx_text, onnx_texts, path_in, safetensors_metadata

_LENGTH_BYTES = 8
_ALIGNMENT = 8  # of a safetensors header


def write_clean(weights: Path, format_name: str, target: Path, members: Sequence[str] = ()) -> None:
    """Write a clean copy of a file or folder.

    ONNX: doc strings and metadata of nodes, values and graphs are dropped, those of the model where they hold a path.
    ``.pt2``: metadata of nodes, sample inputs and guards are dropped, without unpickling anything. A transformers
    folder: strings with a path are emptied in its configurations and in the metadata of its safetensors.

    Args:
        weights: the original, already checked.
        format_name: a key of ``LOADERS``.
        target: where to write; must not exist.
        members: files in that folder that answer together.

    Raises:
        InputError: the format has nothing to clean, or something would still leak.
    """
    writer = _WRITERS.get(format_name)
    if writer is None:
        raise InputError(f"format {format_name!r} cannot be stripped; allowed: {', '.join(_WRITERS)}")
    if weights.is_dir():
        shutil.copytree(weights, target, copy_function=_copy)
    for member in members or [""]:
        writer(weights / member, target / member)
    left = leaks(target, format_name, members)
    if left:
        raise InputError(f"{left[0]} and that place cannot be cleaned; export the model again without it")


def _onnx(weights: Path, target: Path) -> None:
    file = _onnx_file.model_file(weights)
    model = _onnx_file._parse(file)
    for message, key in list(onnx_texts(model)):
        if message is model and path_in(onnx_text(message, key)) is None:
            continue  # such as the names of classes
        if key is None:
            message.ClearField("doc_string")
        else:
            kept = [entry for entry in message.metadata_props if entry.key != key]
            kept = [type(entry).FromString(entry.SerializeToString()) for entry in kept]
            message.ClearField("metadata_props")
            message.metadata_props.extend(kept)
    _texts(target)
    (target / file.name if target.is_dir() else target).write_bytes(model.SerializeToString(deterministic=True))


def _pt2_archive(weights: Path, target: Path) -> None:
    _pt2.Archive.open(weights).write_clean(target)


def _transformers(weights: Path, target: Path) -> None:
    _texts(target)
    for file in sorted(weights.glob("*.safetensors")):
        metadata = safetensors_metadata(file)
        if any(path_in(text) for text in metadata.values()):
            _safetensors_copy(file, target / file.name, {k: _emptied(v) for k, v in metadata.items()})


def _safetensors_copy(file: Path, target: Path, metadata: dict[str, str]) -> None:
    """The same tensors under another header."""
    with file.open("rb") as source, target.open("wb") as copy:
        header = json.loads(source.read(int.from_bytes(source.read(_LENGTH_BYTES), "little")))
        header["__metadata__"] = metadata
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        copy.write(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
        shutil.copyfileobj(source, copy, 1 << 24)


def _texts(folder: Path) -> None:
    for name in TEXTS if folder.is_dir() else ():
        if (folder / name).is_file():
            value = _safetensors.read_json(folder / name)
            cleaned = _emptied(value)
            if cleaned != value:
                (folder / name).write_text(json.dumps(cleaned, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _emptied(value: Any) -> Any:
    """The same JSON with the strings that hold a path empty."""
    if isinstance(value, dict):
        return {key: _emptied(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_emptied(part) for part in value]
    return "" if isinstance(value, str) and path_in(value) else value


def _copy(source: str, target: str) -> None:
    shutil.copyfile(source, target)  # what a link points to; modes and times tell of the machine too


_WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "onnx": _onnx,
    "torch-export": _pt2_archive,
    "transformers": _transformers,
}

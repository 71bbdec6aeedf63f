"""Clean: a copy of a model's files without what tells of where they were made. Weights and graphs stay as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from suite.errors import InputError
from suite.formats import _gguf_file, _onnx_file, _openvino_file, _pt2, _safetensors, _tflite_file
from suite.static.leaks import (
    CARD,
    TEXTS,
    gguf_paths,
    leaks,
    onnx_text,
    onnx_texts,
    path_in,
    safetensors_metadata,
    without_paths,
)

_LENGTH_BYTES = 8
_ALIGNMENT = 8  # of a safetensors header
_FILLER = b"_"
_QUOTE = {'"': "&quot;"}


def write_clean(weights: Path, format_name: str, target: Path, members: Sequence[str] = ()) -> None:
    """Write a clean copy of a file or folder.

    ONNX: doc strings and metadata of nodes, values and graphs are dropped, those of the model where they hold a path.
    ``.pt2``: metadata of nodes, sample inputs and guards are dropped, without unpickling anything. A transformers
    folder and an adapter: strings with a path are emptied in configurations and in the metadata of safetensors, paths
    are cut out of the model card. GGUF, TFLite, OpenVINO: paths are overwritten, no other byte moves.

    Args:
        weights: the original, already checked.
        format_name: a key of ``LOADERS``.
        target: where to write; must not exist.
        members: files in that folder that answer together.

    Raises:
        InputError: the format has nothing to clean, or something would still leak.
    """
    writer = CLEANERS.get(format_name)
    if writer is None:
        raise InputError(f"format {format_name!r} cannot be stripped; allowed: {', '.join(CLEANERS)}")
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
    archive = _pt2.Archive.open(weights)
    _texts(target)
    archive.write_clean(target / archive.path.name if target.is_dir() else target)


def _transformers(weights: Path, target: Path) -> None:
    _texts(target)
    for file in _safetensors.files_in(weights):
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


def _gguf(weights: Path, target: Path) -> None:
    file = _gguf_file.model_file(weights)
    copy = target / file.name if target.is_dir() else target
    _texts(target)
    if not target.is_dir():
        _copy(str(file), str(copy))
    with copy.open("r+b") as stream:
        for path, place in gguf_paths(file):
            stream.seek(place)
            stream.write(_FILLER * len(path))


def _tflite(weights: Path, target: Path) -> None:
    graph = _tflite_file.Graph.open(weights)
    content = graph.content
    for text in graph.texts():
        if path_in(text):
            content = content.replace(text.encode("latin-1"), without_paths(text, "_").encode("latin-1"))
    target.write_bytes(content)


def _openvino(weights: Path, target: Path) -> None:
    graph = _openvino_file.Graph.open(weights)
    _texts(target)
    text = graph.file.read_text("utf-8")
    for one in graph.root.iter():
        for value in filter(path_in, (*one.attrib.values(), one.text or "")):
            text = text.replace(escape(value, _QUOTE), escape(without_paths(value, "_"), _QUOTE))
    (target / graph.file.name).write_text(text, "utf-8")


def _texts(folder: Path) -> None:
    card = folder / CARD
    if folder.is_dir() and card.is_file():
        card.write_text(without_paths(card.read_text("utf-8", errors="replace")), "utf-8")
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


CLEANERS: dict[str, Callable[[Path, Path], None]] = {
    "onnx": _onnx,
    "torch-export": _pt2_archive,
    "transformers": _transformers,
    "peft": _transformers,
    "gguf": _gguf,
    "openvino": _openvino,
    "tflite": _tflite,
}

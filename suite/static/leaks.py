"""Leaks: what an export carries of the machine and the data that made it.

Exporters write stack traces with the paths of the machine into the metadata of ONNX nodes and of ``.pt2`` graphs,
``torch.export.save`` stores the sample inputs, and ``save_pretrained`` may write the folder that it loaded from: an
adapter's configuration and model card name its base so. llama.cpp's quantiser writes the files of its importance matrix
into the GGUF, OpenVINO's converter its arguments into the IR, TFLite's the names of what it converted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.formats import _gguf_file, _onnx_file, _openvino_file, _pt2, _safetensors, _tflite_file

TEXTS = ("config.json", "generation_config.json", "tokenizer_config.json", "adapter_config.json")
"""Files of a transformers folder whose strings may hold a path; vocabularies may hold any word and are left alone."""
CARD = "README.md"
_PATH = re.compile(
    r"""(?<![\w.:/~-])/(?:home|root|Users|tmp|var|usr|opt|mnt|media|srv|data|workspace|content|kaggle)/[^\s"',;:|)\]]+"""
    r"""|(?<![\w.:/-])/(?:[^\s"',;:|/()]+/)+[^\s"',;:|/()]+\.(?:py|ipynb|pt|pth|bin|safetensors|onnx|json|txt|csv)\b"""
    r"""|\b[A-Za-z]:\\[^\s"',;|]+"""
)


@dataclass(frozen=True)
class Leak:
    """One kind of leak in one file.

    Attributes:
        file: the file's name.
        what: what leaks, for people.
        count: how many entries do.
        example: one path, or a size.
    """

    file: str
    what: str
    count: int
    example: str

    def __str__(self) -> str:
        return f"{self.file} carries {self.what} ({self.count}, e.g. {self.example})"


def path_in(text: str) -> str | None:
    """The first absolute path of some machine in a text.

    >>> path_in('File "/Users/ann/net.py", line 3'), path_in("/layer1/conv/Conv")
    ('/Users/ann/net.py', None)
    """
    found = _PATH.search(text)
    return found.group() if found else None


def without_paths(text: str, filler: str = "") -> str:
    """The text with every such path gone, or overwritten by so many `filler`.

    >>> without_paths("made of /srv/anne/m.onnx", "_")
    'made of ________________'
    """
    return _PATH.sub(lambda found: filler * len(found.group()), text)


def leaks(weights: Path, format_name: str, members: Sequence[str] = ()) -> list[Leak]:
    """What the files of a model, or of an ensemble's members in that folder, tell of where they were made.

    Raises:
        InputError: the files cannot be read.
    """
    find = FINDERS.get(format_name)
    files = [weights / member for member in members] or [weights]
    return [leak for file in files for leak in find(file)] if find else []


def onnx_texts(model: Any) -> Iterator[tuple[Any, str | None]]:
    """Every free text of an ONNX model: the message, and the key of its metadata or None for its doc string."""
    graphs = list(_onnx_file._graphs(model))
    messages = [model, *graphs]
    for graph in graphs:
        messages += graph.node
        for field in ("input", "output", "value_info", "initializer"):
            messages += [one for one in getattr(graph, field, ()) if hasattr(one, "doc_string")]
    for message in messages:
        if getattr(message, "doc_string", ""):
            yield message, None
        yield from ((message, entry.key) for entry in getattr(message, "metadata_props", ()))


def onnx_text(message: Any, key: str | None) -> str:
    """One of the texts."""
    if key is None:
        return str(message.doc_string)
    return next(str(entry.value) for entry in message.metadata_props if entry.key == key)


def _of_onnx(weights: Path) -> Iterator[Leak]:
    file = _onnx_file.model_file(weights)
    model = _onnx_file._parse(file)
    paths = [path for message, key in onnx_texts(model) if (path := path_in(onnx_text(message, key)))]
    if paths:
        yield Leak(file.name, "stack traces or notes with paths of the machine that made it", len(paths), paths[0])
    yield from _of_texts(weights)


def _of_pt2(weights: Path) -> Iterator[Leak]:
    archive = _pt2.Archive.open(weights)
    paths = [path for text in strings(archive.program) if (path := path_in(text))]
    if paths:
        yield Leak(archive.path.name, "stack traces with paths of the machine that made it", len(paths), paths[0])
    samples = [name for name in archive.members if name.startswith(_pt2.SAMPLES) and archive.members[name]]
    if samples:
        size = f"{archive.sample_bytes} bytes, a pickle that is not read here"
        yield Leak(archive.path.name, "the sample inputs that it was exported with", len(samples), size)
    yield from _of_texts(weights)


def _of_transformers(weights: Path) -> Iterator[Leak]:
    yield from _of_texts(weights)
    for file in _safetensors.files_in(weights):
        paths = [path for text in strings(safetensors_metadata(file)) if (path := path_in(text))]
        if paths:
            yield Leak(file.name, "metadata with paths of the machine that made it", len(paths), paths[0])


def _of_gguf(weights: Path) -> Iterator[Leak]:
    file = _gguf_file.model_file(weights)
    paths = [path.decode(errors="replace") for path, _ in gguf_paths(file)]
    if paths:
        yield Leak(file.name, "metadata with paths of the machine that made it", len(paths), paths[0])
    yield from _of_texts(weights)


def gguf_paths(file: Path) -> Iterator[tuple[bytes, int]]:
    """Paths in the texts of a GGUF file's header, the tokenizer's aside, and where in the file each begins."""
    places = _gguf_file.read_header(file).places
    with file.open("rb") as stream:
        for begin, end in (place for key, place in places.items() if not key.startswith("tokenizer.")):
            stream.seek(begin)
            for found in _PATH.finditer(stream.read(end - begin).decode("latin-1")):  # a character a byte
                yield found.group().encode("latin-1"), begin + found.start()


def _of_openvino(weights: Path) -> Iterator[Leak]:
    graph = _openvino_file.Graph.open(weights)
    texts = [text for one in graph.root.iter() for text in (*one.attrib.values(), one.text or "")]
    paths = [path for text in texts if (path := path_in(text))]
    if paths:
        yield Leak(graph.file.name, "names or arguments with paths of the machine that made it", len(paths), paths[0])
    yield from _of_texts(weights)


def _of_tflite(weights: Path) -> Iterator[Leak]:
    paths = [path for text in _tflite_file.Graph.open(weights).texts() if (path := path_in(text))]
    if paths:
        yield Leak(weights.name, "names or notes with paths of the machine that made it", len(paths), paths[0])


def _of_texts(weights: Path) -> Iterator[Leak]:
    card = weights / CARD
    if weights.is_dir() and card.is_file() and (path := path_in(card.read_text("utf-8", errors="replace"))):
        yield Leak(CARD, "paths of the machine that made it", 1, path)
    for name in TEXTS if weights.is_dir() else ():
        if (weights / name).is_file():
            paths = [path for text in strings(_safetensors.read_json(weights / name)) if (path := path_in(text))]
            if paths:
                yield Leak(name, "paths of the machine that made it", len(paths), paths[0])


def safetensors_metadata(file: Path) -> dict[str, str]:
    """The free texts in the header of a file that was checked."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    found: dict[str, str] = header.get("__metadata__") or {}
    return found


def strings(value: Any) -> Iterator[str]:
    """Every string in parsed JSON that is not a key."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list):
            pending += one


FINDERS: dict[str, Callable[[Path], Iterator[Leak]]] = {
    "onnx": _of_onnx,
    "torch-export": _of_pt2,
    "transformers": _of_transformers,
    "peft": _of_transformers,
    "gguf": _of_gguf,
    "openvino": _of_openvino,
    "tflite": _of_tflite,
}

"""Report: what the files of a model hold, counted tensor by tensor and never read twice into memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from suite.errors import InputError
from suite.files import total_bytes
from suite.formats import _safetensors
from suite.formats._errors import one_line
from suite.static import gguf_layers, onnx_layers, openvino_layers, pt2_layers, safetensors_layers, tflite_layers
from suite.static.counting import MAX_POOLED, Counts, Pool, count
from suite.static.layer import Layer, Values

ZSTD_LEVEL = 3
_BYTE = 8
_CHUNK = 1 << 22
_BROKEN = (ValueError, LookupError, TypeError, AttributeError, OverflowError, OSError, StopIteration)
"""What reading a file raises whose tensors are not of the form that its header or configuration says."""

LAYERS: dict[str, Callable[[Path], Iterator[Layer]]] = {
    "transformers": safetensors_layers.layers,
    "onnx": onnx_layers.layers,
    "torch-export": pt2_layers.layers,
    "openvino": openvino_layers.layers,
    "gguf": gguf_layers.layers,
    "tflite": tflite_layers.layers,
    "peft": lambda folder: safetensors_layers.of_files([folder / _safetensors.ADAPTER]),
}
"""Formats whose tensors are read."""


@dataclass(frozen=True)
class Counted:
    """One layer and its counts."""

    layer: Layer
    counts: Counts

    def row(self) -> dict[str, Any]:
        """As ``hallmark check --static --json`` prints it."""
        one, counts = self.layer, self.counts
        return {
            "name": one.name,
            "shape": list(one.shape),
            "dtype": one.dtype,
            "bytes": one.stored_bytes,
            "bits_per_weight": _BYTE * one.stored_bytes / one.elements if one.elements else None,
            "sparsity": None if counts.zeros is None or not one.elements else counts.zeros / one.elements,
            "pattern": counts.pattern,
            "distinct": counts.distinct,
            "entropy_bits": counts.entropy_bits,
        }


@dataclass(frozen=True)
class Report:
    """What the files of a model hold.

    Attributes:
        file_bytes: all files.
        zstd_bytes: all files, each compressed by zstandard at level `ZSTD_LEVEL`.
        layers: every stored tensor with its counts; empty for a format whose tensors are not read.
        distinct: different values of all layers, told apart by dtype; None: more than `MAX_POOLED`, or none read.
        entropy_bits: entropy of their frequencies, bits an element; None where `distinct` is.
        why_not: why the tensors were not read; None when they were.
    """

    file_bytes: int
    zstd_bytes: int
    layers: tuple[Counted, ...]
    distinct: int | None
    entropy_bits: float | None
    why_not: str | None = None

    @property
    def parameters(self) -> int:
        """Weights, biases and norms in their original shapes: packed codes count one by one, scales do not."""
        return sum(one.layer.elements for one in self.layers if one.layer.is_parameter)

    @property
    def weights(self) -> int:
        """Elements of matrices and kernels whose zeros can be counted."""
        return sum(one.layer.elements for one in self.layers if one.layer.is_weight and one.counts.zeros is not None)

    @property
    def zeros(self) -> int:
        """How many of `weights` are exactly zero."""
        return sum(one.counts.zeros or 0 for one in self.layers if one.layer.is_weight)

    @property
    def quantised(self) -> tuple[int, int]:
        """Bytes (scales and zero points included) and elements of the matrices and kernels that are quantised."""
        found = [one.layer for one in self.layers if one.layer.is_weight and one.layer.compressed]
        return sum(one.stored_bytes for one in found), sum(one.elements for one in found)

    @property
    def patterns(self) -> dict[str, int]:
        """N:M pattern to the elements of the layers that keep it."""
        found: dict[str, int] = {}
        for one in self.layers:
            if one.counts.pattern and one.layer.is_weight:
                found[one.counts.pattern] = found.get(one.counts.pattern, 0) + one.layer.elements
        return found

    def series(self) -> dict[str, list[float]]:
        """The raw samples that a record keeps; what could not be counted is left out."""
        size, elements = self.quantised
        values: dict[str, float | None] = {
            "zstd_bytes": self.zstd_bytes,
            "unpacked_parameters": self.parameters or None,
            "weights": self.weights or None,
            "zero_weights": self.zeros if self.weights else None,
            "quantised_bytes": size if elements else None,
            "quantised_weights": elements or None,
            "distinct_values": self.distinct,
            "weight_entropy_bits": self.entropy_bits,
        }
        return {name: [float(value)] for name, value in values.items() if value is not None}

    def reasons(self) -> dict[str, str]:
        """Why a series is missing, by its name."""
        none = self.why_not or "the files hold no tensor of that sort"
        many = f"more than {MAX_POOLED} different values"
        why = dict.fromkeys(("unpacked_parameters", "weights", "zero_weights"), none)
        quantised = self.why_not or "no weight is stored with codes or below 16 bits"
        why |= dict.fromkeys(("quantised_bytes", "quantised_weights"), quantised)
        return why | dict.fromkeys(("distinct_values", "weight_entropy_bits"), self.why_not or many)

    def summary(self) -> dict[str, Any]:
        """As ``hallmark check --static --json`` prints it."""
        size, elements = self.quantised
        dtypes: dict[str, dict[str, int]] = {}
        for one in self.layers:
            held = dtypes.setdefault(one.layer.dtype, {"bytes": 0, "parameters": 0})
            held["bytes"] += one.layer.stored_bytes
            held["parameters"] += one.layer.elements
        return {
            "bytes": self.file_bytes,
            "zstd_bytes": self.zstd_bytes,
            "zstd_level": ZSTD_LEVEL,
            "parameters": self.parameters or None,
            "bits_per_quantised_weight": _BYTE * size / elements if elements else None,
            "nonzeros": self.weights - self.zeros if self.weights else None,
            "sparsity": self.zeros / self.weights if self.weights else None,
            "patterns": self.patterns,
            "distinct_values": self.distinct,
            "entropy_bits": self.entropy_bits,
            "dtypes": dtypes,
            "reason": self.why_not,
            "layers": [one.row() for one in self.layers],
        }


def layers(weights: Path, format_name: str, members: Sequence[str] = (), base: Path | None = None) -> Iterator[Layer]:
    """Every layer of a model, of an ensemble's members in turn; none for a format whose tensors are not read.

    Args:
        weights: file or folder.
        format_name: a key of ``LOADERS``.
        members: files in that folder that answer together; their layers' names begin with theirs.
        base: transformers folder that an adapter changes; its layers' names begin with ``base``.

    Raises:
        InputError: a file cannot be read, then or when a layer is.
    """
    make = LAYERS.get(format_name)
    if make is None:
        return
    sources = [(f"{member}/", make, weights / member) for member in members] or [("", make, weights)]
    sources += [("base/", safetensors_layers.layers, base)] if base is not None else []
    for prefix, read, path in sources:
        after = ""
        try:
            for layer in read(path):
                after = f" after {layer.name}"
                yield dataclasses.replace(layer, name=prefix + layer.name, read=partial(_read, path.name, layer))
        except _BROKEN as error:
            raise _unreadable(path.name, f"tensor{after}", error) from None


def unpacked_parameters(
    weights: Path, format_name: str, members: Sequence[str] = (), base: Path | None = None
) -> int | None:
    """Parameters of a quantised model in their original shapes, of the headers: no value is read.

    None where no weight is stored with codes, so that the elements as stored are its parameters, or where the layers
    cannot be told.

    Args:
        weights: file or folder.
        format_name: a key of ``LOADERS``.
        members: files in that folder that answer together.
        base: transformers folder that an adapter changes.
    """
    total, quantised = 0, False
    try:
        for layer in layers(weights, format_name, members, base):
            total += layer.elements if layer.is_parameter else 0
            quantised = quantised or (layer.compressed and layer.is_weight)
    except InputError:
        return None  # said where they are counted
    return total if quantised else None


def report(
    weights: Path,
    format_name: str,
    members: Sequence[str] = (),
    base: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Count the files of a model, one tensor in memory at a time.

    Args:
        weights: the file or folder, already checked.
        format_name: a key of ``LOADERS``.
        members: files in that folder that answer together.
        base: transformers folder that an adapter changes: it counts, for without it nothing runs.
        progress: told of bytes done and bytes in all.

    Raises:
        InputError: the files cannot be read.
    """
    parts = [weights, *([base] if base else [])]
    size, compressed = sum(map(total_bytes, parts)), sum(map(zstd_bytes, parts))
    if format_name not in LAYERS:
        return Report(size, compressed, (), None, None, f"tensors of format {format_name!r} are not read")
    pool, found, done = Pool(), list[Counted](), 0
    try:
        for layer in layers(weights, format_name, members, base):
            counts = count(layer, layer.read(), pool)
            found.append(Counted(dataclasses.replace(layer, read=_gone), counts))
            done += layer.stored_bytes
            progress(done, size)
    except _BROKEN as error:
        after = f" after {found[-1].layer.name}" if found else ""
        raise _unreadable(weights.name, f"tensor{after}", error) from None
    return Report(size, compressed, tuple(found), pool.distinct, pool.entropy_bits)


def zstd_bytes(weights: Path, level: int = ZSTD_LEVEL) -> int:
    """Bytes of all files, each compressed on its own: what a download or a container image would carry."""
    import zstandard

    files = [weights] if weights.is_file() else sorted(path for path in weights.rglob("*") if path.is_file())
    total = 0
    for file in files:
        compressor = zstandard.ZstdCompressor(level=level).compressobj(size=file.stat().st_size)
        with file.open("rb") as stream:
            while piece := stream.read(_CHUNK):
                total += len(compressor.compress(piece))
        total += len(compressor.flush())
    return total


def _read(name: str, layer: Layer) -> Values:
    try:
        return layer.read()
    except _BROKEN as error:
        raise _unreadable(name, f"tensor {layer.name}", error) from None


def _unreadable(name: str, what: str, error: Exception) -> InputError:
    return InputError(f"{name}: the {what} cannot be read ({one_line(error)}); save the model again")


def _gone() -> Any:
    raise RuntimeError("a report keeps counts, not values")

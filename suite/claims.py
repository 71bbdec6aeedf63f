"""Claims: what a manifest says of its files, and the files contradict. Reads bytes, runs nothing.

Only a clear contradiction is a finding. Scales, layers left alone, packed words and weights spread over odd shapes are
all allowed for, so a claim that passes is not thereby proven: the record's bytes and bits per weight are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from suite.formats.base import Description
from suite.manifest import Manifest

PACKED_SHARE = 0.05  # of the weights that at least must be stored as narrow as claimed
SLACK, EXTRA = 1.25, 0.25  # stored bits a weight may exceed the claim by a quarter, and by this for indices
SPARSITY_SLACK = 0.02
_BYTE = 8
_CHUNK = 1 << 24


class Zeros(NamedTuple):
    """How many elements of one stored tensor are exactly zero."""

    zeros: int
    elements: int


def contradictions(
    manifest: Manifest, weights: Path, found: Description, parent: tuple[Manifest, Description] | None
) -> list[str]:
    """Claims that the files contradict, one line each with both numbers.

    Args:
        manifest: what is claimed.
        weights: the file or folder.
        found: what it holds.
        parent: the parent's manifest and what its files hold; None for a parent, or where that is not here.
    """
    problems = _shapes(manifest, found) + _patches(manifest, found)
    claim = manifest.compression
    if claim is not None and manifest.parent is None:
        problems.append("[compression] says what was done to a parent, but no parent is named; add parent = NAME")
    if parent is not None and _same_model(manifest, parent[0]):
        problems.append(f"its weights are those of its parent {parent[0].name} (equal sha256): it changes nothing")
        return problems
    parameters = parent[1].parameters if parent else None
    if claim is not None and claim.bits is not None:
        problems += _bits(claim.bits, found, parameters)
    if claim is not None and claim.sparsity and parameters:
        problems += _sparsity(
            claim.sparsity, stored_zeros(weights, manifest.format, manifest.inputs.ensemble), parameters
        )
    return problems


def stored_zeros(weights: Path, format_name: str, members: Sequence[str] = ()) -> list[Zeros] | None:
    """Exact zeros of every stored tensor; None where the format does not show them (packed words, other formats).

    Args:
        weights: file or folder.
        format_name: of the manifest.
        members: files in that folder that answer together.
    """
    from suite.formats import _onnx_file, _safetensors

    if format_name == "onnx":
        files = [weights / name for name in members] or [weights]
        return [zeros for one in files for zeros in _onnx_zeros(_onnx_file.model_file(one))]
    files = sorted(weights.glob("*.safetensors")) if weights.is_dir() else []
    tensors = [(file, tensor) for file in files for tensor in _safetensors.read_header(file).values()]
    if not files or any(re.match("u?int(32|64)|uint8", tensor.dtype) for _, tensor in tensors):
        return None
    return [zeros for file in files for zeros in _safetensors_zeros(file)]


def _same_model(manifest: Manifest, parent: Manifest) -> bool:
    return (manifest.sha256, manifest.operating_point) == (parent.sha256, parent.operating_point)


def _shapes(manifest: Manifest, found: Description) -> list[str]:
    """Declared shape and classes against those that the file states; language models have other axes."""
    signature, declared, problems = found.signature, manifest.inputs, list[str]()
    if signature is None or manifest.kind == "language":
        return problems
    stated = signature.input_shape[1:]
    if declared.shape is not None and not _fits(stated, declared.shape):
        problems.append(f"inputs.shape = {list(declared.shape)}, but the file takes {_text(stated)}")
    classes = signature.output_shape[1] if len(signature.output_shape) > 1 else None
    if declared.classes is not None and classes is not None and classes != declared.classes:
        problems.append(f"inputs.classes = {declared.classes}, but the file gives {classes}")
    return problems


def _patches(manifest: Manifest, found: Description) -> list[str]:
    """The declared patch, spacing and flips against the spatial axes that the file states."""
    signature, declared = found.signature, manifest.inputs
    if signature is None or manifest.kind != "segmentation":
        return []
    stated = signature.input_shape[2:]
    if declared.patch is not None and not _fits(stated, declared.patch):
        return [f"inputs.patch = {list(declared.patch)}, but the file takes {_text(stated)} on its spatial axes"]
    if declared.spacing is not None and len(declared.spacing) != len(stated):
        return [f"inputs.spacing = {list(declared.spacing)}, but the file takes {len(stated)} spatial axes"]
    beyond = [axis for axes in declared.flip_axes for axis in axes if axis >= len(stated)]
    if beyond:
        return [f"inputs.flips names axis {beyond[0]}, but the file takes {len(stated)} spatial axes, from 0"]
    multiple = declared.pad_to_multiple
    if multiple is not None and any(size is not None and size % multiple for size in stated):
        return [
            f"inputs.pad_to_multiple = {multiple}, but the file takes {_text(stated)}, which are no multiples of it"
        ]
    return []


def _bits(claimed: float, found: Description, parent_parameters: int | None) -> list[str]:
    """Bits a weight: some stored tensors must be as narrow as claimed, and the whole ones no wider."""
    narrow, wide, whole_bits = 0.0, 0.0, 0
    for name, size in found.dtypes.items():
        width = _width(name)
        if not _is_whole(name) and width > claimed:
            wide += size * _BYTE / width
        else:
            narrow += size * _BYTE / (claimed if _is_whole(name) else width)
            whole_bits += size * _BYTE if _is_whole(name) else 0
    if narrow < PACKED_SHARE * (narrow + wide):
        return [
            f"compression.bits = {claimed:g}, but the files store its weights with {_width(found.dtype)} bits "
            f"({found.dtype})"
        ]
    if parent_parameters and whole_bits / parent_parameters > SLACK * claimed + EXTRA:
        stored = whole_bits / parent_parameters
        return [f"compression.bits = {claimed:g}, but its integers take {stored:.3g} bits per weight of the parent"]
    return []


def _sparsity(claimed: float, tensors: Sequence[Zeros] | None, parent_parameters: int) -> list[str]:
    """Zeros and missing weights among the parent's weights, or zeros among the weights of the tensors that have any."""
    if tensors is None:
        return []
    left = sum(one.elements - one.zeros for one in tensors)
    thinned = [one for one in tensors if one.zeros]
    of_thinned = sum(one.zeros for one in thinned) / max(1, sum(one.elements for one in thinned))
    found = max(0.0, 1 - left / parent_parameters, of_thinned)
    if claimed <= found + SPARSITY_SLACK:
        return []
    return [f"compression.sparsity = {claimed:g}, but {found:.3g} of the weights are exactly zero or were removed"]


def _safetensors_zeros(file: Path) -> Iterator[Zeros]:
    """Element by element from the bytes, in pieces; minus zero has a bit set and is no exact zero."""
    from suite.formats import _safetensors

    tensors = _safetensors.read_header(file)  # in the order of their data
    with file.open("rb") as stream:
        stream.seek(_BYTE + int.from_bytes(stream.read(_BYTE), "little"))
        for tensor in tensors.values():
            elements, zeros, left = prod(tensor.shape), 0, tensor.size
            width = max(1, tensor.size // max(1, elements))
            while left:
                piece = stream.read(min(left, _CHUNK * width))
                if not piece:
                    return
                left -= len(piece)
                zeros += int((~np.frombuffer(piece, np.uint8).reshape(-1, width).any(axis=1)).sum())
            if len(tensor.shape) > 1:
                yield Zeros(zeros, elements)


def _onnx_zeros(file: Path) -> Iterator[Zeros]:
    import onnx
    from onnx import numpy_helper

    for tensor in onnx.load(str(file)).graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim > 1:
            yield Zeros(int((values.astype(np.float32) == 0).sum()), values.size)


def _width(dtype: str) -> int:
    """Bits of an element."""
    digits = re.search(r"\d+", dtype)
    return int(digits.group()) if digits else _BYTE


def _is_whole(dtype: str) -> bool:
    """Integers, which may hold packed weights of any width."""
    return "float" not in dtype


def _fits(stated: Sequence[int | None], declared: Sequence[int]) -> bool:
    return len(stated) == len(declared) and all(s in (None, d) for s, d in zip(stated, declared, strict=True))


def _text(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"

"""Claims: what a manifest says of its files, and the files contradict. Reads bytes, runs nothing.

Only a clear contradiction is a finding. Scales, layers left alone, packed words and weights spread over odd shapes are
all allowed for, so a claim that passes is not thereby proven: the record's bytes and bits per weight are.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from suite.errors import InputError
from suite.formats.base import Description
from suite.manifest import Manifest
from suite.static.layer import Layer
from suite.static.report import Report, layers

PACKED_SHARE = 0.05  # of the weights that at least must be stored as narrow as claimed
SLACK, EXTRA = 1.25, 0.25  # stored bits a weight may exceed the claim by a quarter, and by this for indices
WHOLE_SLACK = 3.0  # bits a weight of the whole file, layers left alone included, may be so many times the claim
SPARSITY_SLACK = 0.02
THINNED_SHARE = 0.5  # of the weights that at least must lie in layers with zeros, for a claim about those
_BYTE = 8
_ROWS = 4  # of each layer, to see whether its values lie on a grid


class Files(NamedTuple):
    """What a submission's files hold.

    Attributes:
        manifest: its manifest.
        weights: file or folder.
        found: what the headers say.
        report: counts its tensors; called only for claims that need it.
        base: transformers folder that an adapter changes.
    """

    manifest: Manifest
    weights: Path
    found: Description
    report: Callable[[], Report]
    base: Path | None = None


def contradictions(child: Files, parent: Files | None) -> list[str]:
    """Claims that the files contradict, one line each with both numbers.

    Args:
        child: what claims something.
        parent: its parent; None for a parent, or where that is not here.
    """
    manifest = child.manifest
    problems = _shapes(manifest, child.found) + _patches(manifest, child.found)
    claim = manifest.compression
    if claim is not None and manifest.parent is None:
        problems.append("[compression] says what was done to a parent, but no parent is named; add parent = NAME")
    if parent is not None and _same_model(manifest, parent.manifest):
        problems.append(
            f"its weights are those of its parent {parent.manifest.name} (equal sha256): it changes nothing"
        )
        return problems
    if claim is not None and parent is not None and (equal := _equal_weights(child, parent)):
        problems.append(
            f"its {equal} weight tensors are bit by bit those of its parent {parent.manifest.name}: it changes nothing"
        )
        return problems
    if claim is not None and claim.bits is not None:
        problems += _bits(claim.bits, child, parent.found.parameters if parent else None)
    if claim is not None and claim.sparsity and parent is not None and parent.found.parameters:
        problems += _sparsity(claim.sparsity, child.report(), parent.found.parameters)
    return problems


def _equal_weights(child: Files, parent: Files) -> int:
    """Number of weight tensors if all of them are the parent's; 0 at the first that is not."""
    other_point = child.manifest.operating_point != parent.manifest.operating_point
    if child.manifest.format != parent.manifest.format or other_point:
        return 0
    try:
        theirs = {layer.name: layer for layer in _layers(parent) if layer.is_weight}
        mine = [layer for layer in _layers(child) if layer.is_weight]
        return len(mine) if len(mine) == len(theirs) and _all_equal(mine, theirs) else 0
    except InputError:
        return 0  # said by --static


def _all_equal(mine: Sequence[Layer], theirs: Mapping[str, Layer]) -> bool:
    """Whether every weight has its parent's shape, dtype and bits."""
    for layer in mine:
        other = theirs.get(layer.name)
        if other is None or (other.shape, other.dtype) != (layer.shape, layer.dtype):
            return False
        a, b = layer.read().patterns, other.read().patterns
        if a is None or b is None or not np.array_equal(a, b):
            return False
    return True


def _layers(files: Files) -> Iterator[Layer]:
    return layers(files.weights, files.manifest.format, files.manifest.inputs.ensemble)


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


def _bits(claimed: float, child: Files, parent_parameters: int | None) -> list[str]:
    """Bits a weight: some stored tensors must be as narrow as claimed, and the whole ones no wider."""
    narrow, wide, whole_bits = 0.0, 0.0, 0
    found = child.found
    for name, size in found.dtypes.items():
        width = _width(name)
        if not _is_whole(name) and width > claimed:
            wide += size * _BYTE / width
        else:
            narrow += size * _BYTE / (claimed if _is_whole(name) else width)
            whole_bits += size * _BYTE if _is_whole(name) else 0
    said = f"compression.bits = {claimed:g}, but"
    if narrow < PACKED_SHARE * (narrow + wide):
        grid = "; their values lie on a grid, so only the storage is not compressed" if _on_grid(child, claimed) else ""
        return [f"{said} the files store its weights with {_width(found.dtype)} bits ({found.dtype}){grid}"]
    if not parent_parameters:
        return []
    if whole_bits / parent_parameters > SLACK * claimed + EXTRA:
        return [f"{said} its integers take {whole_bits / parent_parameters:.3g} bits per weight of the parent"]
    whole = _BYTE * found.tensor_bytes / parent_parameters
    if whole > WHOLE_SLACK * claimed:
        left = wide / (narrow + wide)
        return [
            f"{said} all tensors together take {whole:.3g} bits per weight: {left:.0%} of the weights are left wide"
        ]
    return []


def _on_grid(child: Files, bits: float) -> bool:
    """Whether rows of every layer have no more different values than codes of so many bits could name."""
    try:
        return _rows_on_grid(_layers(child), bits)
    except InputError:
        return False  # said by --static


def _rows_on_grid(found: Iterator[Layer], bits: float) -> bool:
    seen = 0
    for layer in found:
        if not layer.is_weight or layer.input_axis is None or layer.elements // layer.shape[0] < 2 ** (bits + 1):
            continue
        patterns = layer.read().patterns
        if patterns is None or any(len(np.unique(row)) > 2**bits for row in itertools.islice(patterns, _ROWS)):
            return False
        seen += 1
    return seen > 0


def _sparsity(claimed: float, report: Report, parent_parameters: int) -> list[str]:
    """Zeros and missing weights among the parent's weights, or zeros among the weights of the layers that have any."""
    if not report.weights:
        return []
    counted = [one for one in report.layers if one.layer.is_weight]
    uncounted = sum(one.layer.elements for one in counted if one.counts.zeros is None)
    gone = 1 - (report.weights + uncounted - report.zeros) / parent_parameters
    thinned = [one for one in counted if one.counts.zeros]
    held = sum(one.layer.elements for one in thinned)
    of_thinned = report.zeros / held if held >= THINNED_SHARE * report.weights else 0.0
    whole = max(0.0, gone)
    found = max(whole, of_thinned)
    if claimed <= found + SPARSITY_SLACK:
        return []
    where = f" in the layers that hold zeros, {whole:.3g} in the whole model" if found > whole else ""
    said = f"compression.sparsity = {claimed:g}, but {found:.3g} of the weights are exactly zero or were removed"
    return [said + where]


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

"""MACs: multiply-accumulates of one forward pass, and how many of them a pruned graph still needs.

One MAC is two of the FLOPs that torch's ``FlopCounterMode`` counts. Counted are convolutions and matrix products, of
attention too; element-wise operators, norms and softmax are not. The effective count takes each product with a stored
weight times the share of that weight's elements that are not zero: ``sum(macs_l * nonzero_l / elements_l)``; products
of two activations count whole. Removed channels are gone from the graph, so both counts go down with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from suite.errors import Undefined
from suite.formats.base import Description
from suite.manifest import Manifest
from suite.static.report import Report

TOKENS = 128


@dataclass(frozen=True)
class Macs:
    """Work of one forward pass.

    Attributes:
        dense: MACs of the graph as it is, zeros counted.
        effective: those that multiply by a weight that is not zero; None where zeros cannot be told.
        input: the input that they are counted at, for people.
        uncounted: operators that hold products which were not counted.
    """

    dense: int
    effective: float | None
    input: str
    uncounted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Product:
    """Products with one stored weight, or of activations alone.

    Attributes:
        macs: how many.
        weight: the stored weight's name; None for activations alone.
    """

    macs: int
    weight: str | None


def input_shape(manifest: Manifest, found: Description) -> tuple[int, ...]:
    """The stated input: one item of the manifest's shape or patch, else the file's; of language up to 128 tokens.

    Raises:
        Undefined: neither fixes a shape.
    """
    if manifest.kind == "language":
        return (1, min(TOKENS, manifest.inputs.context or found.context or TOKENS))
    stated = tuple(size or 0 for size in found.signature.input_shape[1:]) if found.signature else ()
    patch = (*stated[:1], *manifest.inputs.patch) if stated and manifest.inputs.patch else ()
    shape = manifest.inputs.shape or patch or stated
    if not shape or not all(shape):
        raise Undefined("neither the manifest nor the file fixes the input's shape; add [inputs] shape")
    return (1, *shape)


def macs(
    manifest: Manifest, weights: Path, found: Description, report: Callable[[], Report], base: Path | None = None
) -> Macs:
    """Count a submission's forward pass at its stated input; torch and OpenVINO count in processes of their own.

    Args:
        manifest: of the submission.
        weights: file or folder.
        found: what the loader describes.
        report: gives the report whose zeros are taken for the effective count; asked last, it may still be at work.
        base: transformers folder that an adapter changes.

    Raises:
        Undefined: the format has no graph to count, or its shapes cannot be told.
    """
    shape = input_shape(manifest, found)
    products, uncounted = list[Product](), set[str]()
    for member in manifest.inputs.ensemble or ("",):
        own, left = _products(manifest, weights / member, shape, base)
        uncounted |= set(left)
        products += [
            Product(one.macs, one.weight and f"{member}/{one.weight}" if member else one.weight) for one in own
        ]
    what = f"{shape[0]} x {shape[1]} tokens" if manifest.kind == "language" else "x".join(map(str, shape))
    return Macs(
        sum(one.macs for one in products), _effective(products, density(report())), what, tuple(sorted(uncounted))
    )


def of_file(format_name: str, weights: Path, shape: tuple[int, ...]) -> tuple[list[Product], tuple[str, ...]]:
    """Products that are counted from a file in this process and in no time, and operators that are not counted.

    Raises:
        Undefined: another format, or its shapes cannot be told.
    """
    from suite.static import gguf_macs, onnx_macs, tflite_macs

    counts = {"onnx": onnx_macs.products, "tflite": tflite_macs.products, "gguf": gguf_macs.products}
    if format_name not in counts:
        raise Undefined(f"format {format_name!r} has no graph that is counted here")
    return counts[format_name](weights, shape)


def _products(
    manifest: Manifest, weights: Path, shape: tuple[int, ...], base: Path | None
) -> tuple[list[Product], tuple[str, ...]]:
    from suite.static import openvino_macs, peft_macs, torch_macs

    if manifest.format in torch_macs.FORMATS:
        return torch_macs.products(weights, manifest.format, manifest.kind, shape), ()
    if manifest.format == "peft":
        return peft_macs.products(weights, manifest.kind, shape, base), ()
    if manifest.format == "openvino":
        return openvino_macs.products(weights, shape)
    return of_file(manifest.format, weights, shape)


def density(report: Report) -> dict[str, float | None]:
    """Stored weight to the share of its elements that are not zero; None where it cannot be told."""
    return {
        one.layer.name: None if one.counts.zeros is None else 1 - one.counts.zeros / max(1, one.layer.elements)
        for one in report.layers
    }


def _effective(products: list[Product], density: Mapping[str, float | None]) -> float | None:
    total = 0.0
    for one in products:
        share = 1.0 if one.weight is None else density.get(one.weight)
        if share is None:
            return None
        total += one.macs * share
    return total

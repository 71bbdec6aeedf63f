"""Model formats: ``LOADERS[name]`` checks, describes and loads the files of one format.

Importing this package imports no model runtime; each loader imports its own when it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suite.errors import InputError
from suite.formats.base import Adjustable, Based, Description, Loader, Place, Point, Signature
from suite.formats.ensemble import Ensemble
from suite.formats.fake import Fake
from suite.formats.gguf_format import Gguf
from suite.formats.hf import Transformers
from suite.formats.layout import ChannelsLast
from suite.formats.onnx_format import Onnx
from suite.formats.openvino_format import OpenVino
from suite.formats.peft_format import Peft
from suite.formats.predictions import Predictions
from suite.formats.tflite import TFLite
from suite.formats.torch_export import TorchExport
from suite.manifest import Inputs

_ALL: tuple[Loader, ...] = (
    *(Transformers(), Peft(), Gguf(), Onnx(), OpenVino(), TorchExport(), TFLite()),
    *(Predictions(), Fake()),
)
WEIGHTLESS = ("predictions", "fake")
"""Formats without a network: no runtime is loaded, and an operating point only says what was set."""

LOADERS: dict[str, Loader] = {loader.name: loader for loader in _ALL}
"""The formats that a manifest may name."""


def loader_for(name: str, inputs: Inputs, point: Point | None = None, base: Path | None = None) -> Loader:
    """The loader of a format, for what a manifest says beside its name.

    Args:
        name: a key of `LOADERS`.
        inputs: they may name an ensemble, or put channels last.
        point: the operating point; empty or None: the checkpoint as it is.
        base: of an adapter.

    Raises:
        InputError: an operating point that the format cannot be set to.
    """
    loader = LOADERS[name]
    if base is not None and isinstance(loader, Based):
        loader = loader.on(base)
    if point and name not in WEIGHTLESS:
        if not isinstance(loader, Adjustable):
            able = ", ".join(key for key, one in LOADERS.items() if isinstance(one, Adjustable))
            raise InputError(
                f"format {name!r} has no operating points, so operating_point would change nothing; remove it "
                f"(formats that have: {able}; files of one method share `series`)"
            )
        loader = loader.at(point)
    if inputs.layout == "channels_last":
        loader = ChannelsLast(loader)
    return Ensemble(loader, inputs.ensemble) if inputs.ensemble else loader


def ordered(order: Mapping[str, Any]) -> Loader:
    """The loader that a child process is told to use."""
    base = order.get("base")
    inputs = Inputs.model_validate(order["inputs"])
    return loader_for(order["format"], inputs, order.get("point"), None if base is None else Path(base))


__all__ = ["LOADERS", "WEIGHTLESS", "Based", "Description", "Loader", "Place", "Signature", "loader_for", "ordered"]

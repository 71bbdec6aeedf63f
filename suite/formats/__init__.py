"""Model formats: ``LOADERS[name]`` checks, describes and loads the files of one format.

Importing this package imports no model runtime; each loader imports its own when it is asked.
"""

from __future__ import annotations

from suite.formats.base import Description, Loader, Place, Signature
from suite.formats.ensemble import Ensemble
from suite.formats.fake import Fake
from suite.formats.hf import Transformers
from suite.formats.layout import ChannelsLast
from suite.formats.onnx_format import Onnx
from suite.formats.predictions import Predictions
from suite.formats.tflite import TFLite
from suite.formats.torch_export import TorchExport
from suite.manifest import Inputs

_ALL: tuple[Loader, ...] = (Transformers(), Onnx(), TorchExport(), TFLite(), Predictions(), Fake())

LOADERS: dict[str, Loader] = {loader.name: loader for loader in _ALL}
"""The formats that a manifest may name."""


def loader_for(name: str, inputs: Inputs) -> Loader:
    """The loader of a format, or that of several of its files where the inputs name an ensemble."""
    loader = LOADERS[name]
    if inputs.layout == "channels_last":
        loader = ChannelsLast(loader)
    return Ensemble(loader, inputs.ensemble) if inputs.ensemble else loader


__all__ = ["LOADERS", "Description", "Loader", "Place", "Signature", "loader_for"]

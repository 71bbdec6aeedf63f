"""Layout: a loader whose files keep channels last, as TensorFlow does; its shapes are told channels first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from suite.formats.base import Description, Loader, Place
from suite.manifest import Inputs, Kind
from suite.model import Model, Signature


class ChannelsLast:
    """Another loader, whose description has the axes that tasks know; the networks turn their arrays themselves."""

    def __init__(self, loader: Loader) -> None:
        self.name, self.title, self.kinds = loader.name, loader.title, loader.kinds
        self.packages, self.extra, self.gradients = loader.packages, loader.extra, loader.gradients
        self._loader = loader

    def check(self, weights: Path) -> list[str]:
        """What the format holds against the files."""
        return self._loader.check(weights)

    def describe(self, weights: Path) -> Description:
        """The description, its last axes moved to the second place."""
        found = self._loader.describe(weights)
        if found.signature is None:
            return found
        turned = Signature(_first(found.signature.input_shape), _first(found.signature.output_shape))
        return replace(found, signature=turned)

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """The model; ``inputs.layout`` says the same to its network."""
        return self._loader.load(weights, kind, inputs, place)


def _first(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return (shape[0], shape[-1], *shape[1:-1]) if len(shape) > 1 else shape

"""Format ``fake``: a JSON file that names a closed-form model of ``suite.fakes``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from suite.errors import InputError
from suite.formats.base import Description, Place
from suite.manifest import KINDS, Inputs, Kind
from suite.model import Model


class Fake:
    """Weights are ``{"fake": "<name>", ...parameters}``; the model's scores are known without running it."""

    name = "fake"
    title = "closed-form model of suite.fakes, described by a JSON file"
    kinds: tuple[Kind, ...] = KINDS
    packages: tuple[str, ...] = ("numpy",)
    extra: str | None = None
    gradients = False

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse the file: not JSON, or no fake named."""
        try:
            _spec(weights)
        except InputError as error:
            return [str(error)]
        return []

    def describe(self, weights: Path) -> Description:
        """No parameters; the bytes are the file's."""
        masked = str(_spec(weights)["fake"]).endswith("-masked")
        return Description(parameters=0, tensor_bytes=weights.stat().st_size, masked=masked)

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """The model that ``suite.fakes.build`` makes of the file."""
        from suite import fakes

        model: Model = fakes.build(_spec(weights), kind)
        return model


def _spec(weights: Path) -> dict[str, Any]:
    try:
        spec = json.loads(weights.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{weights.name} is not a readable JSON file: {error}") from None
    if not isinstance(spec, dict) or not isinstance(spec.get("fake"), str):
        raise InputError(f'{weights.name} names no fake; write {{"fake": "<name>", ...}}')
    return spec

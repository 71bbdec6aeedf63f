"""A user's images, each also under attacks along the model's own gradients: ``attacks = ["fgsm", "pgd"]``.

Images may come from files, or from arrays [C, H, W] with values in [0, 1]; rows of a table have no such range.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from suite.errors import InputError, unknown
from suite.manifest import Manifest
from suite.metrics import groups
from suite.metrics.classification import ACCURACY
from suite.model import Signature
from suite.task import AnyTask
from tasks.attacks import METHODS, AttackedImages, attacks
from tasks.own.classification import OwnClassification
from tasks.own.keys import Description
from tasks.variants import ATTRIBUTE, CLEAN

_AXES, _LEVELS = 3, 255


class OwnAttacked(AttackedImages):
    """A user's classification data set under attack; by group there is the accuracy, clean and under the last one."""

    def __init__(self, own: OwnClassification, description: Description) -> None:
        used = attacks(description.attack_eps, description.attack_steps, description.attacks)
        super().__init__(own, used, name=own.name, title=own.title, change=lambda given, rng: own.read(given))
        self.version = own.version  # the user's own, as of every data set of theirs
        self._read, self._normalisation = own.read, description.normalisation
        names = sorted(description.groups)
        framed = tuple(groups.of_group(ACCURACY, ATTRIBUTE, name) for name in (CLEAN.name, used[-1].name))
        self.framed = replace(own.framed, metrics=framed, attributes=(*names, *combinations(names, 2)), decisions=None)

    def fetch(self) -> None:
        """Read every item once.

        Raises:
            InputError: as of the data set without attacks; an array that is no image with values in [0, 1].
        """
        super().fetch()
        for example in self._task.examples(None):
            image = np.asarray(self._read(example.input))
            if image.ndim != _AXES or image.min(initial=0) < 0 or image.max(initial=1) > 1:
                raise InputError(
                    f"data set {self.name!r}: {example.item!r} has shape {list(image.shape)} and values from "
                    f"{image.min():g} to {image.max():g}; attacks need images [C, H, W] with values in [0, 1]"
                )

    def misfit(self, manifest: Manifest, signature: Signature | None) -> str | None:
        """As without attacks; the normalisation must be in the manifest, for gradients go through it."""
        if self._normalisation is not None and manifest.inputs.normalisation is None:
            return "the attack goes through the normalisation: declare it in the manifest's [inputs], not in the TOML"
        return super().misfit(manifest, signature)

    def description(self) -> dict[str, Any]:
        """With all that is needed to recompute its metrics."""
        whole = self._task.description()
        return super().description() | {"classes": whole["classes"], "own": whole["own"]}


def with_attacks(own: OwnClassification, description: Description) -> AnyTask:
    """The task under the attacks that the description asks for.

    Raises:
        InputError: no such attack, a strength out of range, or no images to attack.
    """
    where = f"data set {description.name!r}"
    stray = next((one for one in description.attacks if one not in METHODS), None)
    if stray is not None:
        raise unknown(f"attack in {where}", stray, METHODS)
    if not description.attack_eps or not all(0 < eps <= _LEVELS for eps in description.attack_eps):
        raise InputError(
            f"{where}: attack_eps = {list(description.attack_eps)}; allowed: above 0, to {_LEVELS} (255ths)"
        )
    for key in ("attacks", "attack_eps"):
        if len(set(getattr(description, key))) < len(getattr(description, key)):
            raise InputError(f"{where}: {key} names one of them twice")
    if description.images is None and description.arrays is None:
        raise InputError(
            f"{where}: attacks need images, or arrays of images; a table's features have no range to stay in"
        )
    if description.by_group:
        raise InputError(f"{where}: under attack the accuracy alone is taken by group; leave out by_group")
    if description.corruptions or description.variants is not None or description.novelty is not None:
        raise InputError(
            f"{where}: attacks go with neither corruptions, variants nor novelty; describe these in another TOML"
        )
    return OwnAttacked(own, description)

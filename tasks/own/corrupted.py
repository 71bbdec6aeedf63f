"""A user's images, each also under the corruptions that are named: ``corruptions = ["jpeg_compression"]``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

from suite.errors import InputError, unknown
from suite.task import AnyTask
from tasks.corruptions import KINDS, SEVERITIES, corruptions
from tasks.own.classification import OwnClassification
from tasks.own.keys import Description
from tasks.shifted import corruption_metrics
from tasks.statistics import image_statistics
from tasks.variants import ATTRIBUTE, CLEAN, Variant, VariedImages


class OwnCorrupted(VariedImages):
    """A user's classification data set in variants; its numbers are those of the built-in corrupted sets."""

    def __init__(self, own: OwnClassification, description: Description) -> None:
        made = corruptions(description.corruptions, description.severities)
        read = own.read
        super().__init__(
            own,
            [read_first(one, read) for one in (replace(CLEAN, groups={"corruption": CLEAN.name}), *made)],
            name=own.name,
            title=own.title,
            version=own.version,
            changes="cifar10c-1",
            metrics=corruption_metrics(made),
            primary=f"mean_accuracy[{ATTRIBUTE}]",
            describe=image_statistics,
            packages=("scikit-image", "pillow"),
        )
        self.version = own.version  # the user's own, as of every data set of theirs
        names = sorted(description.groups)
        self.framed = replace(own.framed, attributes=(*names, *combinations(names, 2)))

    def description(self) -> dict[str, Any]:
        """With all that is needed to recompute its metrics."""
        whole = self._task.description()
        return super().description() | {"classes": whole["classes"], "own": whole["own"]}


def with_corruptions(own: OwnClassification, description: Description) -> AnyTask:
    """The task, or the same in the variants that the description asks for.

    Raises:
        InputError: no such corruption or severity, one given twice, or no images to corrupt.
    """
    if not description.corruptions:
        return own
    where = f"data set {description.name!r}"
    stray = next((kind for kind in description.corruptions if kind not in KINDS), None)
    if stray is not None:
        raise unknown(f"corruption in {where}", stray, KINDS)
    if not description.severities or not set(description.severities) <= set(SEVERITIES):
        raise InputError(f"{where}: severities = {list(description.severities)}; allowed: 1 to {SEVERITIES[-1]}")
    for key in ("corruptions", "severities"):
        if len(set(getattr(description, key))) < len(getattr(description, key)):
            raise InputError(f"{where}: {key} names one of them twice")
    if description.images is None or description.variants is not None or description.novelty is not None:
        raise InputError(f"{where}: corruptions need images, and neither variants nor novelty beside them")
    return OwnCorrupted(own, description)


def read_first(variant: Variant, read: Callable[[Any], Any]) -> Variant:
    """The variant of an input that `read` makes an array of, e.g. an image in a file."""
    change = variant.change
    return replace(variant, change=lambda given, rng: change(read(given), rng))

"""Several networks of one format that answer together: the folds of a cross-validation, say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import AnswerError, InputError
from suite.formats.base import Description, Loader, Place
from suite.manifest import Inputs, Kind
from suite.model import Array, Facts, Float, Model


class Ensemble:
    """A loader of all members, each a file in the weights folder and of `loader`'s format."""

    def __init__(self, loader: Loader, members: Sequence[str]) -> None:
        self.name, self.title, self.kinds = loader.name, loader.title, loader.kinds
        self.packages, self.extra = loader.packages, loader.extra
        self.gradients = False  # the mean of members that were loaded one by one
        self._loader, self._members = loader, tuple(members)

    def check(self, weights: Path) -> list[str]:
        """A member that is not there, members of different shapes, and what the format holds against each."""
        absent = [name for name in self._members if not (weights / name).exists()]
        if absent:
            return [f"inputs.ensemble names {absent[0]!r}, which is not in {weights.name}; weights must be its folder"]
        found = [finding for name in self._members for finding in self._loader.check(weights / name)]
        return found or self._different(weights)

    def describe(self, weights: Path) -> Description:
        """Everything that is stored, all members together; the shapes are the first one's."""
        each = [self._loader.describe(weights / name) for name in self._members]
        dtypes: dict[str, int] = {}
        for one in each:
            for dtype, size in one.dtypes.items():
                dtypes[dtype] = dtypes.get(dtype, 0) + size
        parameters, tensor_bytes = (sum(n) for n in zip(*((o.parameters, o.tensor_bytes) for o in each), strict=True))
        return replace(each[0], parameters=parameters, tensor_bytes=tensor_bytes, dtypes=dtypes)

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """All members at once.

        Raises:
            InputError: `check` refuses one of them.
            UnitError: one cannot be loaded.
        """
        for finding in self.check(weights):
            raise InputError(finding)
        members = tuple(self._loader.load(weights / name, kind, inputs, place) for name in self._members)
        notes = tuple(note for member in members for note in member.facts.notes)
        model: Model = Together(members, replace(members[0].facts, notes=notes))
        return model

    def _different(self, weights: Path) -> list[str]:
        """Members that do not answer the same question."""
        first, *others = [self._loader.describe(weights / name).signature for name in self._members]
        for name, other in zip(self._members[1:], others, strict=True):
            if None not in (first, other) and first != other:
                return [f"{name} does not take and give the shapes of {self._members[0]}; folds have one architecture"]
        return []


@dataclass
class Together:
    """A ``Segmenter`` and ``Classifier``: the mean of the members' probabilities, taken in float64.

    Attributes:
        members: networks of one kind.
        facts: of the first, with the notes of all.
    """

    members: tuple[Any, ...]
    facts: Facts

    def segment(self, images: Sequence[Array]) -> list[NDArray[np.float32]]:
        """See `suite.model.Segmenter.segment`."""
        return [answer.astype(np.float32) for answer in self._mean(lambda member: member.segment(images))]

    def predict_proba(self, inputs: Sequence[Array]) -> list[Float]:
        """See `suite.model.Classifier.predict_proba`."""
        return self._mean(lambda member: member.predict_proba(inputs))

    def _mean(self, ask: Callable[[Any], Sequence[Array]]) -> list[Float]:
        sums = [answer.astype(np.float64) for answer in ask(self.members[0])]
        for member in self.members[1:]:
            for index, answer in enumerate(ask(member)):
                if answer.shape != sums[index].shape:
                    raise AnswerError(f"members answer shapes {sums[index].shape} and {answer.shape}", index)
                sums[index] += answer
        return [total / len(self.members) for total in sums]

"""What a model format must offer: safety findings and a static description without running anything, and a load.

`check` and `describe` run in the scorer's process and only read bytes; `load` runs in the child process alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from suite.manifest import Inputs, Kind
from suite.model import Model, Signature

__all__ = ["Adjustable", "Based", "Description", "Loader", "Place", "Point", "Signature"]


@dataclass(frozen=True)
class Description:
    """What the bytes of a model say, read without running it.

    Attributes:
        parameters: elements of all stored tensors (packed tensors count as stored).
        tensor_bytes: bytes of all stored tensors, scales and codebooks included.
        dtypes: dtype name (``float32``, ``bfloat16``, ``int8``, ``uint8``, ...) to bytes stored in it.
        signature: input and output shapes, for formats that state them.
        context: language: the most tokens of one sequence, as the configuration states it.
        masked: language: it fills in hidden tokens instead of continuing a text.
    """

    parameters: int
    tensor_bytes: int
    dtypes: Mapping[str, int] = field(default_factory=dict)
    signature: Signature | None = None
    context: int | None = None
    masked: bool = False

    @classmethod
    def of(
        cls, stored: Iterable[tuple[str, int, int]], signature: Signature | None = None, context: int | None = None
    ) -> Description:
        """Of stored tensors, each once: dtype, bytes, elements.

        >>> Description.of([("int8", 6, 6), ("float32", 8, 2), ("int8", 2, 2)]).dtypes
        {'int8': 8, 'float32': 8}
        """
        dtypes: dict[str, int] = {}
        parameters = 0
        for dtype, size, elements in stored:
            dtypes[dtype] = dtypes.get(dtype, 0) + size
            parameters += elements
        return cls(parameters, sum(dtypes.values()), dtypes, signature, context)

    @property
    def dtype(self) -> str:
        """The dtype that holds most bytes."""
        return max(sorted(self.dtypes), key=lambda name: self.dtypes[name]) if self.dtypes else "none"


@dataclass(frozen=True)
class Place:
    """Where a loaded model computes.

    Attributes:
        device: ``cpu`` or ``cuda``.
        threads: CPU threads that the runtime may use.
        looked: called by a loader that parses its files to look at them, before it loads them: whoever measures memory
            begins there.
    """

    device: str = "cpu"
    threads: int = 1
    looked: Callable[[], object] = bool


Point = Mapping[str, str | int | float]
"""An operating point: the names and values of settings."""


class Loader(Protocol):
    """One model format. Everything heavy is imported inside the methods.

    Attributes:
        name: as manifests spell it.
        title: one line for ``hallmark list formats``.
        kinds: model kinds that it can load.
        packages: distributions whose versions can change an answer; they are part of the unit key.
        extra: the optional dependency group that brings its packages, ``None`` for the core install.
        gradients: its classifiers give gradients with respect to their input, so that they can be attacked.
    """

    name: str
    title: str
    kinds: tuple[Kind, ...]
    packages: tuple[str, ...]
    extra: str | None
    gradients: bool

    def check(self, weights: Path) -> list[str]:
        """Reasons to refuse these files, each one line; empty when there are none. Never runs or unpickles them."""
        ...

    def describe(self, weights: Path) -> Description:
        """Static description.

        Raises:
            InputError: the file cannot be read as this format.
        """
        ...

    def load(self, weights: Path, kind: Kind, inputs: Inputs, place: Place) -> Model:
        """The model, ready to answer. Called in the child process only."""
        ...


@runtime_checkable
class Adjustable(Loader, Protocol):
    """A format in which one checkpoint holds several operating points."""

    def at(self, point: Point) -> Loader:
        """The loader of one operating point.

        Raises:
            InputError: a setting that the format does not know, or a value that none can have.
        """
        ...


@runtime_checkable
class Based(Loader, Protocol):
    """A format whose files change another model, the base, and are nothing without it."""

    def on(self, base: Path) -> Loader:
        """The loader of both together."""
        ...

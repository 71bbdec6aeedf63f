"""Scenarios: what is timed, named as in MLPerf Inference (single stream, offline), and what the child is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from suite.manifest import Inputs
from suite.model import Array, Facts, Signature

PAIRS = 30  # of a burst of the model and a burst of its parent
PROCESSES = 6  # fresh pairs of processes that share them: where memory lies moves a model's speed by 1 % and more
PAIRED_S = 10.0  # all bursts of a scenario take at least that long, both sides together
BURST_S = PAIRED_S / PAIRS / 2
CAP_BYTES = 1 << 30  # offline: that a forward may add to the loaded model
CAP_S = 1.0  # offline: that a forward may take
MOST = 64  # offline: items of a batch
ENERGY_S = 10.0  # window of an energy reading, and of the idle one before it

Answer = Mapping[str, Array]


@dataclass(frozen=True)
class Scenario:
    """One thing that is timed.

    Attributes:
        name: as metrics bear it in brackets.
        batch: items of one call; 0: the largest power of two, at most 64, whose call stays below 1 GiB more memory than
            the loaded model has and below 1 s.
        tokens: language: tokens of each prompt.
        new: language: tokens that are generated behind it, one after the other; 0: one forward over the prompt.
    """

    name: str
    batch: int = 1
    tokens: int = 0
    new: int = 0

    @property
    def needed(self) -> int:
        """Language: tokens that the model's context must hold."""
        return self.tokens + self.new


LANGUAGE = (
    Scenario("prefill-128", tokens=128),
    Scenario("prefill-1024", tokens=1024),
    Scenario("decode-64", tokens=128, new=64),
    Scenario("offline", batch=0, tokens=128),
)
VISION = (Scenario("batch-1"), Scenario("batch-8", batch=8), Scenario("offline", batch=0))


class Stopwatch(Protocol):
    """A model that can be timed where it computes."""

    facts: Facts

    def timed(self, orders: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """For each order (`what`: burst, memory or energy; the scenario's fields; `seconds`), its raw samples."""
        ...

    def restart(self) -> None:
        """Begin to load the model anew, in a fresh process."""
        ...

    def loaded(self) -> None:
        """Wait until it is."""
        ...


def input_shape(inputs: Inputs, signature: Signature | None) -> tuple[int, ...] | None:
    """One vision input without the batch, channels first; None if neither manifest nor file fix every size.

    >>> input_shape(Inputs(shape=(3, 32, 32)), None), input_shape(Inputs(), Signature((None, 1, None), (None, 2)))
    ((3, 32, 32), None)
    """
    if inputs.shape is not None:
        return inputs.shape
    stated = tuple(signature.input_shape[1:]) if signature else ()
    if inputs.patch is not None and stated and stated[0] is not None:
        return (stated[0], *inputs.patch)
    fixed = tuple(size for size in stated if size is not None)
    return fixed if fixed and len(fixed) == len(stated) else None

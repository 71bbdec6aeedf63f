"""Language models as ONNX graphs, with and without inputs for cached keys and values (Optimum's names).

    input_ids, attention_mask, position_ids, use_cache_branch        -> logits
    past_key_values.N.key, past_key_values.N.value [B, H, P, D]      -> present.N.key, present.N.value

Scores are taken with an empty cache; only generation fills it. Shape suffixes: B batch, T tokens, P cached positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from suite.errors import UnitError
from suite.formats._causal import unrolled
from suite.formats._errors import one_line
from suite.formats._generate import Step, stepping
from suite.manifest import Inputs
from suite.model import Array, Facts, Ints, Model

_KNOWN = ("input_ids", "attention_mask", "position_ids", "use_cache_branch")
_PAST, _PRESENT = "past_key_values.", "present."
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
_RANK = 4


@dataclass(frozen=True)
class Graph:
    """A causal graph and how it is fed.

    Attributes:
        session: ONNX Runtime's.
        settings: inputs that never change.
    """

    session: Any
    settings: Mapping[str, Array]

    @property
    def inputs(self) -> dict[str, Any]:
        """What must be fed, by name."""
        return {value.name: value for value in self.session.get_inputs() if value.name not in self.settings}

    @property
    def pasts(self) -> list[str]:
        """Names of the inputs that take cached keys and values."""
        return [name for name in self.inputs if name.startswith(_PAST)]

    @property
    def logits(self) -> str:
        """Name of the output with the logits."""
        names = [value.name for value in self.session.get_outputs()]
        return "logits" if "logits" in names else str(names[0])

    def refuse_others(self) -> None:
        """Refuse inputs that this loader cannot feed.

        Raises:
            UnitError: there are some, or caches of an unknown layout.
        """
        strange = [name for name in self.inputs if name not in _KNOWN and not name.startswith(_PAST)]
        if strange or "input_ids" not in self.inputs:
            raise UnitError(
                f"the graph's inputs are {', '.join(self.inputs)}; expected input_ids, attention_mask, position_ids, "
                "past_key_values.*; give others that hold one number in operating_point"
            )
        outputs = {value.name for value in self.session.get_outputs()}
        for name in self.pasts:
            shape, kind = self.inputs[name].shape, self.inputs[name].type
            if len(shape) != _RANK or not all(isinstance(shape[axis], int) for axis in (1, 3)) or kind not in _TYPES:
                raise UnitError(f"{name} is {kind} {shape}; expected [batch, heads, positions, width] with fixed heads")
            if _present(name) not in outputs:
                raise UnitError(f"the graph takes cached keys and values but gives no {_present(name)}")

    def empty(self, batch: int) -> dict[str, Array]:
        """Caches of no positions."""
        found = {}
        for name in self.pasts:
            _, heads, _, width = self.inputs[name].shape
            found[name] = np.zeros((batch, heads, 0, width), dtype=_TYPES[self.inputs[name].type])
        return found

    def feed(self, ids_BT: Array, mask_BP: Array, cached: int = 0) -> dict[str, Array]:
        """Everything but the caches, for tokens behind so many cached positions."""
        positions_BT = np.broadcast_to(np.arange(cached, cached + ids_BT.shape[1]), ids_BT.shape)
        whole = {"input_ids": ids_BT, "attention_mask": mask_BP, "position_ids": positions_BT}
        if "use_cache_branch" in self.inputs:
            whole["use_cache_branch"] = np.full(self.inputs["use_cache_branch"].shape, bool(cached))
        return {
            name: np.ascontiguousarray(array, dtype=_TYPES[self.inputs[name].type])
            for name, array in whole.items()
            if name in self.inputs
        } | dict(self.settings)

    def run(self, feed: Mapping[str, Array]) -> Array:
        """The logits."""
        try:
            logits: Array = self.session.run([self.logits], feed)[0]
        except Exception as error:  # of any type
            raise UnitError(f"the graph fails on input_ids {feed['input_ids'].shape}: {one_line(error)}") from None
        return logits

    def step(self, feed: Mapping[str, Array], past: Mapping[str, Any]) -> tuple[Array, dict[str, Any]]:
        """The logits and the caches, which stay ONNX Runtime's own."""
        from onnxruntime import OrtValue

        given = {name: OrtValue.ortvalue_from_numpy(array) for name, array in feed.items()} | dict(past)
        try:
            logits, *present = self.session.run_with_ort_values([self.logits, *map(_present, self.pasts)], given)
        except Exception as error:  # of any type
            raise UnitError(f"the graph fails behind cached positions: {one_line(error)}") from None
        return logits.numpy(), dict(zip(self.pasts, present, strict=True))


def language(graph: Graph, weights: Path, inputs: Inputs, facts: Facts, threads: int) -> Model:
    """A causal model over a graph.

    Raises:
        InputError: no tokenizer beside the file.
        UnitError: inputs or caches that are not known.
    """
    graph.refuse_others()
    cached = len(graph.pasts) // 2
    notes = (f"generates with the cached keys and values of {cached} layers",) if cached else ()

    def logits_of(ids_BT: Array, mask_BT: Array) -> Array:
        return graph.run(graph.feed(ids_BT, mask_BT) | graph.empty(len(ids_BT)))

    generator = stepping(lambda: _begin(graph)) if cached else None
    return unrolled(logits_of, weights, inputs, replace(facts, notes=notes), threads=threads, generator=generator)


def _begin(graph: Graph) -> Step:
    """A new sequence, whose caches stay ONNX Runtime's own from step to step."""
    from onnxruntime import OrtValue

    past: dict[str, Any] = {name: OrtValue.ortvalue_from_numpy(array) for name, array in graph.empty(1).items()}

    def step(ids_1T: Ints, cached: int) -> Array:
        mask = np.ones((1, cached + ids_1T.shape[1]), dtype=np.int64)
        logits, present = graph.step(graph.feed(ids_1T, mask, cached), past)
        past.update(present)
        return logits

    return step


def _present(past: str) -> str:
    return _PRESENT + past.removeprefix(_PAST)

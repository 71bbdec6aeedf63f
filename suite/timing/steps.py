"""Steps: one call of a loaded model, through the callable that also answers the quality tasks.

Vision: the loader's forward, without stacking before and softmax after it. Language: the runtime's body and head, and
its generator. What has none of these (ensembles, closed-form fakes) is timed through its public method.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from suite.errors import UnitError
from suite.timing.scenario import Scenario

Step = Callable[[], list[float]]
"""Makes one call; gives the times (`time.perf_counter`) at which new tokens came, if it makes any."""
_VOCABULARY = 256


def step_of(model: Any, scenario: Scenario, batch: int, shape: tuple[int, ...] | None, seed: int = 0) -> Step:
    """The call that a scenario times.

    Args:
        model: loaded.
        scenario: what of it.
        batch: items of a call.
        shape: vision: of one input.
        seed: of the inputs: standard normal arrays, uniform token ids.

    Raises:
        UnitError: the model has no such call.
    """
    rng = np.random.default_rng(seed)
    if scenario.tokens:
        vocabulary = model.facts.vocabulary or _VOCABULARY
        ids_BT = rng.integers(0, vocabulary, (batch, scenario.tokens), dtype=np.int64)
        return _language(model, ids_BT, scenario)
    if shape is None:
        raise UnitError("no size of its input is fixed; state inputs.shape in the manifest")
    return _vision(model, rng.standard_normal((batch, *shape), dtype=np.float32))


def _vision(model: Any, items: Any) -> Step:
    forward = getattr(model, "forward", None)
    if forward is None:
        answer = model.segment if hasattr(model, "segment") else model.predict_proba
        return _silent(lambda: answer(list(items)))
    size = getattr(model, "batch", None) or len(items)
    short = -len(items) % size
    parts = np.split(np.concatenate([items, items[:1].repeat(short, axis=0)]), (len(items) + short) // size)

    def call() -> None:
        for part in parts:
            forward(part)

    return _silent(call)


def _language(model: Any, ids_BT: Any, scenario: Scenario) -> Step:
    runtime = getattr(model, "runtime", None)
    if not hasattr(model, "token_logprobs"):
        raise UnitError("masked language models are not timed; prefill and decode are those of causal models")
    if runtime is None:
        if scenario.new:
            prompts, limits = ["a" * scenario.tokens], [scenario.new]
            return _silent(lambda: model.generate(prompts, [[]], limits))
        rows = list(ids_BT)
        return _silent(lambda: model.token_logprobs(rows))
    return _decode(model, runtime, ids_BT, scenario.new) if scenario.new else _prefill(runtime, ids_BT)


def _prefill(runtime: Any, ids_BT: Any) -> Step:
    """Logits of the last position of every row."""
    import torch

    tokens_BT = torch.from_numpy(ids_BT)

    def call() -> None:
        with torch.no_grad():
            runtime.head(runtime.body(tokens_BT, None)[:, -1])

    return _silent(call)


def _decode(model: Any, runtime: Any, ids_BT: Any, new: int) -> Step:
    """Greedy tokens one after the other, as many as asked for whatever they are."""
    import torch

    from suite.formats._generate import recomputing

    generator: Any = model.generator or recomputing(runtime)
    more = {"least": new} if "least" in inspect.signature(generator).parameters else {}
    tokens_BT = torch.from_numpy(ids_BT)
    mask_BT = torch.ones_like(tokens_BT)

    def step() -> list[float]:
        stamps: list[float] = []

        def ended(_: list[int]) -> bool:
            stamps.append(time.perf_counter())
            return False

        with torch.no_grad():
            made = len(generator(tokens_BT, mask_BT, new, ended, **more)[0])
        if made != new:
            raise UnitError(f"it ended after {made} of {new} tokens, so that decoding cannot be timed")
        return [*stamps[: new - 1], time.perf_counter()] if len(stamps) < new else stamps

    return step


def _silent(call: Callable[[], Any]) -> Step:
    def step() -> list[float]:
        call()
        return []

    return step

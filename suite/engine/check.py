"""The self-check at load time: which way of sharing gives a model's own numbers, on requests made of its vocabulary.

Shared and plain scores are compared on requests that share prefixes in every way that the engine uses. Models for which
a mask or a cache is not exact (biases by key index, recurrent states, kernels that ignore masks) are found by their
numbers, not by their names. Masks know nothing of sliding windows: a model with one of up to ``_REACH`` tokens is tried
with caches alone, on contexts that reach beyond it. What is longer than a wider window, or than the length at which
rotary frequencies switch, is left to the plain path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from suite.engine.plain import Plain
from suite.engine.runtime import Runtime
from suite.engine.scorer import TOLERANCE, Mode, Shared
from suite.engine.trie import Costs
from suite.model import Float, Ints

_ROUNDING = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
_NOISE = 4  # times what the plain path itself moves when its batches change
_FRACTION = 0.1  # of what another context would change: in 16 bit, rounding must not hide a wrong one
_REACH = 1024
_LONGEST = 48  # tokens of the longest short request
_ALONE = "engine plain, one request a forward"
_COSTS = Costs(prefix=4, saved=1, branches=3, pack=32, tokens=160, cells=1 << 14)

Request = tuple[Ints, int]


@dataclass(frozen=True)
class Verdict:
    """The way that a model takes.

    Attributes:
        engine: ``tree``, ``kv`` or ``plain``.
        shared: scores requests; ``None`` for ``plain``.
        note: for the record: the largest difference seen, and the one allowed.
        alone: answers depend on the batch, so that every request needs a forward of its own.
    """

    engine: str
    shared: Shared | None
    note: str
    alone: bool = False


def choose(runtime: Runtime, vocabulary: int, context: int, config: Mapping[str, Any]) -> Verdict:
    """The fastest way of sharing that is exact for a model.

    Args:
        runtime: the model.
        vocabulary: ids that it knows.
        context: the most tokens of one sequence.
        config: its configuration, searched for windows.
    """
    if _mixes(config):
        return Verdict("plain", None, f"{_ALONE}: its activations are quantised on the fly", alone=True)
    if runtime.forward is None or context < _LONGEST // 2:
        return unshared(runtime, vocabulary, context)
    window, limit = _windows(config, context)
    calls = list(_calls(vocabulary, context, window))
    requests = [request for call in calls for request in call]
    expected = _alone(Plain(runtime, vocabulary), requests)
    moved = _gap(_sums(Plain(runtime, vocabulary), [requests]), expected)
    allowed, rounding = _allowed(runtime, vocabulary, requests, expected, moved)
    if moved > rounding:
        return _by_itself(moved, len(requests))
    seen = [f"no tree for a window of {window} tokens"] if window else []
    modes: tuple[Mode, ...] = ("kv",) if window else ("tree", "kv")
    for mode in modes:
        try:
            gap = _gap(_sums(Shared(runtime, vocabulary, mode, costs=_COSTS), calls), expected)
        except Exception as error:  # a model may refuse masks or caches in any way it likes
            seen.append(f"{mode} fails ({type(error).__name__})")
            continue
        seen.append(f"{mode} differs from plain by {gap:.1e}")
        if gap <= allowed:
            note = f"engine {mode} for shared prefixes: {_seen(seen, requests, allowed)}"
            beyond = "" if limit is None else f"; plain beyond {limit} tokens"
            return Verdict(mode, Shared(runtime, vocabulary, mode, limit, allowed), note + beyond)
    return Verdict("plain", None, f"engine plain: {_seen(seen, requests, allowed)}")


def unshared(runtime: Runtime, vocabulary: int, context: int) -> Verdict:
    """The plain path of a runtime without masks and caches: in batches, unless answers depend on them.

    Args:
        runtime: the model.
        vocabulary: ids that it knows.
        context: the most tokens of one sequence.
    """
    requests = [request for call in _calls(vocabulary, context, 0) for request in call]
    requests = [request for request in requests if len(request[0]) <= context + 1]
    if not requests:
        return Verdict("plain", None, "engine plain: its context is too short to try batches")
    expected = _alone(Plain(runtime, vocabulary), requests)
    moved = _gap(_sums(Plain(runtime, vocabulary), [requests]), expected)
    rounding = _allowed(runtime, vocabulary, requests, expected, moved)[1]
    if moved > rounding:
        return _by_itself(moved, len(requests))
    return Verdict("plain", None, f"engine plain: batches move answers by {moved:.1e} on {len(requests)} requests")


def _by_itself(moved: float, count: int) -> Verdict:
    said = f"{_ALONE}: batches move its answers by {moved:.1e} nats on {count} requests"
    return Verdict("plain", None, said, alone=True)


def _mixes(config: Mapping[str, Any]) -> bool:
    """Whether activations are quantised on the fly, so that rounding of another batch can move them a whole step.

    LLM.int8() also splits off columns of activations that exceed a threshold anywhere in the batch.
    """
    found = config.get("quantization_config")
    if not isinstance(found, Mapping):
        return False
    groups = found.get("config_groups")
    rows = groups.values() if isinstance(groups, Mapping) else ()
    return (
        (found.get("quant_method") == "bitsandbytes" and bool(found.get("load_in_8bit")))
        or "DynamicActivation" in str(found.get("quant_type"))
        or any(isinstance(row, Mapping) and bool(row.get("input_activations")) for row in rows)
    )


def _seen(seen: list[str], requests: list[Request], allowed: float) -> str:
    return f"{', '.join(seen)} on {len(requests)} requests, allowed {allowed:.1e}"


def _windows(config: Mapping[str, Any], context: int) -> tuple[int, int | None]:
    """The widest window that requests must go beyond (0: none), and the length up to which sharing is trusted."""
    sizes = [number for key, number in _numbers(config) if "window" in key or key == "attention_chunk_size"]
    sizes = [size for size in sizes if 0 < size < context]
    wide = [size for size in sizes if size > _REACH]
    wide += [
        number for key, number in _numbers(config) if key == "original_max_position_embeddings" and number < context
    ]
    near = [size for size in sizes if size <= _REACH]
    return max(near, default=0), min(wide, default=None)


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _numbers(value)
        elif isinstance(value, int) and not isinstance(value, bool) and key != "max_window_layers":
            yield key, value


def _calls(vocabulary: int, context: int, window: int) -> Iterator[list[Request]]:
    """Calls of requests: a shared prefix with several contexts and choices, a shorter one, none, a long one."""
    draw = np.random.default_rng(0)
    longest = min(_LONGEST, context + 1)

    def ids(length: int) -> Ints:
        return draw.integers(0, vocabulary, size=length)

    block = ids(longest // 2)
    yield [request for extra in (1, 5, 6) for request in _item(ids, np.concatenate([block, ids(extra)]), longest)]
    yield [request for extra in (2, 4) for request in _item(ids, np.concatenate([block[:-4], ids(extra)]), longest)][
        ::2
    ]
    yield _item(ids, ids(1), longest)[:3]
    if window:
        longest = min(window + window // 2 + _LONGEST, context + 1)
        block = ids(longest - _LONGEST // 2)
        yield [request for extra in (3, 6) for request in _item(ids, np.concatenate([block, ids(extra)]), longest)[2:4]]


def _item(ids: Any, context: Ints, longest: int) -> list[Request]:
    """One context with choices of 1, 1, 4, 4 (the first two tokens shared) and 9 tokens, as far as they fit."""
    stem = ids(2)
    choices = [ids(1), np.concatenate([stem, ids(2)]), np.concatenate([stem, ids(2)]), ids(9), ids(1)]
    return [(np.concatenate([context, choice]), len(choice))
            for choice in (choice[: max(1, longest - len(context))] for choice in choices)]  # fmt: skip


def _sums(scorer: Plain | Shared, calls: list[list[Request]]) -> Float:
    """Summed log-probability of every request, call by call."""
    scored = [answer for call in calls for answer in scorer.score(*zip(*call, strict=True))]
    return np.array([scores.logprobs_T.sum() for scores in scored])


def _alone(plain: Plain, requests: list[Request]) -> Float:
    return _sums(plain, [[request] for request in requests])


def _gap(found: Float, expected: Float) -> float:
    """The largest difference; not a number where one of them is none."""
    return float(np.abs(found - expected).max())


def _allowed(
    runtime: Runtime, vocabulary: int, requests: list[Request], expected: Float, moved: float
) -> tuple[float, float]:
    """The largest difference that may come of sharing, and the largest that may come of batches, if both are rounding.

    In float32 the first is `TOLERANCE`, or more if the plain path itself moves more between batch sizes; in 16 bit also
    a fraction of what the dtype resolves. What moves more than the second quantises its activations by the batch.
    """
    plain = Plain(runtime, vocabulary)
    allowed = max(TOLERANCE, _NOISE * moved)
    rounding = _rounding(runtime)
    if not rounding:
        return allowed, _NOISE * TOLERANCE
    others = [(np.concatenate([ids_T[:-tail][::-1], ids_T[-tail:]]), tail) for ids_T, tail in requests]
    changed = float(np.abs(_sums(plain, [others]) - expected).mean())
    size, most = rounding * float(np.abs(expected).mean()), _FRACTION * changed
    return max(TOLERANCE, min(most, max(allowed, size))), max(TOLERANCE, min(most, _NOISE * size))


def _rounding(runtime: Runtime) -> float:
    """Relative rounding of the features' dtype in 16 bit; 0 in 32."""
    import torch

    with torch.no_grad():
        dtype = runtime.body(torch.zeros((1, 2), dtype=torch.int64), None).dtype
    return _ROUNDING.get(str(dtype).removeprefix("torch."), 0.0)

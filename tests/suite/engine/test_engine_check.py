"""The self-check: right ways are taken, wrong ones found by their numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from engine_samples import ARCHITECTURES, CONTEXT, QUIET, Maker, assert_same, build, naive, runtime

from suite.engine import check
from suite.engine.runtime import Runtime, transformers_forward

pytestmark = QUIET

VOCABULARY = 120


def judge(model: Any, context: int = CONTEXT) -> check.Verdict:
    return check.choose(runtime(model), VOCABULARY, context, model.config.to_dict())


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_every_architecture_finds_its_way(name: str) -> None:
    model = build(name)
    verdict = judge(model)
    assert verdict.engine == ARCHITECTURES[name][0], verdict.note
    assert (verdict.shared is None) == (verdict.engine == "plain")
    if verdict.shared is not None:
        sequences, tails = Maker(7).mixture()
        assert_same(verdict.shared.score(sequences, tails), naive(model, sequences, tails))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["llama", "gpt2", "mistral", "gemma2", "mpt"])
def test_sixteen_bit(name: str, dtype: torch.dtype) -> None:
    assert judge(build(name).to(dtype)).engine == ARCHITECTURES[name][0]


def test_the_note_says_what_was_seen() -> None:
    note = judge(build("mistral")).note
    assert note.startswith("engine kv for shared prefixes: no tree for a window of 16 tokens, kv differs from plain by")
    assert note.endswith("allowed 2.0e-04")
    assert judge(build("llama")).note.startswith("engine tree for shared prefixes: tree differs from plain by")
    assert judge(build("bloom")).note.startswith("engine kv for shared prefixes: tree ")
    assert "tree fails (" in judge(build("mamba")).note


class Wrapped(torch.nn.Module):
    """A body whose inputs are changed on the way."""

    def __init__(self, model: Any, change: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self.model, self.change = model, change

    def forward(self, **inputs: Any) -> Any:
        self.change(inputs)
        return self.model.base_model(**inputs)


def spoilt(model: Any, change: Callable[[dict[str, Any]], None]) -> Runtime:
    good = runtime(model)
    forward = transformers_forward(Wrapped(model, change), "last_hidden_state", model.device, model.dtype)
    return Runtime(good.body, good.head, 0, forward)


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda inputs: inputs.update({name: None}) if name in inputs else None


def forgetful(inputs: dict[str, Any]) -> None:
    """Drops the cache, as a model without one that takes any keyword."""
    if inputs.get("past_key_values") is not None:
        inputs["past_key_values"] = None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("change", "engine"),
    [(without("attention_mask"), "kv"), (without("position_ids"), "kv"), (forgetful, "plain")],
)
def test_a_model_that_ignores_what_it_is_given(change: Any, engine: str, dtype: torch.dtype) -> None:
    model = build("llama").to(dtype)
    verdict = check.choose(spoilt(model, change), VOCABULARY, CONTEXT, model.config.to_dict())
    assert verdict.engine == engine, verdict.note


def test_a_cache_that_is_a_little_wrong() -> None:
    """Keys rounded to eight bits: no mode is exact, so the plain path is taken."""
    model = build("llama")
    from suite.engine import cache

    class Rounded(torch.nn.Module):
        def forward(self, **inputs: Any) -> Any:
            held = inputs.get("past_key_values")
            for layer in [] if held is None else held.layers:
                layer.parts = [((keys * 16).round() / 16, values, rows) for keys, values, rows in layer.parts]
            return model.base_model(**inputs)

    assert cache is not None
    good = runtime(model)
    forward = transformers_forward(Rounded(), "last_hidden_state", model.device, model.dtype)
    verdict = check.choose(Runtime(good.body, good.head, 0, forward), VOCABULARY, CONTEXT, model.config.to_dict())
    assert (verdict.engine, verdict.shared) == ("plain", None)


class TestWindows:
    def test_requests_reach_beyond_a_window(self) -> None:
        requests = [request for call in check._calls(VOCABULARY, 4096, 900) for request in call]
        assert max(len(ids) for ids, _ in requests) > 900 + 30

    def test_none_is_longer_than_the_context(self) -> None:
        for context in range(24, 100):
            for window in (0, 8, context - 1):
                requests = [request for call in check._calls(VOCABULARY, context, window) for request in call]
                assert max(len(ids) for ids, _ in requests) <= context + 1
                assert all(1 <= tail < len(ids) for ids, tail in requests)

    def test_wide_windows_limit_sharing(self) -> None:
        assert check._windows({"sliding_window": 4096, "max_window_layers": 3}, 8192) == (0, 4096)
        assert check._windows({"sliding_window": 4096}, 4096) == (0, None)
        assert check._windows({"text_config": {"sliding_window": 512}, "use_sliding_window": True}, 8192) == (512, None)
        assert check._windows({"rope_scaling": {"original_max_position_embeddings": 4096}}, 131072) == (0, 4096)
        assert check._windows({"attention_chunk_size": 8192, "sliding_window": None}, 32768) == (0, 8192)

    def test_beyond_the_limit_sharing_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(check, "_REACH", 8)
        verdict = judge(build("mistral", sliding_window=70))
        assert verdict.engine == "tree"
        assert "plain beyond 70 tokens" in verdict.note
        assert verdict.shared is not None
        assert [verdict.shared.takes(Maker().ids(n)) for n in (71, 72)] == [True, False]


def test_nothing_to_share_with() -> None:
    good = runtime(build("llama"))
    bare = Runtime(good.body, good.head)
    assert check.choose(bare, VOCABULARY, CONTEXT, {}).engine == "plain"
    assert check.choose(good, VOCABULARY, 10, {}).engine == "plain"
    assert check.choose(good, VOCABULARY, 24, {}).engine == "tree"


def test_numbers_that_are_none() -> None:
    good = runtime(build("llama"))
    broken = Runtime(good.body, lambda rows: good.head(rows) * float("nan"), 0, good.forward)
    assert check.choose(broken, VOCABULARY, CONTEXT, {}).engine == "plain"

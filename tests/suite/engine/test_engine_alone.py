"""Models whose activations are quantised by the batch: one request a forward, so that no answer depends on another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from engine_samples import CONTEXT, QUIET, VOCABULARY, Maker, build, runtime

from suite.engine import check
from suite.engine.plain import Plain
from suite.engine.runtime import Runtime

pytestmark = QUIET


def by_batch(model: Any) -> Any:
    """Every linear layer but the head rounds its input to int8 with one scale for the whole batch."""

    def rounded(_: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        step = given[0].abs().max() / 127
        return ((given[0] / step).round() * step, *given[1:])

    for module in model.base_model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(rounded)
    return model


def requests() -> tuple[list[Any], list[int]]:
    draw = Maker()
    sequences = [draw.ids(length) for length in (12, 11, 30, 12, 25, 40)]
    return sequences, [3] * len(sequences)


def test_they_are_found_by_their_numbers() -> None:
    model = by_batch(build("llama"))
    verdict = check.choose(runtime(model), VOCABULARY, CONTEXT, model.config.to_dict())
    assert (verdict.engine, verdict.alone, verdict.shared) == ("plain", True, None)
    assert "one request a forward: batches move its answers by" in verdict.note


def test_also_without_masks_and_caches() -> None:
    whole = runtime(by_batch(build("llama")))
    verdict = check.choose(Runtime(whole.body, whole.head), VOCABULARY, CONTEXT, {})
    assert verdict.alone
    good = runtime(build("llama"))
    assert not check.choose(Runtime(good.body, good.head), VOCABULARY, CONTEXT, {}).alone
    assert not check.unshared(Runtime(good.body, good.head), VOCABULARY, 8).alone


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ordinary_models_keep_their_batches(dtype: torch.dtype) -> None:
    model = build("llama").to(dtype)
    assert not check.choose(runtime(model), VOCABULARY, CONTEXT, model.config.to_dict()).alone


def test_alone_no_answer_depends_on_another() -> None:
    whole = runtime(by_batch(build("llama")))
    sequences, tails = requests()
    for alone in (True, False):
        plain = Plain(Runtime(whole.body, whole.head, alone=alone), VOCABULARY)
        together = plain.score(sequences, tails)
        gaps = [np.abs(one.logprobs_T - plain.score([s], [3])[0].logprobs_T).max()
                for one, s in zip(together, sequences, strict=True)]  # fmt: skip
        assert bool(max(gaps) == 0) == alone, "without it, they do"


@pytest.mark.parametrize(
    "config",
    [
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8DynamicActivationInt8WeightConfig"}}},
        {"quant_method": "compressed-tensors", "config_groups": {"g": {"input_activations": {"num_bits": 8}}}},
    ],
)
def test_activations_quantised_on_the_fly_are_known_by_their_configuration(config: dict[str, Any]) -> None:
    good = runtime(build("llama"))
    assert check.choose(good, VOCABULARY, CONTEXT, {"quantization_config": config}).alone


def test_quantised_weights_alone_are_not() -> None:
    good = runtime(build("llama"))
    group = {"quant_method": "compressed-tensors", "config_groups": {"g": {"input_activations": None}}}
    assert not check.choose(good, VOCABULARY, CONTEXT, {"quantization_config": group}).alone
    assert not check.choose(good, VOCABULARY, CONTEXT, {"quantization_config": {"quant_method": "gptq"}}).alone

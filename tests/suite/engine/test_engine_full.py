"""Whole distributions of a span: those of one forward of the whole model, however the spans are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from engine_samples import CONTEXT, QUIET, VOCABULARY, build, runtime

from suite.engine.full import Full
from suite.engine.runtime import Runtime
from suite.errors import AnswerError
from suite.formats._language import CausalModel
from suite.model import Facts

pytestmark = QUIET

IDS = np.random.default_rng(0).integers(0, VOCABULARY, 50)
FACTS = Facts("float32", context=CONTEXT, vocabulary=VOCABULARY)


def whole(model: Any, ids: Any) -> Any:
    with torch.no_grad():
        return model(torch.from_numpy(ids)[None]).logits[0, :-1].double().log_softmax(-1).numpy()


@pytest.mark.parametrize("name", ["llama", "gpt2", "granite", "gemma2", "mistral", "bloom", "mamba"])
def test_spans_are_rows_of_the_whole_model_s_answer(name: str) -> None:
    """Soft-capped, scaled, windowed and recurrent models included."""
    model = build(name)
    expected, full = whole(model, IDS), Full(runtime(model))
    parts = [full.span(IDS, start, min(start + 17, 49)) for start in range(0, 49, 17)]
    assert {part.dtype for part in parts} == {np.dtype(np.float32)}
    found = np.concatenate(parts)
    assert found.shape == (49, VOCABULARY)
    assert np.abs(found - expected).max() < 1e-4
    assert np.exp(found.astype(np.float64)).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_the_true_tokens_have_the_log_probabilities_that_scoring_gives_them() -> None:
    wrapped = CausalModel(FACTS, None, runtime(build("llama")))
    (rows,) = wrapped.distributions([IDS], [(0, 49)])
    (scores,) = wrapped.token_logprobs([IDS])
    assert rows[np.arange(49), IDS[1:]] == pytest.approx(scores.logprobs_T, abs=1e-5)
    assert rows.max(axis=1) == pytest.approx(scores.top_logprobs_T, abs=1e-5)


def test_the_body_runs_once_a_sequence_and_never_for_another_s_tokens() -> None:
    computes, asked = runtime(build("llama")), []

    def body(ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        asked.append(ids.shape[1])
        return computes.body(ids, mask)

    full = Full(Runtime(body, computes.head))
    first = full.span(IDS, 0, 20)
    full.span(IDS.copy(), 20, 49)
    assert asked == [49]
    other = IDS.copy()
    other[0] = (other[0] + 1) % VOCABULARY
    assert np.abs(full.span(other, 0, 20) - first).max() > 1e-3
    assert asked == [49, 49]
    assert (full.span(IDS, 0, 20) == first).all()
    changed = IDS.copy()
    kept = full.span(changed, 0, 20)
    changed[0] = other[0]  # the caller's array changes: what was kept must not pass for it
    assert np.abs(full.span(changed, 0, 20) - kept).max() > 1e-3


def test_ids_that_the_model_has_not_name_their_sequence() -> None:
    wrapped = CausalModel(FACTS, None, runtime(build("llama")))
    with pytest.raises(AnswerError) as caught:
        wrapped.distributions([IDS, IDS + VOCABULARY], [(0, 4), (0, 4)])
    assert caught.value.index == 1

"""Requests of lm-evaluation-harness answered by a `LanguageModel`; and that model as an ``lm_eval.api.model.LM``.

``lm_eval.simple_evaluate(model=engine_lm(model), tasks=[...])`` gives lm-eval's own report, computed by our engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from suite.metrics.calibration import top_bins
from suite.model import LanguageModel

MAX_NEW_TOKENS = 256  # lm-eval's default where a task states none
_LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")  # lm-eval's order of precedence

Answers = list[dict[str, Any]]


def continuations(model: LanguageModel, requests: Sequence[Any]) -> Answers:
    """(context, continuation) -> answer (log-probability, is_greedy), n_tokens."""
    scored = model.choice_logprobs([context for context, _ in requests], [[after] for _, after in requests])
    return [
        {"answer": (float(one.logprobs_K[0]), bool(one.greedy_K[0])), "n_tokens": int(one.n_tokens_K[0])}
        for one in scored
    ]


def texts(model: LanguageModel, requests: Sequence[Any]) -> Answers:
    """(text,) -> answer log-probability of the whole text, nll, n_tokens, n_bytes, reliability bins of its tokens."""
    found = []
    for (text,), scores in zip(requests, model.document_logprobs([text for (text,) in requests]), strict=True):
        nll = -float(scores.logprobs_T.sum())
        bins = top_bins(np.exp(scores.top_logprobs_T), scores.greedy_T).sum(axis=0)
        found.append(
            {
                "answer": -nll,
                "nll": nll,
                "n_tokens": len(scores.logprobs_T),
                "n_bytes": len(text.encode()),
                "token_bins": bins,
            }
        )
    return found


def generations(model: LanguageModel, requests: Sequence[Any]) -> Answers:
    """(prompt, generation_kwargs) -> answer text."""
    stops, limits = [], []
    for _, options in requests:
        until = options.get("until") or []
        stops.append([until] if isinstance(until, str) else list(until))
        limits.append(next((int(options[key]) for key in _LIMITS if options.get(key) is not None), MAX_NEW_TOKENS))
    return [{"answer": text} for text in model.generate([prompt for prompt, _ in requests], stops, limits)]


ANSWERS: Mapping[str, Callable[[LanguageModel, Sequence[Any]], Answers]] = {
    "multiple_choice": continuations,
    "loglikelihood": continuations,
    "loglikelihood_rolling": texts,
    "generate_until": generations,
}


def engine_lm(model: LanguageModel) -> Any:
    """The model as lm-eval's ``LM``; lm-eval must be installed."""
    from lm_eval.api.model import LM

    class Engine(LM):  # type: ignore[misc]
        """Greedy generation and log-likelihoods of one model; no chat template."""

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            return [one["answer"] for one in continuations(model, [r.args for r in requests])]

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            return [one["answer"] for one in texts(model, [r.args for r in requests])]

        def generate_until(self, requests: list[Any]) -> list[str]:
            return [one["answer"] for one in generations(model, [r.args for r in requests])]

    return Engine()

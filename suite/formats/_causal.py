"""Causal models as the harness asks them: those that transformers has loaded, and graphs that give all logits.

Shape suffixes: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from suite.engine import check
from suite.engine.runtime import transformers_forward
from suite.errors import HallmarkError, InputError, UnitError
from suite.formats._errors import one_line
from suite.formats._generate import Generator, caching
from suite.formats._language import CausalModel, Runtime
from suite.formats._tokenizer import check_tokenizer, config_context, context_of, load_tokenizer, positions
from suite.formats._torch import expanded, held_dtypes, observed_dtype
from suite.manifest import Inputs
from suite.model import Array, Facts

if TYPE_CHECKING:
    import torch

_HEAD_TOLERANCE = 1e-4
_PROBE_TOKENS = 8
_CUDA_TOKENS = 16384  # of one forward


def causal(
    model: Any, tokens: Path | Any, inputs: Inputs, stored: Mapping[str, int], notes: tuple[str, ...] = ()
) -> CausalModel:
    """A model of transformers as the harness asks it.

    Args:
        model: loaded, in evaluation mode.
        tokens: the tokenizer, or its folder.
        inputs: the manifest's input section.
        stored: dtype to its bytes in the files.
        notes: for the record.

    Raises:
        InputError: the manifest asks for more context than the model has.
        UnitError: it fails on its first tokens, or the tokenizer does not fit.
    """
    tokenizer = load_tokenizer(tokens) if isinstance(tokens, Path) else tokens
    context = context_of(inputs, positions(model.config.to_dict()))
    try:
        runtime, vocabulary = parted(model)
    except HallmarkError:
        raise
    except Exception as error:
        raise UnitError(f"the model fails on its first tokens: {type(error).__name__}: {one_line(error)}") from None
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > min(rows, vocabulary) and max(tokenizer.get_vocab().values()) >= min(rows, vocabulary):
        raise UnitError(
            f"the tokenizer has {len(tokenizer)} ids, the model only {min(rows, vocabulary)}; they do not fit"
        )
    observed = observed_dtype(model)
    codes = expanded(stored, held_dtypes(model))
    stated = (f"storage only: {codes} weights are expanded to {observed} by this runtime",) if codes else ()
    verdict = check.choose(runtime, min(rows, vocabulary), context, model.config.to_dict())
    notes = (*notes, verdict.note, *stated)
    runtime = replace(runtime, alone=verdict.alone)
    facts = Facts(observed, verdict.engine, context, vocabulary, tokenizer.bos_token_id, notes)
    return CausalModel(facts, tokenizer, runtime, verdict.shared, generator=caching(model))


def unrolled(
    logits_of: Callable[[Array, Array], Array],
    weights: Path,
    inputs: Inputs,
    facts: Facts,
    *,
    threads: int,
    generator: Generator | None = None,
) -> CausalModel:
    """A model of a graph that gives the logits of whole sequences, as the harness asks it.

    Args:
        logits_of: token ids [B, T] and their mask [B, T], both of 64-bit integers, to logits [B, T, V].
        weights: the folder with the graph, its tokenizer and perhaps its config.json.
        inputs: the manifest's input section.
        facts: dtype and notes.
        threads: of the softmax; the graph's runtime has its own.
        generator: continues prompts with the graph's own cache; None: the whole sequence once more for every token.

    Raises:
        InputError: no tokenizer beside the graph, or more context asked for than the model has.
        UnitError: the graph fails on its first tokens.
    """
    import torch

    if not weights.is_dir():
        raise InputError(f"{weights.name}: a language model needs its tokenizer beside it; make weights the folder")
    torch.set_num_threads(threads)
    context = context_of(inputs, config_context(weights))

    def body(ids_BT: torch.Tensor, mask_BT: torch.Tensor | None) -> torch.Tensor:
        ids = ids_BT.numpy()
        return torch.from_numpy(logits_of(ids, np.ones_like(ids) if mask_BT is None else mask_BT.numpy()))

    vocabulary = int(body(torch.zeros((1, 2), dtype=torch.int64), None).shape[-1])
    check_tokenizer(weights, vocabulary)
    tokenizer = load_tokenizer(weights)
    runtime = Runtime(body, lambda rows: rows, width=vocabulary)
    verdict = check.unshared(runtime, vocabulary, context)
    facts = Facts(facts.dtype, "plain", context, vocabulary, tokenizer.bos_token_id, (*facts.notes, verdict.note))
    return CausalModel(facts, tokenizer, replace(runtime, alone=verdict.alone), generator=generator)


def parted(model: Any) -> tuple[Runtime, int]:
    """Body and head of a model if they give its logits, else the whole model; and the width of the logits."""
    import torch

    device = model.device
    tokens = _CUDA_TOKENS if device.type == "cuda" else 0
    ids_BT = torch.arange(_PROBE_TOKENS).remainder(model.get_input_embeddings().weight.shape[0])[None, :]

    features = transformers_forward(model.base_model, "last_hidden_state", device, model.dtype)
    logits = transformers_forward(model, "logits", device, model.dtype)

    def body(ids_BT: torch.Tensor, _mask_BT: torch.Tensor | None) -> torch.Tensor:
        return features(ids_BT)  # padding comes last, where no causal model looks: no mask, as in lm-eval

    def whole(ids_BT: torch.Tensor, _mask_BT: torch.Tensor | None) -> torch.Tensor:
        return logits(ids_BT)

    with torch.no_grad():
        logits_TV = whole(ids_BT, None)[0].float()
        if bool(torch.isnan(logits_TV).any()):
            raise UnitError("the model's logits are not numbers; its weights are broken")
        gaps: list[tuple[float, Callable[[Any], Any]]] = []
        with contextlib.suppress(RuntimeError, AttributeError, TypeError, ValueError):  # another kind of model
            features_TD = body(ids_BT, None)[0]
            gaps = [(float((head(features_TD).float() - logits_TV).abs().max()), head) for head in _heads(model)]
    gap, head = min(gaps, key=lambda pair: pair[0], default=(math.inf, None))
    if head is not None and gap <= _HEAD_TOLERANCE * max(1.0, float(logits_TV.abs().max())):
        return Runtime(body, head, 0, features, tokens), logits_TV.shape[1]
    return Runtime(whole, lambda rows: rows, logits_TV.shape[1], logits, tokens), logits_TV.shape[1]


def _heads(model: Any) -> list[Callable[[Any], Any]]:
    """Ways in which models turn features into logits."""
    linear = model.get_output_embeddings()
    config = model.config.get_text_config()
    if linear is None or model.base_model is model:
        return []
    heads: list[Callable[[Any], Any]] = [linear]
    cap = getattr(config, "final_logit_softcapping", None)
    if cap:
        heads.append(lambda rows: (linear(rows) / cap).tanh() * cap)
    scale = getattr(config, "logit_scale", None)
    if isinstance(scale, (int, float)):
        heads.append(lambda rows: linear(rows) * scale)
    divisor = getattr(config, "logits_scaling", None)
    if isinstance(divisor, (int, float)):
        heads.append(lambda rows: linear(rows) / divisor)
    return heads

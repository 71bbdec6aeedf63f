"""Imported once by the server that forks the benchmark's processes: all libraries that a side loads on first use."""

from __future__ import annotations

import contextlib
import io
import os


def _warm() -> None:
    import shapes
    import torch

    torch.set_num_threads(1)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        from lm_eval.models.huggingface import HFLM

        from suite.engine import check
        from suite.formats._causal import parted

        tiny = shapes.model(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
        check.choose(*parted(tiny), shapes.CONTEXT, tiny.config.to_dict())
        theirs = HFLM(pretrained=tiny, tokenizer=shapes.tokenizer(), batch_size=1, max_length=shapes.CONTEXT)
        theirs._loglikelihood_tokens([(None, [1, 2], [3])], disable_tqdm=True)


if "HALLMARK_BENCH" in os.environ:
    _warm()

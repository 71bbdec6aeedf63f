"""Every request of lm-eval tasks, through lm-eval's Hugging Face backend and through our engine, one after the other.

    python tests/bench/parity.py --model $HALLMARK_DATA/lm_stories260k --task piqa --task winogrande --json

Prints the largest difference of a log-likelihood, how many `is_greedy` and how many accuracies differ, and CPU seconds.
Documents that lm-eval itself cannot score (a continuation longer than the model's context) are left out and counted.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")
TASKS = ("piqa", "winogrande", "openbookqa", "lambada_openai", "wikitext")
QUICK_DOCUMENTS = 40


def fits(lm: Any, document: Any) -> bool:
    """Whether lm-eval can score a document."""
    return all(
        len(request.args) == 1 or len(lm._encode_pair(*request.args)[1]) <= lm.max_length
        for request in document.requests
    )


def compare(name: str, ours: Any, theirs: Any, limit: int | None) -> dict[str, Any]:
    """One task on both sides."""
    from suite.engine import lm_eval

    leaf = lm_eval.Spec.find(name).leaves[0]
    found = lm_eval.documents(lm_eval.load(leaf))[:limit]
    kept = [document for document in found if fits(theirs, document)]
    requests = [request for document in kept for request in document.requests]
    rolling = leaf.output_type == "loglikelihood_rolling"
    engine = lm_eval.engine_lm(ours)
    sides, seconds = [], []
    for lm in (theirs, engine):
        start = time.process_time()
        method = lm.loglikelihood_rolling if rolling else lm.loglikelihood
        sides.append(method(requests))
        seconds.append(time.process_time() - start)
    pairs = list(zip(*sides, strict=True))
    reports = [_report(kept, side) for side in sides]
    return {
        "documents": len(kept),
        "left_out": len(found) - len(kept),
        "requests": len(requests),
        "max_abs_diff": max(abs(a - b) if rolling else abs(a[0] - b[0]) for a, b in pairs),
        "greedy_differs": 0 if rolling else sum(a[1] != b[1] for a, b in pairs),
        "documents_scored_differently": sum(a != b for a, b in zip(*reports, strict=True)) if not rolling else None,
        "acc": None if rolling else sum(one["acc"] for one in reports[1]) / len(kept),
        "cpu_s": {"lm_eval": round(seconds[0], 1), "ours": round(seconds[1], 1)},
        "cpu_ratio": round(seconds[0] / seconds[1], 2),
    }


def _report(documents: list[Any], answers: list[Any]) -> list[dict[str, Any]]:
    """lm-eval's accuracies of every document."""
    from suite.engine import lm_eval

    rest, found = iter(answers), []
    for document in documents:
        scored = lm_eval.results(document, [next(rest) for _ in document.requests])
        found.append({metric: value for (metric, _), value in scored.items() if metric.startswith("acc")})
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a transformers model")
    parser.add_argument("--task", action="append", help=f"lm-eval task, several times for several [{', '.join(TASKS)}]")
    parser.add_argument("--context", type=int, help="tokens of one sequence [the model's]")
    parser.add_argument("--limit", type=int, help="first documents only")
    parser.add_argument("--quick", action="store_true", help=f"the first {QUICK_DOCUMENTS} documents of each")
    parser.add_argument("--json", action="store_true", help="one object on the last line")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    from lm_eval.models.huggingface import HFLM

    from suite.formats import LOADERS
    from suite.formats.base import Place
    from suite.manifest import Inputs

    ours: Any = LOADERS["transformers"].load(
        chosen.model, "language", Inputs(context=chosen.context), Place(device="cpu", threads=1)
    )
    theirs = HFLM(pretrained=str(chosen.model), device="cpu", batch_size=8, max_length=ours.facts.context)
    limit = QUICK_DOCUMENTS if chosen.quick else chosen.limit
    found = {}
    for name in chosen.task or TASKS:
        found[name] = compare(name, ours, theirs, limit)
        print(name, found[name], flush=True)
    worst = max(one["max_abs_diff"] for one in found.values())
    print(json.dumps({"tasks": found, "max_abs_diff": worst, "engine": ours.facts.engine}) if chosen.json else worst)


if __name__ == "__main__":
    main()

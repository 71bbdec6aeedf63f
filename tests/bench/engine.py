"""lm-evaluation-harness's Hugging Face backend and our engine in turn, on the same model and the same requests.

    python tests/bench/engine.py [--quick] [--json]

One thread, processor time (wall time is printed beside it), each side of each shape in a process of its own whose peak
memory is read after it has scored. lm-eval's batch size is the fastest of 1, 8, 16 and 32 on 16 items. Floors hold for
the full run: `--quick` has too few items for a shared prefix to pay as much. The short rolling shape is timed thrice,
the sides in turn, and the least time of each counts; its scores are compared with lm-eval's in float64 (its
`softmax_dtype`), since a sum of 10,000 nats in float32 is known to 1e-3 only.

`body_share` is the part of our processor time that goes into the transformer's body, and `distinct` the tokens that
nobody can spare: those of each distinct prefix once.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parents[1])]
FLOORS = {"hellaswag": 2.3, "fixed_shots": 30.0, "drawn_shots": 4.5, "rolling": 1.0}
BATCH_SIZES = (1, 8, 16, 32)
CALL = 32  # items in one call of our engine, as a task's batches are
REPEATS = {"rolling": 3}
FULL = {"hellaswag": 300, "fixed_shots": 100, "drawn_shots": 40, "rolling": 12}
QUICK = {"hellaswag": 4, "fixed_shots": 2, "drawn_shots": 1, "rolling": 1}
TINY = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@dataclass(frozen=True)
class Job:
    """What one process does.

    Attributes:
        side: ``ours`` or ``theirs``.
        shape: name of a shape.
        items: how many.
        batch: sequences in one forward of theirs.
        profiled: whether to measure the share of the transformer's body, which slows it down.
        exact: whether theirs takes its log-softmax and sums in float64.
        tiny: whether the model has a few thousand parameters, to see that everything runs.
    """

    side: str
    shape: str
    items: int
    batch: int = 1
    profiled: bool = False
    exact: bool = False
    tiny: bool = False


def run(job: Job) -> dict[str, Any]:
    """Score the job's requests; called in a process of its own."""
    import shapes
    import torch

    from suite.probes.memory import peak_rss_bytes, rss_bytes

    torch.set_num_threads(1)
    made = shapes.SHAPES[job.shape](job.items)
    before = rss_bytes(os.getpid()) or 0
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        model = shapes.model(**(TINY if job.tiny else {}))
        side = _Ours(made, model) if job.side == "ours" else _Theirs(made, model, job)
        body = _timed_body(model) if job.profiled else [0.0]
        positions = _counted(model)
        wall, cpu = time.perf_counter(), time.process_time()
        scores = side.score()
        seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    peak = peak_rss_bytes(os.getpid()) or 0
    return {**seconds, "scores": scores, "peak_mb": max(1, peak - before) / 1e6, "positions": positions[0],
            "distinct": _distinct(made), "body_share": body[0] / seconds["cpu_s"]}  # fmt: skip


class _Theirs:
    """``HFLM`` of lm_eval, asked as its tasks ask it."""

    def __init__(self, shape: Any, model: Any, job: Job) -> None:
        import shapes
        import torch
        from lm_eval.models.huggingface import HFLM

        self.shape, self.batch = shape, job.batch
        self._lm = HFLM(
            pretrained=model, tokenizer=shapes.tokenizer(), batch_size=job.batch, max_length=shapes.CONTEXT,
            softmax_dtype=torch.float64 if job.exact else None,
        )  # fmt: skip

    def score(self) -> list[tuple[float, bool]]:
        requests = [(None, context, continuation) for item in self.shape.items for context, continuation in item]
        if not self.shape.rolling:
            return self._lm._loglikelihood_tokens(requests, disable_tqdm=True)
        answers = []
        for start in range(0, len(requests), self.batch):  # as loglikelihood_rolling does
            part = requests[start : start + self.batch]
            answers += self._lm._loglikelihood_tokens(part, disable_tqdm=True, override_bs=len(part))
        return answers


class _Ours:
    """A model as the loader of transformers folders makes it, without the folder."""

    def __init__(self, shape: Any, model: Any) -> None:
        import shapes

        from suite.engine import check
        from suite.formats._causal import parted
        from suite.formats._language import CausalModel
        from suite.model import Facts

        self.shape = shape
        runtime, vocabulary = parted(model)
        verdict = check.choose(runtime, vocabulary, shapes.CONTEXT, model.config.to_dict())
        facts = Facts("float32", verdict.engine, shapes.CONTEXT, vocabulary, 1, (verdict.note,))
        self._lm = CausalModel(facts, None, runtime, verdict.shared)

    def score(self) -> list[tuple[float, bool]]:
        import numpy as np

        answers = []
        if self.shape.rolling:
            windows = [np.array(context + window) for ((context, window),) in self.shape.items]
            return [
                (float(scores.logprobs_T.sum()), bool(scores.greedy_T.all()))
                for scores in self._lm.token_logprobs(windows)
            ]
        for start in range(0, len(self.shape.items), CALL):
            pairs = [pair for item in self.shape.items[start : start + CALL] for pair in item]
            scored = self._lm.score([np.array(a + b) for a, b in pairs], [len(b) for _, b in pairs])
            answers += [(float(scores.logprobs_T.sum()), bool(scores.greedy_T.all())) for scores in scored]
        return answers


def _counted(model: Any) -> list[int]:
    """Positions that the transformer's body computes, padding counted; filled as it computes."""
    seen = [0]

    def count(_module: Any, arguments: Any, named: Any) -> None:
        seen[0] += (arguments[0] if arguments else named["input_ids"]).numel()

    model.base_model.register_forward_pre_hook(count, with_kwargs=True)
    return seen


def _distinct(shape: Any) -> int:
    """Distinct prefixes of all requests."""
    import numpy as np

    from suite.engine.trie import Forest

    pairs = [pair for item in shape.items for pair in item]
    forest = Forest.of([np.array(a + b) for a, b in pairs], [len(b) for _, b in pairs])
    return forest.distinct(0, len(pairs), 0)


def _timed_body(model: Any) -> list[float]:
    """Processor seconds in the transformer's body, the head left out; filled as it computes."""
    spent, began = [0.0], [0.0]

    def enter(*_: Any) -> None:
        began[0] = time.process_time()

    def leave(*_: Any) -> None:
        spent[0] += time.process_time() - began[0]

    model.base_model.register_forward_pre_hook(enter)
    model.base_model.register_forward_hook(leave)
    return spent


class Runner:
    """Runs jobs in fresh processes that begin with the libraries imported."""

    def __init__(self) -> None:
        paths = [str(_HERE), str(_HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
        os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
        os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", HALLMARK_BENCH="1")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))  # of the fork server, which inherits all this
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["warm"])

    def __call__(self, job: Job) -> dict[str, Any]:
        here, there = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_send, args=(there, job))
        process.start()
        there.close()
        answer: dict[str, Any] = here.recv()
        process.join()
        return answer


def _send(pipe: Any, job: Job) -> None:
    pipe.send(run(job))


def compare(runner: Runner, shape: str, items: int, quick: bool, tiny: bool) -> dict[str, Any]:
    """One shape on both sides, in turn."""
    sizes = () if quick else BATCH_SIZES
    tried = {size: runner(Job("theirs", shape, min(16, items), size, tiny=tiny))["cpu_s"] for size in sizes}
    batch = min(tried, key=lambda size: tried[size], default=1 if shape == "rolling" else 8)
    turns = [(runner(Job("theirs", shape, items, batch, tiny=tiny)), runner(Job("ours", shape, items, tiny=tiny)))
             for _ in range(1 if quick else REPEATS.get(shape, 1))]  # fmt: skip
    theirs, ours = (min(side, key=lambda done: done["cpu_s"]) for side in zip(*turns, strict=True))
    right = runner(Job("theirs", shape, items, batch, exact=True, tiny=tiny)) if shape == "rolling" else theirs
    pairs = list(zip(right["scores"], ours["scores"], strict=True))
    return {
        "items": items,
        "batch_size": batch,
        "cpu_ratio": theirs["cpu_s"] / ours["cpu_s"],
        "wall_ratio": theirs["wall_s"] / ours["wall_s"],
        "memory_ratio": ours["peak_mb"] / theirs["peak_mb"],
        "max_abs_diff": max(abs(one[0] - two[0]) for one, two in pairs),
        "greedy_differs": sum(one[1] != two[1] for one, two in pairs),
        "cpu_s": [theirs["cpu_s"], ours["cpu_s"]],
        "peak_mb": [theirs["peak_mb"], ours["peak_mb"]],
        "positions": [theirs["positions"], ours["positions"]],
        "distinct": ours["distinct"],
    }


def body_share(runner: Runner, items: dict[str, int], tiny: bool) -> dict[str, float]:
    """How much of our processor time is the transformer's body."""
    return {shape: round(runner(Job("ours", shape, n, profiled=True, tiny=tiny))["body_share"], 3)
            for shape, n in items.items()}  # fmt: skip


def growth(runner: Runner, items: int, tiny: bool) -> dict[str, list[float]]:
    """Seconds, positions and distinct tokens of few-shot items at 1, 4 and 16 times as many."""
    done = [runner(Job("ours", "fixed_shots", items * times, tiny=tiny)) for times in (1, 4, 16)]
    return {"items": [items, 4 * items, 16 * items], "cpu_s": [round(one["cpu_s"], 3) for one in done],
            **{key: [one[key] for one in done] for key in ("positions", "distinct")}}  # fmt: skip


def show(shape: str, found: dict[str, Any]) -> None:
    """One line of the printout."""
    (theirs, ours), (before, after), (many, few) = found["cpu_s"], found["peak_mb"], found["positions"]
    print(
        f"{shape:12s} {found['items']:4d} items  batch {found['batch_size']:2d}  cpu {theirs:7.1f} s / {ours:6.1f} s ="
        f" {found['cpu_ratio']:5.2f}x (wall {found['wall_ratio']:.2f}x, floor {FLOORS[shape]}x)"
        f"  positions {many} / {few} (distinct {found['distinct']})  peak {before:.0f} / {after:.0f} MB"
        f"  difference {found['max_abs_diff']:.1e}, greedy {found['greedy_differs']}",
        flush=True,
    )


def main() -> None:
    """Run, print, and with `--json` end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--quick", action="store_true", help="a few items, under a minute; floors are not meant for it")
    parser.add_argument("--tiny", action="store_true", help="a model of a few parameters, to see that everything runs")
    parser.add_argument("--shape", choices=list(FLOORS), action="append", help="only these")
    options = parser.parse_args()
    counts = {shape: n for shape, n in (QUICK if options.quick else FULL).items() if shape in (options.shape or FLOORS)}
    runner, found = Runner(), {}
    for shape, items in counts.items():
        found[shape] = compare(runner, shape, items, options.quick, options.tiny)
        show(shape, found[shape])
    report: dict[str, Any] = {
        key: {shape: round(one[key], 3) for shape, one in found.items()} for key in ("cpu_ratio", "memory_ratio")
    }
    report["max_abs_diff"] = max(one["max_abs_diff"] for one in found.values())
    report["body_share"] = body_share(runner, counts, options.tiny)
    report["growth"] = growth(runner, 2 if options.quick else 8, options.tiny)
    print("body share", report["body_share"])
    print("growth", report["growth"])
    report.update(quick=options.quick, floors=FLOORS, shapes=found)
    if options.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()

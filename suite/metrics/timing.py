"""Speed, memory, energy and use of the machine, from raw samples of timed calls.

Outcome columns of one item, the lists with one entry a call that was timed in one burst (see `tasks.efficiency`):

    scenario            what was called
    call_seconds        wall time of each call of the model;  parent_call_seconds: of its parent, in the next burst
    call_cpu_seconds    processor time of all threads of the process in each call
    first_seconds       language: from the start to the first new token;  last_seconds: to the last one
    batch, units        items of a call, and what one item counts for the throughput (tokens of a prompt, or 1)
    threads, cores      that the runtime was given, and that the machine has
    load                the machine's 1-minute load average at the end of the burst
    alone               why there is no parent beside it; empty if there is one

A ratio is taken pair by pair: the median call of a burst over the median call of the parent's burst next to it; the
number is the median over pairs, and its interval resamples the pairs of processes that share them. Below 1 is faster
than the parent. Quantiles are of all kept calls: the smallest time that at least that share does not exceed
(``averaged_inverted_cdf`` of NumPy).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined
from suite.metrics.base import Columns, Metric

Floats = NDArray[np.float64]
Whole = Callable[[Columns], float]
_UNCOUNTED = "neither this runtime nor that of a parent of as many parameters says how many operations a call has"
_ONE = "one reading of one process: no interval"


def flat(columns: Columns, name: str) -> Floats:
    """All entries of a column of lists, one after the other."""
    parts = [np.asarray(part, dtype=np.float64) for part in columns[name]]
    return np.concatenate(parts) if parts else np.zeros(0)


def _medians(columns: Columns, name: str) -> Floats:
    """The median of each burst; they themselves, where `_by_burst` has put them in the lists' place."""
    values = columns[name]
    if values.dtype != object and values.ndim == 1:
        return np.asarray(values, dtype=np.float64)
    return np.array([np.median(part) if len(part) else np.nan for part in values])


def _by_burst(columns: Columns) -> Columns:
    """Medians in the place of the lists, taken once and not for every resample."""
    return {**columns, **{f"{side}call_seconds": _call(columns, side) for side in _SIDES}}


def _by_token(columns: Columns) -> Columns:
    """Seconds from first to last token, by burst, in the place of both lists."""
    spans = {f"{side}last_seconds": _spans(columns, side) for side in _SIDES}
    return {**columns, **spans, **{f"{side}first_seconds": np.zeros(len(columns["new"])) for side in _SIDES}}


def quantile(level: float, name: str = "call_seconds") -> Whole:
    """A quantile of all kept calls, s."""

    def whole(columns: Columns) -> float:
        values = some(flat(columns, name))
        place = round(level * len(values), 9)  # 0.9 x 110 is 99.00000000000001
        ends = (max(0, math.ceil(place) - 1), min(len(values) - 1, math.floor(place)))
        return float(np.partition(values, ends)[list(ends)].mean())

    return whole


def some(values: Floats, why: str = "nothing was read") -> Floats:
    """The values; `Undefined` with that reason if there are none."""
    if not len(values):
        raise Undefined(why)
    return values


def _pair_ratio(own: Callable[[Columns, str], Floats]) -> Whole:
    """The median over pairs of (the model's value / its parent's)."""

    def whole(columns: Columns) -> float:
        alone = str(columns["alone"][0])
        if alone:
            raise Undefined(alone)
        return float(np.median(own(columns, "") / own(columns, "parent_")))

    return whole


def _call(columns: Columns, side: str) -> Floats:
    return _medians(columns, f"{side}call_seconds")


def _token(columns: Columns, side: str) -> Floats:
    """Median seconds a new token after the first, by burst."""
    found: Floats = _spans(columns, side) / (columns["new"] - 1)
    if not np.isfinite(found).all():
        raise Undefined("this runtime does not say when each token came")
    return found


def _spans(columns: Columns, side: str) -> Floats:
    firsts, lasts = columns[f"{side}first_seconds"], columns[f"{side}last_seconds"]
    if firsts.dtype != object and firsts.ndim == 1:
        return np.asarray(lasts - firsts, dtype=np.float64)
    return np.array([np.median(b - a) if len(a) else np.nan for a, b in zip(firsts, lasts, strict=True)])


def _rate(columns: Columns, side: str) -> Floats:
    """Items, or tokens, a second, by burst."""
    rate: Floats = columns[f"{side}batch"] * columns["units"] / _call(columns, side)
    return rate


def _as_they_are(columns: Columns) -> Columns:
    return columns


def _metric(name: str, scenario: str, whole: Whole, needs: Sequence[str], **facts: Any) -> Metric:
    stated: dict[str, Any] = {"unit": "s", "higher_is_better": False, "bounds": (0.0, None)} | facts
    by_token, by_burst = set(_TOKENS[:4]) <= set(needs), {f"{side}call_seconds" for side in _SIDES} <= set(needs)
    return Metric(
        name=f"{name}[scenario={scenario}]",
        needs=tuple(needs),
        whole=whole,
        where=(("scenario", scenario),),
        prepare=_by_token if by_token else _by_burst if by_burst else _as_they_are,
        undefined="not timed: the scenario needs more tokens than the context of the model, or of its parent, holds",
        **stated,
    )


_SIDES = ("", "parent_")
_PAIRS = "median over pairs of bursts that took turns with the parent's; below 1 is faster than the parent"
_SINGLE = "MLPerf Inference, single stream"
_BESIDE = ("call_seconds", "parent_call_seconds", "alone")
_TOKENS = ("first_seconds", "last_seconds", "parent_first_seconds", "parent_last_seconds", "new", "alone")


def single_stream(scenario: str) -> tuple[Metric, ...]:
    """Ratio to the parent, percentiles and processor time of one call after the other."""
    times = [(f"latency_p{p}_s", quantile(p / 100), "call_seconds") for p in (50, 90, 99)]
    times.append(("cpu_s", quantile(0.5, "call_cpu_seconds"), "call_cpu_seconds"))
    ratio = _metric("latency_ratio", scenario, _pair_ratio(_call), _BESIDE, unit="", reference=_PAIRS)
    return ratio, *(_metric(name, scenario, whole, (column,), reference=_SINGLE) for name, whole, column in times)


def decoding(scenario: str) -> tuple[Metric, ...]:
    """Time to the first token, and per token after it (MLPerf's TTFT and TPOT)."""
    return (
        _metric("time_per_token_ratio", scenario, _pair_ratio(_token), _TOKENS, unit="", reference=_PAIRS),
        _metric("time_per_token_s", scenario, lambda c: float(np.median(_token(c, ""))),
                _TOKENS, reference="MLPerf Inference, TPOT: median"),
        _metric("time_to_first_token_s", scenario, quantile(0.5, "first_seconds"),
                ("first_seconds",), reference="MLPerf Inference, TTFT: median"),
    )  # fmt: skip


def offline(scenario: str, unit: str) -> tuple[Metric, ...]:
    """Throughput at the largest batch within the caps, its ratio to the parent's (above 1 is faster), and the batch."""
    needs = (*_BESIDE, "batch", "parent_batch", "units")
    up: dict[str, Any] = {"higher_is_better": True, "reference": "MLPerf Inference, offline: median over bursts"}
    return (
        _metric("throughput_ratio", scenario, _pair_ratio(_rate), needs, unit="", **up),
        _metric("throughput_per_s", scenario, lambda c: float(np.median(_rate(c, ""))), needs, unit=unit, **up),
        _metric("batch", scenario, lambda c: float(np.quantile(c["batch"], 0.5, method="lower")), ("batch",), unit="",
                **(up | {"reference": "largest power of two within 1 GiB and 1 s a call, at most 64; lower median"})),
    )  # fmt: skip


def memory() -> tuple[Metric, ...]:
    """What the model adds to its process: after the load, and after two forwards, whole and by kind of page."""
    how = "Linux /proc/self/status after clear_refs 5, above what the process held before the model"
    parts = [(f"memory_{part}_bytes[after={stage}]", f"{stage}_{part}", how)
             for stage in ("load", "forward") for part in ("peak", "anon", "file")]  # fmt: skip
    parts += [
        ("held_bytes", "held", "distinct storages of all live torch tensors after two forwards"),
        ("gpu_allocated_bytes", "cuda_allocated", "torch.cuda.max_memory_allocated over two forwards"),
        ("gpu_reserved_bytes", "cuda_reserved", "torch.cuda.max_memory_reserved"),
    ]
    return tuple(
        replace(_whole_run(name, column, "memory", ref, unit="B"), whole=_read(column)) for name, column, ref in parts
    )


def _read(column: str) -> Whole:
    """The one reading of a column, or why there is none."""
    why = {"held": "the weights are inside a runtime that does not tell", "cuda": "no CUDA device computed"}
    said = why.get(column.partition("_")[0], "this system has no /proc/self/status with RssAnon and VmHWM")
    return lambda columns: float(np.median(some(flat(columns, column), said)))


def energy() -> tuple[Metric, ...]:
    """Joules of one item above the idle machine's, and watts of the idle machine."""

    def joules(columns: Columns) -> float:
        used, took, idle, items = (_metered(columns, name)
                                   for name in ("energy_j", "energy_s", "idle_w", "energy_items"))  # fmt: skip
        return float(np.median((used - idle * took) / items))

    needs = ("energy_j", "energy_s", "idle_w", "energy_items", "energy_reason")
    how = "counters (RAPL, NVML or a meter) over a window of 10 s or more, the idle power of as long a rest subtracted"
    return (
        replace(_whole_run("energy_per_item_j", "energy_j", "energy", how, unit="J"), whole=joules, needs=needs,
                bounds=(None, None)),
        replace(_whole_run("idle_power_w", "idle_w", "energy", "the same counters at rest", unit="W"),
                whole=lambda c: float(np.median(_metered(c, "idle_w"))), needs=("idle_w", "energy_reason")),
    )  # fmt: skip


def _metered(columns: Columns, name: str) -> Floats:
    why = str(columns["energy_reason"][0])
    if why:
        raise Undefined(why)
    return some(flat(columns, name))


def bandwidth_used(scenario: str) -> Metric:
    """MBU: bytes of the weights over the time per token, as a share of the machine's measured bandwidth.

    The weights as the runtime holds them, else as the file stores them. Keys and values are left out, and all of an
    embedding table counts although a token reads one row of it.
    """

    def whole(columns: Columns) -> float:
        rate = some(flat(columns, "read_bytes")) / np.median(_token(columns, ""))
        return float(np.median(rate) / np.median(_peak(columns, "peak_bandwidth")))

    needs = (*_TOKENS, "read_bytes", "peak_bandwidth")
    how = "bytes of the weights per token / measured triad bandwidth; keys and values left out"
    return _metric("mbu", scenario, whole, needs, unit="", higher_is_better=True, reference=how)


def peak_share(scenario: str) -> Metric:
    """FLOP/s of a prefill, or of a vision forward, as a share of the machine's measured float32 peak."""

    def whole(columns: Columns) -> float:
        counted = flat(columns, "flops")
        if not len(counted):
            raise Undefined(_UNCOUNTED)
        return float(np.median(counted) / np.median(_call(columns, "")) / np.median(_peak(columns, "peak_flops")))

    needs = ("call_seconds", "flops", "peak_flops")
    how = "operations of a call (torch's FlopCounterMode, or the ONNX graph's) per s / measured float32 FLOP/s"
    return _metric("peak_share", scenario, whole, needs, unit="", higher_is_better=True, reference=how)


def macs(scenario: str) -> Metric:
    """Multiply-accumulates of one item: half of the operations of a call, by its batch; counted, so no interval."""

    def whole(columns: Columns) -> float:
        counted = some(flat(columns, "flops"), _UNCOUNTED)
        return float(np.median(counted) / 2 / np.median(columns["batch"]))

    how = "operations of a call (torch's FlopCounterMode, or the ONNX graph's) / 2 / its batch"
    return _metric("macs", scenario, whole, ("flops", "batch"), unit="MAC", no_interval="counted", reference=how)


def _peak(columns: Columns, name: str) -> Floats:
    found = flat(columns, name)
    if not len(found):
        raise Undefined("the machine's peaks were not measured while it was quiet; run hallmark machine --measure")
    return found


def _whole_run(name: str, column: str, scenario: str, reference: str, **facts: Any) -> Metric:
    made = _metric(name, scenario, quantile(0.5, column), (column,), no_interval=_ONE, reference=reference, **facts)
    return replace(made, name=name, undefined="nothing was read")

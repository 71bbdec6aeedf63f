"""Metrics that lm-evaluation-harness declares for a task, over columns of its own per-document values.

Column ``lm_eval.<metric>`` (``lm_eval.<metric>@<filter>`` where a task filters answers in several ways) holds a number,
or canonical JSON where lm-eval keeps a tuple for an aggregation of its own. Names are ours where we have one: ``acc``
is ``accuracy``, ``acc_norm`` is ``accuracy_norm``; LAMBADA's ``perplexity``, which is per target word, is
``target_perplexity``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import Undefined
from suite.metrics import calibration, choices, language
from suite.metrics.base import Columns, Finish, Metric, Terms, per_item, ratio

PREFIX = "lm_eval."
DOCUMENT, CHOICES = "doc_hash", "choice_logprobs"  # of samples: which document it is, and what decided its answer
_OURS = {
    "acc": "accuracy",
    "acc_norm": "accuracy_norm",
    "acc_bytes": "accuracy_bytes",
    "perplexity": "target_perplexity",
}
_SHARES = ("acc", "acc_norm", "acc_bytes", "exact_match", "acc_mutual_info", "em", "f1")
_PRIMARY = ("acc_norm", "acc", "exact_match", "word_perplexity")
_SAME = 1e-6  # a mean of documents against the number that lm-eval writes
_OF_NUMBERS = ("mean", "nanmean", "perplexity")
_ADDITIVE = ("mean", "nanmean", "perplexity", "weighted_perplexity", "bits_per_byte")


def columns(found: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """Outcome columns of one document, of lm-eval's (metric, filter) -> value."""
    row: dict[str, Any] = {}
    for (metric, pipeline), value in found.items():
        plain = isinstance(value, (bool, int, float, np.integer, np.floating))
        row[_column(metric, pipeline)] = float(value) if plain else json.dumps(_listed(value), ensure_ascii=False)
    return row


def details(output_type: str, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What else a row keeps of the answers to one document's requests, so that numbers can be made again."""
    if output_type in ("multiple_choice", "loglikelihood"):
        return {
            "request_logprobs": np.array([one["answer"][0] for one in answers], dtype=np.float64),
            "greedy": np.array([one["answer"][1] for one in answers], dtype=np.bool_),
            "n_tokens": np.array([one["n_tokens"] for one in answers], dtype=np.int64),
        }
    if output_type == "loglikelihood_rolling":
        return {name: answers[0][name] for name in ("nll", "n_tokens", "n_bytes", "token_bins")}
    return {"answer": str(answers[0]["answer"])}


def metrics(leaf: Any) -> tuple[Metric, ...]:
    """Every number of a task: lm-eval's, and for its common kinds those that we add (calibration, nats per token).

    Args:
        leaf: ``suite.engine.lm_eval.Leaf``.
    """
    declared = [_declared(leaf, name, pipeline) for name in leaf.metrics for pipeline in leaf.filters]
    added: tuple[Metric, ...] = ()
    if leaf.output_type == "multiple_choice" and leaf.plain:
        added = choices.METRICS
    if leaf.output_type == "loglikelihood_rolling":
        added = (language.PERPLEXITY, language.NLL, calibration.TOKEN_ECE_15)
        if "bits_per_byte" not in leaf.metrics:  # lm-eval's WikiText counts the bytes of the page before detokenizing
            added += (language.BITS_PER_BYTE,)
    known = {metric.name for metric in added}
    return (*(metric for metric in declared if metric.name not in known), *added)


def primary(leaf: Any) -> str:
    """The metric to rank on: normalised accuracy where the task declares it, then accuracy, then what comes first."""
    chosen = next((metric for metric in _PRIMARY if metric in leaf.metrics), leaf.metrics[0])
    return ours(chosen, leaf.filters[0])


def ours(metric: str, pipeline: str = "none") -> str:
    """Our name of a metric of lm-eval."""
    return _OURS.get(metric, metric) + ("" if pipeline == "none" else f"[filter={pipeline}]")


def unit(metric: str) -> str:
    """Of a metric of lm-eval; most have none."""
    return "bit/byte" if metric == "bits_per_byte" else ""


def of_samples(found: Columns, reported: Mapping[str, tuple[float, bool | None]]) -> dict[str, Metric]:
    """Metrics over samples that another run of lm-eval kept: those among its numbers that can be made of them again.

    A column is taken for a number's only where an aggregation of lm-eval over all documents (the mean, the exponential
    of minus the mean, or these of a log-likelihood over words or bytes) gives that number to 1e-6.

    Args:
        found: its outcome columns.
        reported: our name of a number -> its value, and whether more is better.
    """
    made = {}
    for column in found:
        metric, _, pipeline = column.removeprefix(PREFIX).partition("@")
        name = ours(metric, pipeline or "none")
        if column.startswith(PREFIX) and name in reported:
            value, higher = reported[name]
            again = (_again(found, column, how, higher) for how in _ADDITIVE)
            fitting = (one for one in again if one and abs(one(found) - value) <= _SAME * max(1.0, abs(value)))
            if (first := next(fitting, None)) is not None:
                made[name] = replace(first, name=name)
    return made


def _again(found: Columns, column: str, aggregation: str, higher: bool | None) -> Metric | None:
    """The metric of that aggregation; None where it does not fit the column's kind."""
    values = found[column]
    if not len(values) or (values.dtype.kind in "fib") != (aggregation in _OF_NUMBERS):
        return None
    metric = column.removeprefix(PREFIX).partition("@")[0]
    terms = _terms(column, aggregation)
    try:
        terms(found)
    except ValueError:  # neither numbers nor pairs of such
        return None
    return Metric(
        name=metric, needs=(column,), terms=terms, finish=_FINISH[aggregation],
        unit=unit(metric), higher_is_better=higher, bounds=(None, None),
        proportion=aggregation == "mean" and bool(np.isin(values, (0, 1)).all()), reference=f"lm-eval's {metric}",
    )  # fmt: skip


def _column(metric: str, pipeline: str) -> str:
    return f"{PREFIX}{metric}" + ("" if pipeline == "none" else f"@{pipeline}")


def _listed(value: Any) -> Any:
    """A value of lm-eval as JSON can hold it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_listed(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def _declared(leaf: Any, metric: str, pipeline: str) -> Metric:
    aggregation, higher = _how(leaf, metric)
    column = _column(metric, pipeline)
    share = metric in _SHARES and aggregation in ("mean", "nanmean")
    facts: dict[str, Any] = {
        "name": ours(metric, pipeline),
        "needs": (column,),
        "unit": unit(metric),
        "higher_is_better": higher,
        "bounds": (0.0, 1.0) if share else (None, None),
        "undefined": "lm-eval gives no number here",
        "reference": f"lm-eval's {metric}" + ("" if isinstance(aggregation, str) else ", its own aggregation"),
    }
    if isinstance(aggregation, str):
        return Metric(**facts, terms=_terms(column, aggregation), finish=_FINISH[aggregation])
    return Metric(**facts, whole=_whole(column, aggregation))


def _how(leaf: Any, metric: str) -> tuple[str | Callable[[Any], Any], bool | None]:
    """How lm-eval aggregates a metric (the name, if a function of sums), and whether more is better."""
    from lm_eval.api import registry

    listed = leaf.config.get("metric_list") or []  # a metric is a name or a function of the task's own
    declared: dict[str, Any] = next(
        (m for m in listed if metric in (m["metric"], getattr(m["metric"], "__name__", ""))), {}
    )
    aggregation = declared.get("aggregation")
    if aggregation is None:
        known = metric in registry.METRIC_REGISTRY
        function = (registry.get_metric_aggregation(metric) if known else None) or registry.get_aggregation("mean")
        names = {one: registry.get_aggregation(one) for one in _ADDITIVE}
        aggregation = next((one for one, theirs in names.items() if theirs is function), function)
    if isinstance(aggregation, str) and aggregation not in _ADDITIVE:
        aggregation = registry.get_aggregation(aggregation)
    higher = declared.get("higher_is_better")
    if higher is None and metric in registry.HIGHER_IS_BETTER_REGISTRY:
        higher = registry.is_higher_better(metric)
    return aggregation, None if higher is None else bool(higher)


def _terms(column: str, aggregation: str) -> Terms:
    if aggregation in _OF_NUMBERS:
        return per_item(column)

    def pairs(found: Columns) -> NDArray[np.float64]:
        return np.array([json.loads(value) for value in found[column]], dtype=np.float64).reshape(-1, 2)

    return pairs


def _exp_of_minus(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(-ratio(sums)))


def _bits(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-ratio(sums) / np.log(2))


_FINISH: Mapping[str, Finish] = {
    "mean": ratio,
    "nanmean": ratio,
    "perplexity": _exp_of_minus,
    "weighted_perplexity": _exp_of_minus,
    "bits_per_byte": _bits,
}


def _whole(column: str, aggregation: Callable[[Any], Any]) -> Callable[[Columns], float]:
    def value(found: Columns) -> float:
        items = [json.loads(one) if isinstance(one, str) else one for one in found[column].tolist()]
        try:
            return float(aggregation(items))
        except Exception as error:  # the task's own code: no items, no hub to fetch a metric from, ...
            raise Undefined(f"lm-eval's aggregation fails: {type(error).__name__}: {error}"[:300]) from None

    return value

"""Results of lm-evaluation-harness: the JSON of ``--output_path``, old and new, with the samples beside it if any.

Old (0.3): ``results`` = {task: {"acc": .., "acc_stderr": ..}}, ``versions``, ``config`` = {model_args, num_fewshot}.
New (0.4): ``results`` = {task: {"acc,none": .., "acc_stderr,none": ..}}, ``n-shot``, ``n-samples``,
``higher_is_better``, ``date``; with ``--log_samples``, ``samples_<task>_<date>.jsonl`` hold one line a document. Only
keys with a comma are metrics there: ``sample_len`` beside them is a count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeGuard

from suite.errors import InputError
from suite.exchange.figure import Figure, Model, name_of, with_error
from suite.metrics.harness import CHOICES, DOCUMENT, ours, unit

PREFIX = "lm-eval:"
COLUMN = "lm_eval."
_ERROR = "_stderr"
_LOWER = ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "ppl", "likelihood_difference")
_HIGHER = ("acc", "exact_match", "f1", "em", "mc1", "mc2", "bleu", "rouge", "mcc")
_OLD_NAMES = {"ppl": "perplexity"}


def is_result(content: Any) -> bool:
    """Whether JSON is a result of lm-eval."""
    return isinstance(content, dict) and isinstance(content.get("results"), dict) and "versions" in content


def figures(content: Mapping[str, Any], where: str, name: str | None = None) -> Iterator[Figure]:
    """Every number of a result file.

    Args:
        content: the parsed JSON.
        where: its name, for messages.
        name: of the submission; by default made of the model's arguments.

    Raises:
        InputError: it is no result of lm-eval.
    """
    if not is_result(content):
        raise InputError(f"{where} is no result of lm-eval: no 'results' and 'versions' in it")
    model = model_of(content, name)
    for task, found in content["results"].items():
        if not isinstance(found, dict):
            raise InputError(f"{where}: results of {task!r} are no table of numbers")
        for key, value in found.items():
            metric, comma, pipeline = key.partition(",")
            if metric.endswith(_ERROR) or not _is_number(value) or ("n-shot" in content and not comma):
                continue
            stderr = found.get(f"{metric}{_ERROR}" + (f",{pipeline}" if pipeline else ""))
            figure = Figure(
                model=model,
                task=f"{PREFIX}{task}{_shots_suffix(content, task)}",
                metric=ours(_OLD_NAMES.get(metric, metric), pipeline or "none"),
                value=float(value),
                unit=unit(metric),
                higher_is_better=_direction(content, task, metric),
                n=_n(content, task) or _n_of_group(content, task, key),
                task_version=str(content["versions"].get(task, "unknown")),
                protocol=f"lm-eval-{_release(content)}/{_shots(content, task)}-shot",
                limit=_limit(content, task, key),
            )
            yield with_error(figure, float(stderr) if _is_number(stderr) else None)


def model_of(content: Mapping[str, Any], name: str | None = None) -> Model:
    """The model that a result is about: ``pretrained`` and ``revision`` of its arguments, or its name."""
    config = content.get("config") or {}
    given = config.get("model_args") or {}
    if isinstance(given, str):
        given = dict(part.split("=", 1) for part in given.split(",") if "=" in part)
    title = str(given.get("pretrained") or content.get("model_name") or config.get("model") or "unknown")
    extra = [str(given[key]) for key in ("revision", "peft") if given.get(key) not in (None, "main")]
    full = "@".join([title, *extra])
    parent = name_of(title) if given.get("peft") else None
    return Model(name_of(name or full), full, "language", parent=parent)


def date_of(content: Mapping[str, Any], otherwise: datetime) -> datetime:
    """When it was made: ``date`` in seconds since 1970, where it is stated."""
    stated = content.get("date")
    return datetime.fromtimestamp(float(stated), UTC) if _is_number(stated) else otherwise


def tool_of(content: Mapping[str, Any]) -> str:
    """What wrote it."""
    return f"lm-eval {_release(content)}"


def is_samples(path: Path) -> bool:
    """Whether a file is named as lm-eval names its samples."""
    return path.name.startswith("samples_") and path.suffix == ".jsonl"


def samples_of(path: Path, content: Any) -> dict[str, Path]:
    """Task -> its samples beside a result file: ``samples_<task>_<date>.jsonl`` of its date, or without a date."""
    if not is_result(content):
        return {}
    stamp = path.stem.removeprefix("results").removeprefix("_")
    names = {task: [f"samples_{task}_{stamp}.jsonl", f"samples_{task}.jsonl"] for task in content["results"]}
    found = {task: next((f for n in both if (f := path.parent / n).is_file()), None) for task, both in names.items()}
    return {task: file for task, file in found.items() if file is not None}


def samples(file: Path, content: Mapping[str, Any], task: str) -> list[dict[str, Any]]:
    """Outcome columns of every document of a task.

    Column ``doc_hash`` says which document it is, where the source does. Column ``choice_logprobs`` holds what decided
    among several choices, if the most likely one is the target exactly where ``acc`` is 1: other rules are not known.

    Args:
        file: its samples.
        content: the result that they belong to.
        task: its name there.

    Raises:
        InputError: a line is no JSON, a document stands there twice, or there are not as many as the result says.
    """
    rows: list[dict[str, Any]] = []
    seen = set()
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            sample = json.loads(line)
            item, pipeline = str(sample["doc_id"]), sample.get("filter", "none")
            values = {name: sample[name] for name in sample.get("metrics", _metrics_in(sample))}
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{file.name} line {number} is no sample of lm-eval") from None
        if (item, pipeline) in seen:
            raise InputError(f"{file.name}: document {item} stands there twice")
        seen.add((item, pipeline))
        row = {"item": item, **{_column(m, pipeline): _plain(v) for m, v in values.items()}}
        rows.append(row | _document(sample) | (_choices(sample) if pipeline == "none" else {}))
    stated = _n(content, task)
    if stated and stated != len({row["item"] for row in rows}):
        there = len({row["item"] for row in rows})
        raise InputError(f"{file.name} holds {there} documents, its result says {stated}: one of the two is cut off")
    return _joined(rows)


def rows_of(content: Mapping[str, Any], task: str, read: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Outcome columns of a task, or of a group of tasks: the documents of all that have the group's numbers.

    Args:
        content: the result.
        task: name of a task or a group.
        read: what `samples` gave for each task that has some; without those of every task of it, a group has none.
    """
    leaves = _leaves(content, task)
    if task in read or not leaves or not all(leaf in read for leaf in leaves):
        return read.get(task, [])
    keys = [key.split(",") for key, value in content["results"][task].items() if "," in key and _is_number(value)]
    columns = {_column(metric, pipeline) for metric, pipeline in keys if not metric.endswith(_ERROR)}
    kept = {*columns, DOCUMENT, CHOICES}
    rows = []
    for leaf in leaves:
        for row in read[leaf]:
            if columns <= row.keys():
                item = f"{leaf}/{row['item']}"
                rows.append({"item": item, "cluster": item, **{c: row[c] for c in row if c in kept}})
    return _alike(rows)


def _leaves(content: Mapping[str, Any], group: str) -> list[str]:
    """The tasks of a group and of the groups in it, each once."""
    of, found, waiting = content.get("group_subtasks") or {}, [], [group]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        if of.get(name):
            waiting.extend(of[name])
        elif name != group:
            found.append(name)
    return found


def _column(metric: str, pipeline: str) -> str:
    return f"{COLUMN}{metric}" + ("" if pipeline == "none" else f"@{pipeline}")


def _document(sample: Mapping[str, Any]) -> dict[str, str]:
    known = [sample[name] for name in ("doc_hash", "target_hash") if isinstance(sample.get(name), str)]
    return {DOCUMENT: " ".join(known)} if known else {}


def _choices(sample: Mapping[str, Any]) -> dict[str, list[float]]:
    """Log-likelihood of each choice, or nothing where they do not explain ``acc``."""
    try:
        logprobs = [float(one[0]) for one in sample["filtered_resps"]]
        explained = (logprobs.index(max(logprobs)) == int(sample["target"])) == bool(sample["acc"])
    except (KeyError, TypeError, ValueError, IndexError):
        return {}
    return {CHOICES: logprobs} if len(logprobs) > 1 and explained else {}


def _joined(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a document, the filters' columns side by side, in the order of the ids."""
    of: dict[str, dict[str, Any]] = {}
    for row in rows:
        of.setdefault(row["item"], {"cluster": row["item"]}).update(row)
    return _alike(sorted(of.values(), key=lambda row: (len(row["item"]), row["item"])))


def _alike(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the same columns: what explains an answer is there for all or none, and a row without a score goes."""
    for extra in (DOCUMENT, CHOICES):
        if not all(extra in row for row in rows):
            rows = [{name: value for name, value in row.items() if name != extra} for row in rows]
    columns = {name for row in rows for name in row}
    return [row for row in rows if set(row) == columns]


def _metrics_in(sample: Mapping[str, Any]) -> list[str]:
    known = ("doc_id", "filter")
    return [key for key, value in sample.items() if key not in known and _is_number(value)]


def _plain(value: Any) -> Any:
    return float(value) if _is_number(value) else json.dumps(value, ensure_ascii=False)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float))


def _release(content: Mapping[str, Any]) -> str:
    return str(content.get("lm_eval_version") or ("0.4" if "n-shot" in content else "0.3"))


def _n(content: Mapping[str, Any], task: str) -> int:
    """Documents that were scored; 0 where the result does not say."""
    return int(((content.get("n-samples") or {}).get(task) or {}).get("effective") or 0)


def _n_of_group(content: Mapping[str, Any], task: str, key: str) -> int:
    """Documents behind a number of a group of tasks, which has no line in ``n-samples``; 0 where it does not say."""
    return int((content["results"][task].get("sample_count") or {}).get(key) or 0)


def _limit(content: Mapping[str, Any], task: str, key: str) -> int | None:
    """Documents of a run with ``--limit``, which does not stand for the task."""
    counts = (content.get("n-samples") or {}).get(task) or {}
    if counts:
        return _n(content, task) if counts.get("effective", 0) < counts.get("original", 0) else None
    asked = (content.get("config") or {}).get("limit")
    return None if asked is None else _n_of_group(content, task, key) or int(asked) or None


def _shots(content: Mapping[str, Any], task: str) -> int:
    per_task = content.get("n-shot") or {}
    return int(per_task.get(task, (content.get("config") or {}).get("num_fewshot") or 0) or 0)


def _shots_suffix(content: Mapping[str, Any], task: str) -> str:
    shots = _shots(content, task)
    return f"@{shots}shot" if shots else ""


def _direction(content: Mapping[str, Any], task: str, metric: str) -> bool | None:
    stated = ((content.get("higher_is_better") or {}).get(task) or {}).get(metric)
    if stated is not None:
        return bool(stated)
    if metric in _LOWER:
        return False
    return True if re.match("|".join(_HIGHER), metric) else None

"""Strip: a copy of a submission whose files do not tell where they were made, and whose answers are the same."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from suite.child import Child
from suite.errors import InputError
from suite.files import digest
from suite.formats.base import Description
from suite.manifest import FILE_NAME, Manifest
from suite.order import loader_of, order_of
from suite.static.clean import write_clean
from suite.submission import Submission
from suite.unit import refusals

ITEMS = 4
_TEXT = "Once upon a time there was a model; it was small, quick, and 3.5 times as kind as its parent."
_TIME_LIMIT_S = 600.0
_OPEN_SIZE = 32  # for an axis that neither the manifest nor the file fixes


def strip(submission: Submission, out: Path) -> Path:
    """Write ``OUT/<name>``: clean weights, a manifest with their sha256, and the submission's other files.

    Original and copy are run in processes of their own on the same random inputs; the copy stays only if all answers
    are equal bit by bit.

    Raises:
        InputError: the files must not be loaded, the target exists, or the copy answers otherwise.
        UnitError: the model cannot be run.
    """
    target = out / submission.name
    if target.exists():
        raise InputError(f"{target} exists already; remove it, or choose another folder for --strip")
    weights = submission.verified_weights()
    problems = refusals(submission, weights)
    if problems:
        raise InputError(f"{submission.name}: {problems[0]}")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".strip-", dir=out) as scratch:
        copy = Path(scratch) / submission.name
        copy.mkdir()
        own = Path(submission.manifest.weights.rpartition("/")[2] if _is_local(submission) else weights.name)
        own = Path(submission.manifest.weights) if _is_local(submission) else own
        (copy / own).parent.mkdir(parents=True, exist_ok=True)
        write_clean(weights, submission.manifest.format, copy / own, submission.manifest.inputs.ensemble)
        _copy_others(submission, weights, copy)
        text = _manifest(submission, own.as_posix(), digest(copy / own))
        (copy / FILE_NAME).write_text(text, encoding="utf-8")
        Manifest.load(copy)
        _compare(submission, weights, copy / own, Path(scratch))
        copy.rename(target)
    return target


def _is_local(submission: Submission) -> bool:
    return not submission.manifest.weights.startswith(("data:", "hub:"))


def _copy_others(submission: Submission, weights: Path, copy: Path) -> None:
    """Recipes and notes beside the manifest."""
    for path in sorted(submission.folder.iterdir()):
        inside = weights.resolve().is_relative_to(path.resolve())
        if path.is_file() and path.name != FILE_NAME and not inside:
            shutil.copyfile(path, copy / path.name)


def _manifest(submission: Submission, weights: str, sha256: str) -> str:
    """The manifest's text with the new digest, and the weights beside it."""
    text = (submission.folder / FILE_NAME).read_text(encoding="utf-8")
    lines, replaced = [], {"sha256": sha256, "weights": weights}
    for line in text.splitlines():
        key = re.match(r"\s*(\w+)\s*=", line)
        if line.lstrip().startswith("["):
            lines += [f'{name} = "{value}"' for name, value in replaced.items()]  # a key may not follow a table
            replaced = {}
        if key and key.group(1) in replaced:
            line = f'{key.group(1)} = "{replaced.pop(key.group(1))}"'  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines) + "\n"


def _compare(submission: Submission, original: Path, copy: Path, scratch: Path) -> None:
    description = loader_of(submission).describe(original)
    asked = _questions(submission.manifest, description)
    before, after = (_answers(submission, weights, description.masked, asked, scratch) for weights in (original, copy))
    same = len(before) == len(after) and all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    if not same:
        raise InputError(
            f"{submission.name}: the stripped copy answers otherwise; nothing was written, report this file"
        )


def _questions(manifest: Manifest, description: Description) -> list[Any]:
    """Random inputs of the model's shape; for a language model a text and its beginnings."""
    if manifest.kind == "language":
        return [_TEXT[: len(_TEXT) * (i + 1) // ITEMS] for i in range(ITEMS)]
    stated = description.signature.input_shape[1:] if description.signature else ()
    shape = manifest.inputs.shape or tuple(_OPEN_SIZE if size is None else size for size in stated)
    if not shape:
        raise InputError(f"{manifest.name}: its files do not state an input's shape; add [inputs] shape = [C, H, W]")
    random = np.random.default_rng(0)
    return [random.random(shape, dtype=np.float32) for _ in range(ITEMS)]


def _answers(submission: Submission, weights: Path, masked: bool, asked: list[Any], scratch: Path) -> list[Any]:
    manifest = submission.manifest
    with Child(order_of(submission, weights, "cpu", 1), _TIME_LIMIT_S, scratch) as child:
        if manifest.kind != "language":
            method = "segment" if manifest.kind == "segmentation" else "predict_proba"
            return [np.asarray(answer) for answer in child.ask(method, asked)]
        ids = [np.asarray(answer["ids_T"]) for answer in child.ask("encode", asked)]
        limit = child.facts.context or min(len(one) for one in ids)
        ids = [one[:limit] for one in ids if len(one) > 1]
        if masked:
            return [np.asarray(a) for a in child.ask("pseudo_logprobs", ids, [np.arange(len(one)) for one in ids])]
        return [np.asarray(answer["logprobs_T"]) for answer in child.ask("token_logprobs", ids)]

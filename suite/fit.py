"""Fit: whether a task is for a submission at all, and whether its parent can be timed beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suite.formats import LOADERS
from suite.task import AnyTask

if TYPE_CHECKING:
    from suite.unit import Prepared


_RUNTIME = {"peft": "transformers"}  # an adapter runs where its base does


def of_another_kind(prepared: Prepared, task: AnyTask) -> str | None:
    """Why a task is not for such submissions at all, so that it is passed over where nobody named it."""
    manifest, masked = prepared.submission.manifest, prepared.description.masked
    if task.kind != manifest.kind:
        return f"task {task.name!r} is for {task.kind} models; {manifest.name} is {manifest.kind}"
    if task.kind == "language" and task.masked != masked:
        wants, has = ("masked", "a causal one") if task.masked else ("causal", "a masked one")
        return f"task {task.name!r} is for {wants} language models; {manifest.name} is {has}"
    if task.timed and prepared.predictions:
        return f"task {task.name!r} times a model; {manifest.name} is a file of predictions"
    if task.attacks and not prepared.loader.gradients:
        able = "/".join(name for name, loader in LOADERS.items() if loader.gradients)
        return (
            f"task {task.name!r} attacks along gradients; {manifest.name} does not fit: its format {manifest.format} "
            f"gives no gradients; score it as {able}"
        )
    if task.beside_parent and manifest.parent is None:
        return (
            f"task {task.name!r} compares a model with its parent and {manifest.name} has none; "
            "score one that was made from it, or add parent = ... to its manifest"
        )
    return None


def alone(prepared: Prepared) -> str:
    """Why a model is not timed beside its parent; empty if it is."""
    manifest, parent = prepared.submission.manifest, prepared.submission.parent()
    if parent is None:
        return "it has no parent"
    if _RUNTIME.get(parent.manifest.format, parent.manifest.format) != _RUNTIME.get(manifest.format, manifest.format):
        runtimes = f"{parent.manifest.format} against {manifest.format}"
        return f"its parent runs in another runtime ({runtimes}); give the parent in the format {manifest.format}"
    return ""

"""Archives of exported programs with something changed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from format_samples import CLASSES, SHAPE, Logits, copied

from suite.formats import LOADERS
from suite.formats._pt2 import Archive
from suite.formats.base import Place
from suite.manifest import Inputs

LOADER = LOADERS["torch-export"]
PROGRAM = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
SAMPLES = "data/sample_inputs/model.pt"


def rewrite(source: Path, target: Path, compress: bool = False, **members: bytes | None) -> Path:
    """A copy with some members replaced, added, or (None) left out; names use the path below the root."""
    root = Archive.open(source).root
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", kind) as new:
        for info in old.infolist():
            name = info.filename.removeprefix(f"{root}/")
            content = members.pop(name, old.read(info))
            if content is not None:
                new.writestr(f"{root}/{name}", content)
        for name, added in members.items():
            new.writestr(f"{root}/{name}", added or b"")
    return target


def member(source: Path, name: str) -> Any:
    with zipfile.ZipFile(source) as archive:
        return json.loads(archive.read(f"{Archive.open(source).root}/{name}"))


def changed(source: Path, target: Path, name: str, change: Callable[[Any], None]) -> Path:
    value = member(source, name)
    change(value)
    return rewrite(source, target, **{name: json.dumps(value).encode()})


def save_pt2_language(source: Path, folder: Path) -> Path:
    """A transformers folder as a program input_ids -> logits of any batch and length, tokenizer and all beside it."""
    copied(source, folder)
    context = json.loads((source / "config.json").read_text())["max_position_embeddings"]
    sizes = {0: torch.export.Dim("batch", min=1, max=256), 1: torch.export.Dim("length", min=1, max=context)}
    program = torch.export.export(Logits(source), (torch.zeros((2, 7), dtype=torch.int64),), dynamic_shapes=(sizes,))
    torch.export.save(program, folder / "model.pt2")
    return folder


def load(file: Path) -> Any:
    return LOADER.load(file, "classification", Inputs(shape=SHAPE, classes=CLASSES), Place())

"""Tiny models of every format, made once per session; real ones from the local mirror."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from cached_samples import save_onnx_cached
from filelock import FileLock
from format_samples import (
    CLASSES,
    SHAPE,
    Net,
    Sample,
    save_language,
    save_onnx,
    save_onnx_language,
    save_pt2,
    save_vision,
)
from gguf_samples import save_gguf
from openvino_samples import save_openvinos
from peft_samples import save_adapter
from pt2_samples import save_pt2_language
from tflite_samples import save_tflites

from suite.manifest import Inputs
from suite.model import Array

EXTRAS: dict[str, Callable[[Path, dict[str, Net]], object]] = {
    "ai_edge_litert": save_tflites,
    "gguf": lambda folder, _: save_gguf(folder / "llama", folder / "gguf"),
    "openvino": lambda folder, _: save_openvinos(folder),
    "peft": lambda folder, _: save_adapter(folder / "llama", folder / "adapter"),
}
"""Module of an extra -> what saves its models beside the others, from the same networks."""


@pytest.fixture(scope="session")
def mirror() -> Path:
    folder = os.environ.get("HALLMARK_DATA")
    if not folder:
        pytest.skip("HALLMARK_DATA is not set: needs lm_stories260k, cv_cifar10_resnets and data_cifar10_test100")
    return Path(folder)


@pytest.fixture(scope="session")
def nets() -> dict[str, Net]:
    torch.manual_seed(0)
    return {"classification": Net(False).eval(), "segmentation": Net(True).eval()}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, nets: dict[str, Net]) -> Path:
    """A folder with one tiny model per format and kind: made by the first process of this run that asks, then read."""
    alone = os.environ.get("PYTEST_XDIST_WORKER") is None
    base = tmp_path_factory.getbasetemp()
    folder = (base if alone else base.parent) / "models-of-every-format"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "fake.json").exists():  # the last that is written
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder, nets)
    return folder


def make(folder: Path, nets: dict[str, Net]) -> None:
    """Save the models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, net in nets.items():
            save_pt2(net, folder / f"{kind}.pt2")
            save_onnx(net, folder / f"{kind}.onnx")
        save_language(folder / "llama")
        save_onnx_language(folder / "llama", folder / "onnx-llama")
        save_pt2_language(folder / "llama", folder / "pt2-llama")
        save_vision(folder)
        for extra, save in EXTRAS.items():
            if importlib.util.find_spec(extra) is not None:
                save(folder, nets)
    (folder / "fake.json").write_text(json.dumps({"fake": "uniform", "vocabulary": 256, "context": 64}))


@pytest.fixture(scope="session")
def cached(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny language model as an ONNX folder with inputs for cached keys and values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return save_onnx_cached(made / "llama", tmp_path_factory.mktemp("cached") / "onnx")


@pytest.fixture(scope="session")
def samples(made: Path) -> list[Sample]:
    image, plain = Inputs(shape=SHAPE, classes=CLASSES), Inputs()
    last = Inputs(shape=SHAPE, classes=CLASSES, layout="channels_last")
    found = [
        Sample("transformers", "language", made / "llama", plain, "float32"),
        Sample("transformers", "classification", made / "vit", image, "float32"),
        Sample("transformers", "segmentation", made / "segformer", Inputs(classes=CLASSES), "float32"),
        Sample("onnx", "language", made / "onnx-llama", plain, "float32"),
        Sample("onnx", "classification", made / "classification.onnx", image, "float32"),
        Sample("onnx", "segmentation", made / "segmentation.onnx", image, "float32"),
        Sample("torch-export", "language", made / "pt2-llama", plain, "float32"),
        Sample("torch-export", "classification", made / "classification.pt2", image, "float32"),
        Sample("torch-export", "segmentation", made / "segmentation.pt2", image, "float32"),
        Sample("tflite", "classification", made / "classification.tflite", last, "float32"),
        Sample("tflite", "segmentation", made / "segmentation.tflite", last, "float32"),
        Sample("gguf", "language", made / "gguf", plain, "float32"),
        Sample("openvino", "language", made / "openvino-llama", plain, "float32"),
        Sample("openvino", "classification", made / "openvino-classification", image, "float32"),
        Sample("openvino", "segmentation", made / "openvino-segmentation", image, "float32"),
        Sample("peft", "language", made / "adapter", plain, "float32", made / "llama"),
        Sample("fake", "language", made / "fake.json", plain, "none"),
    ]
    return [one for one in found if one.weights.exists()]


@pytest.fixture
def images() -> list[Array]:
    return list(np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(np.float32))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """torchao, transformers and torch.export warn about their own future; the harness does not answer for them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=UserWarning)
        yield

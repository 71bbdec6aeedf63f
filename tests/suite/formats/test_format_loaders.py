"""Every loader checks, describes and loads a sample, the same way twice."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from format_samples import CLASSES, TEXTS, Sample

from suite.errors import HallmarkError
from suite.files import unsafe_files
from suite.formats import LOADERS, loader_for
from suite.formats.base import Place
from suite.manifest import KINDS, Inputs
from suite.model import Array, Classifier, LanguageModel, Model, Segmenter


def load(sample: Sample) -> Model:
    return loader_for(sample.format, sample.inputs, base=sample.base).load(
        sample.weights, sample.kind, sample.inputs, Place()
    )


def answers(model: Model, images: list[Array]) -> list[Array]:
    if isinstance(model, LanguageModel):
        scored = model.token_logprobs([encoded.ids_T for encoded in model.encode(TEXTS)])
        found = [values for scores in scored for values in (scores.logprobs_T, scores.top_logprobs_T)]
        found += [scores.logprobs_K for scores in model.choice_logprobs(TEXTS[:2], [["a", " b c"], [" x"]])]
        return found
    return list(model.predict_proba(images) if isinstance(model, Classifier) else model.segment(images))


def test_names_and_fields() -> None:
    for name, loader in LOADERS.items():
        assert loader.name == name
        assert loader.title
        assert set(loader.kinds) <= set(KINDS)
        assert loader.packages


def test_every_format_and_kind_is_sampled(samples: list[Sample]) -> None:
    sampled = {(sample.format, sample.kind) for sample in samples}
    elsewhere = {("fake", "classification"), ("fake", "segmentation"), ("predictions", "classification")}
    ready = {name: loader for name, loader in LOADERS.items() if installed(loader.packages)}
    assert sampled | elsewhere == {(name, kind) for name, loader in ready.items() for kind in loader.kinds}
    assert all(loader.extra for name, loader in LOADERS.items() if name not in ready)


def installed(packages: tuple[str, ...]) -> bool:
    try:
        return all(metadata.version(name) for name in packages)
    except metadata.PackageNotFoundError:
        return False


def test_samples_pass_check(samples: list[Sample]) -> None:
    for sample in samples:
        assert unsafe_files(sample.weights) == []
        assert LOADERS[sample.format].check(sample.weights) == []


def test_describe(samples: list[Sample]) -> None:
    for sample in samples:
        description = LOADERS[sample.format].describe(sample.weights)
        assert description.dtype == sample.dtype, sample
        assert sum(description.dtypes.values()) == description.tensor_bytes or sample.format == "fake"
        if sample.format in ("onnx", "torch-export") and sample.kind != "language":
            assert description.signature is not None
            assert description.signature.input_shape == (None, 3, 8, 8)
            assert description.signature.output_shape[:2] == (None, CLASSES)


@pytest.mark.parametrize("format", LOADERS)
def test_reload_gives_the_same_answers(samples: list[Sample], images: list[Array], format: str) -> None:
    for sample in (one for one in samples if one.format == format):
        reload(sample, images)


def reload(sample: Sample, images: list[Array]) -> None:
    first, second = load(sample), load(sample)
    assert isinstance(first, {"language": LanguageModel, "classification": Classifier}.get(sample.kind, Segmenter))
    assert first.facts == second.facts
    if sample.format != "fake":
        assert first.facts.dtype == sample.dtype
    for one, two in zip(answers(first, images), answers(second, images), strict=True):
        np.testing.assert_array_equal(one, two)
        assert np.isfinite(one).all()
        if sample.kind != "language":
            np.testing.assert_allclose(one.sum(axis=0), 1, atol=1e-6)


def test_nonsense_is_refused_in_one_line(tmp_path: Path) -> None:
    contents = {"empty": b"", "text": b"hello\n", "zip": b"PK\x03\x04" + b"\0" * 40, "noise": bytes(range(256)) * 8}
    for name, loader in LOADERS.items():
        paths = [tmp_path / "nothing-there", tmp_path]
        for title, content in contents.items():
            paths.append(tmp_path / f"{name}-{title}.onnx")
            paths[-1].write_bytes(content)
        for path in paths:
            found = loader.check(path)
            assert found, (name, path)
            assert all("\n" not in line and 20 < len(line) < 400 for line in found), found
            with pytest.raises(HallmarkError):
                loader.load(path, loader.kinds[0], Inputs(), Place())


def test_importing_formats_imports_no_runtime() -> None:
    code = (
        "import sys, suite.formats; "
        "print([m for m in ('torch', 'onnx', 'onnxruntime', 'transformers', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

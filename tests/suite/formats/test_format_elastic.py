"""One checkpoint at several bits: the slicing by another formula, and the model that sliced codes and scales make."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from format_samples import TEXTS, expected_logprobs, save_language
from support import REPOSITORY, Ran, one_line, write_submission

from suite.formats import loader_for
from suite.formats._elastic import sliced
from suite.formats.base import Place
from suite.manifest import Inputs


@pytest.mark.parametrize(("stored", "wanted"), [(8, 8), (8, 6), (8, 4), (8, 1), (4, 3), (2, 1)])
def test_slicing_is_that_of_the_paper_on_unsigned_codes(stored: int, wanted: int) -> None:
    """MatQuant, equation 4, in whole numbers: add half a step, shift, clamp to r bits, shift back."""
    unsigned = range(2**stored)
    shift = stored - wanted
    half = (1 << shift) >> 1
    expected = [min((q + half) >> shift, 2**wanted - 1) << shift for q in unsigned]
    middle = 2 ** (stored - 1)
    assert (sliced(np.array(unsigned) - middle, stored, wanted) + middle).tolist() == expected


@pytest.fixture(scope="module", params=[("int-quantized", 8), ("pack-quantized", 4)], ids=lambda one: one[0])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, int]:
    """The model, its checkpoint of codes, and their bits."""
    from compressed_tensors.quantization import QuantizationArgs

    sys.path.insert(0, str(REPOSITORY / "submissions"))
    import language_recipes

    format, bits = request.param
    folder = tmp_path_factory.mktemp("elastic")
    save_language(folder / "llama", hidden_size=32, intermediate_size=64)
    args = QuantizationArgs(num_bits=bits, type="int", symmetric=True, strategy="channel")
    language_recipes.round_to_nearest(folder / "llama", folder / "codes", args, format=format)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / "llama" / name, folder / "codes")
    sys.path.remove(str(REPOSITORY / "submissions"))
    return folder / "llama", folder / "codes", bits


def dense(llama: Path, out: Path, bits: int, wanted: int) -> Path:
    """The float model whose weights are the scales times the sliced codes, quantised here by hand."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(llama, out)
    tensors = load_file(llama / "model.safetensors")
    top = 2 ** (bits - 1)
    for name, weight in tensors.items():
        if name.endswith("proj.weight"):
            scale = np.abs(weight).max(axis=1, keepdims=True) / ((2 * top - 1) / 2)
            codes = np.clip(np.round(weight / scale), -top, top - 1)
            step = 2.0 ** (bits - wanted)
            nested = np.clip(np.floor(codes / step + 0.5), -(2 ** (wanted - 1)), 2 ** (wanted - 1) - 1) * step
            tensors[name] = (nested * scale).astype(np.float32)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    return out


def test_the_model_is_that_of_the_highest_bits(stored: tuple[Path, Path, int], tmp_path: Path) -> None:
    llama, codes, bits = stored
    seen = []
    for wanted in (bits, bits - 1, 2):
        loader = loader_for("transformers", Inputs(), {"bits": wanted})
        assert loader.check(codes) == []
        model: Any = loader.load(codes, "language", Inputs(), Place())
        assert any(note == f"read at {wanted} of its {bits} bits" for note in model.facts.notes)
        ids = model.encode(TEXTS[3:])[0].ids_T
        (found,) = model.token_logprobs([ids])
        wanted_logprobs = expected_logprobs(dense(llama, tmp_path / str(wanted), bits, wanted), ids)
        np.testing.assert_allclose(found.logprobs_T, wanted_logprobs, atol=2e-3)
        seen.append(found.logprobs_T.sum())
    assert len(set(seen)) == len(seen)


def test_what_the_checkpoint_has_not_is_one_line(
    stored: tuple[Path, Path, int], tmp_path: Path, hallmark: Callable[..., Ran]
) -> None:
    llama, codes, bits = stored

    def check(source: Path, point: dict[str, Any]) -> Ran:
        shutil.rmtree(tmp_path / "m", ignore_errors=True)
        files = {f"w/{file.name}": file.read_bytes() for file in source.iterdir()}
        more: dict[str, Any] = {"kind": "language", "format": "transformers", "operating_point": point}
        return hallmark("check", write_submission(tmp_path, "m", files, "w", **more))

    assert check(codes, {"bits": 2}).code == 0
    assert check(codes, {"bits": 2, "exit": 1}).code == 0
    one_line(check(codes, {"bits": bits + 1}), 2, f"its codes have {bits} bits; allowed: 1 to {bits}")
    one_line(check(llama, {"bits": 4}), 2, "highest bits of a compressed-tensors checkpoint")
    one_line(check(codes, {"bits": 2.5}), 2, "whole numbers from 1")
    one_line(check(codes, {"bits": 2, "width": 1}), 2, "{exit = K}, {bits = N} or both")


def test_asymmetric_codes_are_refused(stored: tuple[Path, Path, int], tmp_path: Path) -> None:
    _, codes, _ = stored
    shutil.copytree(codes, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    for group in config["quantization_config"]["config_groups"].values():
        group["weights"]["symmetric"] = False
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    (found,) = loader_for("transformers", Inputs(), {"bits": 2}).check(tmp_path / "m")
    assert "symmetric integers" in found


def test_torch_is_not_asked_to_keep_the_copy(stored: tuple[Path, Path, int], tmp_path: Path) -> None:
    """The sliced copy is gone after the load, and the checkpoint is what it was."""
    import tempfile

    _, codes, _ = stored
    before = {file.name: file.read_bytes() for file in codes.iterdir()}
    kept = tempfile.tempdir
    tempfile.tempdir = str(tmp_path)
    try:
        model: Any = loader_for("transformers", Inputs(), {"bits": 2}).load(codes, "language", Inputs(), Place())
    finally:
        tempfile.tempdir = kept
    assert list(tmp_path.iterdir()) == []
    assert before == {file.name: file.read_bytes() for file in codes.iterdir()}
    with torch.no_grad():
        assert np.isfinite(model.token_logprobs([np.arange(5)])[0].logprobs_T).all()

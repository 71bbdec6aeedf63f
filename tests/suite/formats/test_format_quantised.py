"""Quantised checkpoints as their libraries write them: observed dtype, answers, and independence of the batch."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from format_samples import TEXTS, expected_logprobs, save_language

from suite.formats import LOADERS, hf
from suite.formats.base import Place
from suite.manifest import Inputs

LOADER = LOADERS["transformers"]


def quantised(folder: Path, config: Any) -> Path:
    from transformers import AutoModelForCausalLM

    save_language(folder, hidden_size=64, intermediate_size=512)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, quantization_config=config)
        model.save_pretrained(folder)
    return folder


def bitsandbytes(**settings: Any) -> Any:
    pytest.importorskip("bitsandbytes", reason="needs the extra: pip install 'hallmark-bench[bitsandbytes]'")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(**settings)


def loaded(folder: Path) -> Any:
    assert LOADER.check(folder) == []
    return LOADER.load(folder, "language", Inputs(), Place())


def logprobs(model: Any, texts: list[str]) -> list[Any]:
    return [one.logprobs_T for one in model.token_logprobs([e.ids_T for e in model.encode(texts)])]


@pytest.mark.parametrize("bits", [8, 4])
def test_bitsandbytes(tmp_path: Path, bits: int) -> None:
    """LLM.int8() and nf4: the library's own logits, one text at a time; together with others not one bit else."""
    four = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    folder = quantised(tmp_path, bitsandbytes(**({"load_in_8bit": True} if bits == 8 else four)))
    assert ("int8" if bits == 8 else "uint8") in LOADER.describe(folder).dtypes
    model = loaded(folder)
    assert model.facts.dtype == LOADER.describe(folder).dtype
    ids = model.encode(TEXTS[3:])[0].ids_T
    (found,) = model.token_logprobs([ids])
    np.testing.assert_allclose(found.logprobs_T, expected_logprobs(folder, ids), atol=2e-3)
    if bits == 8:
        assert model.runtime.alone and model.facts.engine == "plain"
        for one, text in zip(logprobs(model, TEXTS), TEXTS, strict=True):
            np.testing.assert_array_equal(one, logprobs(model, [text])[0])


def test_torchao_int8_dynamic(tmp_path: Path) -> None:
    """Activations are quantised on the fly: one request a forward, so that no answer depends on its batch."""
    torchao = pytest.importorskip("torchao.quantization")
    from transformers import TorchAoConfig

    folder = quantised(tmp_path, TorchAoConfig(torchao.Int8DynamicActivationInt8WeightConfig()))
    model = loaded(folder)
    assert model.facts.dtype == "int8"
    assert model.runtime.alone and model.facts.engine == "plain"
    for one, text in zip(logprobs(model, TEXTS), TEXTS, strict=True):
        np.testing.assert_array_equal(one, logprobs(model, [text])[0])


@pytest.mark.parametrize(("method", "extra"), sorted(hf.EXTRAS.items()))
def test_a_missing_library_names_its_extra(tmp_path: Path, method: str, extra: str, monkeypatch: Any) -> None:
    save_language(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {"quantization_config": {"quant_method": method}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setitem(hf.QUANTIZATIONS, method, "a_module_that_is_not_there")
    (found,) = LOADER.check(tmp_path)
    assert f"pip install 'hallmark-bench[{extra}]'" in found


def test_a_configuration_that_this_transformers_cannot_read(tmp_path: Path) -> None:
    """A scheme of a later version: one line, no traceback."""
    save_language(tmp_path)
    weights = {"num_bits": 4, "type": "int", "strategy": "of-2030"}
    group = {"targets": ["Linear"], "weights": weights}
    scheme = {"quant_method": "compressed-tensors", "config_groups": {"g": group}}
    config = json.loads((tmp_path / "config.json").read_text()) | {"quantization_config": scheme}
    (tmp_path / "config.json").write_text(json.dumps(config))
    from suite.errors import HallmarkError

    with pytest.raises(HallmarkError) as refused:
        LOADER.load(tmp_path, "language", Inputs(), Place())
    assert "\n" not in str(refused.value) and "cannot load" in str(refused.value)


def test_every_extra_exists() -> None:
    import tomllib

    from support import REPOSITORY

    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {*hf.EXTRAS.values(), *(loader.extra for loader in LOADERS.values() if loader.extra)} <= set(declared)

"""transformers folders: scores against the library's own logits, refusals, and quantised storage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from format_samples import CLASSES, TEXTS, expected_logprobs, save_language
from safetensors.numpy import load_file, save_file

from suite.errors import InputError, UnitError
from suite.formats import LOADERS
from suite.formats._language import CausalModel
from suite.formats._tokenizer import context_of
from suite.formats._torch import expanded, held_dtypes
from suite.formats.base import Place
from suite.manifest import Inputs
from suite.model import Array, Model

LOADER = LOADERS["transformers"]


def load(folder: Path, inputs: Inputs | None = None, kind: str = "language") -> Model:
    return LOADER.load(folder, kind, inputs or Inputs(), Place())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(made: Path) -> CausalModel:
    loaded = load(made / "llama")
    assert isinstance(loaded, CausalModel)
    return loaded


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(made / "llama", tmp_path / "llama"))


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


class TestRefusals:
    @pytest.mark.parametrize(
        ("file", "changes", "said"),
        [
            ("config.json", {"auto_map": {"AutoModel": "mine.Model"}}, "asks for code of its own"),
            ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["mine.T", None]}}, "asks for code of its own"),
            ("config.json", {"quantization_config": {"quant_method": "mine"}}, "'mine' cannot be read here"),
            ("config.json", {"quantization_config": {"quant_method": "aqlm"}}, "needs aqlm, which is not installed"),
            ("config.json", {"attn_implementation": "someone/kernel"}, "would download code"),
            ("config.json", {"vocab_size": 100}, "has the id 260, the model's vocabulary is 100"),
        ],
    )
    def test_configuration(self, folder: Path, file: str, changes: dict[str, object], said: str) -> None:
        edit(folder / file, **changes)
        (finding,) = LOADER.check(folder)
        assert said in finding
        with pytest.raises(InputError, match=said.replace("(", r"\(")):
            load(folder)

    def test_no_tokenizer(self, folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        assert "a model without a tokenizer" in LOADER.check(folder)[0]

    def test_no_weights(self, folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        assert "has no model.safetensors" in LOADER.check(folder)[0]

    def test_no_configuration(self, folder: Path) -> None:
        (folder / "config.json").write_text("{")
        assert "config.json is not readable JSON" in LOADER.check(folder)[0]
        (folder / "config.json").unlink()
        assert "has no config.json" in LOADER.check(folder)[0]

    def test_adapter(self, folder: Path) -> None:
        (folder / "adapter_config.json").write_text("{}")
        assert "is an adapter" in LOADER.check(folder)[0]

    def test_unknown_architecture(self, folder: Path) -> None:
        edit(folder / "config.json", model_type="martian")
        with pytest.raises(UnitError, match="cannot load llama"):
            load(folder)

    def test_missing_tensors_are_not_made_up(self, folder: Path) -> None:
        edit(folder / "config.json", num_hidden_layers=3)
        with pytest.raises(UnitError, match=r"lacks 9 tensors of its architecture, e\.g\. model\.layers\.2"):
            load(folder)

    def test_surplus_tensors_are_noted(self, folder: Path) -> None:
        edit(folder / "config.json", num_hidden_layers=1)
        assert "9 stored tensors are not used" in load(folder).facts.notes[0]

    def test_another_kind(self, made: Path) -> None:
        with pytest.raises(UnitError, match="cannot load llama"):
            load(made / "llama", kind="classification")

    def test_context(self, made: Path) -> None:
        assert load(made / "llama").facts.context == LOADER.describe(made / "llama").context == 64
        assert load(made / "llama", Inputs(context=32)).facts.context == 32
        with pytest.raises(InputError, match=r"inputs.context = 65 is above the model's 64"):
            load(made / "llama", Inputs(context=65))
        with pytest.raises(InputError, match=r"set inputs\.context"):
            context_of(Inputs(), None)


class TestDtypes:
    def test_bfloat16(self, tmp_path: Path) -> None:
        save_language(tmp_path, dtype="bfloat16")
        from transformers import AutoModelForCausalLM

        AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16).save_pretrained(tmp_path)
        assert LOADER.describe(tmp_path).dtype == "bfloat16"
        loaded = load(tmp_path)
        assert isinstance(loaded, CausalModel)
        assert loaded.facts.dtype == "bfloat16"
        ids = loaded.encode(TEXTS[:1])[0].ids_T
        np.testing.assert_allclose(
            loaded.token_logprobs([ids])[0].logprobs_T, expected_logprobs(tmp_path, ids), atol=1e-5
        )

    def test_torchao_int8(self, tmp_path: Path) -> None:
        torchao = pytest.importorskip("torchao.quantization")
        from transformers import AutoModelForCausalLM, TorchAoConfig

        save_language(tmp_path, hidden_size=64, intermediate_size=512)
        config = TorchAoConfig(torchao.Int8WeightOnlyConfig())
        quantised = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, quantization_config=config)
        quantised.save_pretrained(tmp_path)
        assert LOADER.check(tmp_path) == []
        assert LOADER.describe(tmp_path).dtype == "int8"
        loaded = load(tmp_path)
        assert isinstance(loaded, CausalModel)
        assert loaded.facts.dtype == "int8"
        ids = loaded.encode(TEXTS[:1])[0].ids_T
        np.testing.assert_allclose(
            loaded.token_logprobs([ids])[0].logprobs_T, expected_logprobs(tmp_path, ids), atol=1e-4
        )

    def test_expanded_codes_are_said_though_embeddings_hold_most_bytes(self) -> None:
        """Codes are compared with codes, as stored and as held by torch."""
        import torch

        net = torch.nn.Sequential(torch.nn.Embedding(100, 8), torch.nn.Linear(8, 8, bias=False))
        held = held_dtypes(net)
        assert held == {"float32": 3200 + 256}
        assert expanded({"float32": 3200, "int32": 400}, held) == "int32"
        assert expanded({"float32": 3200, "int64": 100}, held) is None  # positions
        assert expanded({"float32": 3456}, held) is None
        net.register_buffer("codes", torch.zeros(100, dtype=torch.int32))
        assert expanded({"float32": 3200, "int32": 400}, held_dtypes(net)) is None
        assert expanded({"float32": 3200, "int32": 801}, held_dtypes(net)) == "int32"

    @pytest.mark.parametrize(("width", "most"), [(512, "int8"), (64, "float32")])
    def test_compressed_tensors_int8(self, tmp_path: Path, width: int, most: str) -> None:
        """As llm-compressor writes W8A16: int8 weights and a scale per output channel, expanded by this runtime."""
        pytest.importorskip("compressed_tensors")
        save_language(tmp_path, hidden_size=64, intermediate_size=width)
        stored, plain = load_file(tmp_path / "model.safetensors"), {}
        for name, array in list(stored.items()):
            plain[name] = array
            if name.endswith("proj.weight"):
                scale = (np.abs(array).max(axis=1, keepdims=True) / 127).astype(np.float32)
                stored[name] = np.round(array / scale).astype(np.int8)
                stored[name.replace("weight", "weight_scale")] = scale
                plain[name] = stored[name] * scale
        shutil.copytree(tmp_path, tmp_path / "plain")
        save_file(plain, tmp_path / "plain/model.safetensors", metadata={"format": "pt"})
        save_file(stored, tmp_path / "model.safetensors", metadata={"format": "pt"})
        weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False}
        group = {"targets": ["Linear"], "weights": weights, "format": "int-quantized"}
        scheme = {"quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
                  "ignore": ["lm_head"], "config_groups": {"group_0": group}}  # fmt: skip
        edit(tmp_path / "config.json", quantization_config=scheme)
        assert LOADER.describe(tmp_path).dtype == most
        loaded = load(tmp_path)
        assert isinstance(loaded, CausalModel)
        assert loaded.facts.dtype == "float32"
        assert "storage only: int8 weights are expanded to float32" in loaded.facts.notes[-1]
        ids = loaded.encode(TEXTS[:1])[0].ids_T
        np.testing.assert_allclose(
            loaded.token_logprobs([ids])[0].logprobs_T, expected_logprobs(tmp_path / "plain", ids), atol=1e-4
        )


class TestVision:
    def test_classification(self, made: Path, images: list[Array]) -> None:
        from transformers import ViTForImageClassification

        model = load(made / "vit", Inputs(classes=CLASSES), "classification")
        whole = ViTForImageClassification.from_pretrained(made / "vit").eval()
        with torch.no_grad():
            expected = whole(torch.from_numpy(np.stack(images))).logits.softmax(dim=1)
        np.testing.assert_allclose(np.stack(model.predict_proba(images)), expected, atol=1e-6)  # type: ignore[union-attr]

    def test_masks_have_the_image_s_size(self, made: Path, images: list[Array]) -> None:
        model = load(made / "segformer", Inputs(), "segmentation")
        masks = model.segment(images)  # type: ignore[union-attr]
        assert {mask.shape for mask in masks} == {(CLASSES, 8, 8)}
        assert {mask.dtype for mask in masks} == {np.dtype(np.float32)}


class TestReal:
    def test_stories260k(self, mirror: Path) -> None:
        model = load(mirror / "lm_stories260k")
        assert isinstance(model, CausalModel)
        assert (model.facts.context, model.facts.vocabulary, model.facts.bos) == (512, 512, 1)
        text = (mirror / "text_tinystories_sample/tinystories_sample_cs336.txt").read_text()
        stories = [story.strip() for story in text.split("<|endoftext|>") if story.strip()]
        sequences = [np.concatenate([[1], encoded.ids_T])[:512] for encoded in model.encode(stories)]
        scored = np.concatenate([scores.logprobs_T for scores in model.token_logprobs(sequences)])
        assert -scored.mean() == pytest.approx(1.2664, abs=0.02)

"""Adapters on their base: PEFT's own answers, another base, what is not read, one submission from end to end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("peft", reason="needs the extra: pip install 'hallmark-bench[peft]'")

import torch
from format_samples import TEXTS, save_language
from peft_samples import save_adapter
from support import Ran, one_line, write_submission

from suite.errors import InputError, UnitError
from suite.files import digest
from suite.formats import LOADERS, loader_for
from suite.formats.base import Place
from suite.formats.peft_format import METHODS
from suite.manifest import Inputs
from suite.model import Array


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "llama"
    save_language(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(base, tmp_path_factory.mktemp("adapter") / "weights")


def scores(folder: Path, base: Path | None, format: str = "peft") -> list[Array]:
    model = loader_for(format, Inputs(), base=base).load(folder, "language", Inputs(), Place())
    return [one.logprobs_T for one in model.token_logprobs([e.ids_T for e in model.encode(TEXTS)])]  # type: ignore[union-attr]


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "loha", "lokr", "oft", "vera", "ln_tuning"])
def test_answers_are_those_of_peft(base: Path, tmp_path: Path, method: str) -> None:
    """By another route: PeftModel.from_pretrained, the whole model's logits, one text at a time; not the base's."""
    import peft
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = save_adapter(base, tmp_path / "adapter", method)
    whole = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    alone = scores(base, None, "transformers")
    for text, found, before in zip(TEXTS, scores(folder, base), alone, strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logprobs_TV = whole(torch.tensor([ids])).logits[0].double().log_softmax(-1).numpy()[:-1]
        np.testing.assert_allclose(found, logprobs_TV[np.arange(len(ids) - 1), ids[1:]], atol=1e-4)
        if len(found):
            assert np.abs(found - before).max() > 1e-2, "the adapter changes nothing"


def test_the_merged_model_answers_alike(base: Path, adapter: Path, tmp_path: Path) -> None:
    import peft
    from transformers import AutoModelForCausalLM

    shutil.copytree(base, tmp_path / "merged")
    whole = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    whole.merge_and_unload().save_pretrained(tmp_path / "merged")
    for ours, theirs in zip(scores(adapter, base), scores(tmp_path / "merged", None, "transformers"), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_it_shares_prefixes_and_generates_like_its_base(base: Path, adapter: Path) -> None:
    model = loader_for("peft", Inputs(), base=base).load(adapter, "language", Inputs(), Place())
    assert model.facts.engine == "tree"
    assert any("LORA adapter of 256 parameters (float32), not merged" in note for note in model.facts.notes)
    (text,) = model.generate(["once upon"], [["z"]], [6])  # type: ignore[union-attr]
    assert isinstance(text, str)


def test_base_and_adapter_are_counted_together(base: Path, adapter: Path) -> None:
    alone, both = LOADERS["transformers"].describe(base), loader_for("peft", Inputs(), base=base).describe(adapter)
    assert both.parameters == alone.parameters + 256  # 2 layers x 2 modules x (2 x 16 + 16 x 2)
    assert both.tensor_bytes == alone.tensor_bytes + 4 * 256
    assert both.context == alone.context


class TestAnotherBase:
    def test_of_another_width(self, base: Path, adapter: Path, tmp_path: Path) -> None:
        save_language(tmp_path / "wide", hidden_size=32)
        (found,) = loader_for("peft", Inputs(), base=tmp_path / "wide").check(adapter)
        assert "takes model.layers.0.self_attn.q_proj to be 16 wide, its parent's is [32, 32]" in found
        assert "made for" in found

    def test_with_fewer_layers(self, base: Path, adapter: Path, tmp_path: Path) -> None:
        save_language(tmp_path / "short", num_hidden_layers=1)
        (found,) = loader_for("peft", Inputs(), base=tmp_path / "short").check(adapter)
        assert "changes model.layers.1.self_attn.q_proj, which its parent has not" in found

    def test_of_a_method_without_factors_is_seen_on_load(self, base: Path, tmp_path: Path) -> None:
        save_language(tmp_path / "wide", hidden_size=32)
        folder = save_adapter(base, tmp_path / "ln", "ln_tuning")
        with pytest.raises(UnitError, match="cannot put the adapter on its parent"):
            loader_for("peft", Inputs(), base=tmp_path / "wide").load(folder, "language", Inputs(), Place())


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"peft_type": "PREFIX_TUNING"}, "PREFIX_TUNING"),
            ({"peft_type": None}, "LORA"),
            ({"task_type": "SEQ_CLS"}, "CAUSAL_LM"),
            ({"megatron_config": {"a": 1}}, "megatron_config"),
            ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
            ({"auto_mapping": {"parent_library": "os", "base_model_class": "system"}}, "auto_mapping"),
        ],
    )
    def test_configurations(self, adapter: Path, tmp_path: Path, change: dict[str, object], word: str) -> None:
        shutil.copytree(adapter, tmp_path / "a")
        config = json.loads((adapter / "adapter_config.json").read_text()) | change
        (tmp_path / "a" / "adapter_config.json").write_text(json.dumps(config))
        (found,) = LOADERS["peft"].check(tmp_path / "a")
        assert word in found

    def test_no_weights(self, adapter: Path, tmp_path: Path) -> None:
        shutil.copytree(adapter, tmp_path / "a")
        (tmp_path / "a" / "adapter_model.safetensors").unlink()
        assert "no adapter_model.safetensors" in LOADERS["peft"].check(tmp_path / "a")[0]

    def test_tensors_of_another_configuration(self, base: Path, adapter: Path, tmp_path: Path) -> None:
        more = save_adapter(base, tmp_path / "more", target_modules=["q_proj", "v_proj", "o_proj"])
        shutil.copy(adapter / "adapter_model.safetensors", more)
        with pytest.raises(UnitError, match="lacks 4 tensors"):
            loader_for("peft", Inputs(), base=base).load(more, "language", Inputs(), Place())
        fewer = save_adapter(base, tmp_path / "fewer", target_modules=["q_proj"])
        shutil.copy(adapter / "adapter_model.safetensors", fewer)
        with pytest.raises(UnitError, match="no place for"):
            loader_for("peft", Inputs(), base=base).load(fewer, "language", Inputs(), Place())

    def test_no_base(self, adapter: Path) -> None:
        with pytest.raises(InputError, match="name it as parent"):
            LOADERS["peft"].load(adapter, "language", Inputs(), Place())


def test_methods_are_those_of_peft() -> None:
    from peft import PeftType

    assert set(METHODS) <= {kind.value for kind in PeftType}


class TestSubmission:
    @pytest.fixture
    def root(self, tmp_path: Path, base: Path, adapter: Path) -> Path:
        for name, folder in (("base", base), ("tuned", adapter)):
            files = {f"weights/{path.name}": path.read_bytes() for path in folder.iterdir()}
            more = {} if name == "base" else {"parent": "base", "base_sha256": digest(base)}
            form = "transformers" if name == "base" else "peft"
            write_submission(tmp_path, name, files, "weights", kind="language", format=form, **more)
        return tmp_path

    def edit(self, root: Path, old: str, new: str) -> None:
        file = root / "tuned" / "submission.toml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def test_runs_beside_its_base(self, root: Path, hallmark: Callable[..., Ran]) -> None:
        ran = hallmark("run", str(root / "tuned"), "-t", "generated-text", "--limit", "4", "--results", str(root / "r"))
        assert ran.code == 0, ran.err
        (file,) = (root / "r" / "tuned" / "generated-text").glob("*.json")
        measured = {m["name"]: m["value"] for m in json.loads(file.read_text())["measurements"]}
        whole = sum(f.stat().st_size for name in ("base", "tuned") for f in (root / name / "weights").iterdir())
        assert measured["bytes"] == whole

    def test_another_digest_is_refused_in_one_line(self, root: Path, hallmark: Callable[..., Ran]) -> None:
        self.edit(root, digest(root / "base" / "weights"), "0" * 64)
        one_line(hallmark("check", str(root / "tuned")), 2, "made for a base with sha256 0000", "name the right base")

    def test_no_digest_tells_the_line_to_add(self, root: Path, hallmark: Callable[..., Ran]) -> None:
        self.edit(root, f'base_sha256 = "{digest(root / "base" / "weights")}"\n', "")
        one_line(hallmark("check", str(root / "tuned")), 2, f'base_sha256 = "{digest(root / "base" / "weights")}"')

    def test_no_parent(self, root: Path, hallmark: Callable[..., Ran]) -> None:
        self.edit(root, 'parent = "base"\n', "")
        one_line(hallmark("check", str(root / "tuned")), 2, "an adapter's parent is its base", "names no parent")

    def test_a_changed_base_is_refused(self, root: Path, hallmark: Callable[..., Ran]) -> None:
        (root / "base" / "weights" / "more.txt").write_text("x")
        ran = hallmark("run", str(root / "tuned"), "-t", "generated-text", "--results", str(root / "r"))
        one_line(ran, 2, "base: the weights at", "the manifest says")

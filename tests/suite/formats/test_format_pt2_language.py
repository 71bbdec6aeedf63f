"""Exported language models: transformers' own answers, with and without a mask, and programs that cannot serve."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from format_samples import TEXTS, expected_logprobs, save_language
from pt2_samples import save_pt2_language
from support import Ran, write_submission

from suite.child import Child
from suite.errors import InputError, UnitError
from suite.formats import LOADERS
from suite.formats.base import Place
from suite.manifest import Inputs
from suite.static.clean import write_clean
from suite.static.leaks import leaks

LOADER = LOADERS["torch-export"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pt2-language")
    save_language(folder / "llama")
    save_pt2_language(folder / "llama", folder / "pt2")
    return folder


def load(folder: Path) -> Any:
    return LOADER.load(folder, "language", Inputs(), Place())


def test_answers_are_those_of_the_model(root: Path) -> None:
    ours = load(root / "pt2")
    assert LOADER.check(root / "pt2") == []
    assert (ours.facts.context, LOADER.describe(root / "pt2").context) == (64, 64)
    ids = [encoded.ids_T for encoded in ours.encode(TEXTS)]
    for one, found in zip(ids, ours.token_logprobs(ids), strict=True):
        np.testing.assert_allclose(found.logprobs_T, expected_logprobs(root / "llama", one), atol=1e-4)
    theirs: Any = LOADERS["transformers"].load(root / "llama", "language", Inputs(), Place())
    asked = (["once upon a", "the little dog"], [["\n"]] * 2, [10, 6])
    assert ours.generate(*asked) == theirs.generate(*asked)


def test_batches_of_one(root: Path, tmp_path: Path) -> None:
    """A program that fixes its batch at 1 is asked row by row."""
    ours = load(save_pt2_language(root / "llama", tmp_path / "m", batch=1))
    ids = [encoded.ids_T for encoded in ours.encode(TEXTS)]
    for one, found in zip(ids, ours.token_logprobs(ids), strict=True):
        np.testing.assert_allclose(found.logprobs_T, expected_logprobs(root / "llama", one), atol=1e-4)


def test_a_mask_beside_the_tokens_is_fed(tmp_path: Path, root: Path) -> None:
    """A program whose logits are those of a table, the hidden tokens' put out by the mask."""

    class Masked(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.table = torch.nn.Embedding(vocabulary, vocabulary)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.table(input_ids) * attention_mask[..., None]

    vocabulary = load(root / "pt2").facts.vocabulary
    shutil.copytree(root / "pt2", tmp_path / "m", ignore=shutil.ignore_patterns("*.pt2"))
    sizes = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("length", min=1, max=64)}
    whole, ids = Masked(), torch.zeros((2, 7), dtype=torch.int64)
    program = torch.export.export(whole, (ids, torch.ones_like(ids)), dynamic_shapes=(sizes, sizes))
    torch.export.save(program, tmp_path / "m" / "model.pt2")
    row = load(tmp_path / "m").encode(TEXTS[:1])[0].ids_T
    (found,) = load(tmp_path / "m").token_logprobs([row])
    with torch.no_grad():
        wanted = whole.table(torch.tensor(row[:-1])).double().log_softmax(-1).numpy()[range(len(row) - 1), row[1:]]
    np.testing.assert_allclose(found.logprobs_T, wanted, atol=1e-5)


def test_programs_that_cannot_serve(root: Path, tmp_path: Path) -> None:
    fixed = save_pt2_language(root / "llama", tmp_path / "fixed", length=9)
    with pytest.raises(UnitError, match=r"of any length: export it with dynamic_shapes"):
        load(fixed)
    with pytest.raises(InputError, match="make weights the folder"):
        load(root / "pt2" / "model.pt2")
    shutil.copytree(root / "pt2", tmp_path / "two")
    shutil.copy(root / "pt2" / "model.pt2", tmp_path / "two" / "again.pt2")
    assert "must hold exactly one .pt2 file, found again.pt2, model.pt2" in LOADER.check(tmp_path / "two")[0]


def test_it_is_counted_and_cleaned_as_others_are(root: Path, tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    """Traces of this test and a folder's name go; answers stay; MACs are those of the transformers folder."""
    files = {f"w/{file.name}": file.read_bytes() for file in (root / "pt2").iterdir()}
    files["w/config.json"] = files["w/config.json"].replace(b"{", b'{"_name_or_path": "/srv/people/ann/m",', 1)
    told = {"kind": "language", "format": "torch-export"}
    folder = write_submission(tmp_path / "s", "m", files, "w", **told)
    whole = {f"w/{file.name}": file.read_bytes() for file in (root / "llama").iterdir()}
    parent = write_submission(tmp_path / "s", "p", whole, "w", kind="language", format="transformers")
    ran = hallmark("check", folder, parent, "--static", "--json")
    mine, theirs = (one["static"] for one in ran.json["checks"])
    assert mine["parameters"] == theirs["parameters"] + 8  # the rotary embedding's frequencies, which it holds twice
    assert mine["macs"] == theirs["macs"] > 0
    leaks = {(leak["file"], leak["what"].split()[0]) for leak in ran.json["checks"][0]["leaks"]}
    assert leaks == {("model.pt2", "stack"), ("model.pt2", "the"), ("config.json", "paths")}
    write_clean(folder / "w", "torch-export", tmp_path / "clean")
    assert leaks(tmp_path / "clean", "torch-export") == []
    ids = [np.arange(9)]
    before, after = (load(one).token_logprobs(ids)[0].logprobs_T for one in (folder / "w", tmp_path / "clean"))
    np.testing.assert_array_equal(before, after)


def test_peak_memory_is_the_models_and_not_its_runtimes(root: Path) -> None:
    """Of a model of 50 kB: torch and its tokenizer, 300 MB, are imported before memory is first read."""
    order = {"format": "torch-export", "weights": str(root / "pt2"), "kind": "language", "device": "cpu",
             "inputs": Inputs().model_dump(mode="json"), "threads": 1}  # fmt: skip
    with Child(order, 300) as child:
        asked = {"what": "memory", "seconds": 0.0, "name": "prefill", "batch": 1, "tokens": 8, "new": 0}
        (answer,) = child.ask("timed", [asked])
    assert 0 < answer["forward_peak"][0] < 120e6

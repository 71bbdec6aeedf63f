"""Exported language models: transformers' own answers, with and without a mask, and programs that cannot serve."""

from __future__ import annotations

import json
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


class Table(torch.nn.Module):
    """Logits of the next token are a row of a table, put out where a mask says so."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(vocabulary, vocabulary)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        rows: torch.Tensor = self.table(input_ids)
        return rows if attention_mask is None else rows * attention_mask[..., None]


def table(root: Path, folder: Path, batch: int | None, length: int | None, masked: bool = False) -> tuple[Path, Table]:
    """A table as a program of that batch and length (None: any), with the tokenizer of the language model."""
    shutil.copytree(root / "pt2", folder, ignore=shutil.ignore_patterns("*.pt2"))
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    named = {0: (batch, "batch"), 1: (length, "length")}
    sizes = {axis: torch.export.Dim(name, min=1, max=64) for axis, (size, name) in named.items() if size is None}
    whole, ids = Table(vocabulary), torch.zeros((batch or 2, length or 7), dtype=torch.int64)
    given = (ids, torch.ones_like(ids)) if masked else (ids,)
    program = torch.export.export(whole, given, dynamic_shapes=(sizes,) * len(given))
    torch.export.save(program, folder / "model.pt2")
    return folder, whole


@pytest.mark.parametrize(("batch", "masked"), [(1, False), (None, True)], ids=["batches of one", "a mask"])
def test_programs_that_are_fed_otherwise(root: Path, tmp_path: Path, batch: int | None, masked: bool) -> None:
    """One that fixes its batch at 1 is asked row by row; one that takes a mask beside the tokens is given it."""
    folder, whole = table(root, tmp_path / "m", batch, None, masked)
    ours = load(folder)
    ids = [encoded.ids_T for encoded in ours.encode(TEXTS)]
    for row, found in zip(ids, ours.token_logprobs(ids), strict=True):
        with torch.no_grad():
            wanted = whole.table(torch.tensor(row[:-1])).double().log_softmax(-1).numpy()[range(len(row) - 1), row[1:]]
        np.testing.assert_allclose(found.logprobs_T, wanted, atol=1e-5)


def test_programs_that_cannot_serve(root: Path, tmp_path: Path) -> None:
    for batch, length in ((None, 9), (3, None)):
        folder, _ = table(root, tmp_path / f"{batch}-{length}", batch, length)
        with pytest.raises(UnitError, match=r"of any length: export it with dynamic_shapes"):
            load(folder)
    with pytest.raises(InputError, match="make weights the folder"):
        load(root / "pt2" / "model.pt2")
    shutil.copytree(root / "pt2", tmp_path / "two")
    shutil.copy(root / "pt2" / "model.pt2", tmp_path / "two" / "again.pt2")
    assert "must hold exactly one .pt2 file, found again.pt2, model.pt2" in LOADER.check(tmp_path / "two")[0]


def test_it_is_counted_and_cleaned_as_others_are(root: Path, tmp_path: Path, hallmark: Callable[..., Ran]) -> None:
    """Traces of this test and a folder's name go; answers stay; MACs are those of the layers, by hand."""
    files = {f"w/{file.name}": file.read_bytes() for file in (root / "pt2").iterdir()}
    files["w/config.json"] = files["w/config.json"].replace(b"{", b'{"_name_or_path": "/srv/people/ann/m",', 1)
    told = {"kind": "language", "format": "torch-export"}
    folder = write_submission(tmp_path / "s", "m", files, "w", **told)
    ran = hallmark("check", folder, "--static", "--json")
    mine = ran.json["checks"][0]["static"]
    stored = LOADERS["transformers"].describe(root / "llama").parameters
    assert mine["parameters"] == stored + 8  # the rotary embedding's frequencies, which it holds twice
    config = json.loads((root / "llama" / "config.json").read_text())
    hidden, inner, layers, tokens = *(config[f"{name}_size"] for name in ("hidden", "intermediate")), 2, 64
    linear = layers * (4 * hidden**2 + 3 * hidden * inner) + config["vocab_size"] * hidden
    assert mine["macs"] == tokens * linear + layers * 2 * tokens**2 * hidden  # attention: q k and p v
    found = {(leak["file"], leak["what"].split()[0]) for leak in ran.json["checks"][0]["leaks"]}
    assert found == {("model.pt2", "stack"), ("model.pt2", "the"), ("config.json", "paths")}
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

"""ONNX language models with cached keys and values: the same answers as without, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cached_samples import HEADS, WIDTH
from format_samples import TEXTS

from suite.errors import UnitError
from suite.formats import LOADERS
from suite.formats.base import Place
from suite.manifest import Inputs

LOADER = LOADERS["onnx"]


@pytest.fixture(scope="module")
def source(made: Path) -> Path:
    return made / "llama"


def loaded(folder: Path, format: str = "onnx") -> Any:
    return LOADERS[format].load(folder, "language", Inputs(), Place())


def test_scores_and_texts_are_those_of_transformers(source: Path, cached: Path) -> None:
    ours, theirs = loaded(cached), loaded(source, "transformers")
    ids = [encoded.ids_T for encoded in theirs.encode(TEXTS)]
    for one, two in zip(ours.token_logprobs(ids), theirs.token_logprobs(ids), strict=True):
        np.testing.assert_allclose(one.logprobs_T, two.logprobs_T, atol=1e-4)
    stops, limits = [["\n"]] * 3, [12, 5, 20]
    prompts = ["once upon a", "the little dog ran", "wörld"]
    assert ours.generate(prompts, stops, limits) == theirs.generate(prompts, stops, limits)
    assert "generates with the cached keys and values of 2 layers" in ours.facts.notes


def test_every_token_is_computed_once(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt in one step, then one token a step; the cache grows by what was computed."""
    from suite.formats import _onnx_language

    seen: list[tuple[int, int, int]] = []
    step = _onnx_language.Graph.step

    def watched(self: Any, feed: Any, past: Any) -> Any:
        held = next(iter(past.values())).shape()[2]
        seen.append((feed["input_ids"].shape[1], feed["attention_mask"].shape[1], held))
        return step(self, feed, past)

    monkeypatch.setattr(_onnx_language.Graph, "step", watched)
    model = loaded(cached)
    model.generate(["abcde"], [["\0"]], [4])
    first = seen[0][0]
    assert seen == [(first, first, 0), *((1, first + n, first + n - 1) for n in (1, 2, 3))]


def changed(cached: Path, folder: Path, change: Any) -> Path:
    shutil.copytree(cached, folder)
    model = onnx.load(folder / "model.onnx")
    change(model.graph)
    onnx.save(model, folder / "model.onnx")
    return folder


def test_caches_that_are_not_given_back_are_refused(cached: Path, tmp_path: Path) -> None:
    folder = changed(cached, tmp_path / "m", lambda graph: graph.output.pop())
    with pytest.raises(UnitError, match=r"gives no present\.1\.value"):
        loaded(folder)


def test_other_inputs_are_refused(cached: Path, tmp_path: Path) -> None:
    extra = onnx.helper.make_tensor_value_info("encoder_hidden_states", onnx.TensorProto.FLOAT, ["batch", 4])
    folder = changed(cached, tmp_path / "m", lambda graph: graph.input.append(extra))
    with pytest.raises(UnitError, match="encoder_hidden_states; expected input_ids"):
        loaded(folder)


def test_empty_caches_have_the_graphs_shape(cached: Path) -> None:
    from suite.formats._onnx_language import Graph
    from suite.formats.onnx_format import _session

    graph = Graph(_session(cached / "model.onnx", Place()), {})
    assert {array.shape for array in graph.empty(3).values()} == {(3, HEADS, 0, WIDTH)}
    assert len(graph.empty(3)) == 4

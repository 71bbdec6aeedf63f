"""Perplexity protocols by hand, and against the code of the projects that they come from."""

from __future__ import annotations

import gzip
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Ran, one_line
from torchmetrics.classification import MulticlassCalibrationError

from suite import fakes
from suite.errors import UnitError
from suite.manifest import Inputs
from suite.metrics.calibration import TOKEN_ECE_15
from suite.model import TokenScores
from suite.outcomes import to_columns, to_table
from tasks import corpora, perplexity
from tasks.corpora import C4_WINDOWS, RandomWindows, SecondHalf
from tasks.perplexity import OneText, Perplexity


class Ramp(fakes.Uniform):
    """Bytes as tokens; token t of a sequence gets log-probability -t, so a sum says which tokens were scored."""

    def token_logprobs(self, sequences: Any) -> list[TokenScores]:
        found = []
        for ids in sequences:
            falling = -np.arange(1, len(ids), dtype=np.float64)
            found.append(TokenScores(falling, falling * 0, np.zeros(len(ids) - 1, dtype=bool)))
        return found


def rows(task: Perplexity, model: Any) -> list[dict[str, Any]]:
    examples = task.examples(model)
    answers = task.ask(model, [example.input for example in examples], Inputs())
    return [dict(task.row(e, answer)) | {"cluster": e.cluster} for e, answer in zip(examples, answers, strict=True)]


def one_text(cls: type[OneText] = OneText, text: str = "abcdefghijklmnopqrstu", window: int | None = 8) -> Any:
    return cls("t", "t", perplexity._WIKITEXT2, lambda: text, protocol_id="t", window=window)


def test_whole_windows_without_overlap_bos_once() -> None:
    found = rows(one_text(), Ramp(context=100))
    assert len(found) == 2  # BOS + 21 bytes = 22 tokens, the last 6 are dropped
    assert [row["nll"] for row in found] == [28.0, 28.0]  # 1 + ... + 7
    assert [row["n_bytes"] for row in found] == [7, 7]
    assert one_text().protocol(100) == "t/8/nonoverlap/bos-once"
    assert one_text().protocol(4) == "t/4/nonoverlap/bos-once"
    assert one_text().protocol(None, bos=False) == "t/8/nonoverlap/bos-none"


def test_the_whole_context_is_the_window_where_the_protocol_says_so() -> None:
    task = one_text(window=None)
    assert [len(e.input.ids) for e in task.examples(Ramp(context=11))] == [11, 11]
    assert task.protocol(11) == "t/max-11/nonoverlap/bos-once"
    with pytest.raises(UnitError, match="states no context"):
        task.examples(Ramp(context=None))
    with pytest.raises(UnitError, match="22 tokens, fewer than one window of 30"):
        task.examples(Ramp(context=30))


def test_llamacpp_scores_the_second_half_of_each_chunk_after_a_bos() -> None:
    task = one_text(SecondHalf)
    examples = task.examples(Ramp(context=100))
    assert [e.input.ids[0] for e in examples] == [0, 0]  # llama.cpp: tokens[start] = BOS
    assert bytes(examples[1].input.ids[1:].tolist()).decode() == "ijklmno"
    found = rows(task, Ramp(context=100))
    # tools/perplexity: first = n_ctx / 2, counts tokens first + 1 .. n_ctx - 1: here 5, 6, 7
    assert [(row["nll"], row["n_tokens"], row["n_bytes"]) for row in found] == [(18.0, 3, 3)] * 2
    assert task.protocol(None) == "t/8-second-half/nonoverlap/bos-each"
    assert rows(corpora.WIKITEXT2_LLAMACPP.__class__("t", "t", perplexity._WIKITEXT2, lambda: "x" * 2000, "t", 512),
                fakes.Uniform())[0]["n_tokens"] == 255  # fmt: skip


def gptq_c4(texts: list[str], seqlen: int) -> list[list[int]]:
    """The loop of ``get_c4`` in GPTQ's datautils.py, on bytes as tokens after a BOS."""
    random.seed(0)
    windows = []
    for _ in range(256):
        while True:
            i = random.randint(0, len(texts) - 1)
            tokens = [0, *texts[i].encode()]
            if len(tokens) > seqlen:
                break
        i = random.randint(0, len(tokens) - seqlen - 1)
        windows.append(tokens[i : i + seqlen])
    return windows


def test_c4_draws_the_windows_of_gptq() -> None:
    letters = random.Random(1)
    texts = ["".join(letters.choices("abcdefgh ", k=letters.randint(1, 60))) for _ in range(40)]
    task = RandomWindows("c4", "c4", corpora._C4, lambda: texts, window=32)
    found = task.examples(fakes.Uniform())
    assert len(found) == C4_WINDOWS
    assert [e.input.ids.tolist() for e in found] == gptq_c4(texts, 32)
    assert len({e.cluster for e in found}) < len(texts)
    assert len({e.item for e in found}) == C4_WINDOWS
    with pytest.raises(UnitError, match="no document has more than 100 tokens"):
        RandomWindows("c4", "c4", corpora._C4, lambda: texts, window=100).examples(fakes.Uniform())


def test_c4_new_and_ptb_read_their_mirror_and_state_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: Callable[..., Path], hallmark: Callable[..., Ran]
) -> None:
    (tmp_path / "text_ptb").mkdir()
    (tmp_path / "text_ptb" / "ptb.test.txt").write_text(" no it was n't black monday \n" * 200)
    (tmp_path / "text_ptb" / "ptb.valid.txt").write_text(" consumers may want to move \n" * 200)
    (tmp_path / "text_c4").mkdir()
    docs = "".join(json.dumps({"text": f"Document {n} says a lot." * 5}) + "\n" for n in range(1200))
    (tmp_path / "text_c4" / "c4-validation.00000-of-00008.json.gz").write_bytes(gzip.compress(docs.encode()))
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path))
    corpora._c4.cache_clear()
    folder = fake("lm", {"fake": "uniform", "context": 64}, kind="language")
    ran = hallmark("run", folder, "-t", "ptb", "-t", "ptb-new", "-t", "c4-new", "--json")
    corpora._c4.cache_clear()
    assert ran.code == 0, ran
    found = {record["task"]: record for record in ran.json["records"]}
    assert found["ptb"]["protocol"] == "ptb-valid/64/nonoverlap/bos-once"
    assert found["c4-new"]["protocol"] == "c4-first-1100/64/nonoverlap/bos-once/first-256"
    for record in found.values():
        values = {m["name"]: m for m in record["measurements"]}
        assert values["perplexity"]["value"] == pytest.approx(256)
        assert values["bits_per_byte"]["value"] == pytest.approx(8)
        assert len(record["data_sha256"]) == 64
    assert found["ptb"]["data_sha256"] != found["ptb-new"]["data_sha256"]
    assert found["c4-new"]["measurements"][0]["n"] == 256 * 63
    assert hallmark("verify").code == 0


def test_text_that_is_not_here_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: Callable[..., Path], hallmark: Callable[..., Ran]
) -> None:
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path / "nowhere"))
    for read in (
        "huggingface_hub.constants",
        "datasets.config",
    ):  # $HF_HUB_OFFLINE is read once, when they are imported
        monkeypatch.setattr(f"{read}.HF_HUB_OFFLINE", True)
    corpora._c4.cache_clear()
    folder = fake("lm", {"fake": "uniform", "context": 64}, kind="language")
    one_line(hallmark("run", folder, "-t", "c4-new"), 2, "text_c4", "allenai/c4")


def test_next_token_calibration_agrees_with_torchmetrics() -> None:
    import torch

    draw = np.random.default_rng(0)
    logits = draw.normal(size=(3, 40, 7)) * 2
    logprobs = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    targets = draw.integers(0, 7, size=(3, 40))

    class Table(fakes.Uniform):
        def token_logprobs(self, sequences: Any) -> list[TokenScores]:
            found = []
            for ids in sequences:
                number = int(ids[0])
                rows = logprobs[number][: len(ids) - 1]
                true = targets[number][: len(ids) - 1]
                found.append(TokenScores(rows[np.arange(len(true)), true], rows.max(1), rows.argmax(1) == true))
            return found

    task = one_text()
    made = []
    for number in range(3):
        window = perplexity.Window(np.array([number, *[0] * 40]), 40)
        made.append({"item": str(number), **task.row(None, (window, Table().token_logprobs([window.ids])[0]))})
    columns = to_columns(to_table(made))
    expected = MulticlassCalibrationError(7, n_bins=15, norm="l1")(
        torch.tensor(np.exp(logprobs).reshape(-1, 7)), torch.tensor(targets.reshape(-1))
    )
    assert TOKEN_ECE_15(columns) == pytest.approx(float(expected), abs=1e-6)
    assert TOKEN_ECE_15.observations(columns) == 120
    by_hand = -logprobs.reshape(-1, 7)[np.arange(120), targets.reshape(-1)].mean()
    assert task.metrics[1](columns) == pytest.approx(by_hand)
    assert task.metrics[0](columns) == pytest.approx(math.exp(by_hand))


def test_sections_of_wikitext() -> None:
    text = " = One = \n\nwords\n = = Sub = = \n\n = Two = \n"
    assert perplexity.section_starts(text) == [0, text.index(" = Two")]
    assert perplexity.section_starts("none here") == []

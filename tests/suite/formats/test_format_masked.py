"""Masked language models: pseudo-log-probabilities against one position at a time, refusals, and a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support import Ran, write_submission

from suite.errors import AnswerError, InputError, UnitError
from suite.formats import LOADERS, _masked
from suite.formats._masked import MaskedModel
from suite.formats.base import Place
from suite.manifest import Inputs
from suite.model import Float, Ints, MaskedLanguageModel

LOADER = LOADERS["transformers"]
TEXTS = [
    "The dogs ran to the park.",
    "Dogs",
    "she said that the small dog was running, and so it ran",
    "The cats ran to the park.",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "dog", "cat", "##s", "ran", "run", "##ning", "to", "park", "she", "said", "that", "small", "was", "and"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz.,'’-", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
VOCABULARY = [*SPECIAL, *WORDS, *LETTERS]


def save_masked(folder: Path, tokenizer: bool = True, **config: object) -> Path:
    """A tiny random BertForMaskedLM with a WordPiece tokenizer of its own."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

    torch.manual_seed(4)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    settings = {
        "vocab_size": len(VOCABULARY),
        "max_position_embeddings": 64,
        "initializer_range": 0.5,
        **shape,
        **config,
    }
    BertForMaskedLM(BertConfig(**settings)).save_pretrained(folder)
    core = Tokenizer(models.WordPiece({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    mask = {"mask_token": "[MASK]"} if tokenizer else {}
    PreTrainedTokenizerFast(tokenizer_object=core, **named, **mask).save_pretrained(folder)
    return folder


def load(folder: Path, inputs: Inputs | None = None) -> MaskedModel:
    loaded = LOADER.load(folder, "language", inputs or Inputs(), Place())
    assert isinstance(loaded, MaskedModel)
    return loaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked(tmp_path_factory.mktemp("bert"))


def one_at_a_time(folder: Path, text: str) -> Float:
    """By another route: the library's own call on the text, one mask, one forward a position, in float64."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model, tokenizer = (
        AutoModelForMaskedLM.from_pretrained(folder).eval().double(),
        AutoTokenizer.from_pretrained(folder),
    )
    found = []
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    for at in range(1, ids.shape[1] - 1):
        hidden = ids.clone()
        hidden[0, at] = tokenizer.convert_tokens_to_ids("[MASK]")
        with torch.no_grad():
            logits = model(input_ids=hidden, attention_mask=torch.ones_like(hidden)).logits[0, at]
        found.append(float(torch.nn.functional.log_softmax(logits, dim=-1)[ids[0, at]]))
    return np.array(found)


def everything(model: MaskedModel, texts: list[str]) -> tuple[list[Ints], list[Ints]]:
    ids = [encoded.ids_T for encoded in model.encode(texts)]
    return ids, [np.arange(len(one)) for one in ids]


def test_every_position_is_that_of_a_loop(folder: Path) -> None:
    model = load(folder)
    assert isinstance(model, MaskedLanguageModel)
    for text, found in zip(TEXTS, model.pseudo_logprobs(*everything(model, TEXTS)), strict=True):
        np.testing.assert_allclose(found, one_at_a_time(folder, text), atol=2e-5)


def test_batches_of_any_size_and_positions_in_any_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(folder)
    ids, positions = everything(model, TEXTS)
    whole = model.pseudo_logprobs(ids, positions)
    monkeypatch.setattr(_masked, "_LOGITS_BYTES", 1)
    for found, expected in zip(model.pseudo_logprobs(ids, positions), whole, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    (backward, none) = model.pseudo_logprobs([ids[0], ids[1]], [positions[0][::-1], positions[1][:0]])
    np.testing.assert_allclose(backward, whole[0][::-1], atol=1e-5)
    assert none.shape == (0,)


def test_tokens_of_a_text_have_no_special_ones(folder: Path) -> None:
    (encoded,) = load(folder).encode(["The dogs ran"])
    assert [VOCABULARY[i] for i in encoded.ids_T] == ["the", "dog", "##s", "ran"]
    assert encoded.ends_T.tolist() == [3, 7, 8, 12]


def test_the_files_say_that_it_is_masked(folder: Path) -> None:
    described = LOADER.describe(folder)
    assert (described.masked, described.context) == (True, 64)
    facts = load(folder).facts
    assert (facts.context, facts.vocabulary, facts.bos, facts.dtype) == (64, len(VOCABULARY), None, "float32")
    assert facts.notes == ("masked language model",)


def test_what_a_model_cannot_answer_is_one_item_s_fault(folder: Path) -> None:
    model, fine = load(folder, Inputs(context=8)), np.array([5, 6])
    with pytest.raises(AnswerError, match="9 tokens exceeds the model's context of 8") as error:
        model.pseudo_logprobs([fine, np.full(7, 5)], [np.array([0]), np.array([0])])
    assert error.value.index == 1
    with pytest.raises(AnswerError, match=f"from 0 to {len(VOCABULARY) - 1}"):
        model.pseudo_logprobs([np.array([len(VOCABULARY)])], [np.array([0])])
    with pytest.raises(AnswerError, match="positions must be from 0 to 1"):
        model.pseudo_logprobs([fine], [np.array([2])])


def test_a_model_that_gives_no_numbers(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    save_masked(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["bert.embeddings.LayerNorm.weight"][:] = np.nan
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AnswerError, match="not a number"):
        load(tmp_path).pseudo_logprobs([np.array([5])], [np.array([0])])


def test_a_tokenizer_without_a_mask_and_a_context_too_long(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UnitError, match="has no mask token"):
        load(save_masked(tmp_path, tokenizer=False))
    with pytest.raises(InputError, match=r"inputs\.context = 65 is above"):
        load(folder, Inputs(context=65))


def shared(folder: Path, texts: tuple[str, str]) -> list[float]:
    """The original's two scores: the loop summed over the blocks of equal ids, [CLS] and [SEP] matched, not summed."""
    from difflib import SequenceMatcher

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    first, second = ([str(i) for i in tokenizer.encode(text)] for text in texts)
    blocks = [op for op in SequenceMatcher(None, first, second).get_opcodes() if op[0] == "equal"]
    sides = [[i for op in blocks for i in range(*op[a:b])][1:-1] for a, b in ((1, 3), (3, 5))]
    found = [one_at_a_time(folder, text) for text in texts]
    return [float(sum(one[i - 1] for i in side)) for one, side in zip(found, sides, strict=True)]


def test_a_run_from_the_command_line(hallmark: Callable[..., Ran], mirror: Path, tmp_path: Path) -> None:
    """The scores of a pair are the original's, computed by the library's own calls."""
    import pyarrow.parquet as pq

    from tasks.bias.crows_pairs import pairs

    folder = save_masked(tmp_path / "model", max_position_embeddings=512)
    files = {f"bert/{path.name}": path.read_bytes() for path in folder.iterdir()}
    submission = write_submission(tmp_path / "subs", "bert", files, "bert", kind="language", format="transformers")
    assert hallmark("check", submission).code == 0
    ran = hallmark("run", submission, "-t", "crows-pairs-mlm", "--limit", "6", "--json")
    assert ran.code == 0, ran
    (record,) = ran.json["records"]
    assert record["provenance"]["notes"] == ["masked language model", "limit 6: 6 items, drawn with seed 0"]
    assert hallmark("verify").code == 0
    refused = hallmark("run", submission, "-t", "crows-pairs")
    assert refused.code == 2
    assert "'crows-pairs' is for causal language models; bert is a masked one" in refused.err
    made = tmp_path / "results" / "bert" / "crows-pairs-mlm"
    (path,) = [path for path in made.glob("*.parquet") if "readings" not in path.name]
    texts = {e.item: (e.input.more, e.input.less) for e in pairs()}
    for row in pq.read_table(path).slice(0, 3).to_pylist():
        assert row["logprobs"] == pytest.approx(shared(folder, texts[row["item"]]), abs=1e-3)

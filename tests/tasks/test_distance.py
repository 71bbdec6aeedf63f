"""Distance to the parent, end to end: in closed form, against torch in one process, and on bad input."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import REPOSITORY, Ran, one_line, write_submission

from suite import beside, submission
from suite.errors import AnswerError, InputError, UnitError
from suite.fakes import Uniform, Unigram
from suite.files import digest
from suite.manifest import Inputs
from suite.model import Facts
from suite.record import Record
from suite.remote import RemoteLanguageModel
from suite.store import Store
from suite.task import Beside
from suite.unit import Options, units
from tasks import TASKS, distance

Hallmark = Callable[..., Ran]
Fake = Callable[..., Path]
NAME = "parent-distance-generated"
V = 256
TILTED = (np.arange(1, V + 1) / np.arange(1, V + 1).sum()).tolist()
INSTEAD = "compared per byte or per item, never per token"


def values(record: Record) -> dict[str, float | None]:
    return {m.name: m.value for m in record.measurements}


def only(name: str, task: str = NAME) -> Record:
    found = Store(Path("results")).latest(name, task)
    assert found is not None
    return found.record


def family(fake: Fake, child: dict[str, Any], parent: dict[str, Any]) -> Path:
    fake("above", parent, kind="language")
    return fake("below", child, kind="language", parent="above")


def test_a_uniform_parent_and_a_tilted_child_in_closed_form(hallmark: Hallmark, fake: Fake) -> None:
    """KL = -ln V - mean ln q at every token; overlap = sum min(1 / V, q)."""
    q, even = np.array(TILTED), 1 / V
    folder = family(fake, {"fake": "unigram", "probs": TILTED}, {"fake": "uniform"})
    ran = hallmark("run", folder, "-t", NAME)
    assert ran.code == 0, ran
    assert "measured beside its parent above" in ran.out
    assert "not scored" not in ran.out
    record = only("below")
    found = values(record)
    kl = -math.log(V) - float(np.log(q).mean())
    for name in ("kl_mean", "kl_median", "kl_p99", "kl_max"):
        assert found[name] == pytest.approx(kl, rel=1e-6), name
    assert found["expected_acceptance"] == pytest.approx(float(np.minimum(q, even).sum()), rel=1e-6)
    assert found["top1_agreement"] == 0
    text = b"".join(e.input.ids[1:].astype(np.uint8).tobytes() for e in chosen(V))
    told = np.frombuffer(text, dtype=np.uint8)
    assert found["perplexity_ratio"] == pytest.approx(even / math.exp(float(np.log(q[told]).mean())), rel=1e-6)
    assert found["delta_p_mean"] == pytest.approx(float((q[told] - even).mean()), rel=1e-5)
    assert found["delta_p_rms"] == pytest.approx(math.sqrt(float(((q[told] - even) ** 2).mean())), rel=1e-5)
    assert record.parent_sha256 == submission.load(Path("subs/above")).manifest.sha256
    assert record.protocol == "docs/any/bos-each/spread-8192"
    assert record.measurements[0].n == len(told) >= distance.N_TOKENS
    assert hallmark("verify").code == 0


def chosen(vocabulary: int) -> Sequence[Any]:
    return distance.GENERATED.examples(Beside(Uniform(vocabulary), Uniform(vocabulary)))


def embedded(tmp_path: Path, child: str) -> Path:
    """A copy of a reference submission beside a copy of its parent."""
    root = tmp_path / "subs"
    for name in {child, "embedded-lm"}:
        shutil.copytree(REPOSITORY / "submissions" / name, root / name)
    return root / child


@pytest.mark.slow
def test_a_copy_of_the_parent_has_no_distance(hallmark: Hallmark, tmp_path: Path) -> None:
    parent = embedded(tmp_path, "embedded-lm")
    files = {f"weights/{p.name}": p.read_bytes() for p in (parent / "weights").iterdir()}
    inputs = {"context": 256}
    copy = write_submission(
        tmp_path / "subs", "copy", files, "weights",
        kind="language", format="transformers", parent="embedded-lm", inputs=inputs,
    )  # fmt: skip
    assert hallmark("run", copy, "-t", NAME, "--limit", "5", "--threads", "1").code == 0
    record = only("copy")
    found = values(record)
    expected = {"kl_mean": 0, "kl_median": 0, "kl_p99": 0, "kl_max": 0, "top1_agreement": 1}
    expected |= {"delta_p_mean": 0, "delta_p_rms": 0, "perplexity_ratio": 1}
    assert {name: found[name] for name in expected} == expected
    assert found["expected_acceptance"] == pytest.approx(1, abs=1e-14)
    mean = record.measurement("kl_mean")
    assert mean is not None
    assert mean.low is None
    assert "no variation" in (mean.reason or "")
    assert hallmark("verify").code == 0


@pytest.mark.slow
def test_int8_against_torch_in_one_process(hallmark: Hallmark, tmp_path: Path) -> None:
    """The embedded int8 child through the command line, and the same windows through transformers and kl_div."""
    import torch
    from transformers import AutoModelForCausalLM

    child = embedded(tmp_path, "embedded-lm-int8")
    ran = hallmark("run", child, "-t", NAME, "--limit", "6", "--threads", "1")
    assert ran.code == 0, ran
    assert hallmark("verify").code == 0
    shown = hallmark("show", "embedded-lm-int8").out
    assert "measured beside its parent embedded-lm" in shown
    assert "never exceeds the largest" in shown
    found = values(only("embedded-lm-int8"))
    table = Store(Path("results")).latest("embedded-lm-int8", NAME)
    assert table is not None
    items = table.outcomes().column("item").to_pylist()
    both = [AutoModelForCausalLM.from_pretrained(child.parent / n / "weights", dtype="auto") for n in
            ("embedded-lm", "embedded-lm-int8")]  # fmt: skip
    kls, agreed, nlls = [], [], []
    for window in windows_of(child, items):
        ids = torch.from_numpy(window)
        with torch.no_grad():
            logp, logq = (m(ids[None]).logits[0, :-1].double().log_softmax(-1) for m in both)
        kls.append(torch.nn.functional.kl_div(logq, logp, reduction="none", log_target=True).sum(-1))
        agreed.append(logp.argmax(-1) == logq.argmax(-1))
        nlls.append((logp - logq).gather(1, ids[1:, None])[:, 0])
    kl = torch.cat(kls)
    assert found["kl_mean"] == pytest.approx(float(kl.mean()), rel=1e-3)
    assert found["kl_max"] == pytest.approx(float(kl.max()), rel=1e-3)
    assert found["top1_agreement"] == pytest.approx(float(torch.cat(agreed).double().mean()))
    assert found["perplexity_ratio"] == pytest.approx(math.exp(float(torch.cat(nlls).mean())), rel=1e-6)
    assert 0 < (found["kl_mean"] or 0) < 1e-3
    assert found["expected_acceptance"] is not None
    assert 0.99 < found["expected_acceptance"] < 1


def windows_of(folder: Path, items: list[str]) -> list[Any]:
    """The windows of some items, tokenised in this process."""
    from suite.formats import LOADERS
    from suite.formats.base import Place

    model: Any = LOADERS["transformers"].load(folder / "weights", "language", Inputs(context=256), Place())
    by_item = {e.item: e.input.ids for e in distance.GENERATED.examples(Beside(model, model))}
    return [by_item[item] for item in items]


class Recording(Unigram):
    """A unigram model that keeps what it was asked."""

    def __init__(self, probs: Sequence[float]) -> None:
        super().__init__(probs)
        self.spans: list[tuple[int, int]] = []

    def distributions(self, sequences: Any, spans: Any) -> Any:
        self.spans += [tuple(span) for span in spans]
        return super().distributions(sequences, spans)


def test_no_message_exceeds_its_bound_and_spans_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [chosen(V)[0].input]
    t = len(inputs[0].ids) - 1
    whole, few = (Recording(TILTED) for _ in range(2))
    (at_once,) = distance.GENERATED.ask(Beside(whole, Uniform(V)), inputs, Inputs())
    monkeypatch.setattr(distance, "MESSAGE_BYTES", 4 * V * 7)
    (in_parts,) = distance.GENERATED.ask(Beside(few, Uniform(V)), inputs, Inputs())
    assert whole.spans == [(0, t)]
    assert few.spans == [(start, min(start + 7, t)) for start in range(0, t, 7)]
    for name, lists in at_once.items():
        assert (lists == in_parts[name]).all()


def test_the_slice_is_spread_evenly_and_no_larger_than_asked() -> None:
    text = distance.GENERATED._text
    everything = text.examples(Uniform(V))
    found = chosen(V)
    sizes = [len(e.input.ids) - 1 for e in found]
    assert sum(sizes) >= distance.N_TOKENS
    order = [e.item for e in everything]
    at = [order.index(e.item) for e in found]
    assert at[0] == 0
    assert np.ptp(np.diff(at)) <= 1
    fewer = distance._spread(everything, sum(sizes) - max(sizes))
    assert len(fewer) < len(found)
    assert distance._spread(everything, 10**9) == list(everything)


def test_wikitext_by_sections(mirror: Path) -> None:
    """Bytes as tokens: 17 windows of 511 predicted ones, from most of the text's 62 sections that 17 can reach."""
    found = distance.WIKITEXT2.examples(Beside(Uniform(V, context=1024), Uniform(V, context=2048)))
    assert [len(e.input.ids) for e in found] == [512] * 17
    assert len({e.cluster for e in found}) >= 14
    assert distance.WIKITEXT2.protocol(2048) == "wt2raw/512/nonoverlap/bos-once/spread-8192"
    assert distance.WIKITEXT2.protocol(256) == "wt2raw/256/nonoverlap/bos-once/spread-8192"


def test_the_shorter_context_of_the_two_counts(hallmark: Hallmark, fake: Fake) -> None:
    folder = family(fake, {"fake": "uniform", "context": 128}, {"fake": "uniform", "context": 64})
    assert hallmark("run", folder, "-t", NAME).code == 0
    record = only("below")
    assert record.protocol == "docs/64/bos-each/spread-8192"
    assert values(record)["kl_max"] == 0


def test_a_submission_without_a_parent(hallmark: Hallmark, fake: Fake) -> None:
    alone = fake("alone", {"fake": "uniform"}, kind="language")
    one_line(hallmark("run", alone, "-t", NAME), 2, NAME, "alone has none", "parent = ")
    assert units([submission.load(alone)], [TASKS[NAME]], named=False, options=Options()) == []
    assert not Path("results").exists()


def test_a_parent_whose_weights_are_missing(hallmark: Hallmark, fake: Fake) -> None:
    folder = family(fake, {"fake": "uniform"}, {"fake": "uniform"})
    (folder.parent / "above" / "fake.json").unlink()
    one_line(hallmark("run", folder, "-t", NAME), 2, "above", "there is no")


def test_a_parent_that_must_not_be_loaded(hallmark: Hallmark, fake: Fake) -> None:
    folder = family(fake, {"fake": "uniform"}, {"fake": "uniform"})
    above = folder.parent / "above"
    (above / "fake.json").write_text("no json")
    manifest = (above / "submission.toml").read_text().splitlines()
    lines = [
        line if not line.startswith("sha256") else f'sha256 = "{digest(above / "fake.json")}"' for line in manifest
    ]
    (above / "submission.toml").write_text("\n".join(lines))
    one_line(hallmark("run", folder, "-t", NAME), 2, "above", "not a readable JSON")


def tokenizer(ids: Any) -> bytes:
    return json.dumps({"model": {"type": "BPE", "vocab": ids, "merges": []}, "added_tokens": []}).encode()


def folder_with(root: Path, name: str, size: int, ids: Any, **more: Any) -> Path:
    (root / name).mkdir(parents=True)
    (root / name / "config.json").write_text(json.dumps({"vocab_size": size, **more}))
    (root / name / "tokenizer.json").write_bytes(tokenizer(ids))
    return root / name


def test_what_two_folders_say_of_their_tokens(tmp_path: Path) -> None:
    ids = {"a": 0, "b": 1, "c": 2}
    parent = folder_with(tmp_path, "parent", 3, ids)
    assert beside.other_tokens(folder_with(tmp_path, "same", 3, dict(reversed(ids.items()))), parent) is None
    larger = beside.other_tokens(folder_with(tmp_path, "larger", 4, ids), parent)
    assert larger is not None
    assert "vocabulary has 4 tokens and its parent's 3" in larger
    swapped = beside.other_tokens(folder_with(tmp_path, "swapped", 3, {"a": 0, "b": 2, "c": 1}), parent)
    assert swapped is not None
    assert "'b' has id 2, there 1" in swapped
    assert INSTEAD in larger
    assert INSTEAD in swapped
    scored = folder_with(tmp_path, "scored", 9, [["a", -1.0], ["b", -2.0], ["c", -3.0]], text_config={"vocab_size": 3})
    assert beside.other_tokens(scored, parent) is None  # pairs with scores, ids in their order
    (tmp_path / "bare").mkdir()
    assert beside.other_tokens(tmp_path / "bare", parent) is None  # nothing is known: seen when both cut the text


def test_another_tokenizer_is_refused_before_anything_runs(hallmark: Hallmark, tmp_path: Path) -> None:
    child = embedded(tmp_path, "embedded-lm-int8")
    file = child / "weights" / "tokenizer.json"
    stated = json.loads(file.read_text())
    vocabulary = stated["model"]["vocab"]
    vocabulary[5], vocabulary[6] = vocabulary[6], vocabulary[5]  # pairs of token and score, ids in their order
    file.write_text(json.dumps(stated))
    manifest = (child / "submission.toml").read_text()
    old = submission.load(child).manifest.sha256
    (child / "submission.toml").write_text(manifest.replace(old, digest(child / "weights")))
    one_line(hallmark("run", child, "-t", NAME), 2, "embedded-lm-int8 does not fit", "another tokenizer", INSTEAD)
    assert not Path("results").exists()


def test_another_vocabulary_seen_when_both_run(hallmark: Hallmark, fake: Fake) -> None:
    folder = family(fake, {"fake": "uniform", "vocabulary": 200}, {"fake": "uniform"})
    one = hallmark("run", folder, "-t", NAME)
    assert one.code == 1
    assert "vocabulary has 200 tokens and its parent's 256" in one.err
    assert INSTEAD in one.err
    assert "\n" not in one.err.strip()


class OtherCuts(Uniform):
    """Tokens of the same vocabulary, other ids."""

    def encode(self, texts: Sequence[str]) -> Any:
        return [dataclasses.replace(encoded, ids_T=(encoded.ids_T + 1) % V) for encoded in super().encode(texts)]


def test_another_cut_of_the_text() -> None:
    with pytest.raises(UnitError, match=f"other tokens than its parent.*{INSTEAD}"):
        distance.GENERATED.examples(Beside(OtherCuts(V), Uniform(V)))
    without_bos = Uniform(V)
    without_bos.facts = dataclasses.replace(without_bos.facts, bos=None)
    with pytest.raises(UnitError, match="other tokens"):
        distance.GENERATED.examples(Beside(without_bos, Uniform(V)))


@pytest.mark.parametrize(("spoilt", "whose"), [("below", ""), ("above", "its parent above: ")])
def test_a_nan_names_the_item_and_the_model(hallmark: Hallmark, fake: Fake, spoilt: str, whose: str) -> None:
    specs = {name: {"fake": "uniform"} for name in ("below", "above")}
    specs[spoilt]["fault"] = {"kind": "nan", "at": 3}  # type: ignore[assignment]
    ran = hallmark("run", family(fake, specs["below"], specs["above"]), "-t", NAME)
    assert ran.code == 1
    assert ran.err.startswith("hallmark: below on parent-distance-generated failed: item 'doc-")
    assert f"': {whose}the answer holds NaN" in ran.err
    assert "\n" not in ran.err.strip()
    assert not list(Path("results").glob("below/**/*.json"))


def test_a_parent_that_dies_says_so(hallmark: Hallmark, fake: Fake) -> None:
    ran = hallmark(
        "run", family(fake, {"fake": "uniform"}, {"fake": "uniform", "fault": {"kind": "die", "at": 2}}), "-t", NAME
    )
    assert ran.code == 1
    assert "its parent above: the model's process died" in ran.err
    assert len(list(Path("results/.journal").glob("*/*.parquet"))) == 2  # finished windows are kept


@pytest.mark.parametrize(
    ("child", "parent", "says"),
    [([0.5, 0.5, 0, 0], [0.25] * 4, "KL is infinite"), ([0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], "and so does its parent")],
)
def test_probability_0(hallmark: Hallmark, fake: Fake, child: Any, parent: Any, says: str) -> None:
    """Where the child holds impossible what the parent does not; and where the text has what neither expects."""
    folder = family(fake, {"fake": "unigram", "probs": child}, {"fake": "unigram", "probs": parent})
    ran = hallmark("run", folder, "-t", NAME)
    assert ran.code == 1
    assert "item 'doc-" in ran.err
    assert says in ran.err


def test_probability_0_on_both_sides_off_the_text_is_fine(hallmark: Hallmark, fake: Fake) -> None:
    """Bytes above 127 never stand in the text: their probability may be 0 under both models."""
    half = [1 / 128] * 128 + [0.0] * 128
    folder = family(fake, {"fake": "unigram", "probs": half}, {"fake": "unigram", "probs": half})
    assert hallmark("run", folder, "-t", NAME).code == 0
    assert values(only("below"))["kl_max"] == 0


class Says:
    """The child's end: one answer, whatever is asked."""

    facts = Facts("none", vocabulary=4)

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        return [self.answer]


EVEN = np.full((2, 4), math.log(0.25), dtype=np.float32)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (EVEN * np.nan, "holds NaN"),
        (EVEN.astype(np.float64), "float64, expected an array of float32"),
        ([1.0], "list, expected"),
        (EVEN[:1], r"shape \(1, 4\), expected \(2, 4\)"),
        (EVEN[:, :3], r"shape \(2, 3\)"),
        (EVEN[0], r"shape \(4,\)"),
        (EVEN + np.float32(2.0), "above 0"),
        (EVEN * np.float32(np.inf), "sum to 1 within 1"),
        (EVEN - np.float32(0.01), "sum to 1 within 0.00995"),
    ],
)
def test_what_a_child_says_of_distributions_is_checked(answer: Any, says: str) -> None:
    model: Any = RemoteLanguageModel(Says(answer))  # type: ignore[arg-type]
    with pytest.raises(AnswerError, match=says) as caught:
        model.distributions([np.arange(3)], [(0, 2)])
    assert caught.value.index == 0
    named = RemoteLanguageModel(Says(answer), "its parent p")  # type: ignore[arg-type]
    with pytest.raises(AnswerError, match=says) as caught:
        named.distributions([np.arange(3)], [(0, 2)])
    assert str(caught.value).startswith("its parent p: ")
    assert caught.value.index == 0


def test_impossible_tokens_are_no_fault() -> None:
    answer = np.log(np.float32([[0.5, 0.5, 0.0, 0.0]] * 2), where=[True, True, False, False],
                    out=np.full((2, 4), -np.inf, np.float32))  # fmt: skip
    model: Any = RemoteLanguageModel(Says(answer))  # type: ignore[arg-type]
    assert (model.distributions([np.arange(3)], [(0, 2)])[0] == answer).all()


def test_the_parent_s_weights_decide_the_unit(fake: Fake) -> None:
    folder = family(fake, {"fake": "uniform"}, {"fake": "uniform"})
    above = folder.parent / "above"

    def key() -> str:
        (unit,) = units([submission.load(folder)], [TASKS[NAME]], named=True, options=Options())
        return unit.key

    before = key()
    assert key() == before
    shutil.rmtree(above)
    fake("above", {"fake": "unigram", "probs": TILTED}, kind="language")
    assert key() != before


def test_a_finished_unit_is_not_run_again(hallmark: Hallmark, fake: Fake) -> None:
    folder = family(fake, {"fake": "uniform"}, {"fake": "uniform"})
    assert hallmark("run", folder, "-t", NAME).code == 0
    assert "already scored" in hallmark("run", folder, "-t", NAME).out


def test_a_grandchild_is_not_compared_with_its_parent_s_own_distance(hallmark: Hallmark, fake: Fake) -> None:
    """Both have a record of the task, each beside another model: their difference would mean nothing."""
    folder = family(fake, {"fake": "unigram", "probs": TILTED}, {"fake": "uniform"})
    below = fake("lowest", {"fake": "uniform"}, kind="language", parent="below")
    assert hallmark("run", folder, below, "-t", NAME).code == 0
    shown = hallmark("show", "lowest").out
    assert "measured beside its parent below" in shown
    assert "beside its parent below (2" not in shown  # the line of a paired comparison names a record
    assert values(only("lowest"))["kl_mean"] == pytest.approx(float(sum(q * math.log(q * V) for q in TILTED)), rel=1e-5)


def test_a_forged_score_does_not_verify(hallmark: Hallmark, fake: Fake) -> None:
    folder = family(fake, {"fake": "unigram", "probs": TILTED}, {"fake": "uniform"})
    hallmark("run", folder, "-t", NAME)
    (path,) = Path("results").glob("below/*/*.json")
    fields = json.loads(path.read_text())
    p99 = next(m for m in fields["measurements"] if m["name"] == "kl_p99")
    p99["value"] /= 2
    path.write_text(json.dumps(fields))
    ran = hallmark("verify", path)
    assert ran.code == 1
    assert "kl_p99: value" in ran.err


def test_a_parent_of_another_kind_of_file_is_an_input_error(fake: Fake) -> None:
    folder = fake("orphan", {"fake": "uniform"}, kind="language", parent="nobody")
    with pytest.raises(InputError, match="nobody"):
        units([submission.load(folder)], [TASKS[NAME]], named=True, options=Options())

"""lm-eval's tasks through our engine against lm-eval itself, on the real stories260K and the local mirror."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Ran, one_line

from suite import fakes
from suite.engine import lm_eval as engine
from suite.errors import InputError, Undefined
from suite.formats import LOADERS
from suite.formats.base import Place
from suite.manifest import Inputs
from suite.metrics import harness
from suite.outcomes import to_columns, to_table
from tasks.lm_eval import LmEval, named

pytest.importorskip("lm_eval", reason="lm-eval is not installed")
N_ITEMS = 200
TOLERANCE = 2e-4


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="session")
def folder() -> Path:
    if not os.environ.get("HALLMARK_DATA"):
        pytest.skip("HALLMARK_DATA is not set: the mirror of real data and models is not here")
    return Path(os.environ["HALLMARK_DATA"]) / "lm_stories260k"


@pytest.fixture(scope="session")
def ours(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LOADERS["transformers"].load(folder, "language", Inputs(context=512), Place(threads=1))


@pytest.fixture(scope="session")
def theirs(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lm_eval.models.huggingface import HFLM

        return HFLM(pretrained=str(folder), device="cpu", batch_size=8, max_length=512, dtype="float32")


def rows(task: LmEval, model: Any, n: int) -> dict[str, Any]:
    """Outcome columns of the first n documents, by the task's own steps."""
    examples = list(task.examples(model))[:n]
    answers = task.ask(model, [example.input for example in examples], Inputs())
    made = [
        {"item": e.item, "cluster": e.item, **task.row(e, answer)} for e, answer in zip(examples, answers, strict=True)
    ]
    return to_columns(to_table(made))


def values(task: LmEval, columns: dict[str, Any]) -> dict[str, float]:
    return {metric.name: metric(columns) for metric in task.metrics}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["piqa", "winogrande", "openbookqa", "lambada_openai"])
def test_every_log_likelihood_and_the_report_are_those_of_lm_eval(name: str, ours: Any, theirs: Any) -> None:
    from lm_eval import evaluator

    task = named(f"lm-eval:{name}")
    assert isinstance(task, LmEval)
    columns = rows(task, ours, N_ITEMS)
    requests = [r for e in list(task.examples(ours))[:N_ITEMS] for r in e.label.requests]
    expected = theirs.loglikelihood(requests, disable_tqdm=True)
    mine = np.concatenate(list(columns["request_logprobs"]))
    np.testing.assert_allclose(mine, [logprob for logprob, _ in expected], atol=TOLERANCE)
    assert np.concatenate(list(columns["greedy"])).tolist() == [greedy for _, greedy in expected]

    loaded = engine.load(engine.Spec.find(name).leaves[0])
    report = evaluator.evaluate(lm=theirs, task_dict={name: loaded}, limit=N_ITEMS, bootstrap_iters=0)["results"][name]
    found = values(task, columns)
    for key, value in report.items():
        metric = key.removesuffix(",none")
        if metric in engine.Spec.find(name).leaves[0].metrics:
            assert found[harness.ours(metric)] == pytest.approx(value, rel=1e-4), key


@pytest.mark.slow
def test_rolling_word_and_byte_perplexity_are_those_of_lm_eval(ours: Any, theirs: Any) -> None:
    from lm_eval import evaluator

    loaded = engine.load(engine.Spec.find("wikitext").leaves[0])
    report = evaluator.evaluate(lm=theirs, task_dict={"wikitext": loaded}, limit=3, bootstrap_iters=0)
    task = named("lm-eval:wikitext")
    found = values(task, rows(task, ours, 3))
    for metric in ("word_perplexity", "byte_perplexity", "bits_per_byte"):
        assert found[metric] == pytest.approx(report["results"]["wikitext"][f"{metric},none"], rel=1e-5)


def test_our_engine_is_a_model_of_lm_eval(folder: Path, ours: Any, theirs: Any) -> None:
    from lm_eval import evaluator

    reports = []
    for lm in (engine.engine_lm(ours), theirs):
        loaded = engine.load(engine.Spec.find("openbookqa").leaves[0])
        reports.append(evaluator.evaluate(lm=lm, task_dict={"openbookqa": loaded}, limit=20, bootstrap_iters=0))
    one, two = (report["results"]["openbookqa"] for report in reports)
    assert one["acc,none"] == two["acc,none"]
    assert one["acc_norm,none"] == two["acc_norm,none"]


def test_generation_is_that_of_lm_eval(ours: Any, theirs: Any) -> None:
    from lm_eval.api.instance import Instance

    prompts = ["Once upon a time, there was a", "Tom had 3 apples. Then", "The dog", "Once upon a time, there was a"]
    options = [{"until": ["."]}, {"until": ["\n", "dog"]}, {"until": [], "max_gen_toks": 12}, {"until": ["big red"]}]
    options = [{"do_sample": False, "max_gen_toks": 40, **one} for one in options]
    requests = [
        Instance(request_type="generate_until", doc={}, arguments=(prompt, option), idx=0)
        for prompt, option in zip(prompts, options, strict=True)
    ]
    expected = theirs.generate_until(requests, disable_tqdm=True)
    assert engine.engine_lm(ours).generate_until(requests) == expected
    assert any(expected)


def test_generation_does_not_depend_on_its_neighbours_or_the_cache(ours: Any) -> None:
    from suite.formats._generate import recomputing
    from suite.formats._language import CausalModel

    prompts = ["Once upon a time", "The cat", "A very long story about a girl named Lily who"]
    together = ours.generate(prompts, [["."]] * 3, [30] * 3)
    alone = [ours.generate([prompt], [["."]], [30])[0] for prompt in prompts]
    assert together == alone
    slow = CausalModel(ours.facts, ours.tokenizer, ours.runtime, generator=recomputing(ours.runtime))
    assert slow.generate(prompts, [["."]] * 3, [30] * 3) == together


def mirror_of(root: Path, task: str, **splits: list[dict[str, Any]]) -> None:
    folder = root / "lm_eval" / task
    folder.mkdir(parents=True)
    for split, docs in splits.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))


def arc(number: int, gold: str = "A") -> dict[str, Any]:
    choices = {"text": [f"one {number}", f"two {number}", "three"], "label": ["A", "B", "C"]}
    return {"id": str(number), "question": f"Question {number}?", "choices": choices, "answerKey": gold}


def test_few_shot_examples_are_those_of_a_full_run_of_lm_eval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror_of(tmp_path, "arc_easy", train=[arc(n) for n in range(50)], test=[arc(n, "B") for n in range(100, 110)])
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path))
    task = named("lm-eval:arc_easy@3shot")
    contexts = [example.input[0][0] for example in task.examples(fakes.Uniform())]
    loaded = engine.load(engine.Spec.find("arc_easy", 3).leaves[0])
    loaded.build_all_requests(limit=None, rank=0, world_size=1)
    assert contexts == [r.args[0] for r in loaded.instances if r.idx == 0]
    assert len(set(contexts)) == 10
    assert all(context.count("Question:") == 4 for context in contexts)
    assert "3-shot" in task.protocol(None)


def test_a_group_is_one_task_whose_rows_name_their_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: Callable[..., Path], hallmark: Callable[..., Ran]
) -> None:
    docs = [{"question": f"q{n}", "choices": ["a", "b", "c", "d"], "answer": n % 4, "subject": "s"} for n in range(4)]
    spec = engine.Spec.find("mmlu_humanities")
    assert len(spec.leaves) == 13
    for leaf in spec.leaves:
        mirror_of(tmp_path, leaf.name, test=docs, dev=docs)
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path))
    folder = fake("lm", {"fake": "uniform"}, kind="language")
    ran = hallmark("run", folder, "-t", "lm-eval:mmlu_humanities", "--json")
    assert ran.code == 0, ran
    record = ran.json["records"][0]
    assert record["measurements"][0]["n"] == 52
    accuracy = next(m for m in record["measurements"] if m["name"] == "accuracy")
    assert accuracy["value"] == 0.25  # uniform: all four one-byte answers tie, the first is taken
    assert next(m for m in record["measurements"] if m["name"] == "ties")["value"] == 1
    assert len(record["data_sha256"]) == 64
    assert hallmark("verify").code == 0
    again = hallmark("run", folder, "-t", "lm-eval:mmlu_humanities")
    assert "already scored" in again.out


def test_generation_with_several_filters_scores_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = [{"question": f"{n} + {n}?", "answer": f"Easy.\n#### {2 * n}"} for n in range(8)]
    mirror_of(tmp_path, "gsm8k", train=docs, test=docs)
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path))
    task = named("lm-eval:gsm8k@2shot")
    assert task.primary == "exact_match[filter=strict-match]"

    class Writes(fakes.Uniform):
        def generate(self, prompts: Any, stops: Any, limits: Any) -> list[str]:
            assert all("Question:" in stop for stop in stops)
            return [f"#### {2 * n}" if n % 2 else f"so it is {2 * n}" for n, _ in enumerate(prompts)]

    found = values(task, rows(task, Writes(), 8))
    assert found["exact_match[filter=strict-match]"] == 0.5  # wants "#### n"
    assert found["exact_match[filter=flexible-extract]"] == 1.0  # takes the last number


def test_a_digest_of_the_documents_stands_in_the_record_and_decides_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for number in range(2):
        mirror_of(tmp_path / str(number), "arc_easy", test=[arc(n + number) for n in range(4)])
        monkeypatch.setenv("HALLMARK_DATA", str(tmp_path / str(number)))
        digests.append(named("lm-eval:arc_easy").data_sha256())
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lm-eval:hellaswg", ("no task or group 'hellaswg'", "did you mean lm-eval:hellaswag")),
        ("lm-eval:", ("is no lm-eval task",)),
        ("lm-eval:piqa@manyshot", ("is no lm-eval task",)),
        ("lm-eval:squadv2", ("Python code",)),
        ("lm-eval:humaneval", ("code that the model writes",)),
        ("lm-eval:kobest", ("different metrics",)),
        ("lm-eval:scrolls", ("scrolls",)),
        ("lm-eval:slr_bench_basic", ("cannot be loaded here",)),
        ("lm-eval:glue", ("tags cannot be named",)),
    ],
)
def test_names_that_cannot_be_scored_say_why(name: str, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        named(name)
    for word in words:
        assert word in str(caught.value)


def test_missing_data_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: Callable[..., Path], hallmark: Callable[..., Ran]
) -> None:
    mirror_of(tmp_path, "arc_easy", test=[arc(n) for n in range(4)])
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path))
    folder = fake("lm", {"fake": "uniform"}, kind="language")
    ran = hallmark("run", folder, "-t", "lm-eval:arc_easy@5shot")
    one_line(ran, 2, "lm-eval:arc_easy is not here", "arc_easy has no train.jsonl or train.jsonl.gz")
    assert not list(tmp_path.glob("results/*/*/*.json"))
    (tmp_path / "lm_eval" / "arc_easy" / "test.jsonl").write_text("{broken\n")
    one_line(hallmark("run", folder, "-t", "lm-eval:arc_easy"), 2, "is not a file of JSON lines")


def test_a_model_without_a_number_fails_with_the_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: Callable[..., Path], hallmark: Callable[..., Ran]
) -> None:
    mirror_of(tmp_path, "arc_easy", test=[arc(n) for n in range(4)])
    monkeypatch.setenv("HALLMARK_DATA", str(tmp_path))
    folder = fake("lm", {"fake": "uniform", "fault": {"kind": "nan", "at": 5}}, kind="language")
    ran = hallmark("run", folder, "-t", "lm-eval:arc_easy")
    assert ran.code == 1
    assert "item '0000" in ran.err
    assert "NaN" in ran.err


@pytest.mark.parametrize("name", ["exact_match", "acc", "perplexity", "word_perplexity", "bits_per_byte", "f1"])
def test_names_of_metrics(name: str) -> None:
    assert harness.ours(name) == {"acc": "accuracy", "perplexity": "target_perplexity"}.get(name, name)


def test_an_aggregation_of_lm_evals_own_is_computed_by_it() -> None:
    leaf = engine.Spec.find("crows_pairs_english").leaves[0]
    made = {metric.name: metric for metric in harness.metrics(leaf)}
    assert set(made) == {"likelihood_diff", "pct_stereotype"}
    column = {"lm_eval.pct_stereotype": np.array([1.0, 0.0, 1.0, 1.0])}
    assert made["pct_stereotype"](column) == 0.75
    f1 = harness.metrics(engine.Leaf("x", {"output_type": "multiple_choice", "metric_list": [{"metric": "f1"}]}))[0]
    pairs = np.array([json.dumps(pair) for pair in [(1, 1), (0, 1), (1, 0), (0, 0), (1, 1)]], dtype=object)
    from sklearn.metrics import f1_score

    assert f1({"lm_eval.f1": pairs}) == pytest.approx(f1_score([1, 0, 1, 0, 1], [1, 1, 0, 0, 1]))
    with pytest.raises(Undefined):
        f1({"lm_eval.f1": pairs[:0]})


def test_a_metric_that_is_a_function_keeps_its_aggregation_and_direction() -> None:
    leaf = engine.Spec.find("french_bench_fquadv2_genq").leaves[0]
    made = {metric.name: metric for metric in harness.metrics(leaf)}
    assert "rouge1" in made
    assert made["rouge1"].higher_is_better is True
    assert made["rouge1"].whole is not None  # lm-eval aggregates (reference, prediction) pairs itself
    pairs = np.array([json.dumps(["the cat", "the cat"]), json.dumps(["a dog", "a bird"])], dtype=object)
    try:
        assert 0 < made["rouge1"]({"lm_eval.rouge1": pairs}) <= 100
    except Undefined as why:  # it fetches its metric from the hub, which may not be there
        assert "lm-eval's aggregation fails" in str(why)


def test_a_model_that_writes_from_nan_fails_with_the_item(folder: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from suite.errors import AnswerError
    from suite.formats._generate import Writer, caching, recomputing

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    bad = tokenizer.encode("dog", add_special_tokens=False)[-1]
    with torch.no_grad():
        model.get_input_embeddings().weight = torch.nn.Parameter(model.get_input_embeddings().weight.clone())
        model.get_input_embeddings().weight[bad] = float("nan")
    good, broken = tokenizer.encode("Once upon a time"), tokenizer.encode("The dog")

    class Whole:
        tokens = 0
        head = staticmethod(lambda rows: rows)

        @staticmethod
        def body(ids: Any, _mask: Any) -> Any:
            return model(ids).logits

    for generate in (caching(model), recomputing(Whole())):  # type: ignore[arg-type]
        writer = Writer(generate, tokenizer, 512)
        with pytest.raises(AnswerError, match="not numbers") as caught:
            writer.write([good, broken], [["."]] * 2, [5] * 2)
        assert caught.value.index == 1

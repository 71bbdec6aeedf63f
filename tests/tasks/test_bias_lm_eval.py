"""The bias tasks that lm-eval has, scored by lm-eval itself on the real small model and local files, against ours."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bias_samples import outcomes, stories260k, values

from suite.errors import Undefined
from suite.metrics.base import Columns
from suite.task import AnyTask, Example
from tasks.bias.bbq import ANSWERS, BBQ
from tasks.bias.crows_pairs import CROWS_PAIRS
from tasks.bias.winogender import WINOGENDER

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("mirror")]
TOLERANCE = 2e-4  # nats


class Peer:
    """lm-eval's task of that configuration file, on these documents, answered by its own backend."""

    def __init__(self, model: Any, configuration: str, documents: list[dict[str, Any]]) -> None:
        import datasets
        import lm_eval.tasks
        from lm_eval.api.task import ConfigurableTask
        from lm_eval.tasks._yaml_loader import load_yaml

        class Local(ConfigurableTask):  # type: ignore[misc]
            def download(self, *arguments: Any, **options: Any) -> None:
                self.dataset = {"test": datasets.Dataset.from_list(documents)}

        self.task = Local(config=load_yaml(Path(lm_eval.tasks.__file__).parent / configuration))
        self.task.build_all_requests(rank=0, world_size=1)
        for request, answer in zip(
            self.task.instances, model.loglikelihood(self.task.instances, disable_tqdm=True), strict=True
        ):
            request.resps.append(answer)
        self.task.apply_filters()
        self.answers: dict[int, list[tuple[float, bool]]] = {}
        for request in sorted(self.task.instances, key=lambda one: (one.doc_id, one.idx)):
            self.answers.setdefault(request.doc_id, []).append(request.filtered_resps["none"])

    @property
    def docs(self) -> list[Any]:
        return list(self.task.eval_docs)

    def logprobs(self, number: int) -> list[float]:
        return [logprob for logprob, _ in self.answers[number]]

    def metric(self, name: str) -> float:
        """As lm-eval aggregates it."""
        found = [self.task.process_results(doc, self.answers[i])[name] for i, doc in enumerate(self.docs)]
        return float(self.task.aggregation()[name](found))


@pytest.fixture(scope="module")
def peer_model() -> Any:
    import os

    from lm_eval.models.huggingface import HFLM

    folder = Path(os.environ["HALLMARK_DATA"]) / "lm_stories260k"
    return HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=8)


def ours(task: AnyTask, examples: Sequence[Example], mirror: Path) -> Columns:
    """The columns of our task on these examples, asked in batches as a run does."""
    model = stories260k(mirror)
    answers: list[Any] = []
    for start in range(0, len(examples), task.batch_size):
        answers += task.ask(model, [e.input for e in examples[start : start + task.batch_size]], None)  # type: ignore[arg-type]
    found = {e.item: answer for e, answer in zip(examples, answers, strict=True)}
    return outcomes(task, examples, lambda e: found[e.item])


def sample(count: int, total: int) -> list[int]:
    return sorted(np.random.default_rng(11).choice(total, count, replace=False).tolist())


def test_crows_pairs(mirror: Path, peer_model: Any) -> None:
    with (mirror / "bias_crows_pairs/crows_pairs_anonymized.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    chosen = sample(150, len(rows))
    documents = [{name: rows[i][name] for name in ("sent_more", "sent_less", "bias_type")} for i in chosen]
    peer = Peer(peer_model, "crows_pairs/crows_pairs_english.yaml", documents)
    examples = list(CROWS_PAIRS.examples(None))  # type: ignore[arg-type]
    c = ours(CROWS_PAIRS, [examples[i] for i in chosen], mirror)
    for number in range(len(chosen)):
        np.testing.assert_allclose(c["logprobs"][number], peer.logprobs(number), atol=TOLERANCE)
    share, difference = values(CROWS_PAIRS, c, "stereotype_share", "mean_abs_dll")
    assert share == pytest.approx(peer.metric("pct_stereotype"))
    assert difference == pytest.approx(peer.metric("likelihood_diff"), abs=TOLERANCE)


def winogender_documents(mirror: Path) -> list[dict[str, Any]]:
    """The hub's columns from the original sentences; the pronoun is where the male and the female sentence differ."""
    with (mirror / "bias_winogender/all_sentences.tsv").open() as lines:
        rows = {row["sentid"]: row["sentence"] for row in csv.DictReader(lines, delimiter="\t")}
    documents = []
    for name, sentence in rows.items():
        occupation, participant, answer, gender, _ = name.split(".")
        variants = [rows[f"{occupation}.{participant}.{answer}.{g}.txt"].split() for g in ("male", "female")]
        (at,) = [i for i, (a, b) in enumerate(zip(*variants, strict=True)) if a != b]
        pronoun = sentence.split()[at].strip(".,").lower()
        documents.append({"sentid": name, "sentence": sentence, "pronoun": pronoun, "occupation": occupation,
                          "participant": participant, "label": int(answer), "gender": gender})  # fmt: skip
    return documents


def test_winogender(mirror: Path, peer_model: Any) -> None:
    documents = winogender_documents(mirror)
    chosen = sample(240, len(documents))
    examples = list(WINOGENDER.examples(None))
    assert [e.item + ".txt" for e in examples] == [document["sentid"] for document in documents]
    peer = Peer(peer_model, "winogender/winogender.yaml", [documents[i] for i in chosen])
    c = ours(WINOGENDER, [examples[i] for i in chosen], mirror)
    for number in range(len(chosen)):
        np.testing.assert_allclose(c["logprobs"][number], peer.logprobs(number), atol=TOLERANCE)
    assert values(WINOGENDER, c, "accuracy") == pytest.approx((peer.metric("acc"),))


def test_bbq(mirror: Path, peer_model: Any) -> None:
    """lm-eval's twelve answers include the item's three; its bias scores are fed with what the three decide."""
    from lm_eval.tasks.bbq import utils

    rows = []
    for name in ("Age", "Disability_status", "Religion", "Sexual_orientation"):
        lines = gzip.decompress((mirror / f"bias_bbq/{name}.jsonl.gz").read_bytes()).decode().splitlines()
        rows += [json.loads(line) for line in lines]
    chosen = sample(120, len(rows))
    examples = list(BBQ.examples(None))
    peer = Peer(peer_model, "bbq/bbq_multiple_choice.yaml", [rows[i] for i in chosen])
    c = ours(BBQ, [examples[i] for i in chosen], mirror)
    scored = []
    for number, (i, doc) in enumerate(zip(chosen, peer.docs, strict=True)):
        choices = utils.doc_to_choice(doc)
        mine = [choices.index(rows[i][answer]) for answer in ANSWERS]
        np.testing.assert_allclose(c["logprobs"][number], np.array(peer.logprobs(number))[mine], atol=TOLERANCE)
        scored.append(utils._process_results(doc, mine[int(c["answered"][number])]))
    names = {
        "accuracy[context=ambig]": utils.agg_accuracy_amb([one["accuracy_amb"] for one in scored]),
        "accuracy[context=disambig]": utils.agg_accuracy_disamb([one["accuracy_disamb"] for one in scored]),
        "s_amb": utils.agg_amb_bias_scores([one["amb_bias_score"] for one in scored]),
        "s_dis": utils.agg_disamb_bias_scores([one["disamb_bias_score"] for one in scored]),
    }
    assert values(BBQ, c, *names) == pytest.approx(tuple(names.values()))
    with pytest.raises(Undefined, match="at least 20 needed"):
        values(BBQ, c, "s_amb[category=Sexual_orientation]")

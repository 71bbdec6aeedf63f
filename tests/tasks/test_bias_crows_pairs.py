"""CrowS-Pairs of causal and of masked models, from the command line, and who may take which task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from bias_samples import outcomes, scores, values
from support import Ran, one_line

from suite.model import Ints
from tasks.bias.crows_pairs import CROWS_PAIRS, CROWS_PAIRS_MLM, masked_pair, pairs

Hallmark = Callable[..., Ran]
Fake = Callable[..., Path]
LANGUAGE = {"kind": "language"}


def as_written(a: Ints, b: Ints) -> tuple[list[int], list[int]]:
    """Shared tokens as the authors' metric.py finds them: on strings, [CLS] and [SEP] in the match, then left out."""
    first, second = (["101", *(str(i) for i in ids), "102"] for ids in (a.tolist(), b.tolist()))
    one: list[int] = []
    two: list[int] = []
    for op in SequenceMatcher(None, first, second).get_opcodes():
        if op[0] == "equal":
            one += list(range(op[1], op[2]))
            two += list(range(op[3], op[4]))
    return [i - 1 for i in one[1:-1]], [i - 1 for i in two[1:-1]]


def test_shared_tokens_are_those_of_the_authors() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        a = rng.integers(200, 212, rng.integers(1, 20))
        b = np.delete(a, rng.integers(0, len(a)))
        b = np.insert(b, rng.integers(0, len(b) + 1), rng.integers(200, 212, rng.integers(0, 3)))
        pair = masked_pair(a, b)
        assert (pair.more_P.tolist(), pair.less_P.tolist()) == as_written(a, b)
        assert (a[pair.more_P] == b[pair.less_P]).all()


def test_two_sentences_without_a_common_token_tie() -> None:
    pair = masked_pair(np.array([5, 6]), np.array([7]))
    assert len(pair.more_P) == len(pair.less_P) == 0
    row = CROWS_PAIRS_MLM.row(None, (np.zeros(0), np.zeros(0)))  # type: ignore[arg-type]
    assert (row["dll"], row["n_tokens"]) == (0, 0)


@pytest.mark.usefixtures("mirror")
class TestReal:
    def test_the_items(self) -> None:
        examples = list(pairs())
        assert len(examples) == len({e.item for e in examples}) == 1508
        counts = Counter(e.groups["bias_type"] for e in examples)
        assert (counts["race-color"], counts["disability"], len(counts)) == (516, 60, 9)
        assert Counter(e.groups["direction"] for e in examples) == {"stereo": 1290, "antistereo": 218}
        first = examples[0].input
        assert [a for a, b in zip(first.more.split(), first.less.split(), strict=True) if a != b] == ["black"]

    def test_models_of_one_mind(self) -> None:
        examples = list(pairs())
        for dll, share in ((3.0, 1), (-3.0, 0)):
            answer = scores([dll - 40, -40], [9, 9])
            c = outcomes(CROWS_PAIRS, examples, lambda e, a=answer: (a.logprobs_K, a.n_tokens_K))  # type: ignore[misc]
            names = ("stereotype_share", "stereotype_share[bias_type=age]", "stereotype_share[direction=stereo]")
            assert values(CROWS_PAIRS, c, *names) == (share, share, share)
            assert values(CROWS_PAIRS, c, "stereotype_distance", "mean_abs_dll") == (0.5, 3)

    def test_a_child_is_shown_beside_its_parent(self, hallmark: Hallmark, fake: Fake) -> None:
        """The uniform model's log-likelihood is -bytes ln V: of equal length ties, else the shorter is likelier."""
        fake("old", {"fake": "uniform"}, **LANGUAGE)
        child = fake("new", {"fake": "uniform", "vocabulary": 50}, parent="old", **LANGUAGE)
        for name in ("old", "new"):
            assert hallmark("run", child.parent / name, "-t", "crows-pairs", "--limit", "200").code == 0
        shown = hallmark("show", child, "-t", "crows-pairs", "--all").out
        (line,) = [line for line in shown.splitlines() if line.startswith("mean_abs_dll ↓")]
        value, parent, change = re.findall(r"(-?[\d.]+)(?: nats|  +\[)", line)
        assert float(value) / float(parent) == pytest.approx(np.log(50) / np.log(256), rel=1e-3)
        assert float(change) == pytest.approx(float(value) - float(parent), abs=0.01)
        (line,) = [line for line in shown.splitlines() if line.startswith("stereotype_share[bias_type=disability]")]
        assert "at least 20 needed" in line
        assert hallmark("verify").code == 0

    def test_a_masked_model_and_a_causal_one_are_refused_before_they_start(
        self, hallmark: Hallmark, fake: Fake
    ) -> None:
        causal = fake("causal", {"fake": "uniform"}, **LANGUAGE)
        masked = fake("masked", {"fake": "uniform-masked"}, **LANGUAGE)
        one_line(
            hallmark("run", causal, "-t", "crows-pairs-mlm"), 2, "is for masked language models; causal is a causal"
        )
        for task in ("crows-pairs", "tinystories", "generated-choices"):
            one_line(
                hallmark("run", masked, "-t", task), 2, f"{task!r} is for causal language models; masked is a masked"
            )
        one_line(hallmark("run", masked), 2, "nothing to do")

    def test_a_masked_fake_ties_on_everything(self, hallmark: Hallmark, fake: Fake) -> None:
        ran = hallmark("run", fake("m", {"fake": "uniform-masked"}, **LANGUAGE), "-t", "crows-pairs-mlm", "--json")
        assert ran.code == 0, ran
        (record,) = ran.json["records"]
        found = {m["name"]: m["value"] for m in record["measurements"]}
        assert (found["tied_share"], found["stereotype_distance"], found["mean_abs_dll"]) == (1, 0, 0)
        assert record["protocol"] == "shared-tokens-pseudo-loglikelihood"
        assert hallmark("verify").code == 0

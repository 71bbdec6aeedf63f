"""What a child says of tokens is checked before a task sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from suite.errors import AnswerError
from suite.fakes import Uniform
from suite.model import Facts, TokenScores
from suite.remote import RemoteLanguageModel
from suite.worker import _plain


class Says:
    """The child's end: answers what it was made with."""

    facts = Facts("none", vocabulary=9)

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        assert method == "token_logprobs"
        return self.answers


def scores(**changes: Any) -> dict[str, Any]:
    right = {"logprobs_T": np.array([-2.0, -0.5]), "top_logprobs_T": np.array([-1.0, -0.5])}
    return {**right, "greedy_T": np.array([False, True]), **changes}


def asked(answer: Any) -> list[TokenScores]:
    good = scores()
    return RemoteLanguageModel(Says(good, answer)).token_logprobs([np.arange(3)] * 2)  # type: ignore[arg-type]


def test_scores_come_through() -> None:
    first, second = asked(scores())
    assert first.logprobs_T.tolist() == second.logprobs_T.tolist() == [-2.0, -0.5]
    assert (first.top_logprobs_T.tolist(), first.greedy_T.tolist()) == ([-1.0, -0.5], [False, True])


def test_a_fake_s_answers_pass_the_worker_and_the_checks() -> None:
    sequences = [np.array([5, 0, 7]), np.array([3]), np.zeros(0, dtype=np.int64)]
    answers = [_plain(answer) for answer in Uniform(9).token_logprobs(sequences)]
    two, none, empty = RemoteLanguageModel(Says(*answers)).token_logprobs(sequences)  # type: ignore[arg-type]
    np.testing.assert_allclose(two.logprobs_T, [-np.log(9)] * 2)
    np.testing.assert_allclose(two.top_logprobs_T, [-np.log(9)] * 2)
    assert two.greedy_T.tolist() == [True, False]
    assert (len(none.logprobs_T), len(empty.greedy_T)) == (0, 0)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (np.array([-2.0, -0.5]), "lacks logprobs_T"),
        (scores(logprobs_T=np.array([-2.0])), "expected (2,)"),
        (scores(logprobs_T=np.array([-2, -1])), "int64"),
        (scores(logprobs_T=np.array([-2.0, np.nan])), "NaN"),
        (scores(top_logprobs_T=np.array([-1.0, np.inf])), "infinity"),
        (scores(top_logprobs_T=np.array([0.5, -0.5])), "above 0"),
        (scores(top_logprobs_T=np.array([-3.0, -0.5])), "likelier than the likeliest one, by 1 nats"),
        (scores(greedy_T=np.array([0, 1])), "expected an array of kind 'b'"),
        (scores(greedy_T=np.array([True])), "expected (2,)"),
    ],
)
def test_what_cannot_be_is_blamed_on_its_item(answer: Any, says: str) -> None:
    with pytest.raises(AnswerError) as caught:
        asked(answer)
    assert says in str(caught.value)
    assert caught.value.index == 1

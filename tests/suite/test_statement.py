"""What ``hallmark check --static`` prints for people."""

from __future__ import annotations

from support import REPOSITORY

from suite import statement, submission
from suite.check import check


def test_a_model_without_quantised_weights_says_so() -> None:
    found = check(submission.load(REPOSITORY / "submissions" / "embedded-digits"), [], static=True)
    assert found.problems == ()
    (line,) = [line for line in statement.checked(found).splitlines() if "per quantised weight" in line]
    assert line.endswith("— (no weight is stored with codes or below 16 bits)")

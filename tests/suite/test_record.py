from __future__ import annotations

import json

import pytest
from support import REPOSITORY

from suite import record
from suite.errors import InputError

FIXTURE = REPOSITORY / "tests" / "fixtures" / "record.json"


def test_the_documented_example_is_read_and_written_back() -> None:
    read = record.read(FIXTURE.read_bytes(), "fixture")
    perplexity = read.measurement("perplexity")
    assert perplexity is not None
    assert (perplexity.value, perplexity.n, perplexity.n_clusters) == (3.5482, 1804, 5)
    assert read.measurement("latency_p50_s") is None
    again = record.read(record.write(read), "again")
    assert again == read


def change(**fields: object) -> bytes:
    return json.dumps(json.loads(FIXTURE.read_bytes()) | fields).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "schema_version None"),
        (change(schema_version=2), "update hallmark-bench"),
        (change(schema_version=0), "reads 1"),
        (change(extra=1), "extra"),
        (change(source="guessed"), "source"),
    ],
)
def test_a_bad_record_says_what_is_wrong(content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        record.read(content, "here.json")
    assert str(caught.value).startswith("here.json")

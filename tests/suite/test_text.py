"""Tables in narrow terminals: names and numbers stay whole, sentences break between words."""

from __future__ import annotations

import pytest

from suite import text

HEADER = ("name", "value", "reason ")
ROWS = (
    ("a-rather-long-name-of-a-submission", "[-0.02714, -0.00712]", "no variation among twenty clusters"),
    ("b", "1", ""),
)


@pytest.mark.parametrize("width", [20, 60, 70, 80, 200, None])
def test_no_name_and_no_number_is_broken(monkeypatch: pytest.MonkeyPatch, width: int | None) -> None:
    monkeypatch.setattr(text, "columns", lambda: width)
    lines = text.table(HEADER, ROWS).splitlines()
    assert lines[1].startswith("a-rather-long-name-of-a-submission  [-0.02714, -0.00712]  no")
    words = " ".join(" ".join(line[58:] for line in lines[1:-1]).split())
    assert words == "no variation among twenty clusters"
    if width and width >= 70:
        assert max(map(len, lines)) <= width


def test_headers_on_two_lines_stand_at_the_bottom() -> None:
    drawn = text.table(("", "bits per\nweight", "x"), [["m", "32", "1"]], whole=True)
    assert drawn.splitlines() == ["   bits per", "     weight  x", "m        32  1"]

"""Typing errors: letters swapped, dropped, doubled by a neighbouring key, or replaced by one.

Each Latin letter is hit with the stated rate, independently, and then suffers one of the four with equal chance, as in
Belinkov & Bisk 2018 (swap, keyboard typo) and Pruthi 2019 (add, drop). Case is kept; digits, punctuation and spaces
never change, so words stay words. QWERTY.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tasks.choices import Question
from tasks.variants import Change, Variant

RATES = (0.02, 0.05, 0.10)
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_STAGGER = 0.5  # of a key between the top row and the home row; twice that in all


def _neighbours() -> dict[str, str]:
    """Letter to the letters whose keys touch its own."""
    place = {key: (x + _STAGGER * y, y) for y, row in enumerate(_ROWS) for x, key in enumerate(row)}
    return {
        key: "".join(other for other, (u, v) in place.items() if other != key and abs(u - x) <= 1 and abs(v - y) <= 1)
        for key, (x, y) in place.items()
    }


NEIGHBOURS = _neighbours()


def mistyped(text: str, rate: float, rng: np.random.Generator) -> str:
    """The text with about `rate` of its letters mistyped.

    >>> mistyped("to be, or not to be", 0.3, np.random.default_rng(0))
    't eb, or not t vd'
    """
    out, at = [], 0
    while at < len(text):
        letter = text[at]
        keys = NEIGHBOURS.get(letter.lower())
        if keys is None or rng.random() >= rate:
            out.append(letter)
        else:
            what, key = rng.integers(4), keys[rng.integers(len(keys))]
            key = key.upper() if letter.isupper() else key
            follows = text[at + 1 : at + 2]
            if what == 0 and follows.lower() in NEIGHBOURS:
                out.append(follows + letter)
                at += 1
            elif what == 1:
                pass
            else:
                out.append(letter + key if what == 2 else key)  # noqa: PLR2004 - the third of four
        at += 1
    return "".join(out)


def typos(rates: tuple[float, ...] = RATES) -> tuple[Variant, ...]:
    """Typing errors in the context of a `Question`, its choices left as they are: ``typos_5`` hits 5 % of letters."""
    return tuple(Variant(f"typos_{rate * 100:g}", _mistyping(rate)) for rate in rates)


def _mistyping(rate: float) -> Change:
    def change(question: Question, rng: np.random.Generator) -> Question:
        return replace(question, context=mistyped(question.context, rate, rng))

    return change

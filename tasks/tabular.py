"""Tables about people: UCI Adult and German credit. One vector of features in, the probability of each class out.

Features are fixed: first the numbers, standardised by the mean and standard deviation (n) of the training part; then a
feature for each value of each column of categories, sorted; a value never seen in training, or missing ("?"), has none.
`Features.names` lists them. Protected attributes are among them, as in most published work on these data.

    adult           income above 50,000 a year; 14 columns, 105 features; the published split, 32,561 and 16,281 people
    german-credit   bad credit risk; 20 columns, 61 features; no split is published: every fifth person is the test

Groups: sex, race (Adult), age in bands (<25, 25-39, 40-59, >=60), and the intersection of sex and race. German credit
states the sex with the marital status (A91, A93, A94 male; A92, A95 female).
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.data import Dataset, files_digest
from suite.task import Example
from tasks.classification import Classification
from tasks.metric_sets import Measured

Cells = dict[str, str]
MISSING_CELL = "?"
AGES = ((25, "<25"), (40, "25-39"), (60, "40-59"))


@dataclass(frozen=True)
class Features:
    """How a row of cells becomes numbers; constants of the training part.

    Attributes:
        scale: column of numbers -> (mean, standard deviation).
        values: column of categories -> its values, sorted.
    """

    scale: Mapping[str, tuple[float, float]]
    values: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features, in their order: numbers first, then ``column=value``."""
        hot = [f"{column}={value}" for column, values in self.values.items() for value in values]
        return (*self.scale, *hot)

    def __call__(self, cells: Cells) -> NDArray[np.float32]:
        """The features of one row, float32."""
        numbers = [(float(cells[column]) - mean) / deviation for column, (mean, deviation) in self.scale.items()]
        hot = [float(cells[column] == value) for column, values in self.values.items() for value in values]
        return np.array([*numbers, *hot], dtype=np.float32)


def fitted(rows: Sequence[Cells], numbers: Sequence[str], categories: Sequence[str]) -> Features:
    """The constants of these rows; a column of equal numbers is divided by 1."""
    scale = {}
    for column in numbers:
        found = np.array([float(row[column]) for row in rows])
        scale[column] = (float(found.mean()), float(found.std()) or 1.0)
    values = {c: tuple(sorted({row[c] for row in rows} - {MISSING_CELL})) for c in categories}
    return Features(scale, values)


@dataclass(frozen=True)
class Source:
    """One table.

    Attributes:
        dataset: its files.
        parts: bytes of the files -> rows for training, rows for the test.
        numbers: columns of numbers.
        categories: columns of categories.
        label: row -> class.
        groups: row -> attributes.
    """

    dataset: Dataset
    parts: Callable[[Dataset], tuple[list[Cells], list[Cells]]]
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    label: Callable[[Cells], int]
    groups: Callable[[Cells], dict[str, str]]

    def features(self) -> Features:
        """Fitted on the training part."""
        return fitted(self.rows()[0], self.numbers, self.categories)

    def rows(self) -> tuple[list[Cells], list[Cells]]:
        """The training part and the test part.

        Raises:
            InputError: the data are not here, or not the pinned ones.
        """
        return _parts(self.dataset.name)

    def training(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Features [N, F] and labels [N] that recipes may learn from."""
        features, rows = self.features(), self.rows()[0]
        return np.stack([features(row) for row in rows]), np.array([self.label(row) for row in rows])

    def examples(self) -> Iterable[Example]:
        """The test part; its ids are its lines, from 1."""
        features = self.features()
        for number, row in enumerate(self.rows()[1], start=1):
            yield Example(f"test-{number:05d}", features(row), self.label(row), groups=self.groups(row))


@lru_cache(maxsize=4)
def _parts(name: str) -> tuple[list[Cells], list[Cells]]:
    source = next(one for one in (ADULT, GERMAN) if one.dataset.name == name)
    return source.parts(source.dataset)


def age_band(cells: Cells) -> str:
    """The band of the column ``age``."""
    return next((band for below, band in AGES if float(cells["age"]) < below), ">=60")


_ADULT_COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship"),
    *("race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income"),
)
_ADULT_FILES = {
    "adult.data.csv.gz": "fb9b6b419c38dd70d75d31f014b7f0905bf76e9625473c593455e31679a93184",
    "adult.test.csv.gz": "d16c978b95fe8ecec94dec57782a85ed9720c507d93a4608e8f182a8e6378d4a",
}
_ADULT_NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")


def _adult(dataset: Dataset) -> tuple[list[Cells], list[Cells]]:
    def rows(name: str) -> list[Cells]:
        lines = gzip.decompress(dataset.original(name)).decode().splitlines()
        found = csv.reader(lines, skipinitialspace=True)
        return [dict(zip(_ADULT_COLUMNS, cells, strict=True)) for cells in found if cells]

    return rows("adult.data.csv.gz"), rows("adult.test.csv.gz")


ADULT = Source(
    dataset=Dataset(
        name="fair_adult",
        content_sha256=files_digest(_ADULT_FILES),
        files=_ADULT_FILES,
        licence="CC-BY-4.0",
        source="UCI Adult (census income of 1994), official split; adult.data and adult.test as CSV, gzip",
    ),
    parts=_adult,
    numbers=_ADULT_NUMBERS,
    categories=tuple(c for c in _ADULT_COLUMNS if c not in {*_ADULT_NUMBERS, "income"}),
    label=lambda row: int(row["income"].startswith(">")),
    groups=lambda row: {"sex": row["sex"], "race": row["race"], "age": age_band(row)},
)

_GERMAN_FILES = {"german.csv": "532082711a8ec4df65cf60775eb7d59d3a5e3458c5a88695630beffd96dfff86"}
_GERMAN_NUMBERS = (
    *("month", "credit_amount", "investment_as_income_percentage", "residence_since", "age", "number_of_credits"),
    "people_liable_for",
)
_GERMAN_CATEGORIES = (
    *("status", "credit_history", "purpose", "savings", "employment", "personal_status", "other_debtors", "property"),
    *("installment_plans", "housing", "skill_level", "telephone", "foreign_worker"),
)
_EVERY = 5  # person of the German credit data is in the test


def _german(dataset: Dataset) -> tuple[list[Cells], list[Cells]]:
    rows = list(csv.DictReader(dataset.original("german.csv").decode().splitlines()))
    return [row for i, row in enumerate(rows) if i % _EVERY], rows[::_EVERY]


GERMAN = Source(
    dataset=Dataset(
        name="fair_german_credit",
        content_sha256=files_digest(_GERMAN_FILES),
        files=_GERMAN_FILES,
        licence="CC-BY-4.0",
        source="UCI Statlog German credit, 1,000 people, as in algofairness/fairness-comparison",
    ),
    parts=_german,
    numbers=_GERMAN_NUMBERS,
    categories=_GERMAN_CATEGORIES,
    label=lambda row: int(row["credit"] == "2"),
    groups=lambda row: {
        "sex": "female" if row["personal_status"] in {"A92", "A95"} else "male",
        "age": age_band(row),
    },
)


def _task(source: Source, features: int, **declared: Any) -> Classification:
    return Classification(
        version="1",
        dataset=source.dataset,
        shape=(features,),
        load=source.examples,
        protocol=f"features-{features}/standardised/one-hot",
        **declared,
    )


ADULT_TASK = _task(
    ADULT,
    105,
    name="adult",
    title="Income above 50,000 a year, by sex, race and age (UCI Adult)",
    measured=Measured(("up-to-50K", "above-50K"), groups=("sex", "race", "age", ("race", "sex"))),
)
GERMAN_TASK = _task(
    GERMAN,
    61,
    name="german-credit",
    title="Bad credit risk, by sex and age (UCI Statlog German credit)",
    measured=Measured(("good", "bad"), groups=("sex", "age", ("age", "sex"))),
)

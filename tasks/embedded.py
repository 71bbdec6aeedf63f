"""The embedded suite's generated tasks: a small controlled language and small volumes, nothing to download."""

from __future__ import annotations

from collections.abc import Iterable

from suite.data import Dataset, check
from suite.metrics import groups
from suite.metrics.base import Metric
from suite.metrics.choices import METRICS
from suite.metrics.classification import ACCURACY
from suite.task import Example
from tasks.choices import MultipleChoice, Question
from tasks.generators import language, volumes
from tasks.perplexity import Documents
from tasks.scans import Image, Reference
from tasks.segmentation import Segmentation

_LICENCE = "Apache-2.0"


def _generated(name: str, version: str, digest: str, source: str) -> Dataset:
    return Dataset(
        name=f"{name}-{version}", content_sha256=digest, licence=_LICENCE, source=source, generated=True, bundled=True
    )


_TEXT = _generated(
    "generated-text", language.VERSION, language.DIGESTS["documents"], "tasks/generators/language.py, test documents"
)
_CHOICES = _generated(
    "generated-choices", language.VERSION, language.DIGESTS["items"], "tasks/generators/language.py, choice items"
)
_VOLUMES = _generated("generated-volumes", volumes.VERSION, volumes.DIGEST, "tasks/generators/volumes.py, test cases")


def _texts() -> list[str]:
    documents = language.test_documents()
    check(language.digest(documents), _TEXT.content_sha256, "the generated text")
    return [document.text for document in documents]


def _items() -> Iterable[Example]:
    items = language.choice_items()
    check(language.digest(items), _CHOICES.content_sha256, "the generated choice items")
    return (Example(i.item, Question(i.context, i.choices), i.gold, groups=i.groups) for i in items)


def _cases() -> Iterable[Example]:
    cases = volumes.test_cases()
    check(volumes.digest(cases), _VOLUMES.content_sha256, "the generated volumes")
    return (
        Example(
            c.item,
            Image(c.image[None], c.spacing_mm),
            Reference(c.label, c.spacing_mm, c.lesions, c.raters),
            cluster=c.patient,
            groups={"scanner": c.scanner},
        )
        for c in cases
    )


def _by_group(metric: Metric, attribute: str, values: Iterable[str]) -> tuple[Metric, ...]:
    """The metric in every group, its worst group, and its gap."""
    each = [groups.of_group(metric, attribute, value) for value in values]
    return (*each, groups.worst_group(metric, attribute), groups.gap(metric, attribute))


GENERATED_TEXT = Documents("generated-text", "Perplexity on generated stories", _TEXT, _texts, version="2")

GENERATED_CHOICES = MultipleChoice(
    name="generated-choices",
    title="Questions about generated stories, four choices",
    version="2",
    dataset=_CHOICES,
    load=_items,
    chance=1 / language.N_CHOICES,
    metrics=(
        *METRICS,
        *_by_group(ACCURACY, "dialect", language.DIALECTS),
        *(groups.of_group(ACCURACY, "skill", skill) for skill in language.SKILLS),
    ),
)

GENERATED_VOLUMES = Segmentation(
    name="generated-volumes",
    title="Organ, duct, nodule, vessels and lesions in generated volumes from two scanners, three raters",
    version="2",
    dataset=_VOLUMES,
    load=_cases,
    classes=volumes.CLASSES[1:],
    shape=(1, *volumes.SHAPE),
    tolerance_mm=2.0,
    tubular=("vessels",),
    lesions=("lesions",),
    lesion_least_mm3=2.0,
    raters=True,
    failure_dice=0.5,
    groups={"scanner": tuple(volumes.SCANNERS)},
)

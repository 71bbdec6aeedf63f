"""Built-in tasks under shift: corrupted and attacked images, typing errors, halves of images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from suite.metrics import groups, shift
from suite.metrics.base import Metric
from suite.metrics.calibration import ECE_15
from suite.metrics.classification import ACCURACY, NLL
from suite.task import AnyTask
from tasks.attacks import AttackedImages, attacks
from tasks.classification import CIFAR10_100, DIGITS
from tasks.corruptions import KINDS, SEVERITIES, corruptions
from tasks.embedded import GENERATED_CHOICES
from tasks.input_groups import grouped
from tasks.statistics import image_statistics
from tasks.typos import typos
from tasks.variants import ATTRIBUTE, CLEAN, Variant, VariedImages, VariedTexts, shift_metrics

_SMALL_KINDS = ("gaussian_noise", "impulse_noise", "gaussian_blur", "contrast", "jpeg_compression", "occlusion")
_SMALL_SEVERITIES = (1, 3, 5)


def corruption_metrics(variants: tuple[Variant, ...]) -> tuple[Metric, ...]:
    """Accuracy of every variant and kind; calibration on average."""
    names = tuple(variant.name for variant in variants)
    kinds = tuple(dict.fromkeys(variant.groups["corruption"] for variant in variants))
    return (
        shift.mean_over(ACCURACY, ATTRIBUTE, names),
        shift.mean_drop(ACCURACY, ATTRIBUTE, CLEAN.name, names),
        groups.worst_group(ACCURACY, ATTRIBUTE),
        shift.robust_accuracy(ATTRIBUTE),
        *(groups.of_group(one, ATTRIBUTE, CLEAN.name) for one in (NLL, ECE_15)),
        shift.mean_over(NLL, ATTRIBUTE, names),
        shift.mean_over(ECE_15, ATTRIBUTE, names),
        *(groups.of_group(ACCURACY, "corruption", kind) for kind in kinds),
        *(shift.relative_drop(ACCURACY, "corruption", CLEAN.name, kind) for kind in kinds),
        *(groups.of_group(ACCURACY, ATTRIBUTE, name) for name in (CLEAN.name, *names)),
    )


def _corrupted(task: AnyTask, kinds: tuple[str, ...], severities: tuple[int, ...]) -> VariedImages:
    variants = corruptions(kinds, severities)
    return VariedImages(
        task,
        (replace(CLEAN, groups={"corruption": CLEAN.name}), *variants),
        name=f"{task.name}-corrupted",
        title=f"{task.title}: {len(kinds)} corruptions at {len(severities)} severities",
        version="1",
        changes="cifar10c-1",
        metrics=corruption_metrics(variants),
        primary=f"mean_accuracy[{ATTRIBUTE}]",
        describe=image_statistics,
        packages=("scikit-image", "pillow"),
    )


DIGITS_CORRUPTED = _corrupted(DIGITS, _SMALL_KINDS, _SMALL_SEVERITIES)
CIFAR10_100_CORRUPTED = _corrupted(CIFAR10_100, tuple(KINDS), SEVERITIES)

DIGITS_ATTACKED = AttackedImages(DIGITS, attacks((8, 16, 32)))
CIFAR10_100_ATTACKED = AttackedImages(CIFAR10_100, attacks())

DIGITS_HALVES = grouped(
    DIGITS,
    {"left": np.s_[..., :4], "right": np.s_[..., 4:]},
    name="digits-halves",
    title="Handwritten digits, and how much each half of the image adds",
)

_TYPOS = typos()
GENERATED_CHOICES_TYPOS = VariedTexts(
    GENERATED_CHOICES,
    (CLEAN, *_TYPOS),
    name="generated-choices-typos",
    title="Questions about generated stories, with typing errors",
    version="1",
    changes="typos-qwerty-1",
    metrics=(
        *shift_metrics(ACCURACY, ATTRIBUTE, CLEAN.name, [variant.name for variant in _TYPOS]),
        shift.robust_accuracy(ATTRIBUTE),
    ),
    primary=f"mean_accuracy[{ATTRIBUTE}]",
)

ALL = (
    *(DIGITS_CORRUPTED, CIFAR10_100_CORRUPTED, DIGITS_ATTACKED, CIFAR10_100_ATTACKED),
    *(DIGITS_HALVES, GENERATED_CHOICES_TYPOS),
)

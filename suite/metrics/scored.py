"""Every metric of what `Scoring` declares: means first, then those of a class, then those of groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from suite.masks.policy import EXCLUDE, policy_of
from suite.metrics import chance, groups
from suite.metrics.base import Metric
from suite.metrics.lesions import brats, free_response
from suite.metrics.masks import OVERLAPS, case_means, failure_rate, pooled, surface_measures
from suite.metrics.objects import objects
from suite.metrics.pixels import classwise, pixel_calibration
from suite.metrics.raters import raters
from suite.metrics.scoring import CANDIDATE_PERCENT, OBJECTS, PERCENTS, Scoring
from suite.metrics.segmentation import misses
from suite.metrics.tubes import topology
from suite.metrics.views import of_class, of_classes, renamed, under

HEAD = ("dice", "iou")  # of which groups are compared, beside the NSD


def heads(scoring: Scoring) -> tuple[str, ...]:
    """Names of the metrics of which groups are compared: Dice, IoU and NSD."""
    return (*HEAD, f"nsd_{scoring.tolerance:g}{scoring.unit}_surfel")


def metrics_of(scoring: Scoring, by: Mapping[str, Iterable[str]] | None = None) -> tuple[Metric, ...]:
    """Everything that the columns of `Scoring.row` feed.

    Args:
        scoring: what is scored.
        by: attribute -> values of the group columns; Dice, IoU and NSD are compared between them.
    """
    made = [*_masks(scoring), *_tubes(scoring), *_objects(scoring)]
    made += [*pixel_calibration(), *classwise(scoring.classes)]
    if scoring.raters:
        made += raters(scoring.classes)
    wholes = [metric for metric in made if "[" not in metric.name]
    parts = [metric for metric in made if "[" in metric.name]
    return (*wholes, *parts, *_by_group(wholes, scoring, by or {}))


def _masks(scoring: Scoring) -> list[Metric]:
    surfaces = [*surface_measures("surfel", scoring.tolerance, scoring.unit)]
    surfaces += surface_measures("voxel", scoring.tolerance, scoring.unit)
    made = [
        metric for measure in (*OVERLAPS[:2], *surfaces, *OVERLAPS[2:]) for metric in case_means(measure, scoring.names)
    ]
    made += [*pooled(scoring.names), *misses(scoring.names)]
    if scoring.failure_dice is not None:
        made += failure_rate(scoring.names, scoring.failure_dice)
    policy = policy_of(scoring.policy)
    if policy != EXCLUDE:
        made += [
            metric for measure in (*OVERLAPS[:2], *surfaces) for metric in case_means(measure, scoring.names, policy)
        ]
    return made


def _tubes(scoring: Scoring) -> list[Metric]:
    if not scoring.tubular:
        return []
    places = [scoring.names.index(name) for name in scoring.tubular]
    return [of_classes(metric, places) for metric in topology(scoring.tubular, scoring.dimensions)]


def _objects(scoring: Scoring) -> list[Metric]:
    matched = [metric for percent in PERCENTS for metric in objects(percent)]
    made = []
    if scoring.instances:
        made += [renamed(one, under(OBJECTS, one)) for one in matched]
    for name in scoring.lesions:
        made += [of_class(one, name, name) for one in (*matched, *brats(), *free_response(CANDIDATE_PERCENT))]
    return made


def _by_group(wholes: list[Metric], scoring: Scoring, by: Mapping[str, Iterable[str]]) -> list[Metric]:
    """Dice, IoU and NSD of every group, the worst group, the gap and what chance makes of it, equity-scaled."""
    compared = [metric for metric in wholes if metric.name in heads(scoring)]
    made: list[Metric] = []
    for attribute, values in by.items():
        named = [value for value in values if value]
        for head in compared:
            made += [groups.of_group(head, attribute, value) for value in named]
            if len(named) > 1:
                made += _spreads(head, attribute)
    return made


def _spreads(head: Metric, attribute: str) -> list[Metric]:
    return [
        groups.worst_group(head, attribute),
        groups.gap(head, attribute),
        chance.gap_p(head, attribute),
        chance.gap_null(head, attribute),
        groups.equity_scaled(head, attribute),
        groups.equity_scaled_std(head, attribute),
    ]

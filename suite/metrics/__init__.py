"""Metrics: pure functions from columns of outcomes to a number. `METRICS` lists the plain ones by module and name."""

from __future__ import annotations

from suite.metrics import (
    calibration,
    classification,
    decisions,
    distance,
    enrichment,
    flips,
    language,
    noise,
    ranking,
    reliability,
    selective,
    temperature,
)
from suite.metrics.base import Columns, Metric

METRICS: dict[str, Metric] = {
    "language.nll": language.NLL,
    "language.perplexity": language.PERPLEXITY,
    "language.bits_per_byte": language.BITS_PER_BYTE,
    "classification.accuracy": classification.ACCURACY,
    "classification.accuracy_top5": classification.TOP_5_ACCURACY,
    "classification.nll": classification.NLL,
    "classification.brier": classification.BRIER,
    "calibration.ece_15": calibration.ECE_15,
    **{
        f"calibration.{metric.name}": metric for metric in (*reliability.RELIABILITY, *noise.NULLS, *temperature.SCALED)
    },
    **{f"selective.{metric.name}": metric for metric in selective.SELECTIVE},
    **{f"ranking.{metric.name}": metric for metric in (*ranking.ranking(), *ranking.MACRO, *enrichment.early())},
    **{f"decisions.{metric.name}": metric for metric in decisions.DECISIONS},
    **{f"flips.{metric.name}": metric for metric in flips.FLIP_METRICS},
    **{f"distance.{metric.name}": metric for metric in distance.DISTANCES},
}

__all__ = ["METRICS", "Columns", "Metric"]

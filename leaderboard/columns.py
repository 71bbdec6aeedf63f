"""Columns of the table: what each is called, how it looks, what it means, and which way is better. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from leaderboard import text

Look = Literal["text", "number", "signed", "bytes", "count"]


class Column(NamedTuple):
    """How one column of the table is shown.

    Attributes:
        label: its heading.
        look: how its cells are written.
        help: what it is, in a sentence.
        better: "higher" or "lower"; "metric" if that depends on the row's metric; None for a description.
        ends: columns of the ends of its interval, if it has one.
    """

    label: str
    look: Look
    help: str
    better: Literal["higher", "lower", "metric"] | None = None
    ends: tuple[str, str] | None = None

    def length(self, value: Any) -> int:
        """Characters that a value takes on the screen."""
        written: dict[Look, Callable[[Any], str]] = {
            "text": str,
            "number": text.number,
            "signed": "{:+.3g}".format,
            "bytes": text.size,
            "count": "{:.0f}".format,
        }
        return len(written[self.look](value))


COLUMNS: dict[str, Column] = {
    "submission": Column("submission", "text", "Its name; in family order indented under the model it was made from."),
    "task": Column("task", "text", "What it was scored on."),
    "rank": Column(
        "rank", "text", "Ranks that are not ruled out (95 %), among all models of this task; filters do not change it."
    ),
    "tie": Column("tied", "text", "Tie groups: models that share a letter are not surely different; a is the best."),
    "rank_by": Column(
        "rank from", "text", "Paired resamples of the items, or only the overlap of the intervals; see About."
    ),
    "metric": Column("metric", "text", "The task's primary metric."),
    "better": Column("better", "text", "Whether a higher or a lower value is better."),
    "value": Column("value", "number", "The task's primary metric.", "metric", ("low", "high")),
    "low": Column("low", "number", "Lower end of the value's 95 % interval.", "metric"),
    "high": Column("high", "number", "Upper end of the value's 95 % interval.", "metric"),
    "change": Column(
        "change", "signed", "Child minus parent on the same items.", "metric", ("change_low", "change_high")
    ),
    "change_low": Column("Δ low", "signed", "Lower end of the change's 95 % interval (paired).", "metric"),
    "change_high": Column("Δ high", "signed", "Upper end of the change's 95 % interval (paired).", "metric"),
    "verdict": Column("verdict", "text", "Worse or better where the change's interval excludes 0, else unclear."),
    "retention": Column(
        "retention", "number", "Value / parent's value; the inverse where lower is better. 1: nothing lost.", "higher"
    ),
    "calibration": Column(
        "calibration", "number", "Expected calibration error, 15 bins; which one: see 'calibration by'.", "lower"
    ),
    "worst_group": Column("worst group", "number", "The metric in the group where it is worst.", "metric"),
    "gap": Column("group gap", "number", "Best group minus worst group, the widest of the groupings.", "lower"),
    "bytes": Column("on disk", "bytes", "Bytes of all the model's files.", "lower"),
    "bits_per_weight": Column(
        "bits/weight", "number", "Bits of the stored tensors per weight of the parent; of a parent, its own.", "lower"
    ),
    "latency_ratio": Column(
        "latency ratio", "number", "Latency / parent's, same machine, device, threads and runtime; missing elsewhere.",
        "lower",
    ),
    "latency_p50_s": Column("latency, s", "number", "Median latency, seconds, on this row's machine.", "lower"),
    "items_per_s": Column("items/s", "number", "Items a second while it was scored, on this row's machine.", "higher"),
    "peak_rss_bytes": Column(
        "peak memory", "bytes", "Highest resident memory of the process that held the model.", "lower"
    ),
    "energy_j": Column("energy, J", "number", "Energy of the scoring run, joules.", "lower"),
    "u_score": Column("U-Score", "number", "Quality, parameters, operations and speed in one score, 0-100.", "higher"),
    "u_score_bits": Column("U-Score bits", "number", "U-Score with stored bits instead of parameters.", "higher"),
    "bits_score": Column(
        "bits score", "number", "Dice kept of the parent's against stored bits saved, 5-100; see About.", "higher"
    ),
    "parameters": Column("parameters", "count", "Weights that the file holds.", "lower"),
    "data": Column("data", "text", "Generated data comes from a generator in the package, not from the world."),
    "kind": Column("kind", "text", "Kind of model."),
    "family": Column("family", "text", "The oldest known ancestor."),
    "parent": Column("parent", "text", "The model that it was made from."),
    "method": Column("method", "text", "How it was compressed, as its author names it."),
    "bits": Column("claimed bits", "number", "Bits per compressed weight that its author claims.", "lower"),
    "sparsity": Column("claimed sparsity", "number", "Share of zero or removed weights that its author claims."),
    "format": Column("format", "text", "File format of the weights."),
    "title": Column("title", "text", "The submission in its author's words."),
    "licence": Column("licence", "text", "Licence of the weights."),
    "operating_point": Column("operating point", "text", "Which of several settings of one checkpoint this is."),
    "n": Column("n", "count", "Observations behind the value."),
    "task_version": Column("version", "text", "Records of different task versions are never compared."),
    "protocol": Column("protocol", "text", "How the task was scored."),
    "machine_label": Column("machine", "text", "Where it ran."),
    "device": Column("device", "text", "Where the model computed."),
    "date": Column("date", "text", "Day of the run (UTC)."),
    "source": Column("source", "text", "Measured here, scored from a file of predictions, or imported."),
    "sandbox": Column("sandbox", "text", "How the process that ran the model was confined."),
    "calibration_metric": Column("calibration by", "text", "Which calibration error."),
    "worst_group_metric": Column("worst group by", "text", "Over which grouping."),
    "note": Column("note", "text", "Why something is missing."),
}  # fmt: skip
DEFAULT = (
    *(
        "submission",
        "task",
        "rank",
        "tie",
        "metric",
        "value",
        "low",
        "high",
        "change",
        "change_low",
        "change_high",
        "verdict",
    ),
    *("retention", "calibration", "worst_group", "gap", "bytes", "bits_per_weight", "latency_ratio", "peak_rss_bytes"),
    *("data",),
)
NUMBERS = tuple(name for name, column in COLUMNS.items() if column.look != "text")

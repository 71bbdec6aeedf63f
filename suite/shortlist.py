"""Which measurements of a record that has very many are shown without being asked for all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from suite.record import Measurement, Record

MANY = 60  # measurements, above which only these are shown
_HEADS = re.compile(
    r"^(nsd_[^\[]*_surfel\[class=[^,\]]*\]|(nll|brier|ece_15)\[scope=.*"
    r"|(pq_iou50|f1_iou10|recall_per_patient_iou10|fp_per_patient_iou10|cpm_iou10|lesionwise_dice_brats)\[.*)$"
)


def chosen(record: Record, primary: str, every: bool) -> Sequence[Measurement]:
    """All measurements; of more than `MANY` those to rank on and those that should always be seen.

    These are: the readings and every mean; the primary metric by class and group, its worst group and its gap; surface
    Dice by class; calibration by scope; of instances and lesions PQ, F1, recall, false positives, CPM.

    Args:
        record: any record.
        primary: the task's primary metric.
        every: all of them.
    """
    if every or len(record.measurements) <= MANY:
        return record.measurements
    spreads = {f"worst_group_{primary}", f"{primary}_gap", f"{primary}_gap_p", f"es_{primary}"}
    return [m for m in record.measurements if _is_head(m.name, primary, spreads)]


def _is_head(name: str, primary: str, spreads: set[str]) -> bool:
    stem, bracket, _ = name.partition("[")
    return not bracket or stem == primary or stem in spreads or _HEADS.match(name) is not None

"""Claims: what a manifest says of its model beside what was found, and what its files contradict. Pure."""

from __future__ import annotations

from typing import Any

import pandas as pd

from leaderboard import text
from suite.record import Record

MISMATCH = "claim mismatch: "
COUNTED = "claim_mismatches"
_FOUND = {"bits": ("bits_per_quantised_weight", "bits_per_weight"), "sparsity": ("sparsity",)}
STATIC = (
    *("bytes", "zstd_bytes", "parameters", "unpacked_parameters", "bits_per_weight", "bits_per_quantised_weight"),
    *("nonzero_weights", "sparsity", "distinct_values", "weight_entropy"),
)


def mismatches(record: Record) -> tuple[list[str], str]:
    """Claims that the files contradict, one line each, and what that list rests on."""
    lines = [note.removeprefix(MISMATCH) for note in record.provenance.notes if note.startswith(MISMATCH)]
    counted = record.measurement(COUNTED)
    if counted is None:
        return lines, "This record was made without the static report, so its claims were not checked against files."
    if counted.value is None:
        return lines, f"The claims could not be checked: {counted.reason}."
    if not counted.value:
        return lines, "No claim of the manifest is contradicted by the files. That does not prove the claims."
    n = int(counted.value)
    return lines, f"{text.count(n, 'claim')} of the manifest {'is' if n == 1 else 'are'} contradicted by the files."


def beside(record: Record) -> pd.DataFrame:
    """A row a claim with a number: claim, claimed, found, found as (the measurement that answers it)."""
    compression = record.manifest.compression
    rows: list[dict[str, Any]] = []
    for name, answers in _FOUND.items():
        claimed = getattr(compression, name) if compression else None
        if claimed is not None:
            rows.append(_row(record, f"compression.{name}", float(claimed), answers))
    rows += [_row(record, f"reported.{name}", value, (name,)) for name, value in record.manifest.reported.items()]
    return pd.DataFrame(rows, columns=["claim", "claimed", "found", "found as"])


def _row(record: Record, claim: str, claimed: float, answers: tuple[str, ...]) -> dict[str, Any]:
    for name in answers:
        m = record.measurement(name)
        if m is not None and m.value is not None:
            return {"claim": claim, "claimed": claimed, "found": m.value, "found as": name}
    return {"claim": claim, "claimed": claimed, "found": None, "found as": None}

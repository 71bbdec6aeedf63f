"""Statement: what ``hallmark check`` prints of a submission that may be loaded."""

from __future__ import annotations

from suite.check import Checked
from suite.static import Report
from suite.static.macs import Macs
from suite.static.report import ZSTD_LEVEL, Counted
from suite.text import amount, facts, number, table

_HEADER = ("layer", "shape", "stored as", "bytes", "bits/weight", "zeros", "N:M", "distinct", "entropy")
_BYTE = 8
_MEGA = 1e6


def checked(found: Checked) -> str:
    """What the files hold, what they leak, and every layer where it was asked for."""
    lines = [_held(found)]
    lines += [f"{found.submission.name}: {leak}; --strip OUT writes a clean copy" for leak in found.leaks]
    if found.report is not None:
        totals = _totals(found.report, found.description.tensor_bytes if found.description else 0)
        lines += [facts(totals | {"  MACs": _work(found.macs)})]
        lines += [table(_HEADER, [_row(one) for one in found.report.layers if one.layer.is_weight])]
    return "\n".join(lines)


def _held(found: Checked) -> str:
    """One line: fine or not, bytes, parameters, dtypes."""
    d = found.description
    held = ", ".join(f"{name} {amount(size, 'B')}" for name, size in sorted(d.dtypes.items())) if d else ""
    size = f"{amount(found.file_bytes, 'B')} on disk, {d.parameters if d else 0} parameters as stored"
    wrong = len(found.mismatches)
    verdict = f"{wrong} claim{'s' if wrong > 1 else ''} that the files contradict" if wrong else "fine"
    return f"{found.submission.name}: {verdict} ({size}; {held or 'no tensors'})"


def _totals(report: Report, tensor_bytes: int) -> dict[str, str]:
    zstd = f"{amount(report.zstd_bytes, 'B')} (level {ZSTD_LEVEL}; {report.zstd_bytes / max(1, report.file_bytes):.2f})"
    if report.why_not:
        return {"  after zstd": zstd, "  tensors": f"— ({report.why_not})"}
    size, elements = report.quantised
    why = report.reasons()
    whole = f"{number(_BYTE * tensor_bytes / report.parameters)} bit" if report.parameters else "—"
    quantised = f"— ({why['quantised_weights']})"
    if elements:  # which are parameters, so there are some
        share = f"{elements / report.parameters:.0%} of the parameters"
        quantised = f"{number(_BYTE * size / elements)} bit, scales included ({share})"
    zeros = f"{report.zeros / report.weights:.4f} of {report.weights} weights" if report.weights else "—"
    patterns = ", ".join(f"{name}: {share} weights" for name, share in sorted(report.patterns.items()))
    distinct = f"{report.distinct}, {number(report.entropy_bits)} bit of entropy each"
    return {
        "  after zstd": zstd,
        "  parameters": f"{report.parameters} in their original shapes",
        "  per parameter": whole,
        "  per quantised weight": quantised,
        "  exactly zero": zeros,
        "  N:M patterns": patterns or "none",
        "  distinct values": distinct if report.distinct else f"— ({why['distinct_values']})",
    }


def _work(macs: Macs | str | None) -> str:
    if not isinstance(macs, Macs):
        return f"— ({macs})"
    effective = "—" if macs.effective is None else f"{macs.effective / _MEGA:.4g} M"
    left = f"; not counted: {', '.join(macs.uncounted)}" if macs.uncounted else ""
    return f"{macs.dense / _MEGA:.4g} M at {macs.input}; {effective} with weights that are not zero{left}"


def _row(one: Counted) -> list[str]:
    row = one.row()
    shape = "×".join(map(str, one.layer.shape))
    return [
        one.layer.name,
        shape,
        one.layer.dtype,
        amount(one.layer.stored_bytes, "B"),
        number(row["bits_per_weight"]),
        "—" if row["sparsity"] is None else f"{row['sparsity']:.4f}",
        one.counts.pattern or "",
        number(one.counts.distinct),
        number(one.counts.entropy_bits),
    ]

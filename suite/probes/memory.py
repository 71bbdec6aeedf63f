"""Memory of the model's process: peak resident set, whole and without what its libraries took before the model."""

from __future__ import annotations

from pathlib import Path

from suite.probes.base import Observed, Probe, Reading

_KIB = 1024


def status_bytes(pid: int | str, field: str) -> int | None:
    """A size field of ``/proc/<pid>/status`` (``VmRSS``, ``VmHWM``, ``RssAnon``, ``RssFile``) in bytes, or None."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith(field + ":")]
    return int(found[0][1]) * _KIB if found else None


def resident() -> dict[str, int]:
    """Resident memory of this process now, bytes: `rss`, its anonymous and file-backed parts, and the `peak` so far.

    Empty where the system does not tell. The peak is that since the last `reset_peak`.
    """
    fields = {"rss": "VmRSS", "anon": "RssAnon", "file": "RssFile", "peak": "VmHWM"}
    read = {name: status_bytes("self", field) for name, field in fields.items()}
    return {name: size for name, size in read.items() if size is not None}


def reset_peak() -> bool:
    """Let the peak of this process begin anew at what it holds now (``5`` to /proc/self/clear_refs); False if refused.

    Source: proc_pid_clear_refs(5), Linux 4.0 and later.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def rss_bytes(pid: int) -> int | None:
    """Resident set size now, bytes."""
    return status_bytes(pid, "VmRSS")


def peak_rss_bytes(pid: int) -> int | None:
    """Largest resident set size so far (``VmHWM``), bytes."""
    return status_bytes(pid, "VmHWM")


class Memory(Probe):
    """Peak resident memory of the child process, from /proc."""

    name = "memory"
    title = "peak resident memory of the model's process"
    readings = (
        Reading("peak_rss_bytes", "B", False, ("peak_rss_bytes",), lambda s: max(s["peak_rss_bytes"])),
        Reading(
            "model_rss_bytes",
            "B",
            False,
            ("peak_rss_bytes", "rss_before_load_bytes"),
            lambda s: max(s["peak_rss_bytes"]) - s["rss_before_load_bytes"][0],
        ),
    )

    def unavailable(self) -> str | None:
        """Needs Linux's /proc."""
        return None if status_bytes("self", "VmHWM") else "this system has no /proc/<pid>/status with VmHWM"

    def read(self, observed: Observed) -> dict[str, list[float]]:
        """Peak after every batch, and the resident set before the model was loaded."""
        before = observed.rss_before_load_bytes
        return {
            "peak_rss_bytes": [float(b.peak_rss_bytes) for b in observed.batches if b.peak_rss_bytes is not None],
            "rss_before_load_bytes": [] if before is None else [float(before)],
        }

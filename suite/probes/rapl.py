"""Energy of the processor packages from Linux's RAPL counters. A counter or nothing: never an estimate."""

from __future__ import annotations

from pathlib import Path

from suite.probes.base import Observed, Probe, Reading

_ROOT = Path("/sys/class/powercap")
_MICRO = 1e-6


class Rapl(Probe):
    """Joules of all processor packages while the child worked, idle power included."""

    name = "rapl"
    title = "energy of the processor packages (RAPL counters)"
    readings = (Reading("energy_j", "J", False, ("rapl_package_j",), lambda s: sum(s["rapl_package_j"])),)

    def __init__(self, root: Path = _ROOT) -> None:
        self._packages = sorted(zone for zone in root.glob("*-rapl:*") if _package(zone))
        self._root = root
        self._before: list[int] = []
        self._used_j: list[float] = []
        self._last: list[int] = []
        self._total_j = 0.0

    def unavailable(self) -> str | None:
        """Needs readable ``energy_uj`` files."""
        if not self._packages:
            return f"no RAPL counter of a processor package under {self._root} (virtual machines rarely have one)"
        try:
            self._counters()
        except OSError as error:
            return (
                f"{self._packages[0] / 'energy_uj'} cannot be read: {error.strerror}; run as root or grant read access"
            )
        return None

    def __enter__(self) -> Rapl:
        self._before = self._counters() if self.unavailable() is None else []
        return self

    def __exit__(self, *_: object) -> None:
        """Take the difference, with the counter's wrap-around."""
        if self._before:
            self._used_j = self._differences(self._before, self._counters())

    def read(self, observed: Observed) -> dict[str, list[float]]:
        """Joules per package; nothing if part of a resumed unit was not in the window, or another model was."""
        return {} if observed.resumed or not observed.alone or not self._used_j else {"rapl_package_j": self._used_j}

    def joules(self) -> float:
        """Joules of all packages since this was first asked, wrap-around counted; ask again within minutes."""
        now = self._counters()
        if self._last:
            self._total_j += sum(self._differences(self._last, now))
        self._last = now
        return self._total_j

    def _differences(self, before: list[int], after: list[int]) -> list[float]:
        ranges = [int((p / "max_energy_range_uj").read_text()) for p in self._packages]
        return [((b - a) % (wrap + 1)) * _MICRO for a, b, wrap in zip(before, after, ranges, strict=True)]

    def _counters(self) -> list[int]:
        return [int((package / "energy_uj").read_text()) for package in self._packages]


def _package(zone: Path) -> bool:
    """Whether a power zone counts a whole package or one die of it: `psys` counts the packages once more, with more.

    Source: Linux, Documentation/power/powercap/powercap.rst, and drivers/powercap/intel_rapl_common.c for the names.
    """
    try:
        return (zone / "name").read_text(encoding="ascii", errors="replace").startswith("package")
    except OSError:
        return False

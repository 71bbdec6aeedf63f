"""What a model file really is, read from its bytes and never from a manifest's claim.

`report` counts stored tensors; `leaks` finds what an export tells of the machine that made it; `strip` writes a clean
copy. Nothing here runs or unpickles what a submission brings, except in a process of its own (`suite.static.apart`).
"""

from __future__ import annotations

from suite.static.report import Report, report

__all__ = ["Report", "report"]

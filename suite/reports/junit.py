"""Verdicts as JUnit XML, which continuous integration shows as tests: one test case a gated metric.

Regressed is a failure, incomparable an error; inconclusive a failure where the metric is primary, else skipped.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from suite.gate import Gate
from suite.reports.wording import sentence
from suite.verdict import Outcome, Verdict

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(found: Gate) -> bytes:
    """The file's bytes."""
    kinds = [_kind(verdict) for verdict in found.verdicts]
    counts = {
        "tests": len(kinds),
        "failures": kinds.count("failure"),
        "errors": kinds.count("error"),
        "skipped": kinds.count("skipped"),
    }
    shown = {name: str(count) for name, count in counts.items()}
    root = ET.Element("testsuites", {"name": "hallmark gate", **shown})
    suite = ET.SubElement(root, "testsuite", {"name": _text(f"{found.candidate} against {found.baseline}"), **shown})
    for verdict, kind in zip(found.verdicts, kinds, strict=True):
        case = ET.SubElement(suite, "testcase", {"classname": _text(verdict.task), "name": _text(verdict.metric)})
        if kind:
            said = ET.SubElement(case, kind, {"message": _text(sentence(verdict))})
            if kind != "skipped":
                said.set("type", str(verdict.outcome))
                said.text = _text("\n".join(verdict.findings) or sentence(verdict))
        else:
            ET.SubElement(case, "system-out").text = _text(sentence(verdict))
    if found.notes:
        ET.SubElement(suite, "system-err").text = _text("\n".join(found.notes))
    ET.indent(root)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root) + b"\n"


def _kind(verdict: Verdict) -> str | None:
    if verdict.outcome is Outcome.REGRESSED:
        return "failure"
    if verdict.outcome is Outcome.INCOMPARABLE:
        return "error"
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return "failure" if verdict.primary else "skipped"
    return None


def _text(text: str) -> str:
    """Without characters that XML cannot hold."""
    return _NOT_XML.sub("�", text)

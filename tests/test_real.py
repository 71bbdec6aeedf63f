"""The real models of the mirror give the published numbers. Skipped without HALLMARK_DATA."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from support import REAL, Ran

from suite.manifest import Manifest

Hallmark = Callable[..., Ran]


def measured(ran: Ran, name: str) -> float:
    assert ran.code == 0, ran
    (record,) = ran.json["records"]
    return next(float(m["value"]) for m in record["measurements"] if m["name"] == name)


def test_stories260k_on_tinystories(hallmark: Hallmark, mirror: Path) -> None:
    ran = hallmark("run", REAL / "stories260k", "-t", "tinystories", "--json")
    assert measured(ran, "nll") == pytest.approx(1.26644, abs=5e-6)
    assert measured(ran, "perplexity") == pytest.approx(3.5482, abs=5e-5)
    (record,) = ran.json["records"]
    assert record["measurements"][0]["n"] == 1804
    assert record["measurements"][0]["n_clusters"] == 5
    assert record["protocol"] == "docs/512/bos-each"
    assert record["provenance"]["observed_dtype"] == "float32"
    assert hallmark("verify").code == 0


def test_stories260k_on_a_sample_of_wikitext2(hallmark: Hallmark, mirror: Path) -> None:
    """The whole takes minutes; a sample of windows shows the protocol, and an out-of-domain perplexity."""
    ran = hallmark("run", REAL / "stories260k", "-t", "wikitext2", "--limit", "32", "--json")
    (record,) = ran.json["records"]
    assert record["protocol"] == "wt2raw/512/nonoverlap/bos-once"
    assert record["measurements"][0]["n"] == 30 * 511  # whole sections: no other one fits into 32
    assert 60 < measured(ran, "perplexity") < 250


@pytest.mark.parametrize(("net", "accuracy"), [("resnet20", 0.94), ("resnet56", 0.96)])
def test_the_resnets_in_both_formats(hallmark: Hallmark, mirror: Path, net: str, accuracy: float) -> None:
    values = {}
    for form in ("onnx", "pt2"):
        ran = hallmark("run", REAL / f"{net}-{form}", "--json")
        assert measured(ran, "accuracy") == accuracy
        values[form] = measured(ran, "nll")
    assert values["onnx"] == pytest.approx(values["pt2"], rel=1e-4)


def test_every_manifest_of_the_mirror_checks(hallmark: Hallmark, mirror: Path) -> None:
    ran = hallmark("check", *sorted(p.parent for p in REAL.glob("*/submission.toml")))
    assert (ran.code, ran.err) == (0, "")


def test_the_hippocampus_templates_are_manifests_that_fit_their_recipe() -> None:
    """Training them takes minutes: README.md beside them says how."""
    tree = ast.parse((REAL / "hippocampus" / "recipe.py").read_text())
    said = {
        n.targets[0].id: n.value for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)
    }
    names, patch = ast.literal_eval(said["NAMES"]), ast.literal_eval(said["PATCH"])
    manifests = [Manifest.load(REAL / "hippocampus" / name) for name in names]
    assert [m.inputs.patch for m in manifests] == [patch] * 3
    assert len({m.inputs.model_dump_json() for m in manifests}) == 1
    assert [m.parent for m in manifests] == [None, names[0], names[0]]

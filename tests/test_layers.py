"""Who may import whom (the architecture's layers), read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY

PACKAGES = ("suite", "tasks", "leaderboard")
MODULES = [path for package in PACKAGES for path in sorted((REPOSITORY / package).rglob("*.py"))]
HEAVY = {
    *("torch", "transformers", "onnx", "onnxruntime", "sklearn", "skimage", "datasets", "pyarrow", "pandas"),
    *("streamlit", "nibabel", "PIL"),
}

# module prefix -> prefixes of our own modules that it may import
ALLOWED = {
    "suite.errors": (),
    "suite.explain": ("suite.errors",),
    "suite.inputs": ("suite.errors",),
    "suite.manifest": ("suite.errors", "suite.explain", "suite.inputs"),
    "suite.record": ("suite.errors", "suite.manifest"),
    "suite.stats": ("suite.errors",),
    "suite.statistic": ("suite.errors", "suite.stats"),
    "suite.evidence": ("suite.errors", "suite.statistic", "suite.stats"),
    "suite.paired": ("suite.errors", "suite.evidence", "suite.stats"),
    "suite.files": ("suite.errors",),
    "suite.data": ("suite.errors",),
    "suite.wire": ("suite.errors",),
    "suite.outcomes": ("suite.errors",),
    "suite.model": ("suite.errors",),
    "suite.probes": ("suite.errors", "suite.probes"),
    "suite.masks": ("suite.errors", "suite.masks"),
    "suite.metrics": ("suite.ahead", "suite.errors", "suite.masks", "suite.metrics", "suite.outcomes", "suite.stats"),
    "suite.overlay": (),
    "suite.task": ("suite.errors", "suite.data", "suite.manifest", "suite.metrics", "suite.model", "suite.overlay"),
    "suite.store": ("suite.errors", "suite.disk", "suite.record", "suite.outcomes"),
    "suite.disk": ("suite.errors",),
    "suite.entry": ("suite.record",),
    "suite.engine": ("suite.errors", "suite.data", "suite.metrics", "suite.model", "suite.engine"),
    "suite.formats": (
        *("suite.errors", "suite.manifest", "suite.model", "suite.files", "suite.formats", "suite.fakes"),
        "suite.engine",
    ),
    "suite.fakes": ("suite.errors", "suite.manifest", "suite.model"),
    "suite.timing": (
        *("suite.errors", "suite.manifest", "suite.model", "suite.record", "suite.disk"),
        *("suite.formats", "suite.probes", "suite.static", "suite.timing"),
    ),
    "suite.worker": (
        *("suite.errors", "suite.data", "suite.manifest", "suite.model", "suite.wire"),
        *("suite.formats", "suite.probes", "suite.timing"),
    ),
    "tasks": (
        *("suite.task", "suite.model", "suite.metrics", "suite.data", "suite.engine.lm_eval"),
        *("suite.errors", "suite.explain", "suite.inputs", "suite.manifest", "suite.overlay"),
        *("suite.timing.scenario", "tasks"),
    ),
    "tasks.own.document": ("suite.document", "tasks"),
    "leaderboard": (
        *("suite.record", "suite.manifest", "suite.store", "suite.compare", "suite.stats", "suite.paired"),
        *("suite.check", "suite.queue", "suite.upload", "suite.intake", "suite.errors", "suite.index"),
        *("suite.entry", "suite.rankings", "suite.timings", "suite.indexing", "suite.paired_index"),
        *("suite.derived_index",),
        *("suite.ranks", "suite.pareto", "suite.text", "suite.metrics", "suite.outcomes", "leaderboard"),
        *("suite.comparison", "suite.compared", "suite.pairing", "suite.changes", "suite.sides", "suite.verdict"),
        *("suite.overlay", "suite.significance", "suite.task", "suite.notes"),
    ),
}


def name_of(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in MODULES}


def imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            base = node.module
            found |= {f"{base}.{a.name}" if f"{base}.{a.name}" in NAMES else base for a in node.names}
    return found


def within(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == p or module.startswith(p + ".") for p in prefixes)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    name = name_of(path)
    rules = [prefix for prefix in ALLOWED if within(name, (prefix,))]
    ours = {m for m in imports(ast.parse(path.read_text())) if within(m, PACKAGES)}
    if rules:
        allowed = ALLOWED[max(rules, key=len)]
        assert not {m for m in ours if not within(m, allowed)}, f"{name} may import {allowed}"
    if name != "suite.cli":
        assert not ({m for m in ours if within(m, ("tasks",))} and not name.startswith("tasks")), "only suite.cli may"


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p).startswith(("suite", "tasks"))], ids=name_of)
def test_heavy_packages_are_imported_inside_functions_only(path: Path) -> None:
    tree = ast.parse(path.read_text())
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    heavy = {module.split(".")[0] for node in top for module in imports(ast.Module([node], []))} & HEAVY
    assert not heavy


@pytest.mark.parametrize("arguments", [["list", "--json"], ["list"], ["--help"]], ids=" ".join)
def test_list_and_help_import_no_runtime(arguments: list[str]) -> None:
    """So that they answer at once; how fast they do is measured by ``tests/bench/start.py``."""
    code = (
        "import sys\n"
        "from suite.cli import main\n"
        f"try:\n    main({arguments!r})\n"
        "except SystemExit as done:\n    assert not done.code, done.code\n"
        f"sys.exit(' '.join(sorted({HEAVY!r} & set(sys.modules))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert not done.stderr.strip(), done.stderr
    assert done.stdout

"""The size budget of the code: a file has one noun, a function one step."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support import REPOSITORY

FILES = [
    path
    for package in ("suite", "tasks", "leaderboard", "submissions")
    for path in sorted((REPOSITORY / package).rglob("*.py"))
]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 50, node.name

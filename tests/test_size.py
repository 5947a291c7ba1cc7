"""The house stays small: files and functions that can be read at once, and not too many of them."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("app", "collect", "evaluate", "model", "train", "examples")
FILE, FUNCTION = 350, 60
PROGRAM, MODEL = 12_480, 2_900
"""Ceilings to be lowered: 7,500 and 1,600 lines are the aim."""


def lines(path: Path) -> int:
    """How many lines a file has."""
    return len(path.read_text(encoding="utf-8").splitlines())


def program() -> list[Path]:
    """Every Python file but those of tests and tools."""
    return sorted(
        [ROOT / "main.py", ROOT / "console.py", *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]
    )


def test_no_file_is_too_long() -> None:
    every = [*program(), *(ROOT / "tools").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    assert {str(path.relative_to(ROOT)): lines(path) for path in every if lines(path) > FILE} == {}


def test_no_function_is_too_long() -> None:
    found = {}
    for path in [*program(), *(ROOT / "tools").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > FUNCTION:
                    found[f"{path.relative_to(ROOT)}: {node.name}"] = length
    assert found == {}


def test_the_whole_is_not_too_long() -> None:
    assert sum(map(lines, program())) <= PROGRAM
    assert sum(map(lines, (ROOT / "model").rglob("*.py"))) <= MODEL

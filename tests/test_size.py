"""The house stays small, files and functions can be read at once, and lines say why."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("app", "collect", "evaluate", "model", "train", "examples")
FILE, FUNCTION = 350, 60
PROGRAM, MODEL, REASONS = 12_500, 2_800, 0.1
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


@pytest.mark.parametrize("room", ["model", "train"])
def test_a_tenth_of_the_lines_says_why_or_in_what_shape(room: str) -> None:
    """Comments, and shapes such as (B, 35) in docstrings."""
    every, said = 0, 0
    for path in (ROOT / room).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        comments = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
        directives = {n for n, line in enumerate(text.splitlines(), 1) if re.search(r"# (type|noqa|fmt)\b", line)}
        shapes = {n for n, line in enumerate(text.splitlines(), 1) if re.search(r"\([A-Z](, [^()]*|,)?\)", line)}
        every += lines(path)
        said += len((comments - directives) | shapes)
    assert said >= REASONS * every

"""The fault table names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
NAMED = re.compile(r"((?:\w+)/test_\w+\.py): ([\w, \[\].]+)")


def test_every_fault_names_a_test_that_exists() -> None:
    text = (TESTS.parent / "docs" / "faults.md").read_text(encoding="utf-8").partition("| --- |")[2]
    rows = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(rows) >= 25
    assert all(NAMED.search(row) or "the same |" in row for row in rows)
    for file, names in NAMED.findall(text):
        source = (TESTS / file).read_text(encoding="utf-8")
        for name in names.split(", "):
            name = re.sub(r"\[.*?\]", "", name).strip()
            assert all(f"def test_{part}(" in source or f"class {part}" in source for part in name.split(".")), name

"""What the documents name is there: links, files, commands and their options, and the tests of the fault table."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer.main

from main import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
ROOMS = "app|model|collect|train|evaluate|docs|tools|tests|runs|assets|examples"
TESTED = re.compile(r"((?:\w+/)?test_\w+\.py): ([\w, \[\].]+)")


def names(paths: list[Path]) -> list[str]:
    """Names of pages for the ids of tests."""
    return [path.name for path in paths]


def anchors(page: Path) -> set[str]:
    """The places in a page that a link may name, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_files_and_modules_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"python -m ([\w.]+)", text):
        assert find_spec(name) is not None, name


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_commands_and_their_options_are_there(page: Path) -> None:
    root: Any = typer.main.get_command(app)
    for line in re.findall(r"main\.py((?: [\w.,/\[\]<>-]+)+)", page.read_text(encoding="utf-8")):
        command, path = root, "main.py"
        for word in shlex.split(line):
            if word in getattr(command, "commands", {}):
                command, path = command.commands[word], f"{path} {word}"
            elif word.startswith("--"):
                options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
                assert word.rstrip(".,") in options, f"{path} {word}"
            elif command is root and word.isalpha():
                raise AssertionError(f"there is no command {word!r}")


def test_every_fault_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").partition("| --- |")[2]
    rows = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(rows) >= 40
    assert [row for row in rows if not TESTED.search(row)] == []
    missing = []
    for file, listed in TESTED.findall(text):
        path = ROOT / "tests" / file
        source = path.read_text(encoding="utf-8") if path.exists() else ""
        for name in listed.split(", "):
            name = re.sub(r"\[.*?\]", "", name).strip()
            if f"def test_{name}(" not in source:
                missing.append(f"{file}: {name}")
    assert missing == []

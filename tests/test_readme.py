"""The README is short, its commands are one line each, and its snippets run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.keys import load_keys
from tools import results

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PLAY = "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/python main.py play"
TEST = 'python3 -m venv .venv && .venv/bin/pip install -e ".[dev]" && .venv/bin/pytest'


def snippets(page: str) -> list[str]:
    """The Python snippets of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def test_it_is_short_and_begins_with_a_picture_and_a_command() -> None:
    lines = README.splitlines()
    assert len(lines) <= 130
    assert README.index("](assets/play.gif)") < README.index(PLAY) < README.index("| key |")
    assert PLAY in lines
    assert TEST in lines


def test_the_checks_run_the_test_line() -> None:
    """With another place for the virtual environment: a developer's own stays as it is."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 'install -q -e ".[dev]"' in script
    assert re.search(r'^"\$venv/bin/pytest"', script, re.MULTILINE)
    assert "rm -rf .venv" not in script


def test_its_keys_are_those_of_the_map() -> None:
    table = README[README.index("| key |") : README.index("**What to try first.**")]
    rows = [row.split("|")[1] for row in table.splitlines()[2:] if row.startswith("|")]
    assert len(rows) == 8
    keys = load_keys()
    known = {*keys.play, *keys.commands}
    for name in re.findall(r"\b(Space|Tab|Backspace|[A-Z])\b", " ".join(rows)):
        assert name.lower() in known, name


def test_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for extra in re.findall(r'"\.\[(\w+)\]"', page.read_text(encoding="utf-8")):
            assert extra in project["optional-dependencies"], (page.name, extra)


def test_the_lock_is_of_this_project_and_of_public_packages() -> None:
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = tomllib.loads(text)["package"]
    (ours,) = (package for package in packages if package["name"] == project["name"])
    assert ours["version"] == project["version"]
    locked = {wanted["name"] for wanted in ours["metadata"]["requires-dist"] if "marker" not in wanted}
    assert locked == {re.split(r"[<>=\[; ]", wanted)[0] for wanted in project["dependencies"]}
    assert {found.split("/")[2] for found in re.findall(r'https?://[^"]+', text)} == {
        "pypi.org",
        "files.pythonhosted.org",
    }
    assert "file:" not in text


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/integration.md"])
def test_snippets_run(page: str, tmp_path: Path) -> None:
    for snippet in snippets(page):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        result = subprocess.run(
            [sys.executable, "-c", snippet], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert result.returncode == 0, snippet + result.stderr


def test_what_was_never_counted_is_not_called_not_reached() -> None:
    empty = {"low": None, "high": None, "of": 0}
    assert results.shown({"value": None, **empty}, results.percent) == results.NONE
    assert results.shown({"median": None, **empty}, results.seconds) == results.NONE
    assert results.shown({"median": None, **empty, "of": 3}, results.seconds) == "not reached"


def test_numbers_are_those_of_the_shipped_weights() -> None:
    assert results.outdated() == []

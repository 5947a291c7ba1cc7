"""Imports run one way, and nobody who only plays has to have PyTorch."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("app", "evaluate", "train", "collect", "model")
MAY = {
    "app": {"app", "model", "collect", "console"},
    "evaluate": {"evaluate", "model", "collect", "console"},
    "train": {"train", "model", "collect", "console"},
    "collect": {"collect", "model", "console"},
    "model": {"model"},
    "console": {"model"},
}
WITHOUT_TORCH = ("app", "evaluate", "collect", "console")


def files_of(name: str) -> list[Path]:
    """The Python files of a room, or of a module at the root."""
    return sorted((ROOT / name).rglob("*.py")) if (ROOT / name).is_dir() else [ROOT / f"{name}.py"]


@cache
def imports(path: Path) -> frozenset[str]:
    """The modules that a file imports, anywhere in it, but for those that only a type checker reads."""
    found = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
        pending += ast.iter_child_nodes(node)
    return frozenset(found)


def file_of(module: str) -> Path | None:
    """The file of a module of this program, or None."""
    path = ROOT / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@pytest.mark.parametrize("room", MAY)
def test_imports_run_one_way(room: str) -> None:
    ours = {*ROOMS, "console", "main", "tools", "tests", "examples"}
    for path in files_of(room):
        wrong = {module for module in imports(path) if module.partition(".")[0] in ours - MAY[room]}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}; {room} may import {sorted(MAY[room])}"


def test_model_knows_no_screen_no_emulator_and_no_command_line() -> None:
    for path in files_of("model"):
        wrong = {name.partition(".")[0] for name in imports(path)} & {"pygame", "ale_py", "typer", "rich"}
        assert not wrong, path


def test_only_training_can_reach_torch() -> None:
    """Through every import in every function, so that no way of playing needs it."""
    came_from: dict[Path, Path | None] = {path: None for room in WITHOUT_TORCH for path in files_of(room)}
    pending = list(came_from)
    while pending:
        path = pending.pop()
        if "torch" in {module.partition(".")[0] for module in imports(path)}:
            way: Path | None = path
            steps = []
            while way is not None:
                steps.append(str(way.relative_to(ROOT)))
                way = came_from[way]
            raise AssertionError(f"torch is imported by {' <- '.join(steps)}")
        for module in imports(path):
            if (file := file_of(module)) is not None and file not in came_from:
                came_from[file] = path
                pending.append(file)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["doctor", "--seconds", "0"], ["play", "--headless", "--frames", "5", "--actions", "random"]],
    ids=lambda arguments: arguments[0],
)
def test_no_torch_is_loaded(arguments: list[str]) -> None:
    """In a process of its own, where PyTorch and what only extras bring cannot be imported at all."""
    code = (
        "import sys\n"
        "gone = ('torch', 'onnx', 'matplotlib', 'jinja2', 'imageio_ffmpeg', 'stable_baselines3')\n"
        "sys.modules |= dict.fromkeys(gone)\n"
        "import main\n"
        f"main.app({arguments!r})"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr

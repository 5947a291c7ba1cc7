"""A directory of weights that is not one, or is damaged, is refused in one line. (More in `tests/robustness`.)"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from model.engine import MANIFEST, WEIGHTS, WEIGHTS_SCHEMA, Engine, read_manifest
from model.files import FileError
from model.state import SIZES


def refused(directory: Path, says: str) -> None:
    """Loading ends in one FileError of one line that names the directory."""
    with pytest.raises(FileError, match=says) as error:
        Engine.load(directory)
    assert "\n" not in str(error.value)
    assert str(directory) in str(error.value)


@pytest.fixture
def copy(weights: Path, tmp_path: Path) -> Path:
    """A copy of sound weights, to be damaged."""
    return Path(shutil.copytree(weights, tmp_path / "copy"))


def test_there_is_nothing(tmp_path: Path) -> None:
    refused(tmp_path / "none", "does not exist")
    refused(tmp_path, "does not exist")


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    refused(tmp_path / "file", "a part of its path is a file")


def test_a_directory_in_place_of_a_file(copy: Path) -> None:
    (copy / "draw.onnx").unlink()
    (copy / "draw.onnx").mkdir()
    refused(copy, "a folder, not a plain file")


@pytest.mark.parametrize("name", [WEIGHTS, "encode.onnx"])
def test_a_missing_or_changed_file(copy: Path, name: str) -> None:
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data + b"\0")
    refused(copy, "damaged")
    (copy / name).unlink()
    refused(copy, "does not exist")


def test_a_weight_that_a_graph_wants_and_nobody_has(copy: Path) -> None:
    change(copy, "wants", {"predict": ["context.other"]})
    refused(copy, "lack what predict.onnx wants")


def change(directory: Path, key: str, value: Any) -> None:
    """Change one entry of a manifest."""
    manifest = json.loads((directory / MANIFEST).read_text())
    (directory / MANIFEST).write_text(json.dumps({**manifest, key: value}))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '{"schema": 2, "schema": 2}', '{"schema": NaN}', "[" * 9999]
)
def test_a_manifest_that_is_none(copy: Path, text: str) -> None:
    (copy / MANIFEST).write_text(text)
    refused(copy, MANIFEST)


def test_a_manifest_that_is_too_long(copy: Path) -> None:
    (copy / MANIFEST).write_text('"' + "x" * (1 << 20) + '"')
    refused(copy, "larger than")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("schema", WEIGHTS_SCHEMA - 1, "make it anew with: python main.py ship"),
        ("schema", WEIGHTS_SCHEMA + 1, "update this program"),
        ("schema", None, "no schema version"),
        ("files", [], "does not describe weights"),
        ("wants", 3, "does not describe weights"),
        ("made", None, "does not describe weights"),
        ("wants", {"predict": "context"}, "which weights its graphs want"),
        ("frameskip", 0, "frame skip"),
        ("frameskip", 61, "frame skip"),
        ("frameskip", True, "frame skip"),
        ("frameskip", "1", "frame skip"),
        ("checksum", 7, "checksum"),
        ("majority", [0] * 34, "majority"),
        ("majority", ["0"] * 35, "majority"),
        ("fresh", [1], "known of a new game"),
        ("fresh", [1.0] * len(SIZES), "known of a new game"),
        ("fresh", list(SIZES), "what the memory cannot hold"),
        ("fresh", [-1] * len(SIZES), "what the memory cannot hold"),
        ("says", "paddle 1 left", "each of its codes says"),
        ("says", ["paddle 1 left"], "each of its codes says"),
        ("says", [1] * 256, "each of its codes says"),
        ("says", ["\0"] * 256, "each of its codes says"),
        ("says", ["x" * 201] * 256, "each of its codes says"),
    ],
)
def test_a_manifest_with_an_entry_that_cannot_be(copy: Path, key: str, value: Any, says: str) -> None:
    change(copy, key, value)
    refused(copy, says)


def test_codes_of_older_weights_are_numbers(copy: Path) -> None:
    manifest = json.loads((copy / MANIFEST).read_text())
    del manifest["says"]
    (copy / MANIFEST).write_text(json.dumps(manifest))
    assert Engine.load(copy).says == [str(code) for code in range(256)]


def test_a_sound_manifest_says_what_the_engine_is(weights: Path, engine: Engine) -> None:
    manifest = read_manifest(weights)
    assert engine.frameskip == manifest["frameskip"] == 1
    assert engine.checksum == manifest["checksum"]
    assert engine.majority.tolist() == manifest["majority"]
    assert engine.says == manifest["says"]
    assert engine.meta == manifest
    assert set(manifest["files"]) == {path.name for path in weights.iterdir()} - {MANIFEST}

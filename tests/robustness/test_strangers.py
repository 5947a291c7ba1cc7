"""Files made to do harm: each is refused in one line before it takes time or memory."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save as save_arrays

from app.keys import DEFAULT_KEYS, load_keys
from app.players import KIND, load_session, read_actions
from collect.dataset import DATASET_SCHEMA, MANIFEST, SETTINGS, TransitionDataset, load_episode, read_manifest
from collect.frames import CollectSettings, collect_frames
from collect.pairs import load_pairs, stats_path
from model.checkpoint import load_tensors
from model.files import FileError, checksum, make_directory, read_json, read_text, write_json
from tests.robustness.harm import CLAIMS, memory_of
from tools.robustness.formats import episode

PAIR = {"action": 1, "latent_code": [0] * 35}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ('[{"b": -Infinity}]', "-Infinity is not a number"),
        ("[1e999]", "beyond every float"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested too deeply"),
        ("9" * 5000, "cannot be read"),
        ("\ud800", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_json_that_is_no_honest_json(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(FileError, match=says):
        read_json(path, "thing")


def test_a_file_larger_than_any_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    assert memory_of(lambda: read_json(path, "thing")) < 1 << 20


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
@pytest.mark.parametrize("read", [load_keys, read_actions, load_session, lambda path: read_json(path, "thing")])
def test_a_pipe_that_never_ends_is_not_waited_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    ended: list[BaseException] = []

    def body() -> None:
        try:
            read(tmp_path / "pipe")
        except FileError as error:
            ended.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(5)
    assert "it is a pipe, not a plain file" in str(ended[0])


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices in the file system")
@pytest.mark.parametrize(
    ("path", "says"), [("/dev/zero", "a device"), ("/", "a folder"), ("/proc/self/status", "size")]
)
def test_what_has_no_end_or_no_size_is_refused(path: str, says: str) -> None:
    if Path(path).exists():
        assert memory_of(lambda: read_actions(Path(path))) < 1 << 20
        with pytest.raises(FileError, match=says):
            read_actions(Path(path))


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_texts_as_windows_writes_them(tmp_path: Path, coding: str) -> None:
    """Notepad puts a mark before its UTF-8; PowerShell's `>` writes UTF-16."""
    if coding != "utf-16":
        (tmp_path / "x").write_bytes('[command]\r\nquit = ["f10"]\r\n'.encode(coding))
        assert load_keys(tmp_path / "x").keys_of("quit") == ["f10"]
    (tmp_path / "x").write_bytes("0123\r\n".encode(coding))
    assert read_actions(tmp_path / "x") == bytes(range(4))
    (tmp_path / "x").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "x", "thing") == {"a": 1}


def test_a_text_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="no text"):
        read_text(tmp_path / "x", "thing")
    with pytest.raises(FileError, match="larger than 2 bytes"):
        read_text(tmp_path / "x", "thing", limit=2)


def test_a_file_where_a_folder_is_wanted_and_the_other_way_round(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(FileError, match="is a file; a folder is wanted"):
        read_manifest(file)
    with pytest.raises(FileError, match="does not exist; make one"):
        read_manifest(tmp_path / "none")
    for inside in (file / "a", file / "a" / "b"):
        with pytest.raises(FileError, match=r"file is a file"):
            write_json(inside, {})
        with pytest.raises(FileError, match="cannot be made: "):
            make_directory(inside)
        with pytest.raises(FileError, match="a part of its path is a file"):
            read_json(inside, "thing")
    with pytest.raises(FileError, match="it is a folder"):
        write_json(tmp_path, {})
    assert file.read_text() == "mine"


def test_an_error_shows_nothing_that_a_terminal_would_obey() -> None:
    text = str(FileError("keys \x1b[2J\x07 two\nlines\u202e \ud800" + "x" * 100_000))
    assert text.isprintable()
    assert len(text) < 1100
    assert "\\x1b[2J" in text


def test_an_episode_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    for data in CLAIMS:
        (tmp_path / "e.safetensors").write_bytes(data)
        assert memory_of(lambda: load_episode(tmp_path / "e.safetensors")) < 32 << 20


def manifest_of(directory: Path, **changes: object) -> dict[str, Any]:
    """Write a dataset of one episode, with these changes to its manifest."""
    (directory / "episode-00000.safetensors").write_bytes(episode(1))
    entry = {"file": "episode-00000.safetensors", "sha256": checksum(directory / "episode-00000.safetensors")}
    manifest = {"schema": DATASET_SCHEMA, "frameskip": 2, "episodes": [entry], **changes}
    (directory / MANIFEST).write_text(json.dumps(manifest))
    return manifest


def test_one_episode_cannot_be_a_million(tmp_path: Path) -> None:
    entry = manifest_of(tmp_path)["episodes"][0]
    assert len(TransitionDataset.load(tmp_path)) == 1
    manifest_of(tmp_path, episodes=[entry] * 1000)
    with pytest.raises(FileError, match="twice"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../episode-00000.safetensors",
        "/etc/passwd",
        "episode-00000.safetensors/..",
        "episode-00000.safetensors\n",
        "..",
        "",
    ],
)
def test_a_manifest_names_files_of_its_own_directory(tmp_path: Path, name: str) -> None:
    manifest_of(tmp_path, episodes=[{"file": name, "sha256": "0"}])
    with pytest.raises(FileError, match="entry that is not one"):
        TransitionDataset.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a." * 30_000 + "a = 1", "dots"),  # gigabytes, as TOML
        ("[" + "a . " * 15_000 + "a]", "dots"),
        ("x = " + "[" * 20_000, "cannot be read"),
        ("x = " + "9" * 5000, "cannot be read"),
        ("#" * 70_000, "larger than"),
        ("schema = 2", "newer than 1: update"),
        ("schema = 0", "older than 1: make it anew with: a copy of assets/keys.toml"),
        ("schema = '1'", "no schema version"),
    ],
)
def test_key_maps_made_to_harm(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(FileError, match=says):
        load_keys(path)
    assert memory_of(lambda: load_keys(path)) < 4 << 20


def test_the_shipped_key_map_says_its_version(tmp_path: Path) -> None:
    assert "\nschema = 1\n" in DEFAULT_KEYS.read_text(encoding="utf-8")
    assert load_keys(DEFAULT_KEYS) == load_keys()


def files_with_schema(home: Path, schema: object) -> dict[str, Callable[[], object]]:
    """Every kind of file that says its schema version, and what reads it. None leaves the version out."""
    version = {} if schema is None else {"schema": schema}
    (home / "pairs.json").write_text(json.dumps([PAIR]))
    stats = {"pairs_sha256": checksum(home / "pairs.json"), "episode_lengths": [1], "frameskip": 2, "codes_sha256": ""}
    manifest_of(home)
    for path, value in {
        home / MANIFEST: {"frameskip": 2, "episodes": []},
        home / SETTINGS: {},
        stats_path(home / "pairs.json"): stats,
        home / "session.json": {"kind": KIND},
    }.items():
        path.write_text(json.dumps({**value, **version}))
    (home / "w").write_bytes(save_arrays({}, {"about": json.dumps({"kind": "vqvae", **version})}))
    settings = CollectSettings(4, "mixed", 2, 0)
    return {
        "manifest": lambda: read_manifest(home),
        "settings": lambda: collect_frames(settings, home, workers=1),
        "tensors": lambda: load_tensors(home / "w"),
        "pairs": lambda: load_pairs(home / "pairs.json"),
        "session": lambda: load_session(home / "session.json"),
    }


@pytest.mark.parametrize(
    ("schema", "says"),
    [(3, "update this program"), (10**50, "update this program"), (0, "anew"), (None, "no schema"), (1.5, "no schema")],
)
def test_versions_are_refused_by_name(tmp_path: Path, schema: object, says: str) -> None:
    for kind, read in files_with_schema(tmp_path, schema).items():
        with pytest.raises(FileError, match=says) as error:
            read()
        assert str(tmp_path) in str(error.value), kind

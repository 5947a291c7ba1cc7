"""Files made to do harm: each is refused in one line before it takes time or memory."""

from __future__ import annotations

import json
import os
import struct
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from app.keys import DEFAULT_KEYS, load_keys
from app.session_file import KIND, load_session
from collect.dataset import MANIFEST, TransitionDataset, read_manifest
from collect.episode import EpisodeWriter, load_episode
from collect.frames import SETTINGS, CollectSettings, collect_frames
from collect.pairs import stats_path
from model import WorldModel
from model.checkpoint import load_tensors, meta_path, save_tensors, tensor_path
from model.files import FileError, checksum, read_json
from model.weights import load_module
from train.latent_action_data import load_pairs

PAIR = {"action": 1, "latent_code": [0] * 35}


def memory_of(read: Callable[[], object]) -> int:
    """The most bytes that Python and NumPy had while `read` ended in a FileError."""
    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


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
def test_a_pipe_that_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys.toml")
    ended: list[BaseException] = []

    def read() -> None:
        try:
            load_keys(tmp_path / "keys.toml")
        except FileError as error:
            ended.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5)
    assert "not a plain file" in str(ended[0])


def test_an_error_shows_nothing_that_a_terminal_would_obey() -> None:
    text = str(FileError("keys \x1b[2J\x07 two\nlines\u202e \ud800" + "x" * 100_000))
    assert text.isprintable()
    assert len(text) < 1100
    assert "\\x1b[2J" in text


@contextmanager
def memory_limit(more: int) -> Iterator[None]:
    """No more address space than now and `more` bytes, inside the block; where the system says how much that is."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(statm.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def write_weights(path: Path, tensors: dict[str, Tensor], **about: object) -> None:
    """Weights as a stranger would send them: without the checksum of the tensors."""
    save_tensors(path, tensors, {})
    meta_path(path).write_text(json.dumps({"schema": 1, **about}))


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (torch.tensor([float("nan")]), "NaN or infinity"),
        (torch.tensor([float("-inf")]), "NaN or infinity"),
        (torch.tensor([1e300], dtype=torch.float64), "float64"),  # infinity as soon as it is a float32
        (torch.zeros(1, dtype=torch.int32), "int32"),
        (torch.zeros(1, dtype=torch.complex64), "complex64"),
        (torch.zeros(1, dtype=torch.float8_e4m3fn), "float8"),
        (torch.zeros([1] * 9), "9 dimensions"),
    ],
)
def test_tensors_that_no_weights_have(tmp_path: Path, tensor: Tensor, says: str) -> None:
    write_weights(tmp_path / "w", {"x": tensor})
    with pytest.raises(FileError, match=says):
        load_tensors(tmp_path / "w")


def header(text: str, length: int | None = None, body: int = 0) -> bytes:
    """Safetensors with this header."""
    return struct.pack("<Q", len(text) if length is None else length) + text.encode() + bytes(body)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04K\x01.",  # a pickle
        header("{}", 2**63),
        header("{}", (1 << 20) + 1),
        header('{"x": {"dtype": "F32", "shape": [1099511627776], "data_offsets": [0, 4398046511104]}}'),
        header('{"x": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}}'),
        header('{"x": {"dtype": "F32", "shape": [0, 18446744073709551615], "data_offsets": [0, 0]}}'),
        header('{"x": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}', body=1),
        header('{"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', body=3),
        header(json.dumps({f"x{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(20_000)})),
    ],
)
def test_safetensors_that_claim_what_they_do_not_hold(tmp_path: Path, data: bytes) -> None:
    write_weights(tmp_path / "w", {})
    tensor_path(tmp_path / "w").write_bytes(data)
    assert memory_of(lambda: load_tensors(tmp_path / "w")) < 16 << 20


def test_settings_of_other_tensors_are_noticed(tmp_path: Path) -> None:
    for name in "ab":
        save_tensors(tmp_path / name, {"x": torch.full((1,), float(ord(name)))}, {})
    tensor_path(tmp_path / "a").write_bytes(tensor_path(tmp_path / "b").read_bytes())
    with pytest.raises(FileError, match=r"not those that a\.json describes"):
        load_tensors(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("context", {"width": 4096, "token": 4096, "context": 64}),
        ("context", {"width": 10**9}),
        ("context", {"token": 0}),
        ("context", {"depth": 3}),
        ("context", {"context": 3}),
        ("context", {"context": 8.0}),
        ("context", {"paddle_width": -1}),
        ("context", {"width": True}),
        ("vqvae", {"decoder_width": 4096}),
        ("vqvae", {"encoder_width": 0}),
        ("vqvae", {"encoder_width": 10**400}),
        ("action_to_latent_best", {"dropout": 2}),
        ("action_to_latent_best", {"layers": 3}),
    ],
)
def test_models_that_the_tensors_do_not_fill_are_never_built(
    tmp_path: Path, name: str, sizes: dict[str, object]
) -> None:
    kind = {"action_to_latent_best": "action"}.get(name, name)
    write_weights(tmp_path / name, {"x": torch.zeros(1)}, kind=kind, frameskip=2, model=sizes)
    with memory_limit(256 << 20), pytest.raises(FileError) as error:
        load_module(tmp_path, name)
    assert "memory" not in str(error.value), "it was built, as far as memory went"


@pytest.mark.parametrize("majority", [None, [0] * 34, [256] * 35, [0.5] * 35, [10**400] * 35, [[0]] * 35, "0" * 35])
def test_majority_codes_that_are_none(tmp_path: Path, majority: object) -> None:
    twin = WorldModel.untrained()
    about = {"kind": "vqvae", "frameskip": 2, "model": twin.vqvae.settings, "majority": majority}
    save_tensors(tmp_path / "vqvae", twin.vqvae.state_dict(), about)
    with pytest.raises(FileError, match=r"majority codes|no context controller"):
        WorldModel.load(tmp_path, device="cpu")


def episode() -> bytes:
    """A sound episode of one step."""
    writer = EpisodeWriter(np.zeros((210, 160), np.uint8), 5)
    writer.add(1, np.zeros((210, 160), np.uint8), 0, 5)
    return writer.to_bytes(over=True)


def repacked(path: Path, packing: int = zipfile.ZIP_DEFLATED, **arrays: np.ndarray) -> None:
    """An episode with other arrays, or packed in another way."""
    path.write_bytes(episode())
    with np.load(path) as found:
        members = {**found, **arrays}
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asanyarray(array), (1, 0))


def test_zip_bombs(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    repacked(path)
    assert len(load_episode(path)) == 1
    for name, array in (
        ("cells", np.zeros((120_000, 480), np.uint8)),  # 57 MB in 60 kB: more than any file of ours
        ("cells", np.zeros((60_000, 480), np.uint8)),  # more cells than two frames can show
        ("rewards", np.zeros(30_000_000, np.uint8)),
        ("unseen", np.zeros((15_000_000, 2), np.uint8)),
    ):
        repacked(path, **{name: array})
        assert path.stat().st_size < 100_000
        assert memory_of(lambda: load_episode(path)) < 4 << 20, name


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_packings_that_take_what_memory_they_ask_for(tmp_path: Path, packing: int) -> None:
    repacked(tmp_path / "e.npz", packing)
    with pytest.raises(FileError, match="packed in a way"):
        load_episode(tmp_path / "e.npz")


def manifest_of(directory: Path, **changes: object) -> dict[str, Any]:
    """Write a dataset of one episode, with these changes to its manifest."""
    (directory / "episode-00000.npz").write_bytes(episode())
    entry = {"file": "episode-00000.npz", "sha256": checksum(directory / "episode-00000.npz")}
    manifest = {"schema": 1, "frameskip": 2, "episodes": [entry], **changes}
    (directory / MANIFEST).write_text(json.dumps(manifest))
    return manifest


def test_one_episode_cannot_be_a_million(tmp_path: Path) -> None:
    entry = manifest_of(tmp_path)["episodes"][0]
    assert len(TransitionDataset.load(tmp_path)) == 1
    manifest_of(tmp_path, episodes=[entry] * 1000)
    with pytest.raises(FileError, match="twice"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "name", ["../episode-00000.npz", "/etc/passwd", "episode-00000.npz/..", "episode-00000.npz\n", "..", ""]
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
        home / "w.json": {"kind": "vqvae"},
        stats_path(home / "pairs.json"): stats,
        home / "session.json": {"kind": KIND},
    }.items():
        path.write_text(json.dumps({**value, **version}))
    tensor_path(home / "w").write_bytes(save({}))
    settings = CollectSettings(4, "mixed", 2, 0)
    return {
        "collect frames": lambda: read_manifest(home),
        "collect frames, into another --out": lambda: collect_frames(settings, home, workers=1),
        "train vqvae": lambda: load_tensors(home / "w"),
        "collect pairs": lambda: load_pairs(home / "pairs.json"),
        "play --save-session": lambda: load_session(home / "session.json"),
    }


@pytest.mark.parametrize(
    ("schema", "says"), [(2, "newer than 1: update"), (10**50, "newer"), (0, "older"), (None, "no schema"), (1.5, "no")]
)
def test_versions_are_refused_by_name(tmp_path: Path, schema: object, says: str) -> None:
    for command, read in files_with_schema(tmp_path, schema).items():
        with pytest.raises(FileError, match=says) as error:
            read()
        assert schema != 0 or f"make it anew with: python main.py {command}" in str(error.value)

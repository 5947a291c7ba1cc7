"""`collect pairs`: the seed design's data, (action, latent code) pairs of a random agent's games.

OUT.json          a JSON list of {"action": 0..3, "latent_code": [35 ints of 0..255]}, in the order they were played
OUT_stats.json    schema, frame skip, seed, checksums, the length of every episode (so that a split can be by whole
                  episode), how often each action occurs, and which codes occur at each of the 35 positions"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from collect.dataset import CUT, MANIFEST, Episode, read_episodes, read_manifest
from collect.frames import CollectSettings, play_episode
from console import Show, quiet
from model import files
from model.breakout import ACTIONS, CELLS, CODES, EMULATOR_HZ, GRID_ROWS, Action, Frame
from model.files import FileError
from model.readers import Ints

BATCH = 256
BLOCK = 1000  # pairs without statistics do not say where episodes end; they are split into blocks of so many in a row
PAIRS_SHA256 = "pairs_sha256"
Encode = Callable[[Frame, Frame], npt.NDArray[np.integer]]
"""Codes (B, 35), integers 0..255, of frames and the frames after them, (B, 210, 160) uint8 classes each."""


def stats_path(pairs: Path) -> Path:
    """`NAME.json` -> `NAME_stats.json`."""
    return pairs.with_name(f"{pairs.stem}_stats.json")


def _games(directory: Path | None, frameskip: int, seed: int) -> tuple[Iterator[Episode], dict[str, Any]]:
    """Episodes, and what the statistics say of them."""
    if directory is None:
        settings = CollectSettings(0, "random", frameskip, seed)
        games = (play_episode(settings, number) for number in count())
        return games, {"policy": settings.policy, "seed": seed, "frames_sha256": None}
    manifest = read_manifest(directory, frameskip)
    about = {"policy": manifest.get("policy"), "seed": manifest.get("seed")}
    return read_episodes(directory, manifest), {**about, "frames_sha256": files.checksum(directory / MANIFEST)}


def collect_pairs(
    encode: Encode,
    frameskip: int,
    out: Path,
    transitions: int,
    seed: int = 0,
    frames: Path | None = None,
    show: Show = quiet,
    codes_sha256: str | None = None,
) -> dict[str, Any]:
    """Encode `transitions` pairs (or all of a smaller dataset) into `out`, and return the statistics written beside.
    The games are those of the dataset `frames`, or played anew by a random agent; `frameskip` is that of the frames
    that the encoder was trained on. `codes_sha256` says in the statistics whose codes these are. Memory stays small
    whatever the number. FileError if the dataset cannot be used or is of another frame skip, or the machine refuses to
    write; an `out` that was there is replaced only when the new one is whole."""
    games, about = _games(frames, frameskip, seed)

    def write(file: BinaryIO) -> dict[str, Any]:
        counts = np.zeros((ACTIONS, CELLS, CODES), np.int64)
        lengths, done = list[int](), 0
        for episode in games:
            steps = np.flatnonzero(episode.actions != CUT)[: transitions - done]
            for start in range(0, len(steps), BATCH):
                t = steps[start : start + BATCH]
                found, taken = encode(episode.frame(t), episode.frame(t + 1)), episode.actions[t]
                counts += count_codes(taken, found)
                for action, code in zip(taken.tolist(), found.tolist(), strict=True):
                    item = json.dumps({"action": action, "latent_code": code})
                    file.write(f"{',' if done else '['}\n{item}".encode())
                    done += 1
                show(done / transitions, f"{done} of {transitions}")
            if len(steps):
                lengths.append(len(steps))
            if done >= transitions:
                break
        if not done:
            raise FileError(f"dataset {frames} has no transitions")
        show(1.0, f"{done} of {done}")
        file.write(b"\n]\n")
        of_action = zip(Action, counts[:, 0].sum(axis=1), strict=True)
        return {
            "schema": files.SCHEMA,
            "pairs": done,
            "codes_sha256": codes_sha256,
            "frameskip": frameskip,
            **about,
            "episodes": len(lengths),
            "episode_lengths": lengths,
            "actions": {action.name: {"count": int(n), "share": n / done} for action, n in of_action},
            "codes": code_statistics(counts),
        }

    return files.write_described(out, write, stats_path(out), PAIRS_SHA256)


def count_codes(actions: npt.NDArray[np.integer], codes: npt.NDArray[np.integer]) -> Ints:
    """How often each action (N,) went with each code at each position (N, 35): (4, 35, 256)."""
    counts = np.zeros((ACTIONS, CELLS, CODES), np.int64)
    np.add.at(counts, (actions[:, None], np.arange(CELLS), codes), 1)
    return counts


def code_statistics(counts: Ints) -> dict[str, Any]:
    """How codes are distributed, from counts (4 actions, 35 positions, 256 codes). Entropies are in bits; `perplexity`
    is of the codes of all positions and actions together, code 0 (nothing changes) included. An action that never
    occurs has no top codes."""
    everywhere = counts.sum(axis=(0, 1))
    positions = [
        {
            "column": position // GRID_ROWS,
            "row": position % GRID_ROWS,
            "entropy": entropy(of_position),
            "used": int((of_position > 0).sum()),
            "top": _top(of_position, 8),
            "top_by_action": {action.name: _top(counts[action, position], 3) for action in Action},
        }
        for position, of_position in enumerate(counts.sum(axis=0))
    ]
    return {
        "used": int((everywhere > 0).sum()),
        "never_used": np.flatnonzero(everywhere == 0).tolist(),
        "perplexity": float(2 ** entropy(everywhere)),
        "counts": everywhere.tolist(),
        "positions": positions,
    }


def entropy(counts: Ints) -> float:
    """Of the distribution that these counts (C,) have, in bits; there must be some."""
    shares = counts[counts > 0] / counts.sum()
    return max(0.0, float(-(shares * np.log2(shares)).sum()))


def _top(counts: Ints, most: int) -> list[dict[str, float]]:
    order = np.argsort(-counts, kind="stable")[:most]
    return [{"code": int(code), "share": counts[code] / counts.sum()} for code in order if counts[code]]


@dataclass(frozen=True)
class Pairs:
    """Pairs in memory, in the order they were played."""

    actions: Ints  # (N,) 0..3
    codes: Ints  # (N, 35) 0..255
    lengths: list[int]  # pairs in each episode, or in each block where the statistics are missing
    stats: dict[str, Any] | None  # those beside the file


def read_pairs(path: Path) -> tuple[Ints, Ints]:
    """Actions (N,) and codes (N, 35) of a pairs file. FileError if it is missing, damaged, empty or foreign."""
    if not path.exists():
        raise FileError(f"pairs {path} do not exist; make them with: python main.py collect pairs --out {path}")
    items = files.read_json(path, "pairs", limit=1 << 29)
    if not isinstance(items, list):
        raise FileError(f"pairs {path} are not a JSON list")
    if not items:
        raise FileError(f"pairs {path} are empty")
    actions, codes = np.empty(len(items), np.int64), np.empty((len(items), CELLS), np.int64)
    for number, item in enumerate(items):
        action, code = (item.get("action"), item.get("latent_code")) if isinstance(item, dict) else (None, None)
        if type(action) is not int or not 0 <= action < ACTIONS:
            raise FileError(f"pairs {path}: entry {number} has no action of 0..{ACTIONS - 1}")
        if not isinstance(code, list) or len(code) != CELLS or not all(type(c) is int and 0 <= c < CODES for c in code):
            raise FileError(f"pairs {path}: entry {number} has no latent code of {CELLS} integers 0..{CODES - 1}")
        actions[number] = action
        codes[number] = code
    return actions, codes


def load_pairs(path: Path) -> Pairs:
    """Read a pairs file and the statistics beside it. FileError as `read_pairs`, or if the statistics are damaged or
    belong to another file."""
    actions, codes = read_pairs(path)
    stats = _load_stats(path, len(actions))
    if stats is not None:
        return Pairs(actions, codes, stats["episode_lengths"], stats)
    blocks = [min(BLOCK, len(actions) - start) for start in range(0, len(actions), BLOCK)]
    return Pairs(actions, codes, blocks, None)


def _load_stats(path: Path, pairs: int) -> dict[str, Any] | None:
    beside = stats_path(path)
    if not beside.exists() and not files.waiting_path(beside).exists():
        return None
    digest = files.checksum(path)
    stats = files.read_description(beside, "statistics", PAIRS_SHA256, digest, limit=1 << 26)
    if not isinstance(stats, dict):
        raise FileError(f"statistics {beside} are not a JSON object")
    files.check_schema(stats.get("schema"), "statistics", beside, "python main.py collect pairs")
    if stats.get(PAIRS_SHA256) != digest:
        raise FileError(f"statistics {beside} are of another pairs file than {path}: run collect pairs again")
    lengths, frameskip = stats.get("episode_lengths"), stats.get("frameskip")
    if not isinstance(lengths, list) or not all(type(n) is int and n > 0 for n in lengths) or sum(lengths) != pairs:
        raise FileError(f"statistics {beside}: the episodes' lengths do not add up to {pairs} pairs")
    sound = type(frameskip) is int and 1 <= frameskip <= EMULATOR_HZ
    if not sound or not isinstance(stats.get("codes_sha256"), str):
        raise FileError(f"statistics {beside} lack the frame skip or the checksum of the VQ-VAE")
    return stats

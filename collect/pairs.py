"""`collect pairs`: the seed design's data, (action, latent code) pairs of a random agent's games.

OUT.json          a JSON list of {"action": 0..3, "latent_code": [35 ints of 0..255]}, in the order they were played
OUT_stats.json    schema, frame skip, seed, checksums, the length of every episode (so that a split can be by whole
                  episode), how often each action occurs, and which codes occur at each of the 35 positions
"""

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from collect.dataset import CUT, MANIFEST, Episode, read_episodes, read_manifest
from collect.frames import CollectSettings, play_episode
from model.breakout import ACTIONS, CELLS, CODES, GRID_ROWS, Action, Frame
from model.files import SCHEMA, FileError, checksum, write_described

BATCH = 256
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
        played = (play_episode(settings, number) for number in count())
        games = (writer.to_episode(over) for writer, over in played)
        return games, {"policy": settings.policy, "seed": seed, "frames_sha256": None}
    manifest = read_manifest(directory)
    if manifest["frameskip"] != frameskip:
        raise FileError(f"dataset {directory} is of frame skip {manifest['frameskip']}, the weights are of {frameskip}")
    about = {"policy": manifest.get("policy"), "seed": manifest.get("seed")}
    return read_episodes(directory, manifest), {**about, "frames_sha256": checksum(directory / MANIFEST)}


def collect_pairs(
    encode: Encode,
    frameskip: int,
    out: Path,
    transitions: int,
    seed: int = 0,
    frames: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
    codes_sha256: str | None = None,
) -> dict[str, Any]:
    """Encode `transitions` pairs (or all of a smaller dataset) into `out`, and return the statistics written beside.
    The games are those of the dataset `frames`, or played anew by a random agent; `frameskip` is that of the frames
    that the encoder was trained on. `codes_sha256` says in the statistics whose codes these are. Memory stays small
    whatever the number. FileError if the dataset cannot be used or is of another frame skip, or the machine refuses to
    write; an `out` that was there is replaced only when the new one is whole."""
    games, about = _games(frames, frameskip, seed)

    def write(file: BinaryIO) -> dict[str, Any]:
        counts, lengths, done = np.zeros((ACTIONS, CELLS, CODES), np.int64), [], 0
        for episode in games:
            steps = np.flatnonzero(episode.actions != CUT)[: transitions - done]
            for start in range(0, len(steps), BATCH):
                t = steps[start : start + BATCH]
                found, taken = encode(episode.frame(t), episode.frame(t + 1)), episode.actions[t]
                np.add.at(counts, (taken[:, None], np.arange(CELLS), found), 1)
                for action, code in zip(taken.tolist(), found.tolist(), strict=True):
                    item = json.dumps({"action": action, "latent_code": code})
                    file.write(f"{',' if done else '['}\n{item}".encode())
                    done += 1
                progress(done)
            if len(steps):
                lengths.append(len(steps))
            if done >= transitions:
                break
        if not done:
            raise FileError(f"dataset {frames} has no transitions")
        file.write(b"\n]\n")
        of_action = zip(Action, counts[:, 0].sum(axis=1), strict=True)
        return {
            "schema": SCHEMA,
            "pairs": done,
            "codes_sha256": codes_sha256,
            "frameskip": frameskip,
            **about,
            "episodes": len(lengths),
            "episode_lengths": lengths,
            "actions": {action.name: {"count": int(n), "share": n / done} for action, n in of_action},
            "codes": code_statistics(counts),
        }

    return write_described(out, write, stats_path(out), PAIRS_SHA256)


def code_statistics(counts: npt.NDArray[np.int64]) -> dict[str, Any]:
    """How codes are distributed, from counts (4 actions, 35 positions, 256 codes). Entropies are in bits; `perplexity`
    is of the codes of all positions and actions together, code 0 (nothing changes) included. An action that never
    occurs has no top codes."""
    everywhere = counts.sum(axis=(0, 1))
    positions = [
        {
            "column": position // GRID_ROWS,
            "row": position % GRID_ROWS,
            "entropy": _entropy(of_position),
            "used": int((of_position > 0).sum()),
            "top": _top(of_position, 8),
            "top_by_action": {action.name: _top(counts[action, position], 3) for action in Action},
        }
        for position, of_position in enumerate(counts.sum(axis=0))
    ]
    return {
        "used": int((everywhere > 0).sum()),
        "never_used": np.flatnonzero(everywhere == 0).tolist(),
        "perplexity": float(2 ** _entropy(everywhere)),
        "counts": everywhere.tolist(),
        "positions": positions,
    }


def _entropy(counts: npt.NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return max(0.0, float(-(shares * np.log2(shares)).sum()))


def _top(counts: npt.NDArray[np.int64], most: int) -> list[dict[str, float]]:
    order = np.argsort(-counts, kind="stable")[:most]
    return [{"code": int(code), "share": counts[code] / counts.sum()} for code in order if counts[code]]

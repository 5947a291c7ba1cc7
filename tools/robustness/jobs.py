"""What `tools.robustness.kills` kills: collecting and training at tiny size, and what must be true of their files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from collect.episode import load_episode
from collect.frames import CollectSettings, collect_frames
from collect.pairs import PairSource, collect_pairs, stats_path
from model.breakout import CELLS, CODES, Frame
from model.files import read_json

if TYPE_CHECKING:
    from train.loop import RunOptions

FRAMES = CollectSettings(transitions=1500, policy="mixed", frameskip=2, seed=5, episode_seconds=4.0)


class StandIn:
    """An encoder without a network: the codes of a pair follow from where its pixels differ."""

    def __init__(self, frameskip: int = 2, shift: int = 0) -> None:
        self.frameskip, self.shift = frameskip, shift

    def encode(self, before: Frame, after: Frame) -> npt.NDArray[np.int64]:
        """Frames (B, 210, 160) uint8 and those after them -> (B, 35) int64, 0..255."""
        changed = (before != after).reshape(len(before), CELLS, -1).sum(2, dtype=np.int64)
        return (changed + self.shift) % CODES


class Broken(Exception):
    """A kill lost something, or let something half-written be seen."""


@dataclass(frozen=True)
class Job:
    """`run` does it into a directory, and goes on there if it was killed; `start` puts there what was there before.

    `command`, if given, is run as a program of its own instead of `run`.
    `seen` gives what a kill must have left, to compare with the last time; `result` what the end must be.
    """

    name: str
    run: Callable[[Path], object]
    seen: Callable[[Path, dict[str, Any]], dict[str, Any]]
    result: Callable[[Path], dict[str, Any]]
    start: Callable[[Path], object] = lambda out: None
    command: Callable[[Path], list[str]] | None = None


def contents(out: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def seen_episodes(out: Path, before: dict[str, Any]) -> dict[str, Any]:
    """Episodes are whole, and none that was finished is gone."""
    found = {path.name: len(load_episode(path)) for path in out.glob("episode-*.safetensors")}
    for path in out.glob("*.json"):
        read_json(path, "JSON")
    if (out / "manifest.json").exists():  # the end: what was played ahead is gone
        return {}
    if lost := before.keys() - found.keys():
        raise Broken(f"episodes are gone: {sorted(lost)}")
    return found


def seen_pairs(out: Path, before: dict[str, Any]) -> dict[str, Any]:
    """There are pairs with their statistics at any moment: those that were there, or the new ones."""
    from train.latent_action_data import load_pairs

    pairs = load_pairs(out / "pairs.json")
    if pairs.stats is None:
        raise Broken("the statistics are gone")
    return {}


def seen_checkpoints(name: str, stem: str) -> Callable[[Path, dict[str, Any]], dict[str, Any]]:
    """Whatever is there of weights and checkpoints can be loaded, and is no older than before."""

    def seen(out: Path, before: dict[str, Any]) -> dict[str, Any]:
        from model.checkpoint import load_tensors, meta_path, tensor_path

        steps = {}
        for part in (name, f"{stem}_last"):
            if tensor_path(out / part).exists() or meta_path(out / part).exists():
                steps[part] = load_tensors(out / part)[1]["step"]
        if any(steps.get(part, -1) < step for part, step in before.items()):
            raise Broken(f"steps were {before}, are {steps}")
        return steps

    return seen


def trained(name: str, stem: str) -> Callable[[Path], dict[str, Any]]:
    """All losses, norms and validations of a run, and its weights, without what depends on the clock."""

    def result(out: Path) -> dict[str, Any]:
        from model.checkpoint import load_tensors

        found: dict[str, Any] = {}
        for text in (out / f"{name}_log.jsonl").read_text().splitlines():
            line = {key: value for key, value in json.loads(text).items() if "second" not in key}
            if "warning" in line:  # of slow data: depends on the clock
                continue
            place = f"step {line['step']} {'validation' if 'validation' in line else 'loss'}"
            if found.setdefault(place, line) != line:  # steps after the checkpoint come twice
                raise Broken(f"{place} was {found[place]}, and then {line}")
        for part in (name, f"{stem}_last"):
            tensors, meta = load_tensors(out / part)
            found |= {f"{part} {key}": tensor.numpy().tobytes() for key, tensor in tensors.items()}
            found[f"{part} meta"] = {key: value for key, value in meta.items() if "second" not in key}
        return found

    return result


def resuming(out: Path, stem: str) -> RunOptions:
    """`--resume` if there is a checkpoint."""
    from train.loop import RunOptions

    return RunOptions(out, resume=any(out.glob(f"{stem}_last.*")) or any(out.glob(f"{stem}_before.*")))


def prepare(home: Path) -> None:
    """The dataset and the pairs that the jobs start from."""
    collect_frames(CollectSettings(180, "mixed", 2, 0, episode_seconds=1.2), home / "frames", workers=1)
    for name, seed, count in (("pairs", 1, 1600), ("older", 2, 200)):
        collect_pairs(StandIn(), PairSource(None, 2, seed), home / f"{name}.json", count, codes_sha256="stand-in")


def jobs(home: Path) -> list[Job]:
    """All jobs, on what `prepare` made in `home`."""

    def action(out: Path) -> None:
        import torch

        from train.action import train_action
        from train.loop import LoopSettings

        settings = LoopSettings(batch=256, rate=1e-3, epochs=3, decay=0.0, log_every=1)
        train_action(home / "pairs.json", settings, resuming(out, "action_to_latent"), torch.device("cpu"))

    def pairs(out: Path) -> None:
        collect_pairs(StandIn(), PairSource(None, 2, 1), out / "pairs.json", 600, codes_sha256="stand-in")

    def older_pairs(out: Path) -> None:
        for path in (home / "older.json", stats_path(home / "older.json")):
            (out / path.name.replace("older", "pairs")).write_bytes(path.read_bytes())

    def collect(out: Path) -> None:
        collect_frames(FRAMES, out, workers=1)

    def collect_command(out: Path) -> list[str]:
        made = ("--transitions", "4000", "--seed", "3", "--workers", "2", "--out", str(out))
        return [sys.executable, "main.py", "collect", "frames", *made]

    def action_command(out: Path) -> list[str]:
        resume = ("--resume",) if resuming(out, "action_to_latent").resume else ()
        made = ("--pairs", str(home / "pairs.json"), "--out", str(out), "--batch", "256", "--epochs", "6")
        return [sys.executable, "main.py", "train", "action", "--device", "cpu", *made, *resume]

    best, stem = "action_to_latent_best", "action_to_latent"
    actions = seen_checkpoints(best, stem), trained(best, stem)
    return [
        Job("collect frames", collect, seen_episodes, contents),
        Job("collect pairs", pairs, seen_pairs, contents, older_pairs),
        Job("train action", action, *actions),
        Job("main.py collect frames", collect, seen_episodes, contents, command=collect_command),
        Job("main.py train action", action, *actions, command=action_command),
    ]

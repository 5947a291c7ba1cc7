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

from collect.dataset import load_episode
from collect.frames import CollectSettings, collect_frames
from collect.pairs import collect_pairs, load_pairs, stats_path
from model.breakout import CELLS, CODES, Frame
from model.files import read_json

if TYPE_CHECKING:
    from train.loop import Run

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
    pairs = load_pairs(out / "pairs.json")
    if pairs.stats is None:
        raise Broken("the statistics are gone")
    return {}


def seen_checkpoints(name: str) -> Callable[[Path, dict[str, Any]], dict[str, Any]]:
    """Whatever is there of weights and checkpoints can be loaded, and is no older than before."""

    def seen(out: Path, before: dict[str, Any]) -> dict[str, Any]:
        from model.checkpoint import load_tensors

        steps = {}
        for part in (name, f"{name.removesuffix('_best')}_last"):
            if (path := out / f"{part}.safetensors").exists():
                steps[part] = load_tensors(path)[1]["step"]
        if any(steps.get(part, -1) < step for part, step in before.items()):
            raise Broken(f"steps were {before}, are {steps}")
        return steps

    return seen


def trained(name: str) -> Callable[[Path], dict[str, Any]]:
    """All losses, norms and validations of a run, and its weights, without what depends on the clock."""

    def result(out: Path) -> dict[str, Any]:
        from model.checkpoint import load_tensors

        found: dict[str, Any] = {}
        for text in (out / f"{name}_log.jsonl").read_text().splitlines():
            line = {key: value for key, value in json.loads(text).items() if "second" not in key}
            place = f"step {line['step']} {'validation' if 'validation' in line else 'loss'}"
            if found.setdefault(place, line) != line:  # steps after the checkpoint come twice
                raise Broken(f"{place} was {found[place]}, and then {line}")
        for part in (name, f"{name.removesuffix('_best')}_last"):
            tensors, meta = load_tensors(out / f"{part}.safetensors")
            found |= {f"{part} {key}": tensor.tobytes() for key, tensor in tensors.items()}
            found[f"{part} meta"] = {k: v for k, v in meta.items() if "second" not in k and k != "sha256"}
        return found

    return result


def run_of(out: Path, name: str, **settings: Any) -> Run:
    """A run on the CPU that goes on if there is a checkpoint."""
    from train.loop import Run, Settings

    stem = name.removesuffix("_best")
    there = any((out / f"{stem}_{part}.safetensors").exists() for part in ("last", "before"))
    made = {"rate": 2e-3, "warmup": 5, "validate_every": 4, "log_every": 1, **settings}
    return Run(out, Settings(**made), resume=there)


def prepare(home: Path) -> None:
    """The dataset, the weights and the pairs that the jobs start from."""
    collect_frames(CollectSettings(400, "mixed", 1, 0, episode_seconds=1.2), home / "frames", workers=1)
    for name, seed, count in (("pairs", 1, 1600), ("older", 2, 200)):
        collect_pairs(StandIn().encode, 2, home / f"{name}.json", count, seed, codes_sha256="stand-in")


def collecting(home: Path) -> list[Job]:
    """Jobs that need no PyTorch."""

    def pairs(out: Path) -> None:
        collect_pairs(StandIn().encode, 2, out / "pairs.json", 600, 1, codes_sha256="stand-in")

    def older_pairs(out: Path) -> None:
        for path in (home / "older.json", stats_path(home / "older.json")):
            (out / path.name.replace("older", "pairs")).write_bytes(path.read_bytes())

    def collect(out: Path) -> None:
        collect_frames(FRAMES, out, workers=1)

    def command(out: Path) -> list[str]:
        made = ("--transitions", "4000", "--seed", "3", "--workers", "2", "--out", str(out))
        return [sys.executable, "main.py", "collect", "frames", *made]

    return [
        Job("collect frames", collect, seen_episodes, contents),
        Job("collect pairs", pairs, seen_pairs, contents, older_pairs),
        Job("main.py collect frames", collect, seen_episodes, contents, command=command),
    ]


def training(home: Path) -> list[Job]:
    """Jobs that train."""
    frames, best = [home / "frames"], "action_to_latent_best"

    def vqvae(out: Path) -> None:
        from train.vqvae import train_vqvae

        train_vqvae(frames, run_of(out, "vqvae", batch=8, epochs=0.7), sample=300, width=8)

    def memory(out: Path) -> None:
        from train.steps import train_memory

        sizes = {"width": 8, "knob_width": 8}
        train_memory(frames, run_of(out, "memory", batch=8, epochs=0.5), sizes)

    def action(out: Path) -> None:
        from train.action import train_action

        train_action(home / "pairs.json", run_of(out, best, batch=256, epochs=3, decay=0.0))

    def command(out: Path) -> list[str]:
        resume = ("--resume",) if run_of(out, best, batch=256, epochs=6).resume else ()
        made = ("--pairs", str(home / "pairs.json"), "--out", str(out), "--batch", "256", "--epochs", "6")
        return [sys.executable, "main.py", "train", "action", "--device", "cpu", *made, *resume]

    return [
        Job("train vqvae", vqvae, seen_checkpoints("vqvae"), trained("vqvae")),
        Job("train memory", memory, seen_checkpoints("memory"), trained("memory")),
        Job("train action", action, seen_checkpoints(best), trained(best)),
        Job("main.py train action", action, seen_checkpoints(best), trained(best), command=command),
    ]


def jobs(home: Path) -> list[Job]:
    """All jobs, on what `prepare` made in `home`."""
    return [*collecting(home), *training(home)]

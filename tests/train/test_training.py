"""Training: losses go down, a resumed run repeats the uninterrupted one, and what went wrong says how to go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from collect.frames import CollectSettings, collect_frames
from model.checkpoint import load_tensors, save_tensors
from model.files import FileError, UserError
from tests.train.conftest import SETTINGS, Trained, begin, losses
from train.loop import Loop, Run, Settings, Task, Tracker, TrainingError, choose_device, learning_rate, train

pytestmark = pytest.mark.slow

NAMES = ("vqvae", "memory", "context")


class Killed(Exception):
    """In place of a kill."""


def run_until(monkeypatch: pytest.MonkeyPatch, step: int, run: Callable[[], object]) -> None:
    """Run, and stop as if killed two steps after `step`, where it was validated and saved."""
    once = Loop._train

    def one_step(self: Loop, *arguments: Any) -> Any:
        if self.step == step + 2:
            raise Killed
        return once(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_train", one_step)
        with pytest.raises(Killed):
            run()


@pytest.mark.parametrize("name", NAMES)
def test_loss_goes_down(trained: Trained, name: str) -> None:
    log = list(losses(trained.world, name).values())
    assert np.mean(log[-5:]) < 0.7 * np.mean(log[:3])


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_gives_the_losses_of_one_that_never_stopped(
    frames: Path, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole, cut = Run(tmp_path / "whole", SETTINGS), Run(tmp_path / "cut", SETTINGS)
    begin(name, frames, trained.world, whole)
    run_until(monkeypatch, 20, lambda: begin(name, frames, trained.world, cut))
    begin(name, frames, trained.world, replace(cut, resume=True))
    assert len(losses(whole.out, name)) > 25
    assert losses(cut.out, name) == losses(whole.out, name)
    for each in (name, f"{name}_last"):
        (a, _), (b, _) = (load_tensors(run.out / f"{each}.safetensors") for run in (whole, cut))
        assert all(np.array_equal(a[key], b[key]) for key in a | b)


def test_the_codebook_starts_before_a_short_run_ends_and_says_what_happens(trained: Trained) -> None:
    _, meta = load_tensors(trained.world / "vqvae.safetensors")
    assert meta["validation"]["codes_right"] > 0.5
    assert meta["validation"]["codes_used"] > 10
    assert meta["frameskip"] == 1
    assert meta["dataset"]["transitions"] == 2000
    assert len(meta["palette"]) == 9


def test_resume_needs_a_run_of_the_same_kind_but_takes_another_rate(
    frames: Path, trained: Trained, tmp_path: Path
) -> None:
    with pytest.raises(FileError, match="no run of memory"):
        begin("memory", frames, trained.world, Run(tmp_path, SETTINGS, resume=True))
    run = Run(tmp_path, replace(SETTINGS, epochs=0.7))
    begin("memory", frames, trained.world, run)
    before, first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}, max(losses(tmp_path, "memory"))
    with pytest.raises(FileError, match="--resume"):
        begin("memory", frames, trained.world, run)
    with pytest.raises(FileError, match="its training differs"):
        begin("memory", frames, trained.world, Run(tmp_path, replace(run.settings, batch=9), resume=True))
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    begin("memory", frames, trained.world, Run(tmp_path, replace(run.settings, rate=1e-3, epochs=1.0), resume=True))
    assert max(losses(tmp_path, "memory")) > first  # it went on


class Line(Task):
    """One weight that should become 3; its loss is no number at step `bad`."""

    def __init__(self, bad: int = -1) -> None:
        super().__init__()
        self.module, self.samples, self.meta, self.bad = torch.nn.Linear(1, 1, bias=False), 100, {"kind": "line"}, bad
        torch.nn.init.zeros_(self.module.weight)

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The squared error at a random place."""
        x = torch.rand(batch, 1, generator=generator)
        loss = (self.module(x) - 3 * x).square().mean()
        return loss * (float("nan") if step == self.bad else 1.0), {}

    def validate(self) -> tuple[float, dict[str, Any]]:
        """How near the weight is."""
        score = -abs(float(self.module.weight) - 3)  # type: ignore[arg-type]
        return score, {"score": score}


LINE = Settings(batch=5, rate=0.4, epochs=3, warmup=5, validate_every=10, log_every=1)


def test_a_loss_that_is_no_number_stops_and_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"step 5; nothing was saved yet: begin again with --rate 0.1$"):
        train(Line(5), "line", Run(tmp_path / "a", LINE))
    run = Run(tmp_path / "b", LINE)
    with pytest.raises(TrainingError, match=r"step 15; the last good weights are in .*--resume --rate 0.1$"):
        train(Line(15), "line", run)
    tensors, meta = load_tensors(run.out / "line_last.safetensors")
    assert meta["step"] == 10
    assert np.isfinite(tensors["model.weight"]).all()
    figures = train(Line(), "line", replace(run, resume=True, settings=replace(LINE, rate=0.1)))
    assert figures["score"] > -0.5
    assert issubclass(TrainingError, UserError)  # one line, no traceback


def test_progress_is_never_more_than_all_and_only_training_counts(tmp_path: Path) -> None:
    shares: list[float] = []
    run = Run(tmp_path, replace(LINE, epochs=None, minutes=0.2 / 60), show=lambda share, text: shares.append(share))
    train(Line(), "line", run)
    assert shares == sorted(shares)
    assert max(shares) == 1.0
    assert load_tensors(tmp_path / "line_last.safetensors")[1]["elapsed_seconds"] < 5


def test_the_best_weights_are_kept_and_the_newest_may_be_damaged(tmp_path: Path) -> None:
    run = Run(tmp_path, LINE)
    train(Line(), "line", run)
    _, best = load_tensors(tmp_path / "line.safetensors")
    assert best["validation"]["score"] == best["best_score"] > -0.5
    (tmp_path / "line_last.safetensors").write_bytes(b"not a checkpoint")
    said: list[str] = []
    again = replace(run, resume=True, settings=replace(LINE, epochs=4), show=lambda share, text: said.append(text))
    train(Line(), "line", again)
    assert any(text.startswith("warning: the newest checkpoint is damaged") for text in said)


def test_the_rate_warms_up_and_falls_to_a_hundredth() -> None:
    rates = [learning_rate(LINE, step, step / 100) for step in range(101)]
    assert rates[0] == pytest.approx(LINE.rate / 5)
    assert max(rates) == rates[4]
    assert rates[-1] == pytest.approx(LINE.rate / 100)


def test_settings_and_devices_are_checked() -> None:
    with pytest.raises(ValueError, match="either minutes or epochs"):
        Settings(batch=8, rate=1e-3)
    for minutes in (-1.0, 0.0, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            Settings(batch=8, rate=1e-3, minutes=minutes)
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="auto, cpu or cuda"):
        choose_device("mps")


def test_extras_that_are_not_installed_or_not_set_up_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import SimpleNamespace

    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="pip install"):
        Tracker(tmp_path, "x", wandb=True)

    def refuse(**options: object) -> None:
        raise RuntimeError("api_key not configured")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=refuse))
    with pytest.raises(UserError, match="wandb login"):
        Tracker(tmp_path, "x", wandb=True)


def test_another_frame_skip_is_refused(frames: Path, trained: Trained, tmp_path: Path) -> None:
    other = tmp_path / "data"
    collect_frames(CollectSettings(40, "random", 4, 0, episode_seconds=1.0), other, workers=1)
    with pytest.raises(FileError, match="frame skip 4"):
        begin("context", other, trained.world, Run(tmp_path / "out", SETTINGS))


def test_frames_in_which_nothing_moves_are_refused_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collect import frames as collecting

    class Still:
        def act(self, objects: object) -> int:
            return 0

    monkeypatch.setattr(collecting, "make_policy", lambda *arguments: Still())
    monkeypatch.setattr(collecting, "start_episode", lambda emulator, policy, rng: emulator.reset())
    collect_frames(CollectSettings(100, "random", 1, 0, episode_seconds=0.5), tmp_path / "data", workers=1)
    with pytest.raises(FileError, match="nothing ever moves"):
        begin("vqvae", tmp_path / "data", tmp_path, Run(tmp_path / "out", SETTINGS))


def test_a_checkpoint_of_other_sizes_is_refused(frames: Path, trained: Trained, tmp_path: Path) -> None:
    tensors, meta = load_tensors(trained.world / "vqvae.safetensors")
    huge = {"width": 1 << 40}  # it is not made to find that it does not fit
    for sizes, says in (({"width": "x"}, "cannot have the sizes"), ({"width": 8}, "has shape"), (huge, "weights")):
        save_tensors(tmp_path / "vqvae.safetensors", tensors, {**meta, "model": {"vqvae": sizes}})
        with pytest.raises(FileError, match=says):
            begin("context", frames, tmp_path, Run(tmp_path / "out", SETTINGS))
    with pytest.raises(FileError, match="train vqvae"):
        begin("context", frames, tmp_path / "nothing", Run(tmp_path / "out", SETTINGS))

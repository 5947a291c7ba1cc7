"""Training: losses go down, a resumed run repeats the uninterrupted one, and checkpoints survive damage."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import train.context
from collect.dataset import TransitionDataset
from collect.frames import CollectSettings, collect_frames
from model import WorldModel
from model.breakout import KNOB_CENTRE, NO_ACTION
from model.files import FileError
from model.gaze import places
from model.memory import Unseen, Watcher
from model.weights import load_vqvae
from train.context import encode_dataset, majority_codes, train_context
from train.decoder import train_decoder
from train.loop import Loop, LoopSettings, RunOptions, TrainingError
from train.material import Material
from train.places import all_places
from train.sampling import Priority, TransitionSampler
from train.trackers import Tracker
from train.vqvae import train_vqvae

CPU = torch.device("cpu")
TINY = {"context": 8, "width": 32, "paddle_width": 16, "token": 32}
SETTINGS = LoopSettings(batch=16, rate=4e-3, epochs=0.5, warmup=5, validate_every=10, log_every=1)


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:  # long dreams are the bulk of a validation
        patch.setattr(train.context, "VALIDATION_STEPS", 6)
        yield


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("frames") / "data"
    collect_frames(CollectSettings(1000, "mixed", 2, 0, episode_seconds=8.0), out, workers=1)
    return out


@pytest.fixture(scope="module")
def weights(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VQ-VAE and a context controller, trained for a moment."""
    out = tmp_path_factory.mktemp("weights")
    train_vqvae(frames, replace(SETTINGS, epochs=1.0), RunOptions(out), CPU)
    train_context(frames, out, SETTINGS, RunOptions(out), CPU, model=TINY)
    return out


def losses(directory: Path, name: str) -> dict[int, float]:
    lines = [json.loads(line) for line in (directory / f"{name}_log.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def test_loss_goes_down(weights: Path) -> None:
    for name in ("vqvae", "context"):
        log = losses(weights, name)
        assert np.mean(list(log.values())[-5:]) < 0.8 * np.mean(list(log.values())[:3]), name


def test_weights_load_and_belong_together(weights: Path) -> None:
    wm = WorldModel.load(weights, device="cpu")
    assert wm.frameskip == 2
    assert wm.context == TINY["context"]
    with pytest.raises(FileError, match="no action controller"):
        wm.controller = "action"


def test_dataset_codes_are_those_of_the_pairs(frames: Path, weights: Path) -> None:
    vqvae, _ = load_vqvae(weights)
    dataset = TransitionDataset.load(frames)
    codes = encode_dataset(vqvae, Material(dataset, CPU, all_places(dataset)))
    wm = WorldModel.load(weights, device="cpu")
    t = dataset.transitions()[::97]
    assert np.array_equal(codes[t], wm.encode_batch(dataset.frame(t), dataset.frame(t + 1)))
    assert not codes[dataset.first[1:] - 1].any()  # no step leaves an episode's last frame


def test_majority_is_counted_per_position() -> None:
    codes = torch.zeros(5, 35, dtype=torch.uint8)
    codes[:3, 4] = 9
    assert majority_codes(codes) == [9 if cell == 4 else 0 for cell in range(35)]


def run_until(monkeypatch: pytest.MonkeyPatch, step: int, run: Any) -> None:
    """Run, and stop as if killed right after `step` was validated and saved."""

    class Killed(Exception):
        pass

    save = Loop._save_last

    def save_then_die(self: Loop) -> None:
        save(self)
        if self.step == step:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_save_last", save_then_die)
        with pytest.raises(Killed):
            run()


def test_resumed_vqvae_repeats_the_uninterrupted_losses(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS
    train_vqvae(frames, settings, RunOptions(tmp_path / "whole"), CPU)
    cut = RunOptions(tmp_path / "cut")
    run_until(monkeypatch, 10, lambda: train_vqvae(frames, settings, cut, CPU))
    train_vqvae(frames, settings, replace(cut, resume=True), CPU)
    whole, resumed = losses(tmp_path / "whole", "vqvae"), losses(tmp_path / "cut", "vqvae")
    assert len(whole) > 20
    assert whole == resumed


def test_resumed_context_repeats_the_uninterrupted_losses(
    frames: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = RunOptions(tmp_path)
    run_until(monkeypatch, 10, lambda: train_context(frames, weights, SETTINGS, cut, CPU, model=TINY))
    train_context(frames, weights, SETTINGS, replace(cut, resume=True), CPU, model=TINY)
    assert losses(tmp_path, "context") == losses(weights, "context")


def test_codes_come_to_draw_what_they_stand_for(frames: Path, tmp_path: Path) -> None:
    figures = train_vqvae(frames, replace(SETTINGS, epochs=2.0, rate=4e-3), RunOptions(tmp_path), CPU)
    assert figures["changed_pixels"] > 0.6
    assert figures["perplexity"] > 4
    vqvae, _ = load_vqvae(tmp_path)
    assert not vqvae.quantizer.codebook[0].any()  # code 0 stays "nothing changes"


def test_places_are_found_again_and_belong_to_their_dataset(frames: Path, tmp_path: Path) -> None:
    dataset = TransitionDataset.load(frames)
    found = all_places(dataset, tmp_path, {"seed": 1})
    again = all_places(dataset, tmp_path, {"seed": 1})
    assert np.array_equal(found, again)
    t = dataset.transitions()
    pairs = torch.from_numpy(dataset.frame(np.stack((t, t + 1))))
    assert np.array_equal(found[0, t + 1, :3], places(pairs[0], pairs[1]).numpy())
    assert np.array_equal(found[1, t, :3], places(pairs[1], pairs[0]).numpy())


def test_what_no_frame_shows_is_remembered_as_by_watching(frames: Path) -> None:
    dataset = TransitionDataset.load(frames)
    counted = all_places(dataset)[0, :, 3:]
    assert counted[:, 0].max() > 0
    assert len(np.unique(counted[:, 1])) > 20
    for first, end in zip(dataset.first[:-1], dataset.first[1:], strict=True):
        shown = dataset.frame(np.arange(first, end))
        watcher = Watcher(shown[:1], [NO_ACTION], dataset.frameskip, Unseen(knob=KNOB_CENTRE))
        watched = [watcher.unseen]
        for (before, now), key in zip(itertools.pairwise(shown), dataset.actions[first:].tolist(), strict=False):
            watcher.see(before, now, key)
            watched.append(watcher.unseen)
        assert counted[first:end].tolist() == [list(unseen[:2]) for unseen in watched]


def test_material_gives_what_the_dataset_holds(frames: Path) -> None:
    dataset = TransitionDataset.load(frames)
    material = Material(dataset, CPU, all_places(dataset))
    t = np.arange(len(dataset.index))
    numbers = torch.from_numpy(t)
    assert np.array_equal(material.frame(numbers[::7]).numpy(), dataset.frame(t[::7]))
    assert np.array_equal(material.history(numbers, 9).numpy(), dataset.history(t, 9))
    assert np.array_equal(material.led_by(numbers).numpy(), dataset.led_by(t))


def test_the_decoder_goes_on_alone_and_resumes(
    frames: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_decoder(frames, weights, SETTINGS, RunOptions(tmp_path / "whole"), CPU)
    cut = RunOptions(tmp_path / "cut")
    run_until(monkeypatch, 10, lambda: train_decoder(frames, weights, SETTINGS, cut, CPU))
    train_decoder(frames, weights, SETTINGS, replace(cut, resume=True), CPU)
    assert losses(tmp_path / "cut", "vqvae") == losses(tmp_path / "whole", "vqvae")
    before, after = load_vqvae(weights)[0], load_vqvae(tmp_path / "whole")[0]
    assert before.codes_sha256() == after.codes_sha256()
    assert not torch.equal(before.decoder.ball_seen.weight, after.decoder.ball_seen.weight)


def test_a_decoder_that_goes_on_draws_better(frames: Path, weights: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=3.0, batch=32)
    figures = train_decoder(frames, weights, settings, RunOptions(tmp_path), CPU)
    young = json.loads((weights / "vqvae.json").read_text())["validation"]
    assert figures["changed_pixels"] > young["changed_pixels"] + 0.05


def test_a_controller_goes_on_from_another_one_of_its_size(frames: Path, weights: Path, tmp_path: Path) -> None:
    train_context(frames, weights, SETTINGS, RunOptions(tmp_path / "on"), CPU, model=TINY, start=weights)
    fresh, on = losses(weights, "context"), losses(tmp_path / "on", "context")
    assert np.mean(list(on.values())[:3]) < 0.9 * np.mean(list(fresh.values())[:3])
    assert json.loads((tmp_path / "on" / "context.json").read_text())["before"]["step"] > 0
    with pytest.raises(FileError, match="of another size"):
        train_context(frames, weights, SETTINGS, RunOptions(tmp_path / "no"), CPU, start=weights)


def test_nothing_is_overwritten_unasked(frames: Path, weights: Path) -> None:
    before = (weights / "vqvae.safetensors").read_bytes()
    with pytest.raises(FileError, match="--resume"):
        train_vqvae(frames, SETTINGS, RunOptions(weights), CPU)
    assert (weights / "vqvae.safetensors").read_bytes() == before


def test_resume_needs_a_run_of_the_same_settings(frames: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no run of vqvae"):
        train_vqvae(frames, SETTINGS, RunOptions(tmp_path, resume=True), CPU)
    with pytest.raises(FileError, match="another run"):
        train_vqvae(frames, replace(SETTINGS, batch=9), RunOptions(weights, resume=True), CPU)


def test_damaged_newest_checkpoint_falls_back(frames: Path, tmp_path: Path) -> None:
    train_vqvae(frames, SETTINGS, RunOptions(tmp_path), CPU)
    (tmp_path / "vqvae_last.safetensors").write_bytes(b"not a checkpoint")
    said: list[str] = []
    longer = replace(SETTINGS, epochs=0.3)
    train_vqvae(frames, longer, RunOptions(tmp_path, True), CPU, lambda _, text: said.append(text))
    assert any("damaged" in text and "the one before" in text for text in said)


def test_nan_stops_and_keeps_the_last_good_weights(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train.vqvae import VQVAETask

    loss = VQVAETask.loss

    def poisoned(self: VQVAETask, step: int, batch: int, generator: torch.Generator) -> Any:
        value, log = loss(self, step, batch, generator)
        return value * (float("nan") if step == 15 else 1.0), log

    monkeypatch.setattr(VQVAETask, "loss", poisoned)
    with pytest.raises(TrainingError, match="step 15"):
        train_vqvae(frames, SETTINGS, RunOptions(tmp_path), CPU)
    vqvae, meta = load_vqvae(tmp_path)
    assert meta["step"] == 10
    assert all(torch.isfinite(p).all() for p in vqvae.parameters())


def test_another_frame_skip_is_refused(weights: Path, tmp_path: Path) -> None:
    collect_frames(CollectSettings(40, "random", 4, 0, episode_seconds=1.0), tmp_path / "data", workers=1)
    with pytest.raises(FileError, match="frame skip 4"):
        train_context(tmp_path / "data", weights, SETTINGS, RunOptions(tmp_path / "out"), CPU, model=TINY)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="either minutes or epochs"):
        LoopSettings(batch=8, rate=1e-3)
    with pytest.raises(ValueError, match="above 0"):
        LoopSettings(batch=8, rate=1e-3, minutes=-1)


def test_extras_that_are_not_installed_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="pip install"):
        Tracker(tmp_path, "x", wandb=True)


def test_what_was_not_seen_yet_is_drawn_by_how_rare_its_changes_are(frames: Path) -> None:
    dataset = TransitionDataset.load(frames)
    material = Material(dataset, CPU)
    sampler = TransitionSampler(material, dataset.split()[0], 0)
    priority = Priority(material, sampler).values
    t, values = sampler.transitions.numpy(), priority.numpy()
    changes = dataset.index[t] != dataset.index[t + 1]
    paddle_alone = changes[:, 6::7].any(1) & ~np.delete(changes, np.s_[6::7], 1).any(1)
    assert paddle_alone.any()
    assert values[dataset.rewards[t] > 0].min() > values[paddle_alone].mean()
    drawn = sampler.draw(0, 2000, priority).numpy()
    assert (dataset.rewards[drawn] > 0).mean() > 1.5 * (dataset.rewards[t] > 0).mean()

"""`bench`: how fast this machine collects, trains and plays. Wall-clock times: leave the machine alone meanwhile.

This is the one module here that looks into `app` and `train`, because it measures them.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from typing import Any

import ale_py
import ale_py.roms
import numpy as np
import numpy.typing as npt
import torch

from app.pace import WARM_UP, everything, no_display, peak_memory, step_times, times, true_pace
from collect.dataset import TransitionDataset
from collect.emulator import Emulator
from collect.frames import CollectSettings, play_episode
from evaluate.heldout import play_held_out
from evaluate.metrics import rounded
from model import WorldModel
from model.breakout import COLUMNS, ROWS
from model.files import SCHEMA

Show = Callable[[float, str], None]
FUTURES = "four futures, the next step's among them"
TRAIN_BATCH = 64


def bench(wm: WorldModel, seconds: float, seed: int = 0, show: Show = lambda share, text: None) -> dict[str, Any]:
    """Measure every part for about `seconds` each, above 0; `seed` is of the games played."""
    if not seconds > 0:
        raise ValueError(f"seconds must be above 0, got {seconds}")
    show(0.0, "playing")
    play = bench_play(wm, seconds, seed)
    show(0.35, "collecting")
    collecting = bench_collecting(wm.frameskip, seconds, seed)
    show(0.6, "training")
    return rounded(
        {
            "schema": SCHEMA,
            "kind": "bench",
            "weights": wm.checksum,
            "frameskip": wm.frameskip,
            "machine": {
                "system": platform.system(),
                "processor": platform.machine(),
                "cores": os.cpu_count(),
                "device": str(wm.device),
                "python": platform.python_version(),
                "torch": torch.__version__,
                "torch_threads": torch.get_num_threads(),
            },
            "seconds": seconds,
            "seed": seed,
            "play": play,
            "collecting": collecting,
            "training": bench_training(wm, seconds, seed, lambda text: show(0.8, text)),
        }
    )


def _timed(sink: list[float], call: Callable[..., Any], *arguments: Any) -> Any:
    start = time.perf_counter()
    result = call(*arguments)
    sink.append(time.perf_counter() - start)
    return result


def bench_play(wm: WorldModel, seconds: float, seed: int = 0) -> dict[str, Any]:
    """The parts of a play step one by one, and the whole, plain and with every view and a recording on: milliseconds;
    peak memory of the process in MB."""
    found = {name: times(measured[WARM_UP:]) for name, measured in _parts(wm, seconds, seed).items()}
    found["whole step"] = times(step_times(wm, seconds / 2, seed))
    found["whole step, everything on"] = times(step_times(wm, seconds, seed, everything_on=True))
    return {
        "milliseconds": found,
        "true_pace_milliseconds": true_pace(wm.frameskip),
        "peak_memory_mb": peak_memory(),
    }


def _parts(wm: WorldModel, seconds: float, seed: int) -> dict[str, list[float]]:
    from app.clock import Unpaced
    from app.keys import load_keys
    from app.players import Autopilot
    from app.session import Session
    from app.view import Choices, make_view
    from app.window import Window

    names = ("emulator", "controller", "decoder", "encoder", FUTURES, "drawing", "drawing, every view on")
    parts: dict[str, list[float]] = {name: [] for name in names}
    with no_display():
        session = Session(wm, Emulator(wm.frameskip))
        beside = Emulator(wm.frameskip)
        player, clock = Autopilot("follow", seed), Unpaced(session.steps_per_second)
        window = Window(load_keys())
        try:
            session.warm_up()
            end = time.perf_counter() + seconds
            while time.perf_counter() < end or len(parts["drawing"]) <= WARM_UP:
                action = player.act(session) or 0
                if beside.over:
                    beside.reset()
                before = session.moment.real
                _timed(parts["emulator"], beside.step, action)
                logits = _timed(parts["controller"], wm.logits, action)
                _timed(parts["decoder"], wm.decode_classes, logits.argmax(-1))
                after = session.step(action).real
                _timed(parts["drawing"], window.show, lambda: make_view(session, clock, Choices()))
                if before is not None and after is not None:  # not `encode_classes`, which knows the newest pair
                    _timed(parts["encoder"], wm.encode_batch, before[None], after[None])
                _timed(parts[FUTURES], session.futures)
                view = make_view(session, clock, everything())
                _timed(parts["drawing, every view on"], window.show, lambda view=view: view)
                session.step(player.act(session) or 0)  # futures leave behind what the controller would be spared
        finally:
            window.close()
    return parts


def _bare_steps(actions: npt.NDArray[np.uint8], frameskip: int) -> float:
    """Seconds that the emulator alone takes for these actions, the screen read after each step."""
    ale = ale_py.ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    rom = ale_py.roms.get_rom_path("breakout")
    assert rom is not None  # `Emulator` has said so if it is missing
    ale.loadROM(rom)
    keys, screen = ale.getMinimalActionSet(), np.empty((ROWS, COLUMNS), np.uint8)
    start = time.perf_counter()
    for action in actions:
        for _ in range(frameskip):
            ale.act(keys[action])
        ale.getScreen(screen)
        if ale.game_over():
            ale.reset_game()
    return time.perf_counter() - start


def bench_collecting(frameskip: int, seconds: float, seed: int = 0) -> dict[str, Any]:
    """Steps a second on one core: the emulator alone with its screen read, and collecting with the mixed policy.

    They take turns, episode by episode, so that a machine that changes its pace changes both.
    """
    settings = CollectSettings(0, "mixed", frameskip, seed, 20.0)
    play_episode(settings, 0, 10)  # loads the ROM
    steps, bare, collecting, number = 0, 0.0, 0.0, 0
    while bare + collecting < seconds:
        start = time.perf_counter()
        writer, over = play_episode(settings, number)
        writer.to_bytes(over)
        collecting += time.perf_counter() - start
        actions = np.random.default_rng(number).integers(0, 4, len(writer)).astype(np.uint8)
        bare += _bare_steps(actions, frameskip)
        steps, number = steps + len(writer), number + 1
    return {
        "bare_emulator_steps_per_second": steps / bare,
        "collected_steps_per_second": steps / collecting,
        "share_of_bare": bare / collecting,
        "steps": steps,
    }


def bench_training(
    wm: WorldModel, seconds: float, seed: int = 0, say: Callable[[str], None] = lambda text: None
) -> dict[str, dict[str, Any]]:
    """Training samples a second of the VQ-VAE and of the context controller, data and optimiser included."""
    from train.context import ContextTask, encode_dataset
    from train.loop import Task
    from train.material import Material
    from train.places import all_places
    from train.vqvae import VQVAETask

    dataset: TransitionDataset = play_held_out("mixed", wm.frameskip, seed, 2, 10.0)
    say("training the VQ-VAE")
    material = Material(dataset, wm.device, all_places(dataset, device=wm.device))
    tasks: list[tuple[str, Task]] = [("vqvae", VQVAETask(material, {}, 0))]
    codes = encode_dataset(wm.vqvae, material)
    tasks.append(("context", ContextTask(wm.vqvae, material, codes, {}, 0, TRAIN_BATCH)))
    return {name: _training_speed(task, wm.device, seconds) for name, task in tasks}


def _training_speed(task: Any, device: torch.device, seconds: float) -> dict[str, Any]:
    optimiser = torch.optim.AdamW(task.module.parameters(), lr=1e-4)
    generator = torch.Generator(device).manual_seed(0)
    task.module.train()
    step, start = 0, time.perf_counter()
    while step <= WARM_UP or time.perf_counter() - start < seconds:
        if step == WARM_UP:
            start = time.perf_counter()
        loss, _ = task.loss(step, TRAIN_BATCH, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        task.after_step(step, generator)
        step += 1
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    steps = step - WARM_UP
    return {"samples_per_second": steps * TRAIN_BATCH / (time.perf_counter() - start), "batch": TRAIN_BATCH}

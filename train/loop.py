"""The training loop that the VQ-VAE and the context controller share.

Step k draws its batch and its noise from (seed, k) alone, so a run that is resumed gives the losses of one that was
never stopped (on one machine's CPU, with `epochs` as its length; `minutes` measures time, which no seed repeats).

    OUT/NAME.safetensors, NAME.json    the weights with the best validation score
    OUT/NAME_last.*                    everything needed to go on: weights, optimiser, step, elapsed seconds
    OUT/NAME_before.*                  the `last` before that, in case the newest is damaged
    OUT/NAME_log.jsonl                 one JSON object a line: training and validation figures

NAME is `vqvae`, `context` or, as in the seed design, `action_to_latent_best` (its `last` is `action_to_latent_last`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from collect.stopwatch import MAKING_DATA
from model.checkpoint import fill, load_tensors, meta_path, save_tensors, settle_tensors, tensor_path
from model.files import FileError, keep_as
from train.trackers import Tracker
from train.watch import Alarm, Watch


class TrainingError(RuntimeError):
    """Training cannot go on; the text says why and where the last good weights are."""


@dataclass(frozen=True)
class LoopSettings:
    """How long and how to train. One of `minutes` and `epochs` is set; an epoch is as many samples as the data has."""

    batch: int
    rate: float
    seed: int = 0
    minutes: float | None = None
    epochs: float | None = None
    warmup: int = 200
    clip: float = 1.0
    decay: float = 0.01
    validate_every: int = 500
    log_every: int = 50

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.epochs is None):
            raise ValueError("give either minutes or epochs")
        if (self.minutes or self.epochs or 0) <= 0:
            raise ValueError("minutes and epochs must be above 0")


def validate_every(device: torch.device) -> int:
    """Steps between validations: about a minute's on a CPU, half a minute's on a GPU."""
    return 500 if device.type == "cpu" else 4000


class Task(Protocol):
    """What is trained. `samples` is the size of an epoch, `meta` goes into every checkpoint, `extra` holds tensors
    beside the weights that the task itself changes and that a resumed run needs back."""

    @property
    def module(self) -> nn.Module:
        """The network whose parameters are trained."""
        ...

    samples: int
    meta: dict[str, Any]
    extra: dict[str, Tensor]

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The loss of step `step`, to be minimised, and figures for the log. `generator` is of the training device."""
        ...

    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Called after the optimiser's step."""
        ...

    def validate(self) -> tuple[float, dict[str, Any]]:
        """The score that the best checkpoint is chosen by (higher is better), and figures for the log."""
        ...


def _learning_rate(settings: LoopSettings, step: int, progress: float) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    warm = min(1.0, (step + 1) / settings.warmup)
    return settings.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"optimiser.{number}.{name}": torch.as_tensor(value)
        for number, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }


def _fill_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], path: Path) -> None:
    parameters = optimiser.param_groups[0]["params"]
    shapes = {}
    for number, parameter in enumerate(parameters):
        of_parameter = {"step": torch.Size(()), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
        shapes.update({f"optimiser.{number}.{name}": shape for name, shape in of_parameter.items()})
    if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
        raise FileError(f"checkpoint {path} does not hold the optimiser of this model")
    state: dict[int, dict[str, Tensor]] = {}
    for number, parameter in enumerate(parameters):
        found = {name: tensors[f"optimiser.{number}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
        for name in ("exp_avg", "exp_avg_sq"):
            # In the parameter's own memory layout: the fused optimiser reads both as plain rows of numbers.
            found[name] = torch.empty_like(parameter).detach().copy_(found[name])
        state[number] = found
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _number(meta: dict[str, Any], name: str, path: Path) -> float:
    value: Any = meta.get(name)
    if type(value) not in (int, float) or not abs(value) < 2**53:
        raise FileError(f"checkpoint {path}: its {name} is no number of a run")
    return float(value)


class Loop:
    """Trains `task` and keeps its checkpoints in `out`."""

    def __init__(
        self, task: Task, settings: LoopSettings, out: Path, name: str, device: torch.device, tracker: Tracker
    ) -> None:
        self.task, self.settings, self.out, self.device, self.tracker = task, settings, out, device, tracker
        stem = name.removesuffix("_best")
        self._best_path, self._last_path = out / name, out / f"{stem}_last"
        self._before_path = out / f"{stem}_before"
        trained = [parameter for parameter in task.module.parameters() if parameter.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, lr=settings.rate, weight_decay=settings.decay, fused=True)
        self.step, self.elapsed, self.best = 0, 0.0, -math.inf
        self.watch = Watch(settings.batch)

    def _meta(self, **more: Any) -> dict[str, Any]:
        best = self.best if math.isfinite(self.best) else None
        progress = {"step": self.step, "elapsed_seconds": round(self.elapsed, 1), "best_score": best}
        return {**self.task.meta, "training": asdict(self.settings), **progress, **more}

    def _save_last(self) -> None:
        last, before = self._last_path, self._before_path
        settle_tensors(last)
        if tensor_path(last).exists() and meta_path(last).exists():
            for file in (tensor_path, meta_path):  # `last` stays sound until it is replaced as a whole
                keep_as(file(last), file(before))
        tensors = {f"model.{name}": tensor for name, tensor in self.task.module.state_dict().items()}
        extra = {f"extra.{name}": tensor for name, tensor in self.task.extra.items()}
        save_tensors(last, {**tensors, **_optimiser_tensors(self.optimiser), **extra}, self._meta())

    def _stopped(self, why: str) -> TrainingError:
        self.tracker.log({"step": self.step, "warning": "loss", "text": why})
        return TrainingError(
            f"{why} at step {self.step}; the last good weights are in {self.out}; "
            "go on from them with --resume and a lower --rate"
        )

    def has_checkpoint(self) -> bool:
        """Whether `out` holds anything of a run of this name."""
        paths = (self._last_path, self._before_path)
        return any(file(path).exists() for path in paths for file in (meta_path, tensor_path))

    def resume(self, say: Callable[[str], None]) -> bool:
        """Go on from the newest sound checkpoint in `out`, if there is one. Says what it did; True if it resumed.

        FileError if there are checkpoints but none is sound, or they are of another model, dataset or settings.
        """
        errors = []
        for path in (self._last_path, self._before_path):
            if not meta_path(path).exists() and not tensor_path(path).exists():
                continue
            try:
                tensors, meta = load_tensors(path)
                self._take(tensors, meta, path)
            except FileError as error:
                errors.append(str(error))
                continue
            if errors:
                say(f"warning: the newest checkpoint is damaged ({errors[0]}); going on from the one before")
            say(f"note: resuming at step {self.step}")
            return True
        if errors:
            raise FileError(errors[0])
        return False

    def _take(self, tensors: dict[str, Tensor], meta: dict[str, Any], path: Path) -> None:
        wanted = json.loads(json.dumps({**self.task.meta, "training": asdict(self.settings)}))
        for key, value in wanted.items():
            found = meta.get(key)
            if key == "training" and isinstance(found, dict):  # a longer run of the same kind may go on
                value = {**value, "minutes": found.get("minutes"), "epochs": found.get("epochs")}
            if found != value:
                raise FileError(f"checkpoint {path} is of another run: its {key} differs; choose another --out")
        model = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
        fill(self.task.module, model, path)
        _fill_optimiser(self.optimiser, {n: t for n, t in tensors.items() if n.startswith("optimiser.")}, path)
        for name, tensor in self.task.extra.items():
            found = tensors.get(f"extra.{name}")
            if found is None or found.shape != tensor.shape:
                raise FileError(f"checkpoint {path} lacks {name}: it is of another run")
            tensor.copy_(found)
        self.step, self.elapsed = int(_number(meta, "step", path)), _number(meta, "elapsed_seconds", path)
        self.best = -math.inf if meta.get("best_score") is None else _number(meta, "best_score", path)

    def _progress(self) -> float:
        if self.settings.minutes is not None:
            return self.elapsed / (60 * self.settings.minutes)
        return self.step * self.settings.batch / (float(self.settings.epochs or 1) * self.task.samples)

    def run(self, show: Callable[[float, str], None] = lambda progress, text: None) -> dict[str, Any]:
        """Train to the end; `show` hears the progress 0..1 and a line. Returns the last validation's figures.

        TrainingError if the loss stops being a number; the checkpoints on disk are then the last good ones.
        A line that begins with "warning: " or "note: " is worth keeping on the screen.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator(self.device)
        figures: dict[str, Any] = {}
        start = time.monotonic() - self.elapsed
        seen, seen_at = self.step, time.monotonic()
        while (progress := self._progress()) < 1:
            began, data = time.perf_counter(), MAKING_DATA.seconds
            generator.manual_seed(hash((self.settings.seed, self.step)) & 0x7FFFFFFF)
            torch.manual_seed(hash((self.settings.seed, self.step, 1)) & 0x7FFFFFFF)
            for group in self.optimiser.param_groups:
                group["lr"] = _learning_rate(self.settings, self.step, progress)
            self.task.module.train()
            loss, log = self.task.loss(self.step, self.settings.batch, generator)
            data = MAKING_DATA.seconds - data
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.task.module.parameters(), self.settings.clip)
            if not (torch.isfinite(loss) and torch.isfinite(norm)):
                raise self._stopped("the loss is not a number")
            self.optimiser.step()
            self.task.after_step(self.step, generator)
            self.step += 1
            self.elapsed = time.monotonic() - start
            self.watch.step(log, data, time.perf_counter() - began)
            if self.step % self.settings.log_every == 0:
                speed = (self.step - seen) * self.settings.batch / max(time.monotonic() - seen_at, 1e-9)
                seen, seen_at = self.step, time.monotonic()
                found = {"loss": loss.detach(), "norm": norm, **log}
                line = {"step": self.step, **{name: float(value) for name, value in found.items()}}
                pace = {"samples_per_second": round(speed, 1), "data_seconds": round(self.watch.data_seconds, 3)}
                self.tracker.log({**line, **pace, "seconds": round(self.elapsed, 1)})
                show(self._progress(), f"step {self.step}  loss {line['loss']:.4f}  {speed:.0f} samples/s")
                self._warn(self.watch.window(), show)
            if self.step % self.settings.validate_every == 0:
                figures = self._validate(show)
                self.elapsed = time.monotonic() - start
                self._save_last()
        if not figures or self.step % self.settings.validate_every:
            figures = self._validate(show)
            self._save_last()
        return figures

    def _validate(self, show: Callable[[float, str], None]) -> dict[str, Any]:
        if not all(torch.isfinite(tensor).all() for tensor in self.task.module.state_dict().values()):
            raise self._stopped("a weight is not a number")
        self.task.module.eval()
        with torch.no_grad():
            score, figures = self.task.validate()
        self.tracker.log({"step": self.step, "seconds": round(self.elapsed, 1), "validation": figures})
        text = "  ".join(f"{k} {v:.4g}" for k, v in figures.items() if isinstance(v, (int, float)))
        show(self._progress(), f"step {self.step}  validation: {text}")
        self._warn(self.watch.validated(figures), show)
        if score > self.best:
            self.best = score
            save_tensors(self._best_path, dict(self.task.module.state_dict()), self._meta(validation=figures))
        return figures

    def _warn(self, warnings: list[Alarm], show: Callable[[float, str], None]) -> None:
        for kind, text in warnings:
            self.tracker.log({"step": self.step, "warning": kind, "text": text})
            show(self._progress(), f"warning: {text}")


@dataclass(frozen=True)
class RunOptions:
    """What every `train` command takes beside its data: where to, whether to go on, and which extras to log to."""

    out: Path
    resume: bool = False
    tensorboard: bool = False
    wandb: bool = False


def train(
    task: Task,
    name: str,
    settings: LoopSettings,
    options: RunOptions,
    device: torch.device,
    show: Callable[[float, str], None] = lambda progress, text: None,
) -> dict[str, Any]:
    """Train `task` from the start, or from its last checkpoint. Returns the last validation's figures.

    FileError if `out` holds a run already and `resume` was not asked for, or the other way round.
    """
    tracker = Tracker(options.out, name, options.tensorboard, options.wandb)
    try:
        loop = Loop(task, settings, options.out, name, device, tracker)
        if loop.has_checkpoint() and not options.resume:
            raise FileError(f"{options.out} holds a run of {name} already: add --resume, or choose another --out")
        if options.resume and not loop.resume(lambda text: show(0.0, text)):
            raise FileError(f"{options.out} holds no run of {name} to resume")
        return loop.run(show)
    finally:
        tracker.close()

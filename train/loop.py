"""The training loop that all networks share.

Step k draws its batch and its noise from (seed, k) alone, so a run that is resumed gives the losses of one that was
never stopped (on one machine's CPU, with `epochs` as its length; `minutes` measures time, which no seed repeats).

    OUT/NAME.safetensors          the weights with the best validation score
    OUT/NAME_last.safetensors     everything needed to go on: weights, optimiser, step, elapsed seconds
    OUT/NAME_before.safetensors   the `last` before that, in case the newest is damaged
    OUT/NAME_log.jsonl            one JSON object a line: training and validation figures

NAME is `vqvae`, `memory`, `context` or, as the seed has it, `action_to_latent_best` with `action_to_latent_last`."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from console import Show, quiet
from model.checkpoint import load_tensors, save_tensors
from model.files import FileError, UserError, keep_as, make_directory
from train.weights import arrays, fill

FREE = ("rate", "minutes", "epochs", "validate_every", "log_every")
"""Settings that a resumed run may change: they are no part of what makes a checkpoint fit."""
COARSE_UNTIL = 0.7  # the share of a run in which tasks may compute in bfloat16
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Settings:
    """How long and how to train. One of `minutes` and `epochs` is set; an epoch is as many samples as the data has.
    Raises ValueError for neither, both, or a length that is not above 0."""

    batch: int
    rate: float
    seed: int = 0
    minutes: float | None = None
    epochs: float | None = None
    warmup: int = 100  # steps; the first rest on few gradients, so they are small
    clip: float = 5.0  # a gradient's greatest norm: no odd batch shall undo much
    decay: float = 0.02
    validate_every: int = 500  # steps; `last` is saved then too: a kill costs no more than these
    log_every: int = 50

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.epochs is None):
            raise ValueError("give either minutes or epochs")
        if not (self.minutes or self.epochs or 0) > 0:  # NaN is not above 0 either
            raise ValueError("minutes and epochs must be above 0")


@dataclass(frozen=True)
class Run:
    """All of a run but what is trained: settings, where to, on what, and who hears of it."""

    out: Path
    settings: Settings
    device: torch.device = CPU
    resume: bool = False
    tensorboard: bool = False
    wandb: bool = False
    show: Show = quiet


def _flat(figures: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)):  # a share of nothing is None: no point of a curve
            yield prefix + key, float(value)


class Tracker(ExitStack):
    """Appends to `directory`/`name`_log.jsonl, and to the extras asked for, which it closes when its context ends.
    UserError, in one line, if Weights & Biases is not installed or not set up."""

    def __init__(self, directory: Path, name: str, tensorboard: bool = False, wandb: bool = False) -> None:
        super().__init__()
        self._path = directory / f"{name}_log.jsonl"
        self._board, self._wandb = None, None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(directory / "tensorboard"))
            self.callback(self._board.close)
        if wandb:
            try:
                from wandb import init

                self._wandb = init(project="neural-breakout", name=name, dir=str(directory))
            except ImportError:
                raise UserError('--wandb needs its package: pip install -e ".[wandb]"') from None
            except Exception as error:  # wandb's own kinds, of which there are many
                text = f"--wandb is not set up ({error}); run `wandb login`, or set WANDB_MODE=offline"
                raise UserError(text) from None
            self.callback(self._wandb.finish)
        if self._path.exists():
            with open(self._path, "rb+") as file:  # cut off what a kill left of a line
                file.truncate(file.read().rfind(b"\n") + 1)  # no line end: -1 + 1, so all of it

    def log(self, figures: dict[str, Any]) -> None:
        """One line; `figures` holds "step" and may nest."""
        with open(self._path, "a", encoding="utf-8") as file:  # anew each time: a kill loses no line before it
            file.write(json.dumps(figures) + "\n")
        flat = dict(_flat(figures))
        step = int(flat.pop("step", 0))
        if self._board is not None:
            for key, value in flat.items():
                self._board.add_scalar(key, value, step)
        if self._wandb is not None:
            self._wandb.log(flat, step=step)


class Task:
    """What is trained; each network has one of its own."""

    module: nn.Module  # whose parameters are trained; its tensors have the names that they have in the `Twin`
    samples: int  # in an epoch
    meta: dict[str, Any]  # goes into every checkpoint; one that differs in it is refused
    progress = 0.0  # the share of the run that is done, 0..1; the loop sets it before each step

    def __init__(self) -> None:
        self.extra: dict[str, Tensor] = {}  # tensors beside the weights that a resumed run needs back

    def coarse(self) -> AbstractContextManager[Any]:
        """Matrix products in bfloat16, which takes half the time, but for the last part of the run, which settles the
        weights in full precision."""
        device = next(self.module.parameters()).device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.progress < COARSE_UNTIL)

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of step `step`, to be minimised, and figures for the log. `generator` is of the training device."""
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Called after the optimiser's step."""

    def validate(self) -> tuple[float, dict[str, Any]]:
        """The score that the best checkpoint is chosen by (higher is better), and figures for the log."""
        raise NotImplementedError


def choose_device(name: str) -> torch.device:
    """`auto` (a CUDA GPU if there is one), `cpu` or `cuda`. Raises ValueError for another, or one that is not there."""
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"--device must be auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: PyTorch finds no CUDA GPU here")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def learning_rate(settings: Settings, step: int, progress: float) -> float:
    """Linear warm-up over `warmup` steps, then linear in `progress` 0..1 down to a hundredth."""
    return settings.rate * min(1.0, (step + 1) / settings.warmup) * (1 - 0.99 * progress)  # + 1: the first moves too


class TrainingError(UserError):
    """Training cannot go on; the text says why, what is kept and how to go on."""


def _fixed(settings: Any) -> Any:
    """The part of the settings that must be the same when a run goes on."""
    return {k: v for k, v in settings.items() if k not in FREE} if isinstance(settings, dict) else None


def _number(meta: dict[str, Any], name: str, path: Path, least: float = 0) -> float:
    value: Any = meta.get(name)
    if type(value) not in (int, float) or not least <= value < 2**53:  # NaN fails too; above, floats skip whole numbers
        raise FileError(f"checkpoint {path}: its {name} is no number of a run")
    return float(value)


class Loop:
    """Trains `task` as `run` says, and keeps its checkpoints."""

    def __init__(self, task: Task, name: str, run: Run, log: Callable[[dict[str, Any]], None]) -> None:
        self.task, self._asked, self.settings = task, run, run.settings
        self._log_line = log
        stem = name.removesuffix("_best")  # the seed design calls its best weights so
        names = name, f"{stem}_last", f"{stem}_before"
        self.best_path, self.last_path, self.before_path = (run.out / f"{each}.safetensors" for each in names)
        trained = [parameter for parameter in task.module.parameters() if parameter.requires_grad]  # not the codebook
        self.optimiser = torch.optim.AdamW(trained, lr=self.settings.rate, weight_decay=self.settings.decay, fused=True)
        for of in trained:  # as the first step would make it; made now, a checkpoint finds its places
            moments = {name: torch.zeros_like(of) for name in ("exp_avg", "exp_avg_sq")}  # AdamW's own names
            self.optimiser.state[of] = {"step": torch.zeros((), device=of.device), **moments}  # where `fused` wants it
        self.step, self.elapsed = 0, 0.0
        self.best: float | None = None  # None: not validated yet
        self._damaged = False  # whether `last` is, so that all hangs on `before`

    def _meta(self, **more: Any) -> dict[str, Any]:
        progress = {"step": self.step, "elapsed_seconds": round(self.elapsed, 1), "best_score": self.best}
        return {**self.task.meta, "training": asdict(self.settings), **progress, **more}

    def save_last(self) -> None:
        """Write `last`; what it was, if sound, is kept as `before`, and it stays until it is replaced as a whole."""
        if self.last_path.exists() and not self._damaged:
            keep_as(self.last_path, self.before_path)  # a copy: after a rename there would be no `last` for a while
        save_tensors(self.last_path, arrays(self._parts()), self._meta())
        self._damaged = False

    def _parts(self) -> dict[str, Tensor]:
        """All tensors of the run, by the names that they have in its checkpoint: whoever fills them goes on from it."""
        parts = {f"model.{name}": tensor for name, tensor in self.task.module.state_dict().items()}
        parts |= {f"extra.{name}": tensor for name, tensor in self.task.extra.items()}
        for number, state in enumerate(self.optimiser.state.values()):
            parts |= {f"optimiser.{number}.{name}": tensor for name, tensor in state.items()}
        # A number alone is saved as an array of one. Reshaped it is still a view, so what is filled is the run's own.
        return {name: tensor if tensor.ndim else tensor.reshape(1) for name, tensor in parts.items()}

    def resume(self) -> None:
        """Go on from the newest sound checkpoint, and say so. FileError if there is none, or they are of another model,
        dataset or settings."""
        errors: list[str] = []
        for path in filter(Path.exists, (self.last_path, self.before_path)):
            try:
                self._take(*load_tensors(path), path)
            except FileError as error:
                errors.append(str(error))  # if none is sound, the newest one's is told
                continue
            self._damaged = bool(errors)
            if errors:
                newest = f"the newest checkpoint is damaged ({errors[0]}); going on from the one before"
                self._asked.show(0.0, f"warning: {newest}")
            return self._asked.show(0.0, f"note: resuming at step {self.step}")
        raise FileError(errors[0] if errors else f"{self._asked.out} holds no run of {self.best_path.stem} to resume")

    def _take(self, tensors: dict[str, np.ndarray], meta: dict[str, Any], path: Path) -> None:
        wanted = {**self.task.meta, "training": _fixed(asdict(self.settings))}
        found = {**meta, "training": _fixed(meta.get("training"))}
        for key, value in json.loads(json.dumps(wanted)).items():  # as a file gives it back: tuples become lists
            if found.get(key) != value:
                raise FileError(f"checkpoint {path} is of another run: its {key} differs; choose another --out")
        fill(self._parts(), tensors, path)  # in place: the module and the optimiser hold these very tensors
        self.step, self.elapsed = int(_number(meta, "step", path)), _number(meta, "elapsed_seconds", path)
        self.best = None if meta.get("best_score") is None else _number(meta, "best_score", path, -(2**53))

    def progress(self) -> float:
        """The share of the run that is done, 0..1."""
        if self.settings.minutes is not None:
            return min(1.0, self.elapsed / (60 * self.settings.minutes))
        return min(1.0, self.step * self.settings.batch / (float(self.settings.epochs or 1) * self.task.samples))

    def run(self) -> dict[str, Any]:
        """Train to the end. Returns the last validation's figures. TrainingError if the loss stops being a number; the
        checkpoints on disk are then the last good ones."""
        generator = torch.Generator(self._asked.device)  # seeded anew at each step
        figures: dict[str, Any] | None = None
        start = time.monotonic() - self.elapsed  # what was trained before a resume counts
        self._logged, self._logged_at = self.step, time.monotonic()
        while (progress := self.progress()) < 1:
            self.task.progress, figures = progress, None  # figures from before this step are old
            found = self._train(generator)
            self.elapsed = time.monotonic() - start
            if self.step % self.settings.log_every == 0:
                self._log(found)
            if self.step % self.settings.validate_every == 0:
                figures = self.validate()
                self.elapsed = time.monotonic() - start  # to validate takes of the run's minutes too
                self.save_last()  # after `validate`: it says what the best score is
        if figures is None:  # the last step was not one to validate after
            figures = self.validate()
            self.save_last()
        self._asked.show(1.0, f"step {self.step}")
        return figures

    def _train(self, generator: torch.Generator) -> dict[str, Tensor]:
        """One step of the optimiser; gives the figures for the log."""
        for use, seed in enumerate((generator.manual_seed, torch.manual_seed)):  # the latter for dropout
            seed(int(np.random.SeedSequence((self.settings.seed, self.step, use)).generate_state(1)[0]))
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, self.step, self.task.progress)
        self.task.module.train()  # anew: to validate turned dropout off
        loss, log = self.task.loss(self.step, self.settings.batch, generator)
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.task.module.parameters(), self.settings.clip)  # (), before it is cut
        if not torch.isfinite(loss + norm):  # before the weights are touched
            raise self._stopped("the loss is not a number")
        self.optimiser.step()
        self.task.after_step(self.step)  # the codebook follows its vectors by hand
        self.step += 1
        return {"loss": loss.detach(), "norm": norm, **log}

    def _stopped(self, why: str) -> TrainingError:
        how = "nothing was saved yet: begin again with"
        if self.last_path.exists() or self.before_path.exists():
            how = f"the last good weights are in {self._asked.out}: go on from them with --resume"
        text = f"{why} at step {self.step}; {how} --rate {self.settings.rate / 4:g}"
        self._log_line({"step": self.step, "stopped": text})
        return TrainingError(text)

    def _log(self, found: dict[str, Tensor]) -> None:
        speed = (self.step - self._logged) * self.settings.batch / max(time.monotonic() - self._logged_at, 1e-9)
        self._logged, self._logged_at = self.step, time.monotonic()
        line = {name: float(value.detach()) for name, value in found.items()}
        pace = {"samples_per_second": round(speed, 1), "seconds": round(self.elapsed, 1)}
        self._log_line({"step": self.step, **line, **pace})
        self._asked.show(self.progress(), f"step {self.step}  loss {line['loss']:.4f}  {speed:.0f} samples/s")

    def validate(self) -> dict[str, Any]:
        """Score the weights, and keep them if they are the best so far. TrainingError if one of them is no number."""
        if not all(torch.isfinite(tensor).all() for tensor in self.task.module.state_dict().values()):
            raise self._stopped("a weight is not a number")
        self.task.module.eval()
        with torch.no_grad():
            score, figures = self.task.validate()
        self._log_line({"step": self.step, "seconds": round(self.elapsed, 1), "validation": figures})
        text = "  ".join(f"{k} {v:.4g}" for k, v in figures.items() if isinstance(v, (int, float)))
        self._asked.show(self.progress(), f"step {self.step}  validation: {text}")
        if self.best is None or score > self.best:
            self.best = score
            save_tensors(self.best_path, arrays(self.task.module.state_dict()), self._meta(validation=figures))
        self._logged, self._logged_at = self.step, time.monotonic()  # the pace is that of training alone
        return figures


def begin(name: str, run: Run) -> None:
    """Before all that takes long: FileError if the folder holds a run and `resume` was not asked for. Seeds PyTorch."""
    last = run.out / f"{name.removesuffix('_best')}_last.safetensors"
    if last.exists() and not run.resume:
        raise FileError(f"{run.out} holds a run of {name} already: add --resume, or choose another --out")
    torch.manual_seed(run.settings.seed)  # the first weights are drawn from it


def train(task: Task, name: str, run: Run) -> dict[str, Any]:
    """Train `task` from the start, or from its last checkpoint: FileError if there is none to resume, or it is of
    another run. `begin` was called before the task was made. Returns the last validation's figures."""
    make_directory(run.out, "folder of weights")
    with Tracker(run.out, name, run.tensorboard, run.wandb) as tracker:
        loop = Loop(task, name, run, tracker.log)
        if run.resume:
            loop.resume()
        return loop.run()

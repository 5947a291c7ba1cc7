"""`train memory` and `train context`: what comes after a step, learned with the emulator's RAM as teacher.

The memory is taught to carry what no frame shows; the context controller, which codes come. Which those should be
follows from RAM and from what each code says, so no frame is drawn in training. Both are told what they may know at
play, with parts of the memory hidden, and the memory with some of it wrong: so it learns to find a variable anew from
what is seen, and not to trust a memory that the eyes contradict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from collect.dataset import TransitionDataset
from model.breakout import UNCHANGED
from model.context import PADDLE_STEP, step_number
from model.controllers import EVENTS, PADDLE_EVENT, ContextController
from model.files import FileError
from model.memory import FRACTION, SPEED, Memory, rows_of
from model.state import FRACTIONS, INDEX, VARIABLES
from model.vqvae import HEADS, NONE, SAME_DIGIT, STANDS, VQVAE
from train.data import Data, Sampler, about, held_out, hide, load_frames, taught_loss
from train.events import NOTHING, ball_event, broken, digit_events, paddle_event
from train.loop import Run, Task, begin, train
from train.weights import load_vqvae

MEMORY_WHOLE, MEMORY_WRONG, CONTEXT_WHOLE = 0.5, 0.02, 0.7
"""The share of a batch that is told all its memory, and the share of what is known that is made wrong."""
PART = 4096  # so many steps at a time where nothing is learned: all at once might not fit in memory
Sizes = dict[str, int] | None
NO_CODE = -1  # in place of a code: no code says this event
_ODD = 0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9  # SplitMix64's, less the highest bit; odd, so that no bit is lost


class StepTask(Task):
    """See `train.loop.Task`: a network that is to say what comes after a step."""

    name: str
    each: str  # what one of its answers is
    names: tuple[str, ...]  # of all of them, for figures

    def __init__(self, model: Any, dataset: TransitionDataset, run: Run) -> None:
        super().__init__()
        self.data, self.held = Data.split(dataset, run.device)
        self._held_steps = held_out(self.held)  # (n,) int64 each; the same at every validation, so that scores compare
        self.sampler, self.samples = Sampler(self.data), len(self.data.steps)
        self.model = model.to(run.device)
        self.module = nn.ModuleDict({self.name: self.model})  # its tensors are then named as in the `Twin`
        self.meta = {"kind": self.name, "model": {self.name: self.model.settings}, **about(dataset)}

    def judge(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the answers to held-out steps (n,) are right, and which are known: (n, answers) bool each."""
        raise NotImplementedError

    def validate(self) -> tuple[float, dict[str, Any]]:
        """From the true state of held-out steps: how often all answers are right that RAM tells, and each of them. The
        score is the former where something happens."""
        figures: dict[str, Any] = {}
        for name, numbers in self._held_steps.items():
            parts = [self.judge(part) for part in numbers.split(PART)]
            right, known = (torch.cat(each) for each in zip(*parts, strict=True))
            figures[f"{name}_right"] = float((right | ~known).all(1).float().mean())  # what is not known is not wrong
            shares = (right & known).sum(0) / known.sum(0).clamp(min=1)  # (answers,): 0 where RAM never tells
            figures[f"{name}_by_{self.each}"] = dict(zip(self.names, shares.tolist(), strict=True))
        return figures["events_right"], figures


def row_step(before: Tensor, after: Tensor) -> Tensor:
    """The ball's step in rows between two moments' objects (B, 4) by number (B,), below `ROW_STEPS`."""
    return rows_of(step_number(before[:, :2], after[:, :2]))


def answers(memory: Tensor) -> Tensor:
    """The true classes (B, V) of the memory as numbers of the network's logits, -1 where they are not known. Of the
    row's fraction, which RAM always tells, the truth is one eighth, not a set of several."""
    bits = 2 ** torch.arange(FRACTIONS, device=memory.device)  # (8,): the classes that are a set of one eighth
    found = (memory - 1).clamp(min=-1)  # class 0, "not known", has no logit: the first is of class 1
    found[:, FRACTION] = (memory[:, FRACTION, None] == bits).long().argmax(1)  # (B, 8) -> (B,): RAM always tells it
    return found


class MemoryTask(StepTask):
    """The memory: the answers are the variables of a step later."""

    name, each, names = "memory", "variable", tuple(variable.name for variable in VARIABLES)

    def _predict(self, data: Data, t: Tensor, memory: Tensor) -> tuple[list[Tensor], Tensor]:
        """From memory (B, V) at t (B,): logits of each variable a step later, and the truth (B, V), -1: untaught."""
        seen = torch.ones_like(t, dtype=torch.bool)  # RAM sees through bricks
        logits = self.model(data.state(t, memory), data.action[t].long(), data.things(t + 1), seen)
        return logits, answers(data.memory[t + 1].long())

    def _fractions_loss(self, t: Tensor, later: Tensor) -> Tensor:
        """The loss of both tables of `Fractions` at t (B,), from the true eighth and speed; `later` (B, V) is the truth
        a step later."""
        tables, now = self.model.fractions, answers(self.data.memory[t].long())
        step = row_step(self.data.objects[t].long(), self.data.objects[t + 1].long())
        speed, was = later[:, SPEED], now[:, FRACTION]  # later: a bounce is decided before the ball moves
        known, at = (speed >= 0) & (was >= 0), (speed.clamp(min=0), was.clamp(min=0))
        steps, moves = (torch.where(known, wanted, -1) for wanted in (step, later[:, FRACTION]))  # (B,) each
        return taught_loss(tables.steps[at], steps) + taught_loss(tables.moves[at], moves)  # logits (B, 20), (B, 8)

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum over variables of their cross-entropy, where RAM tells them."""
        t = self.data.steps[self.sampler(batch, generator)]  # (B,) frames
        told = hide(self.data.memory[t].long(), generator, MEMORY_WHOLE, MEMORY_WRONG)  # (B, V)
        with self.coarse():
            logits, truth = self._predict(self.data, t, told)
        losses = [taught_loss(each.float(), truth[:, n]) for n, each in enumerate(logits) if n != FRACTION]
        return torch.stack(losses).sum() + self._fractions_loss(t, truth), {}  # the tables learn from the truth alone

    def judge(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        t = self.held.steps[numbers]
        logits, truth = self._predict(self.held, t, self.held.memory[t].long().clamp(min=0))  # untaught: not known
        return torch.stack([each.argmax(1) for each in logits], 1) == truth, truth >= 0


def train_memory(frames: Sequence[Path], run: Run, sizes: Sizes = None) -> dict[str, Any]:
    """Train on one or several datasets into `run.out`/memory.safetensors. `sizes` are settings of `Memory`, where they
    are not its own. Returns the last validation's figures."""
    begin("memory", run)
    dataset = load_frames(frames, run.show, pictures=False)
    return train(MemoryTask(Memory(**(sizes or {})), dataset, run), "memory", run)


def _keys(said: dict[str, Any], bricks: Tensor) -> Tensor:
    """One number for each combination of labels: (M,) int64. (A hash.)"""
    key: Any = 0
    for name, labels in HEADS.items():
        key = key * (labels + 1) + said[name]  # (M,): the labels are its digits, and it stays below 2**43
    weights = 2 ** torch.arange(bricks.shape[1], device=bricks.device)  # (21,): a bit for each near brick
    return (key * _ODD[0] + (bricks * weights).sum(1) * _ODD[1]) >> 1  # whole numbers of 64 bits wrap


@torch.no_grad()
def targets(data: Data, model: VQVAE) -> Tensor:
    """The code of each event at each of the data's `steps`: (T, 6) int16, `UNCHANGED` where it does not happen,
    `NO_CODE` where no code says it. The ball's is that of its true step, also where a frame hides it; which code a
    frame then shows, a step or a ball that vanishes, follows from the drawing (`Twin.grid`)."""
    events, found = model.events(), []
    book, none = _keys(events.said, events.bricks), torch.zeros_like(events.bricks[:1])  # (256,), (1, 21)
    book[UNCHANGED] = -(1 << 62) - 1  # below every key: no event is to find code 0
    book, codes = book.sort(stable=True)  # should two codes say the same: the commoner one

    def code(said: dict[str, Tensor], happens: Tensor, bricks: Tensor = none) -> Tensor:
        keys = _keys(NOTHING | said, bricks)
        at = torch.searchsorted(book, keys).clamp(max=len(book) - 1)  # a key above all others would be at 256
        return torch.where(happens, torch.where(book[at] == keys, codes[at], NO_CODE), UNCHANGED)

    for t in data.steps.split(4 * PART):
        before, after = data.things(t), data.things(t + 1)  # of n steps
        ball, bricks, paddle = ball_event(before, after), broken(before, after), paddle_event(before, after)
        moves = (paddle["paddle_step"] != PADDLE_STEP) | (paddle["paddle_width"] != STANDS)  # (n,) bool
        digits = digit_events(before, after)
        changes = [torch.stack([new != SAME_DIGIT for new in each.values()]).any(0) for each in digits]
        relaid = (after.wall > before.wall).flatten(1).sum(1) > 1  # (n,) bool
        of_ball = code(ball, (ball["ball"] != NONE) | bricks.any(1), bricks)
        of_wall = code({"new_wall": torch.ones_like(t)}, relaid)
        # In the order of `model.controllers`.
        events_of = of_ball, code(paddle, moves), *map(code, digits, changes), of_wall
        found.append(torch.stack(events_of, 1).to(torch.int16))  # (n, 6)
    return torch.cat(found)


class ContextTask(StepTask):
    """The context controller: the answers are the codes of the six events, as `Twin.events` chooses them at play. They
    are codes of `vqvae`; what no code says counts as wrong."""

    name, each, names = "context", "event", ("ball", "paddle", "score", "points", "life", "new_wall")

    def __init__(self, vqvae: VQVAE, model: ContextController, dataset: TransitionDataset, run: Run) -> None:
        super().__init__(model, dataset, run)
        self._wanted, self._held_wanted = (targets(data, vqvae.to(run.device)) for data in (self.data, self.held))

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum over events of the cross-entropy of their codes; a step that no code says is left out."""
        drawn = self.sampler(batch, generator)
        t, wanted = self.data.steps[drawn], self._wanted[drawn].long()  # (B,) frames, (B, 6) codes
        told = hide(self.data.memory[t].long(), generator, CONTEXT_WHOLE)  # (B, V), a part hidden
        with self.coarse():
            logits = self.model(self.data.state(t, told), self.data.action[t].long()).float()  # (B, 6, 256)
        return torch.stack([taught_loss(logits[:, event], wanted[:, event]) for event in range(EVENTS)]).sum(), {}

    def judge(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        t = self.held.steps[numbers]
        right = self.model(self.held.state(t), self.held.action[t].long()).argmax(2) == self._held_wanted[numbers]
        # Where RAM does not tell the knob, nobody can know where the paddle goes.
        right[:, PADDLE_EVENT] |= self.held.memory[t, INDEX["knob"]] < 0
        return right, torch.ones_like(right)  # (n, 6): RAM tells what happened in all six

    def validate(self) -> tuple[float, dict[str, Any]]:
        """See `StepTask`; and how often no code says what happens."""
        score, figures = super().validate()
        return score, {**figures, "no_code": float((self._held_wanted == NO_CODE).any(1).float().mean())}


def train_context(frames: Sequence[Path], weights: Path, run: Run, sizes: Sizes = None) -> dict[str, Any]:
    """Train on one or several datasets into `run.out`/context.safetensors, with the codes of the VQ-VAE in `weights`.
    `sizes` are settings of the controller, where they are not its own. Returns the last validation's figures. FileError
    if the weights are of another frame skip than the dataset."""
    begin("context", run)
    dataset = load_frames(frames, run.show, pictures=False)
    run.show(0.0, "preparing: finding the codes of every step")
    vqvae, of = load_vqvae(weights)
    if of["frameskip"] != dataset.frameskip:  # its codes would say other steps
        raise FileError(f"the dataset is of frame skip {dataset.frameskip}, the weights {weights} of {of['frameskip']}")
    task = ContextTask(vqvae, ContextController(**(sizes or {})), dataset, run)
    task.meta["codes_sha256"] = of["sha256"]  # `ship` refuses codes of another VQ-VAE by it
    return train(task, "context", run)

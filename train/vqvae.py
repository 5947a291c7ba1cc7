"""`train vqvae`: learn what things look like, the codes of what happens in a step, and to draw from them.

1. Stamps are counted (`train/appearance.py`).
2. Encoder and decoder learn without a codebook between them. So each event gets a place of its own among the vectors.
3. The codebook starts from these: vectors of the same event share a code, the commonest events first. So a code says
   all that happens, and no two codes say the same (there are fewer events than codes).
4. All three go on together: the decoder reads codes (straight through, van den Oord et al. 2017), the encoder is drawn
   to the code of its event and away from the others, and each code follows the mean of its vectors.

What happens in a step is read from the emulator's RAM (`train/events.py`). Few different crops occur, so they are found
once, and training draws from these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collect.dataset import TransitionDataset
from console import Show
from model.appearance import Appearance, shows
from model.breakout import CODES, UNCHANGED
from model.context import BALL_STEP, NEAR_BRICKS, paddle_step
from model.encoder import CROPS
from model.files import FileError
from model.state import FRACTIONS, INDEX, NOT_KNOWN
from model.vqvae import HEADS, SAME_DIGIT, VANISH, VQVAE, Events
from train.appearance import learn
from train.crops import changed_crops
from train.data import Data, Sampler, about, interesting, load_frames, taught_loss
from train.events import NAMES, broken, labels
from train.loop import Run, Task, check_new, train

START_AT, START_SHARE = 1500, 0.4
"""The step at which the codebook starts, or the share of a run that is shorter than that would leave."""
COMMIT, APART, SHARPNESS = 0.25, 1.0, 0.1
"""Weights of the pull toward an event's code and of the push from the others, and what turns a squared distance into a
logit."""
DECAY = 0.95
"""How much of a code's place remains when the mean of a batch's vectors moves it."""
FEWER = 0.3
"""Crops are drawn by their count to this power: rare ones more often than they occur."""
OFTEN = 30
"""How much oftener than in free flight a step is searched where the ball is hidden in part: crops are most various
there."""
MOTION_STEPS = 20_000
"""So many held-out steps at most a validation looks at, for `Motion`."""
CERTAIN = 0.95
"""The least share of what looks the same that must be the same event, for a code to say so."""
SAMPLE, LOOKED_AT = 400_000, 20_000
"""So many steps are searched for different crops, and so many frames for what things look like."""


@dataclass(frozen=True)
class Patterns:
    """The U different crops of a dataset's changed cells: bits (U, 1120 / 8) uint8 packed, place (U, 2) int16, what the
    decoder is to say of each: heads (U, 11) int16 and bricks (U, 21) uint8; and how often each occurs (U,) float32."""

    bits: Tensor
    place: Tensor
    heads: Tensor
    bricks: Tensor
    count: Tensor

    def to(self, device: torch.device) -> Patterns:
        """The same on a device."""
        return Patterns(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))

    def unpacked(self, which: Tensor) -> Tensor:
        """The bits of some of them: (M, 1120) float."""
        shifts = torch.arange(7, -1, -1, device=which.device)
        return (self.bits[which][:, :, None] >> shifts & 1).flatten(1)[:, :CROPS].float()


def find_patterns(
    dataset: TransitionDataset, data: Data, look: Appearance, steps: Tensor, show: Show = lambda share, text: None
) -> Patterns:
    """The different crops in the steps (T,) of a dataset, on the data's device. FileError if there are none."""
    rows, device = [], data.steps.device
    for number, part in enumerate(every := steps.split(256)):
        show(number / len(every), "preparing: finding what changes in a step")
        t = part.cpu().numpy()
        crops = changed_crops(*(torch.from_numpy(dataset.frame(t + later)).to(device) for later in (0, 1)))
        said, bricks = labels(data.things(part), data.things(part + 1), look, crops.game, crops.cell, crops.kind)
        bits = np.packbits(crops.bits.to(torch.uint8).cpu().numpy(), axis=1)
        small = torch.cat((crops.place, *(said[name][:, None] for name in NAMES), bricks), 1)
        rows.append(np.concatenate((bits, small.to(torch.uint8).cpu().numpy()), 1))
    found, count = np.unique(np.concatenate(rows), axis=0, return_counts=True)
    if not len(found):
        raise FileError("nothing ever moves in these frames: collect more, with --policy mixed or drill")
    widths = np.cumsum([-(-CROPS // 8), 2, len(NAMES)])
    parts = [part.copy() for part in np.split(found, widths, axis=1)]
    _settle(found[:, : widths[1]], parts[2], parts[3], count)
    return Patterns(*map(torch.from_numpy, (*parts, count.astype(np.float32)))).to(device)


def _settle(
    crops: npt.NDArray[np.uint8],
    heads: npt.NDArray[np.uint8],
    bricks: npt.NDArray[np.uint8],
    count: npt.NDArray[np.int64],
) -> None:
    """What looks the same is to be the same event, that which is meant most often.

    Where none is meant nearly always, the labels become those of a ball that vanishes: its code then leaves to the
    state where it is, and what it broke. (The paddle may hide so much of a ball that two of its steps look the same;
    and beside a ball in bricks of its own colour a brick goes that may lie on any side of it.)

    Of U different rows: what is shown (U, n), what is said of it (U, 11) and (U, 21), both changed in place, and how
    often (U,).
    """
    _, same = np.unique(crops, axis=0, return_inverse=True)
    winner = np.zeros(same.max() + 1, np.int64)
    order = np.argsort(count, kind="stable")
    winner[same[order]] = order  # of each group the last one that is written, the commonest
    doubtful = count[winner] < CERTAIN * np.bincount(same, count)
    ball = NAMES.index("ball")
    doubtful &= np.bincount(same, heads[:, ball] + bricks.any(1)) > 0
    heads[:], bricks[:] = heads[winner[same]], bricks[winner[same]]
    which = doubtful[same]
    heads[which] = bricks[which] = 0
    heads[which, ball] = VANISH
    for name in ("left_digit", "right_digit"):
        heads[which, NAMES.index(name)] = SAME_DIGIT


class VQVAETask(Task):
    """See `train.loop.Task`: the VQ-VAE of a dataset. `look` is learned already; `width` is that of the networks."""

    def __init__(
        self,
        dataset: TransitionDataset,
        look: Appearance,
        device: torch.device,
        sample: int = SAMPLE,
        width: int = 192,
        show: Show = lambda share, text: None,
    ) -> None:
        super().__init__()
        self.data, held = (data.to(device) for data in Data.split(dataset))
        self.look = look.to(device)
        generator, half_seen = torch.Generator().manual_seed(0), _half_seen(self.data, self.look)
        self.patterns, self.held = (
            find_patterns(dataset, part, self.look, _draw(part, half_seen, number, generator), show)
            for part, number in ((self.data, sample), (held, sample // 4))
        )
        self.model = VQVAE(width).to(device)
        self.module = nn.ModuleDict({"vqvae": self.model, "appearance": self.look})
        self.device, self.samples = device, min(sample, len(self.data.steps))
        hidden = self.data.steps[half_seen[self.data.steps]]
        self.hidden = hidden if len(hidden) else self.data.steps  # there is none in a few steps of free flight
        self._unseen = held, held.steps[half_seen[held.steps]][:MOTION_STEPS]
        self.sampler = Sampler.of(self.data)
        self.meta = {"kind": "vqvae", "model": {"vqvae": self.model.settings}, **about(dataset)}
        assigned = torch.zeros(len(self.patterns.count), dtype=torch.long, device=device)
        self.extra = {"assigned": assigned, "started": torch.zeros(1, dtype=torch.long)}
        self.weights = self.patterns.count**FEWER

    @property
    def started(self) -> bool:
        """Whether there is a codebook by now. A resumed run knows it from its checkpoint."""
        return bool(self.extra["started"])

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """See `train.loop.Task`."""
        which = torch.multinomial(self.weights, batch, True, generator=generator)
        vectors = self.model.encoder(self.patterns.unpacked(which), self.patterns.place[which].long())
        motion, moved = self._motion_loss(batch, generator)
        if not self.started:
            said = _said_loss(self.model, vectors, self.patterns, which)
            return said + motion, {"said": said, "motion": moved}
        codes = self.extra["assigned"][which]
        book = self.model.quantizer.embed(codes)
        said = _said_loss(self.model, vectors + (book - vectors).detach(), self.patterns, which)
        far = torch.cdist(vectors, self.model.quantizer.codebook[1:]).square()
        apart = F.cross_entropy(-SHARPNESS * far, codes - 1)
        commit = (vectors - book).square().sum(1).mean()
        self._seen = vectors.detach(), codes
        return said + motion + COMMIT * SHARPNESS * commit + APART * apart, {
            "said": said,
            "apart": apart,
            "motion": moved,
        }

    def _motion_loss(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The loss of `Motion`: where the ball goes (in half of the batch it is unseen), and where the paddle goes."""
        half = batch // 2
        unseen = torch.randint(len(self.hidden), (half,), generator=generator, device=generator.device)
        t = torch.cat((self.hidden[unseen], self.data.steps[self.sampler(half, generator)]))
        state = self.data.state(t, hide(self.data.memory[t].long(), generator))
        gone, row, column, bricks, paddle = self.model.decoder.motion(state)
        hit = broken(self.data.things(t), self.data.things(t + 1)).float()
        now, later = self.data.objects[t].long(), self.data.objects[t + 1].long()
        step = (later[:, :2] - now[:, :2]).clamp(-BALL_STEP, BALL_STEP) + BALL_STEP
        there, stays = now[:, 0] > 0, later[:, 0] > 0
        goes = F.binary_cross_entropy_with_logits(gone[:, 0], (~stays).float(), reduction="none")
        ball = (goes * there).sum() / there.sum().clamp(min=1)
        for number, logits in enumerate((row, column)):
            ball = ball + taught_loss(logits, torch.where(there & stays, step[:, number], -1))
        ball = ball + NEAR_BRICKS * F.binary_cross_entropy_with_logits(bricks, hit)
        slide = F.cross_entropy(paddle, paddle_step(now[:, 2], later[:, 2]))
        return ball + slide, ball.detach()

    @torch.no_grad()
    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Start the codebook when it is time; after that, codes follow their vectors."""
        if not self.started:
            if step + 1 >= START_AT or self.progress >= START_SHARE:
                self._start()
                self.extra["started"].fill_(1)
        else:
            vectors, codes = self._seen
            sums = torch.zeros_like(self.model.quantizer.codebook).index_add_(0, codes, vectors)
            count = torch.bincount(codes, minlength=CODES).float()
            used = count > 0
            book = self.model.quantizer.codebook
            book[used] += (1 - DECAY) * (sums[used] / count[used, None] - book[used])

    def _start(self) -> None:
        """Vectors of the same event get one code, the commonest events first."""
        patterns, device = self.patterns, self.device
        vectors = torch.cat(
            [self._vectors(part) for part in torch.arange(len(patterns.count), device=device).split(4096)]
        )
        said = torch.cat((patterns.heads, patterns.bricks), 1)
        _, event = said.unique(dim=0, return_inverse=True)
        events = int(event.max()) + 1
        count = torch.zeros(events, device=device).index_add_(0, event, patterns.count)
        order = count.argsort(descending=True)[: CODES - 1]
        code = torch.zeros(events, dtype=torch.long, device=device)
        code[order] = torch.arange(1, len(order) + 1, device=device)
        sums = torch.zeros(events, vectors.shape[1], device=device).index_add_(0, event, vectors)
        means = sums / torch.bincount(event, minlength=events).clamp(min=1)[:, None]
        book = self.model.quantizer.codebook
        book.fill_(1e3)  # a code without an event is far from every vector
        book[UNCHANGED] = 0
        book[1 : len(order) + 1] = means[order]
        assigned = code[event]
        nearest = self.model.quantizer(vectors)
        self.extra["assigned"].copy_(torch.where(assigned > 0, assigned, nearest))

    def _vectors(self, which: Tensor) -> Tensor:
        return self.model.encoder(self.patterns.unpacked(which), self.patterns.place[which].long())

    @torch.no_grad()
    def validate(self) -> tuple[float, dict[str, Any]]:
        """The share of held-out changed cells whose code says all that happens, and the share of balls that are not
        wholly seen of which `Motion` says all: the score is their sum. And how many codes are in use."""
        every = torch.arange(len(self.held.count), device=self.device)
        events, right, used = self.model.events(), torch.zeros_like(self.held.count), set()
        for which in every.split(4096):
            vectors = self.model.encoder(self.held.unpacked(which), self.held.place[which].long())
            codes = self.model.quantizer(vectors)
            used |= set(codes.tolist())
            right[which] = _agrees(events, codes, self.held, which).float()
        share = float((right * self.held.count).sum() / self.held.count.sum())
        data, t = self._unseen
        gone, row, column, bricks, _ = self.model.decoder.motion(data.state(t))
        now, later = data.objects[t].long(), data.objects[t + 1].long()
        step = torch.stack((row.argmax(1), column.argmax(1)), 1) - BALL_STEP
        there = torch.where((gone > 0) | (now[:, :1] == 0), 0, now[:, :2] + step)
        hit = broken(data.things(t), data.things(t + 1)) > 0
        moves = float(((there == later[:, :2]).all(1) & ((bricks > 0) == hit).all(1)).float().sum()) / max(1, len(t))
        return share + moves, {"codes_right": share, "moves_right": moves, "codes_used": len(used)}


def _draw(data: Data, half_seen: Tensor, number: int, generator: torch.Generator) -> Tensor:
    weights = (interesting(data) + OFTEN * half_seen[data.steps]).cpu()
    if not len(weights):
        raise FileError("the dataset has too few steps to train on and to hold out: collect more")
    drawn = torch.multinomial(weights, min(number, len(weights)), generator=generator).sort().values
    return data.steps[drawn.to(data.steps.device)]


def _said_loss(model: VQVAE, vectors: Tensor, patterns: Patterns, which: Tensor) -> Tensor:
    heads, bricks = model.decoder(vectors)
    wanted = patterns.heads[which].long()
    loss = sum(F.cross_entropy(heads[name], wanted[:, number]) for number, name in enumerate(HEADS))
    return loss + NEAR_BRICKS * F.binary_cross_entropy_with_logits(bricks, patterns.bricks[which].float())


def _agrees(events: Events, codes: Tensor, patterns: Patterns, which: Tensor) -> Tensor:
    said = torch.stack([events.said[name][codes] for name in HEADS], 1) == patterns.heads[which]
    return said.all(1) & (events.bricks[codes] == patterns.bricks[which]).all(1)


def _half_seen(data: Data, look: Appearance) -> Tensor:
    """Which frames of a dataset have a ball that is not seen, or not whole, there or in the next one: (N,) bool."""
    every = torch.arange(len(data.objects), device=data.objects.device)
    ball = data.objects[:, 0] > 0
    hidden = ball & ~torch.cat([shows(data.things(part), look, whole=True) for part in every.split(8192)])
    return ball & (hidden | hidden.roll(-1))


PARTLY = 0.5
"""Where more of the memory is hidden than this, the row's fraction may be wholly so."""


def hide(memory: Tensor, generator: torch.Generator, whole: float = 0.5, wrong: float = 0.0) -> Tensor:
    """What a network is told of the true memory (B, V): in a `whole` share of the rows all that RAM tells, elsewhere a
    random part is not known, and a share of the known is `wrong`."""
    games, device = len(memory), generator.device
    rate = torch.rand(games, 1, generator=generator, device=device)
    rate = rate * (torch.rand(games, 1, generator=generator, device=device) >= whole)
    hidden = torch.rand(memory.shape, generator=generator, device=device) < rate
    if wrong:
        other = memory[torch.randint(games, (games,), generator=generator, device=device)]
        mistaken = torch.rand(memory.shape, generator=generator, device=device) < wrong
        memory = torch.where(mistaken, other, memory)
    told = torch.where(hidden | (memory < 0), NOT_KNOWN, memory)
    # Of the row's fraction a part is known where it is hidden: other eighths are possible too.
    number = INDEX["half_row"]
    chance = torch.rand(games, 1, generator=generator, device=device)
    others = torch.rand(games, FRACTIONS, generator=generator, device=device) < chance
    others = (others * 2 ** torch.arange(FRACTIONS, device=device)).sum(1)
    possible = torch.where(rate[:, 0] > 0, memory[:, number] | others, memory[:, number]) % ((1 << FRACTIONS) - 1)
    told[:, number] = torch.where(hidden[:, number] & (rate[:, 0] > PARTLY), NOT_KNOWN, possible)
    return told


def train_vqvae(frames: Sequence[Path], run: Run, sample: int = SAMPLE, width: int = 192) -> dict[str, Any]:
    """Learn appearance, codes and decoder from one or several datasets into `run.out`/vqvae.safetensors.

    Returns the last validation's figures, with the share of frames that the stamps draw exactly.
    """
    check_new("vqvae", run)
    dataset = load_frames(frames, run.show)
    run.show(0.0, "preparing: learning what things look like")
    torch.manual_seed(run.settings.seed)
    look = Appearance()
    exact = learn(look, dataset, Data.of(dataset), min(LOOKED_AT, sample))
    task = VQVAETask(dataset, look, run.device, sample, width, run.show)
    del dataset  # its pictures are not needed any more
    return {**train(task, "vqvae", run), "frames_drawn_exactly": exact}

"""`train vqvae`: learn what things look like, the codes of what happens in a step, and to draw from them.

1. Stamps are counted (`train/appearance.py`).
2. Encoder and decoder learn without a codebook between them. So each event gets a place of its own among the vectors.
3. The codebook starts from these: vectors of the same event share a code, the commonest events first. So a code says all that happens, and no two codes say the same (there are fewer events than codes).
4. All three go on together: the decoder reads codes (straight through, van den Oord et al. 2017), the encoder is drawn
   to the code of its event and away from the others, and each code follows the mean of its vectors.

What happens in a step is read from the emulator's RAM (`train/events.py`). Few different crops occur, so they are found
once, and training draws from these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collect.dataset import TransitionDataset
from model.appearance import Appearance, shows
from model.breakout import CODES
from model.context import BALL_STEP, NEAR_BRICKS
from model.quantizer import UNCHANGED
from model.vqvae import CROPS, HEADS, VQVAE, Events, changed_crops
from train.data import Data, interesting
from train.events import NAMES, labels

START_AT = 1500
"""The step at which the codebook starts."""
COMMIT, APART, SHARPNESS = 0.25, 1.0, 0.1
"""Weights of the pull toward an event's code and of the push from the others, and what turns a squared distance into a
logit."""
DECAY = 0.95
"""How much of a code's place remains when the mean of a batch's vectors moves it."""
FEWER = 0.3
"""Crops are drawn by their count to this power: rare ones more often than they occur."""
MOTION_BATCH = 256


@dataclass(frozen=True)
class Patterns:
    """The U different crops of a dataset's changed cells: bits (U, 1120 / 8) uint8 packed, place (U, 2) int16, what the
    decoder is to say of each: heads (U, 11) int16 and bricks (U, 21) uint8; and how often each occurs (U,) float32."""

    bits: Tensor
    place: Tensor
    heads: Tensor
    bricks: Tensor
    count: Tensor

    def unpacked(self, which: Tensor) -> Tensor:
        """The bits of some of them: (M, 1120) float."""
        shifts = torch.arange(7, -1, -1, device=which.device)
        return (self.bits[which][:, :, None] >> shifts & 1).flatten(1)[:, :CROPS].float()


def find_patterns(dataset: TransitionDataset, data: Data, look: Appearance, steps: Tensor) -> Patterns:
    """The different crops in the steps (T,) from a dataset's frames."""
    rows = []
    for part in steps.split(256):
        frames = [torch.from_numpy(dataset.frame(part.numpy() + later)) for later in (0, 1)]
        crops = changed_crops(*frames)
        said, bricks = labels(data.things(part), data.things(part + 1), look, crops.game, crops.cell, crops.kind)
        bits = np.packbits(crops.bits.numpy().astype(np.uint8), axis=1)
        heads = torch.stack([said[name] for name in NAMES], 1)
        small = [crops.place, heads, bricks]
        rows.append(np.concatenate([bits, *(part.numpy().astype(np.uint8) for part in small)], 1))
    found, count = np.unique(np.concatenate(rows), axis=0, return_counts=True)
    widths = np.cumsum([-(-CROPS // 8), 2, len(NAMES)])
    bits, place, heads, bricks = (torch.from_numpy(part.copy()) for part in np.split(found, widths, axis=1))
    return Patterns(bits, place, heads, bricks, torch.from_numpy(count.astype(np.float32)))


class VQVAETask:
    """What `train.loop` trains: the VQ-VAE of a dataset. `look` is learned already."""

    def __init__(self, dataset: TransitionDataset, look: Appearance, device: torch.device, sample: int = 120_000) -> None:
        train, held = dataset.split()
        self.data, self.look = Data.of(dataset, train), look
        generator = torch.Generator().manual_seed(0)
        held_data = Data.of(dataset, held)
        self.patterns, self.held = (
            find_patterns(dataset, part, look, _draw(part, number, generator))
            for part, number in ((self.data, sample), (held_data, sample // 4))
        )
        self.module: nn.Module = VQVAE()
        self.model = self.module.to(device)
        self.device, self.samples = device, sample
        self.hidden = torch.nonzero(_moves_unseen(self.data, look)).flatten()
        self.meta: dict[str, Any] = {}
        self.extra = {"assigned": torch.zeros(len(self.patterns.count), dtype=torch.long)}
        self.weights = self.patterns.count**FEWER

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor | float]]:
        """See `train.loop.Task`."""
        which = torch.multinomial(self.weights, batch, True, generator=generator)
        vectors = self.model.encoder(self.patterns.unpacked(which), self.patterns.place[which].long())
        motion, moved = self._motion_loss(generator)
        if step < START_AT:
            said = _said_loss(self.model, vectors, self.patterns, which)
            return said + motion, {"said": said, "motion": moved}
        codes = self.extra["assigned"][which]
        book = self.model.quantizer.embed(codes)
        said = _said_loss(self.model, vectors + (book - vectors).detach(), self.patterns, which)
        far = torch.cdist(vectors, self.model.quantizer.codebook[1:]).square()
        apart = F.cross_entropy(-SHARPNESS * far, codes - 1)
        commit = (vectors - book).square().sum(1).mean()
        self._seen = vectors.detach(), codes
        return said + motion + COMMIT * SHARPNESS * commit + APART * apart, {"said": said, "apart": apart, "motion": moved}

    def _motion_loss(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The loss of `Motion`: where an unseen ball goes (half of the batch has one), and where the paddle goes."""
        half = MOTION_BATCH // 2
        unseen = self.hidden[torch.randint(len(self.hidden), (half,), generator=generator)]
        t = torch.cat((unseen, self.data.steps[torch.randint(len(self.data.steps), (half,), generator=generator)]))
        state = self.data.state(t, hide(self.data.memory[t].long(), generator))
        gone, row, column, paddle = self.model.decoder.motion(state.objects, state.memory)
        now, later = self.data.objects[t].long(), self.data.objects[t + 1].long()
        step = (later[:, :2] - now[:, :2]).clamp(-BALL_STEP, BALL_STEP) + BALL_STEP
        there, stays = now[:half, 0] > 0, later[:half, 0] > 0
        ball = F.binary_cross_entropy_with_logits(gone[:half][there], (~stays[there]).float())
        both = there & stays
        ball = ball + F.cross_entropy(row[:half][both], step[:half, 0][both])
        ball = ball + F.cross_entropy(column[:half][both], step[:half, 1][both])
        slide = F.cross_entropy(paddle, (later[:, 2] - now[:, 2]).clamp(-8, 8) + 8)
        return ball + slide, slide.detach()

    @torch.no_grad()
    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Start the codebook when it is time; after that, codes follow their vectors."""
        if step == START_AT - 1:
            self._start()
        elif step >= START_AT:
            vectors, codes = self._seen
            sums = torch.zeros_like(self.model.quantizer.codebook).index_add_(0, codes, vectors)
            count = torch.bincount(codes, minlength=CODES).float()
            used = count > 0
            book = self.model.quantizer.codebook
            book[used] += (1 - DECAY) * (sums[used] / count[used, None] - book[used])

    def _start(self) -> None:
        """Vectors of the same event get one code, the commonest events first."""
        patterns = self.patterns
        vectors = torch.cat([self._vectors(part) for part in torch.arange(len(patterns.count)).split(4096)])
        said = torch.cat((patterns.heads, patterns.bricks), 1)
        _, event = said.unique(dim=0, return_inverse=True)
        event = _majority(torch.cat((patterns.bits, patterns.place), 1), event, patterns.count)
        events = int(event.max()) + 1
        count = torch.zeros(events).index_add_(0, event, self.patterns.count)
        order = count.argsort(descending=True)[: CODES - 1]
        code = torch.zeros(events, dtype=torch.long)
        code[order] = torch.arange(1, len(order) + 1)
        sums = torch.zeros(events, vectors.shape[1]).index_add_(0, event, vectors)
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
        """The share of held-out changed cells whose code says all that happens, and how many codes are in use."""
        events, right, used = self.model.events(), torch.zeros(len(self.held.count)), set()
        for which in torch.arange(len(self.held.count)).split(4096):
            vectors = self.model.encoder(self.held.unpacked(which), self.held.place[which].long())
            codes = self.model.quantizer(vectors)
            used |= set(codes.tolist())
            right[which] = _agrees(events, codes, self.held, which).float()
        share = float((right * self.held.count).sum() / self.held.count.sum())
        return share, {"codes_right": share, "codes_used": len(used)}


def _majority(crops: Tensor, event: Tensor, count: Tensor) -> Tensor:
    """Where two events (U,) look the same (U, n), the one that is meant more often."""
    _, same = crops.unique(dim=0, return_inverse=True)
    most = torch.zeros(int(same.max()) + 1).scatter_reduce_(0, same, count, "amax")
    winner = torch.zeros(len(most), dtype=torch.long)
    winner[same[count >= most[same]]] = event[count >= most[same]]
    return winner[same]


def _draw(data: Data, number: int, generator: torch.Generator) -> Tensor:
    weights = interesting(data)
    return data.steps[torch.multinomial(weights, min(number, len(weights)), generator=generator).sort().values]


def _said_loss(model: VQVAE, vectors: Tensor, patterns: Patterns, which: Tensor) -> Tensor:
    heads, bricks = model.decoder(vectors)
    wanted = patterns.heads[which].long()
    loss = sum(F.cross_entropy(heads[name], wanted[:, number]) for number, name in enumerate(HEADS))
    return loss + NEAR_BRICKS * F.binary_cross_entropy_with_logits(bricks, patterns.bricks[which].float())


def _agrees(events: Events, codes: Tensor, patterns: Patterns, which: Tensor) -> Tensor:
    said = torch.stack([events.said[name][codes] for name in HEADS], 1) == patterns.heads[which]
    return said.all(1) & (events.bricks[codes] == patterns.bricks[which]).all(1)


def _moves_unseen(data: Data, look: Appearance) -> Tensor:
    """Which frames of a dataset have a ball that goes on unseen in the next one, or comes back: (N,) bool."""
    seen = torch.cat([shows(data.things(part), look) for part in torch.arange(len(data.objects)).split(8192)])
    ball = data.objects[:, 0] > 0
    unseen = ball & ~seen
    steps = torch.zeros_like(unseen)
    steps[data.steps] = True
    later = torch.cat((unseen[1:], unseen[:1]))
    return steps & ball & (unseen | later)


def hide(memory: Tensor, generator: torch.Generator, whole: float = 0.5, wrong: float = 0.0) -> Tensor:
    """What a network is told of the true memory (B, V): in a `whole` share of the rows all that RAM tells, elsewhere a
    random part is not known, and a share of the known is `wrong`."""
    games = len(memory)
    rate = torch.rand(games, 1, generator=generator) * (torch.rand(games, 1, generator=generator) >= whole)
    hidden = torch.rand(memory.shape, generator=generator) < rate
    if wrong:
        other = memory[torch.randint(games, (games,), generator=generator)]
        memory = torch.where(torch.rand(memory.shape, generator=generator) < wrong, other, memory)
    return torch.where(hidden | (memory < 0), 0, memory)

"""`train vqvae`: learn what things look like, the codes of what happens in a step, and to draw from them.

1. Stamps are counted (`train/appearance.py`).
2. Encoder and decoder learn without a codebook between them. So each event gets a place of its own among the vectors.
3. The codebook starts from these: vectors of the same event share a code, the commonest events first. So a code says
   all that happens, and no two codes say the same (there are fewer events than codes).
4. All three go on together: the decoder reads codes (straight through, van den Oord et al. 2017), the encoder is drawn
   to the code of its event and away from the others, and each code follows the mean of its vectors.

Few different crops occur: these are found once, with what happened in them (`train/events.py`), and drawn from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collect.dataset import TransitionDataset
from model.appearance import Appearance, shows
from model.breakout import CODES, UNCHANGED
from model.context import BALL_STEP, NEAR_BRICKS, paddle_step
from model.vqvae import FAR, HEADS, VQVAE
from train.appearance import learn
from train.data import Data, Sampler, about, hide, interesting, load_frames, taught_loss
from train.events import Patterns, broken, find_patterns
from train.loop import Run, Task, begin, train

START_AT, START_SHARE = 1500, 0.4
"""The step at which the codebook starts, or the share of a run that is shorter than that would leave."""
COMMIT, SHARPNESS = 0.25, 0.1  # unrelated vectors are 256 apart, squared: 26 as a logit
"""The weight of the pull toward an event's code, beside the push from the others, and what turns a squared distance
into a logit."""
DECAY = 0.95  # how much of a code's place remains when the mean of a batch's vectors moves it
FEWER = 0.3  # crops are drawn by their count to this power: rare ones more often than they occur
OFTEN = 30
"""How much oftener a step is searched where the ball is hidden in part: there crops are most various."""
MOTION_STEPS = 20_000  # so many held-out steps at most a validation looks at, for `Motion`
SAMPLE, LOOKED_AT = 400_000, 20_000
"""So many steps are searched for different crops, and so many frames for what things look like."""


class VQVAETask(Task):
    """See `train.loop.Task`: the VQ-VAE of a dataset. `look` is learned already; `width` is that of the networks."""

    def __init__(self, dataset: TransitionDataset, look: Appearance, run: Run, sample: int, width: int) -> None:
        super().__init__()
        device, look = run.device, look.to(run.device)
        self.data, held = Data.split(dataset, device)
        generator, half_seen = torch.Generator().manual_seed(0), _half_seen(self.data, look)
        self.patterns, self.held = (
            find_patterns(dataset, part, look, _draw(part, half_seen, number, generator), run.show)
            for part, number in ((self.data, sample), (held, sample // 4))  # a fifth is held out: a quarter of the rest
        )
        self.model = VQVAE(width).to(device)
        self.module = nn.ModuleDict({"vqvae": self.model, "appearance": look})
        self.samples = min(sample, len(self.data.steps))
        hidden = self.data.steps[half_seen[self.data.steps]]  # (n,) frame numbers
        self.hidden = hidden if len(hidden) else self.data.steps  # there is none in a few steps of free flight
        self._unseen = held, held.steps[half_seen[held.steps]][:MOTION_STEPS]  # both splits have the same frames
        self.sampler = Sampler(self.data)
        self.meta = {"kind": "vqvae", "model": {"vqvae": self.model.settings}, **about(dataset)}
        assigned = torch.zeros(len(self.patterns.often), dtype=torch.long, device=device)  # (U,), each crop's code
        self.extra = {"assigned": assigned, "started": torch.zeros(1, dtype=torch.long)}
        self.weights = self.patterns.often**FEWER

    @property
    def started(self) -> bool:
        """Whether there is a codebook by now. A resumed run knows it from its checkpoint."""
        return bool(self.extra["started"])  # on the CPU: to ask at each step does not wait for a GPU

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        which = torch.multinomial(self.weights, batch, True, generator=generator)  # (B,) of the U crops
        vectors = self.model.encoder(*self.patterns.shown(which))  # (B, 128), of length 11.3: a layer norm's
        motion, moved = self._motion_loss(batch, generator)
        if not self.started:
            said = _said_loss(self.model, vectors, self.patterns, which)
            return said + motion, {"said": said, "motion": moved}
        codes = self.extra["assigned"][which]  # (B,) 1..255: the code of its event, the nearest or not
        book = self.model.quantizer.embed(codes)  # (B, 128), without a gradient: `after_step` moves codes
        # Straight through: the decoder is shown the code's values, and its gradient goes to the vector.
        said = _said_loss(self.model, vectors + (book - vectors).detach(), self.patterns, which)
        far = torch.cdist(vectors, self.model.quantizer.codebook[1:]).square()  # (B, 255)
        apart = F.cross_entropy(-SHARPNESS * far, codes - 1)  # code 0 is no event's; unused ones are too far to count
        commit = (vectors - book).square().sum(1).mean()
        self._seen = vectors.detach(), codes  # `after_step` moves the codes toward these
        loss = said + motion + COMMIT * SHARPNESS * commit + apart  # SHARPNESS: in the units of `apart`'s logits
        return loss, {"said": said, "apart": apart, "motion": moved}

    def _motion_loss(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The loss of `Motion`: where the ball goes (in half of the batch it is unseen), and where the paddle goes."""
        half = batch // 2
        unseen = torch.randint(len(self.hidden), (half,), generator=generator, device=generator.device)
        t = torch.cat((self.hidden[unseen], self.data.steps[self.sampler(half, generator)]))  # (B,) frame numbers
        state = self.data.state(t, hide(self.data.memory[t].long(), generator))  # at play, too, parts are not known
        gone, row, column, bricks, paddle = self.model.decoder.motion(state)  # (B, 1), (B, 19) twice, (B, 21), (B, 17)
        hit = broken(self.data.things(t), self.data.things(t + 1)).float()
        now, later = self.data.objects[t].long(), self.data.objects[t + 1].long()  # (B, 4) each
        step = (later[:, :2] - now[:, :2]).clamp(-BALL_STEP, BALL_STEP) + BALL_STEP  # (B, 2), classes 0..18
        there, stays = now[:, 0] > 0, later[:, 0] > 0  # (B,) bool: row 0 is no ball
        goes = F.binary_cross_entropy_with_logits(gone[:, 0], (~stays).float(), reduction="none")
        ball = (goes * there).sum() / there.sum().clamp(min=1)  # only a ball that is there can go
        for number, logits in enumerate((row, column)):
            ball = ball + taught_loss(logits, torch.where(there & stays, step[:, number], -1))  # -1: it makes no step
        ball = ball + NEAR_BRICKS * F.binary_cross_entropy_with_logits(bricks, hit)  # summed over bricks, no mean
        slide = F.cross_entropy(paddle, paddle_step(now[:, 2], later[:, 2]))  # unmasked: there always is a paddle
        return ball + slide, ball.detach()

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Start the codebook when it is time; after that, codes follow their vectors."""
        if not self.started:
            if step + 1 >= START_AT or self.progress >= START_SHARE:
                self._start()
                self.extra["started"].fill_(1)
        else:
            (vectors, codes), book = self._seen, self.model.quantizer.codebook  # (B, 128), (B,), (256, 128)
            sums = torch.zeros_like(book).index_add_(0, codes, vectors)  # (256, 128)
            count = torch.bincount(codes, minlength=CODES).float()
            used = count > 0  # (256,) bool; what this batch does not show stays
            book[used] += (1 - DECAY) * (sums[used] / count[used, None] - book[used])

    def _start(self) -> None:
        """Vectors of the same event get one code, the commonest events first."""
        patterns, device = self.patterns, self.weights.device
        every = torch.arange(len(patterns.often), device=device)
        vectors = torch.cat([self.model.encoder(*patterns.shown(part)) for part in every.split(4096)])  # (U, 128)
        _, event = torch.cat((patterns.heads, patterns.bricks), 1).unique(dim=0, return_inverse=True)  # (U,)
        events = int(event.max()) + 1
        count = torch.zeros(events, device=device).index_add_(0, event, patterns.often)  # (E,), E different events
        order = count.argsort(descending=True)[: CODES - 1]  # at most 255: code 0 is no event's
        code = torch.zeros(events, dtype=torch.long, device=device)  # (E,); left at 0: too rare for a code of its own
        code[order] = torch.arange(1, len(order) + 1, device=device)
        sums = torch.zeros(events, vectors.shape[1], device=device).index_add_(0, event, vectors)  # (E, 128)
        means = sums / torch.bincount(event, minlength=events).clamp(min=1)[:, None]  # each different crop counts once
        book = self.model.quantizer.codebook  # (256, 128)
        book.fill_(FAR)
        book[UNCHANGED] = 0
        book[1 : len(order) + 1] = means[order]
        self.extra["assigned"].copy_(torch.where(code[event] > 0, code[event], self.model.quantizer(vectors)))

    def validate(self) -> tuple[float, dict[str, Any]]:
        """The share of held-out changed cells whose code says all that happens, and the share of balls that are not
        wholly seen of which `Motion` says all: the score is their sum. And how many codes are in use."""
        often, events = self.held.often, self.model.events()
        right, used = list[Tensor](), set[int]()
        for which in torch.arange(len(often), device=often.device).split(4096):
            codes = self.model.quantizer(self.model.encoder(*self.held.shown(which)))  # (M,): the nearest, as at play
            used |= set(codes.tolist())
            said = torch.stack([events.said[name][codes] for name in HEADS], 1) == self.held.heads[which]  # (M, 11)
            right.append(said.all(1) & (events.bricks[codes] == self.held.bricks[which]).all(1))
        share = float((torch.cat(right) * often).sum() / often.sum())  # of all cells, not of different crops
        data, t = self._unseen
        gone, row, column, bricks, _ = self.model.decoder.motion(data.state(t))
        now, later = data.objects[t].long(), data.objects[t + 1].long()
        step = torch.stack((row.argmax(1), column.argmax(1)), 1) - BALL_STEP  # (n, 2) pixels, down and right
        there = torch.where((gone > 0) | (now[:, :1] == 0), 0, now[:, :2] + step)  # (n, 2), row and column 0: no ball
        hit = broken(data.things(t), data.things(t + 1)) > 0  # (n, 21) bool
        moves = float(((there == later[:, :2]).all(1) & ((bricks > 0) == hit).all(1)).float().sum()) / max(1, len(t))
        return share + moves, {"codes_right": share, "moves_right": moves, "codes_used": len(used)}


def _draw(data: Data, half_seen: Tensor, number: int, generator: torch.Generator) -> Tensor:
    weights = (interesting(data) + OFTEN * half_seen[data.steps]).cpu()  # (T,), on the CPU as the generator
    drawn = torch.multinomial(weights, min(number, len(weights)), generator=generator).sort().values
    return data.steps[drawn.to(data.steps.device)]


def _said_loss(model: VQVAE, vectors: Tensor, patterns: Patterns, which: Tensor) -> Tensor:
    heads, bricks = model.decoder(vectors)  # for each head (B, its labels); (B, 21)
    wanted = patterns.heads[which].long()
    loss = sum(F.cross_entropy(heads[name], wanted[:, number]) for number, name in enumerate(HEADS))
    return loss + NEAR_BRICKS * F.binary_cross_entropy_with_logits(bricks, patterns.bricks[which].float())


def _half_seen(data: Data, look: Appearance) -> Tensor:
    """Which frames of a dataset have a ball that is not seen, or not whole, there or in the next one: (N,) bool."""
    every = torch.arange(len(data.objects), device=data.objects.device)
    ball = data.objects[:, 0] > 0  # (N,) bool
    hidden = ball & ~torch.cat([shows(data.things(part), look, whole=True) for part in every.split(8192)])
    return ball & (hidden | hidden.roll(-1))  # of the next frame; at an episode's end no step begins


def train_vqvae(frames: Sequence[Path], run: Run, sample: int = SAMPLE, width: int = 192) -> dict[str, Any]:
    """Learn appearance, codes and decoder from one or several datasets into `run.out`/vqvae.safetensors. Returns the
    last validation's figures, with the share of frames that the stamps draw exactly."""
    begin("vqvae", run)
    dataset = load_frames(frames, run.show)
    run.show(0.0, "preparing: learning what things look like")
    look = Appearance()
    exact = learn(look, dataset, Data.of(dataset), min(LOOKED_AT, sample))
    task = VQVAETask(dataset, look, run, sample, width)
    del dataset  # its pictures are not needed any more
    return {**train(task, "vqvae", run), "frames_drawn_exactly": exact}

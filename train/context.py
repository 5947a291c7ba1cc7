"""`train context`: learn to predict the codes of the next step from the key and the recent frames.

The loss is the cross-entropy of the 35 codes: the negative log-likelihood of the whole grid, a third of it, since two
or three cells of 35 change in a step.

Most steps are free flight and soon well known, so a transition is drawn the more often the less likely its codes were
when it was last seen (`train.sampling.Priority`).

Of a fifth of the batch some codes are given away and the others asked for, which teaches the controller to make the
cells of one step go together.

A third of every batch is dreams: their history is what the controller itself has made of it so far. A dream goes on
one step with every training step, and is asked for the codes that lead from its own frame to the real next one
(DAgger, Ross et al. 2011, https://arxiv.org/abs/1011.0686); when it has lost reality, another one starts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from collect.dataset import TransitionDataset
from model.breakout import CELLS, CODES, GRID_COLUMNS, GRID_ROWS, NO_ACTION
from model.checkpoint import load_tensors, save_tensors
from model.context_controller import OPEN, ContextController
from model.files import FileError
from model.gaze import UNKNOWN_HITS, places, push
from model.pixels import changed
from model.quantizer import UNCHANGED
from model.vqvae import VQVAE
from model.weights import CONTEXT_NAME
from train.dreams import WRONG_PIXELS, Dreams
from train.loop import LoopSettings, RunOptions, train
from train.places import all_places, in_threads
from train.sampling import Priority, TransitionSampler, spread
from train.vqvae import dataset_meta, load_both

CELLS_A_STEP = 3.0
NEAR, FAR = 0.5, 0.1
"""The share of the unchanged cells beside changed ones, and of all other unchanged cells, that are learned from."""
DREAMS = 1 / 12
"""The share of a batch that is dreams."""
FORGETS = 0.2
"""The share of a batch that does not know all past keys, and of one that does not know the hits of the paddle."""
GIVEN = 0.2
"""The share of a batch of which some codes are given away."""
VALIDATION_DREAMS, VALIDATION_STEPS = 64, 300


@torch.no_grad()
def encode_dataset(
    vqvae: VQVAE,
    dataset: TransitionDataset,
    seen: npt.NDArray[np.int64],
    device: torch.device,
    show: Callable[[float], None] = lambda share: None,
) -> npt.NDArray[np.uint8]:
    """The codes of every transition: (N, 35) uint8, zeros at the last frame of each episode. `seen` as in
    `train.places`."""
    codes = np.zeros((len(dataset.index), CELLS), np.uint8)
    transitions = dataset.transitions()

    def encode(start: int) -> None:
        t = transitions[start : start + 64]
        frames = torch.from_numpy(dataset.frame(np.stack((t, t + 1)))).to(device)
        old, new = torch.from_numpy(np.stack((seen[1, t], seen[0, t + 1]))).to(device)
        codes[t] = vqvae.encode(frames[0], frames[1], (old, new)).cpu().numpy()

    for start in in_threads(encode, range(0, len(transitions), 64)):
        if start // 64 % 500 == 0:
            show(start / len(transitions))
    return codes


def stored_codes(
    out: Path,
    vqvae: VQVAE,
    dataset: TransitionDataset,
    seen: npt.NDArray[np.int64],
    meta: dict[str, Any],
    device: torch.device,
    show: Callable[[float, str], None],
) -> npt.NDArray[np.uint8]:
    """As `encode_dataset`, kept in `out`/context_codes.* so that a resumed run need not encode all over again."""
    path = out / f"{CONTEXT_NAME}_codes"
    with suppress(FileError):
        tensors, found = load_tensors(path)
        codes = tensors.get("codes")
        fits = codes is not None and codes.shape == (len(dataset.index), CELLS) and codes.dtype == torch.uint8
        if fits and codes is not None and all(found.get(key) == meta[key] for key in ("dataset", "codes_sha256")):
            return codes.numpy()
    made = encode_dataset(vqvae, dataset, seen, device, lambda share: show(0.0, f"encoding the dataset: {share:.0%}"))
    save_tensors(path, {"codes": torch.from_numpy(made)}, {"kind": "codes", **meta})
    return made


def majority_codes(codes: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """The most frequent code at each of the 35 positions: (N, 35) -> (35,). The lower code wins a tie."""
    return np.array([np.bincount(column, minlength=CODES).argmax() for column in codes.T], np.int64)


class ContextTask:
    """See `train.loop.Task`. `vqvae` is frozen; it gives the codes to predict and draws the frames to judge."""

    def __init__(
        self,
        vqvae: VQVAE,
        dataset: TransitionDataset,
        codes: npt.NDArray[np.uint8],
        seen: npt.NDArray[np.int64],
        meta: dict[str, Any],
        device: torch.device,
        seed: int,
        batch: int,
        model: dict[str, int] | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self.module = ContextController(**(model or {}))
        self.module.to(device)
        self._vqvae, self._dataset, self._codes, self._places = vqvae, dataset, codes, seen
        self._device = device
        training, validation = dataset.split(seed=seed)
        self._sampler = TransitionSampler(dataset, training, seed)
        held = dataset.transitions(validation)
        self._held = spread(held, 2048)
        ends = dataset.first[np.searchsorted(dataset.first, held, side="right")]
        self._held_starts = spread(held[held + VALIDATION_STEPS < ends], VALIDATION_DREAMS)
        self._seed = seed
        self.samples = len(self._sampler)
        self._priority = Priority(dataset, self._sampler)
        self._dreams = Dreams(round(batch * DREAMS), self.module.context, dataset, self._sampler)
        self.extra = {"priority": self._priority.values, **self._dreams.state}
        self.meta = {
            "kind": "context",
            "frameskip": dataset.frameskip,
            "model": self.module.settings,
            "majority": majority_codes(codes[self._sampler.transitions]).tolist(),
            **meta,
        }

    def _seen(self, t: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The frames t, and the places up to them with keys and hits."""
        numbers = self._dataset.history(t, self.module.context)
        place, keys = self._places[0, numbers], self._dataset.led_by(numbers)[..., None]
        seen = np.concatenate((place[..., :3], keys, place[..., 3:]), -1)
        return (
            torch.from_numpy(self._dataset.frame(t)).to(self._device),
            torch.from_numpy(seen).to(self._device),
        )

    def _asked(self, t: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The actions at t and the codes of the steps that they led to."""
        return (
            torch.from_numpy(self._dataset.actions[t].astype(np.int64)).to(self._device),
            torch.from_numpy(self._codes[t].astype(np.int64)).to(self._device),
        )

    def _inputs(self, t: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Newest frame, places, action, and the codes to predict."""
        return *self._seen(t), *self._asked(t)

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy of the grid's codes, of real histories and of dreams."""
        self._start_dreams(step)
        dreams, module = self._dreams, self.module
        priority = self._priority.values
        t = self._sampler.draw(step, batch - len(dreams.t), priority.numpy())
        real = self._inputs(t)
        now, seen, action, codes = (torch.cat(pair) for pair in zip(real, self._dream_inputs(), strict=True))
        self._forget(seen, generator)
        settled, given = self._give_away(codes, generator)
        asked = module.ask(module.look(now, seen), action)
        weight = self._chosen_cells(codes, generator).masked_fill(settled != OPEN, 0)
        which, cells = weight.nonzero(as_tuple=True)
        logits = module.answer(module.know(asked, settled)[which, cells])
        nll = F.cross_entropy(logits, codes[which, cells], reduction="none") * weight[which, cells]
        nll = torch.zeros(batch, device=nll.device).index_add(0, which, nll)
        whole = ~given[: len(t)]
        self._priority.set(t[whole.cpu().numpy()], nll[: len(t)][whole])
        with torch.no_grad():
            age, exact = self._dream_on(module.answer(asked[len(t) :]).argmax(-1))
        moved = (codes[which, cells] != UNCHANGED) & (which < len(t)) & ~given[which]
        right = (logits.argmax(-1) == codes[which, cells])[moved].float().mean().item() if moved.any() else 1.0
        log = {"dynamic_accuracy": right, "priority": priority.mean().item(), "dream_age": age, "dream_exact": exact}
        return nll.mean() / CELLS_A_STEP, log

    def _forget(self, seen: Tensor, generator: torch.Generator) -> None:
        """Of some samples' pasts, forget the keys up to a random moment: who plays need not say them. Of some, the
        hits: who watches may have come late."""
        count = seen.shape[1]
        known = torch.randint(0, count + 1, (len(seen), 1), generator=generator)
        forgets = torch.rand(len(seen), 1, generator=generator) < FORGETS
        unknown = (forgets & (torch.arange(count) < known)).to(seen.device)
        seen[..., 3] = seen[..., 3].masked_fill(unknown, NO_ACTION)
        late = torch.rand(len(seen), 1, generator=generator) < FORGETS
        seen[..., 4] = seen[..., 4].masked_fill(late.to(seen.device), UNKNOWN_HITS)

    def _chosen_cells(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Which cells of the grids (B, 35) are asked for, as their weights: all that change, and of the others some,
        which count for the rest. Most cells are far from everything and all but known."""
        changes = (codes != UNCHANGED).unflatten(1, (GRID_COLUMNS, GRID_ROWS)).float()
        near = F.max_pool2d(changes[:, None], 3, 1, 1)[:, 0].flatten(1) > 0
        share = torch.where(near, NEAR, FAR).to(changes.device)
        share = torch.where(codes != UNCHANGED, 1.0, share)
        drawn = torch.rand(codes.shape, generator=generator).to(codes.device) < share
        return drawn / share

    def _give_away(self, codes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Settled codes (B, 35), `OPEN` where they are to be predicted, and for which samples there are any (B,)."""
        shares = torch.rand(len(codes), 1, generator=generator)
        given = torch.rand(len(codes), generator=generator) < GIVEN
        shown = (torch.rand(codes.shape, generator=generator) < shares) & given[:, None]
        return codes.masked_fill(~shown.to(codes.device), OPEN), given.to(codes.device)

    def _start_dreams(self, step: int) -> None:
        over, t = self._dreams.to_start(np.random.default_rng([self._seed, step, 1]))
        if len(over):
            now, seen = self._seen(t)
            self._dreams.start(over, t, now.cpu(), seen.cpu())

    def _dream_inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `_inputs`, but the past is dreamt, and the codes lead from its newest frame to the real next one."""
        state, t = self._dreams.state, self._dreams.t
        now = state["dream_frame"].to(self._device)
        after = torch.from_numpy(self._dataset.frame(t + 1)).to(self._device)
        return now, state["dream_places"].to(self._device), self._asked(t)[0], self._vqvae.encode(now, after)

    @torch.no_grad()
    def _dream_on(self, chosen: Tensor) -> tuple[float, float]:
        """Let each dream go on with the chosen codes. Returns their mean age in steps, and the share that is exact."""
        now, seen = (self._dreams.state[name].to(self._device) for name in ("dream_frame", "dream_places"))
        drawn = self._vqvae.decode(now[:, None], chosen, seen)
        return self._dreams.go_on(drawn.cpu(), places(now, drawn).cpu())

    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Nothing to do."""

    def validate(self) -> tuple[float, dict[str, Any]]:
        """Exact frames and changed pixels right on held-out episodes, one step from real history."""
        exact = right = pixels = code_right = cell_right = cells = 0
        nll = 0.0
        for t in np.array_split(self._held, max(1, len(self._held) // 128)):
            now, seen, action, codes = self._inputs(t)
            logits = self.module(now, seen, action)
            nll += F.cross_entropy(logits.flatten(0, 1), codes.flatten(), reduction="sum").item()
            chosen = logits.argmax(-1)
            after = torch.from_numpy(self._dataset.frame(t + 1)).to(self._device)
            drawn = self._vqvae.decode(now[:, None], chosen, seen)
            moved = after != now
            pixels += int(moved.sum())
            right += int(((drawn == after) & moved).sum())
            exact += int((drawn == after).flatten(1).all(1).sum())
            dynamic = changed(now, after)
            code_right += int((chosen == codes).sum())
            cell_right += int((chosen == codes)[dynamic].sum())
            cells += int(dynamic.sum())
        figures = {
            "changed_pixels": right / max(pixels, 1),
            "exact_frames": exact / len(self._held),
            "code_accuracy": code_right / (len(self._held) * CELLS),
            "dynamic_accuracy": cell_right / max(cells, 1),
            "nll": nll / len(self._held),
        }
        figures["dreams_true"] = self._validate_dreams()
        return figures["changed_pixels"] + figures["exact_frames"] + figures["dreams_true"], figures

    def _validate_dreams(self) -> float:
        """The share of held-out dreams with at most `WRONG_PIXELS` wrong ones so far, on average over the steps."""
        t = self._held_starts
        now, seen = self._seen(t)
        true = torch.ones(len(t), dtype=torch.bool, device=self._device)
        total = 0.0
        for step in range(VALIDATION_STEPS if len(t) else 0):
            action = torch.from_numpy(self._dataset.actions[t + step].astype(np.int64)).to(self._device)
            drawn = self._vqvae.decode(now[:, None], self.module(now, seen, action).argmax(-1), seen)
            seen, now = push(seen, places(now, drawn), action), drawn
            real = torch.from_numpy(self._dataset.frame(t + step + 1)).to(self._device)
            true &= (drawn != real).flatten(1).sum(1) <= WRONG_PIXELS
            total += float(true.float().mean())
        return total / VALIDATION_STEPS


def train_context(
    frames: Path,
    weights: Path,
    settings: LoopSettings,
    options: RunOptions,
    device: torch.device,
    show: Callable[[float, str], None] = lambda progress, text: None,
    model: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Train on the dataset `frames` for the codes of the VQ-VAE in `weights`, into `options.out`/context.*.

    FileError if the dataset is of another frame skip. Returns the last validation's figures.
    """
    vqvae, _, dataset = load_both(weights, frames)
    vqvae = vqvae.to(device)
    meta: dict[str, Any] = {
        "dataset": dataset_meta(dataset, frames),
        "codes_sha256": vqvae.codes_sha256(),
    }
    seen = all_places(dataset, options.out, meta["dataset"], show)
    codes = stored_codes(options.out, vqvae, dataset, seen, meta, device, show)
    task = ContextTask(vqvae, dataset, codes, seen, meta, device, settings.seed, settings.batch, model)
    return train(task, CONTEXT_NAME, settings, options, device, show)

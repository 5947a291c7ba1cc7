"""`train context`: learn to predict the codes of the next step from the key and the recent frames.

The loss is the cross-entropy of the 35 codes: the negative log-likelihood of the whole grid, a third of it, since two
or three cells of 35 change in a step.

Most steps are free flight and soon well known, so a transition is drawn the more often the less likely its codes were
when it was last seen (`train.sampling.Priority`).

Of a fifth of the batch some codes are given away and the others asked for, which teaches the controller to make the
cells of one step go together.

A quarter of every batch is dreams: their history is what the controller itself has made of it so far. A dream goes on
one step with every training step, and is asked for the codes that lead from its own frame to the real next one, or to
what should be in its place (`train.dreams`;
DAgger, Ross et al. 2011, https://arxiv.org/abs/1011.0686); when it has lost reality, another one starts.
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

from model.breakout import CELLS, CODES, GRID_COLUMNS, GRID_ROWS, NO_ACTION, NO_KNOB, UNKNOWN_HITS
from model.checkpoint import load_tensors, save_tensors
from model.context_controller import OPEN, ContextController
from model.files import FileError
from model.gaze import places
from model.memory import push
from model.pixels import changed
from model.quantizer import UNCHANGED
from model.vqvae import VQVAE
from model.weights import CONTEXT_NAME, load_module
from train.dreams import WRONG_PIXELS, Dreams
from train.loop import LoopSettings, RunOptions, train
from train.material import Material
from train.places import all_places, chunk_of, in_threads
from train.sampling import Priority, TransitionSampler, spread
from train.vqvae import dataset_meta, load_both

CELLS_A_STEP = 3.0
NEAR, FAR = 0.5, 0.1
"""The share of the unchanged cells beside changed ones, and of all other unchanged cells, that are learned from."""
DREAMS = 1 / 4
"""The share of a batch that is dreams."""
FORGETS = 0.2
"""The share of a batch that does not know all past keys, and of one that does not know the hits of the paddle."""
GIVEN = 0.2
"""The share of a batch of which some codes are given away."""
VALIDATION_DREAMS, VALIDATION_STEPS = 64, 300


@torch.no_grad()
def encode_dataset(
    vqvae: VQVAE, material: Material, show: Callable[[float], None] = lambda share: None
) -> npt.NDArray[np.uint8]:
    """The codes of every transition: (N, 35) uint8, zeros at the last frame of each episode."""
    device, chunk = material.device, chunk_of(material.device)
    codes = torch.zeros(len(material.start), CELLS, dtype=torch.uint8, device=device)
    transitions = torch.from_numpy(material.dataset.transitions()).to(device)

    def encode(start: int) -> None:
        t = transitions[start : start + chunk]
        codes[t] = vqvae.encode(material.frame(t), material.frame(t + 1), material.pair(t)).to(codes.dtype)

    for start in in_threads(encode, range(0, len(transitions), chunk), device):
        if start // chunk % 500 == 0:
            show(start / len(transitions))
    return codes.cpu().numpy()


def stored_codes(
    out: Path,
    vqvae: VQVAE,
    material: Material,
    meta: dict[str, Any],
    show: Callable[[float, str], None],
) -> npt.NDArray[np.uint8]:
    """As `encode_dataset`, kept in `out`/context_codes.* so that a resumed run need not encode all over again."""
    path = out / f"{CONTEXT_NAME}_codes"
    with suppress(FileError):
        tensors, found = load_tensors(path)
        codes = tensors.get("codes")
        fits = codes is not None and codes.shape == (len(material.start), CELLS) and codes.dtype == torch.uint8
        if fits and codes is not None and all(found.get(key) == meta[key] for key in ("dataset", "codes_sha256")):
            return codes.numpy()
    made = encode_dataset(vqvae, material, lambda share: show(0.0, f"encoding the dataset: {share:.0%}"))
    save_tensors(path, {"codes": torch.from_numpy(made)}, {"kind": "codes", **meta})
    return made


def majority_codes(codes: Tensor) -> list[int]:
    """The most frequent code at each of the 35 positions: (N, 35) -> 35 numbers. The lower code wins a tie."""
    return [int(torch.bincount(column.long(), minlength=CODES).argmax()) for column in codes.T]


class ContextTask:
    """See `train.loop.Task`. `vqvae` is frozen; it gives the codes to predict and draws the frames to judge. `codes` as
    `encode_dataset` gives them."""

    def __init__(
        self,
        vqvae: VQVAE,
        material: Material,
        codes: npt.NDArray[np.uint8],
        meta: dict[str, Any],
        seed: int,
        batch: int,
        model: dict[str, int] | None = None,
    ) -> None:
        torch.manual_seed(seed)
        dataset, device = material.dataset, material.device
        self.module = ContextController(**(model or {}))
        self.module.to(device)
        self._vqvae, self._material, self._codes = vqvae, material, torch.from_numpy(codes).to(device)
        training, validation = dataset.split(seed=seed)
        self._sampler = TransitionSampler(material, training, seed)
        held = dataset.transitions(validation)
        self._held = torch.from_numpy(spread(held, 2048)).to(device)
        ends = dataset.first[np.searchsorted(dataset.first, held, side="right")]
        starts = spread(held[held + VALIDATION_STEPS < ends], VALIDATION_DREAMS)
        self._held_starts = torch.from_numpy(starts).to(device)
        self._seed = seed
        self.samples = len(self._sampler)
        self._priority = Priority(material, self._sampler)
        self._dreams = Dreams(round(batch * DREAMS), self.module.context, material, self._sampler)
        self.extra = {"priority": self._priority.values, **self._dreams.state}
        self.meta = {
            "kind": "context",
            "frameskip": dataset.frameskip,
            "model": self.module.settings,
            "majority": majority_codes(self._codes[self._sampler.transitions]),
            **meta,
        }

    def _seen(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The frames t (B,), and the places with memory up to them."""
        return self._material.frame(t), self._material.places(t, self.module.context)

    def _inputs(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Newest frame, places, action, and the codes to predict."""
        return *self._seen(t), self._material.actions[t], self._codes[t].long()

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the grid's codes, of real histories and of dreams."""
        dreams, module = self._dreams, self.module
        dreams.restart(np.random.default_rng([self._seed, step, 1]))
        t = self._sampler.draw(step, batch - len(dreams.t), self._priority.values)
        now, seen, action, codes = (torch.cat(pair) for pair in zip(self._inputs(t), self._dream_inputs(), strict=True))
        self._forget(seen, generator)
        settled, given = self._give_away(codes, generator)
        asked = module.ask(module.look(now, seen), action)
        weight = self._chosen_cells(codes, generator).masked_fill(settled != OPEN, 0)
        which, cells = weight.nonzero(as_tuple=True)
        logits = module.answer(module.know(asked, settled)[which, cells])
        nll = F.cross_entropy(logits, codes[which, cells], reduction="none") * weight[which, cells]
        nll = torch.zeros(batch, device=nll.device).index_add(0, which, nll)
        whole = ~given[: len(t)]
        self._priority.set(t[whole], nll[: len(t)][whole])
        with torch.no_grad():
            age, exact = self._dream_on(module.answer(asked[len(t) :]).argmax(-1))
            moved = (codes[which, cells] != UNCHANGED) & (which < len(t)) & ~given[which]
            right = ((logits.argmax(-1) == codes[which, cells]) & moved).sum() / moved.sum().clamp(min=1)
        log = {
            "dynamic_accuracy": right,
            "priority": self._priority.values.mean(),
            "dream_age": age,
            "dream_exact": exact,
        }
        return nll.mean() / CELLS_A_STEP, log

    def _forget(self, seen: Tensor, generator: torch.Generator) -> None:
        """Of some samples' pasts, forget the keys up to a random moment, and with them where the knob is: who plays
        need not say them. Of some, the hits: who watches may have come late."""
        device, (samples, count) = seen.device, seen.shape[:2]
        known = torch.randint(0, count + 1, (samples, 1), generator=generator, device=device)
        forgets = torch.rand(samples, 2, generator=generator, device=device) < FORGETS
        unknown = forgets[:, :1] & (torch.arange(count, device=device) < known)
        seen[..., 3].masked_fill_(unknown, NO_ACTION)
        seen[..., 5].masked_fill_(forgets[:, :1], NO_KNOB)
        seen[..., 4].masked_fill_(forgets[:, 1:], UNKNOWN_HITS)

    def _chosen_cells(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Which cells of the grids (B, 35) are asked for, as their weights: all that change, and of the others some,
        which count for the rest. Most cells are far from everything and all but known."""
        changes = (codes != UNCHANGED).unflatten(1, (GRID_COLUMNS, GRID_ROWS)).float()
        near = F.max_pool2d(changes[:, None], 3, 1, 1)[:, 0].flatten(1) > 0
        share = torch.where(near, NEAR, FAR)
        share = torch.where(codes != UNCHANGED, 1.0, share)
        drawn = torch.rand(codes.shape, generator=generator, device=codes.device) < share
        return drawn / share

    def _give_away(self, codes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Settled codes (B, 35), `OPEN` where they are to be predicted, and for which samples there are any (B,)."""
        device = codes.device
        shares = torch.rand(len(codes), 1, generator=generator, device=device)
        given = torch.rand(len(codes), generator=generator, device=device) < GIVEN
        shown = (torch.rand(codes.shape, generator=generator, device=device) < shares) & given[:, None]
        return codes.masked_fill(~shown, OPEN), given

    def _dream_inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `_inputs`, but the past is dreamt, and the codes lead from its newest frame to what should come next."""
        state = self._dreams.state
        now, seen = state["dream_frame"], state["dream_places"]
        action = self._material.actions[self._dreams.t]
        return now, seen, action, self._vqvae.encode(now, self._dreams.wanted())

    @torch.no_grad()
    def _dream_on(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Let each dream go on with the chosen codes. Returns their mean age in steps, and the share that is exact."""
        now, seen = self._dreams.state["dream_frame"], self._dreams.state["dream_places"]
        drawn = self._vqvae.decode(now[:, None], chosen, seen)
        return self._dreams.go_on(drawn, places(now, drawn))

    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Nothing to do."""

    def validate(self) -> tuple[float, dict[str, Any]]:
        """Exact frames and changed pixels right on held-out episodes, one step from real history."""
        exact = right = pixels = code_right = cell_right = cells = 0
        nll = 0.0
        for t in self._held.tensor_split(max(1, len(self._held) // 128)):
            now, seen, action, codes = self._inputs(t)
            logits = self.module(now, seen, action)
            nll += F.cross_entropy(logits.flatten(0, 1), codes.flatten(), reduction="sum").item()
            chosen = logits.argmax(-1)
            after = self._material.frame(t + 1)
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
        true = torch.ones(len(t), dtype=torch.bool, device=t.device)
        total = torch.zeros((), device=t.device)
        for step in range(VALIDATION_STEPS if len(t) else 0):
            action = self._material.actions[t + step]
            drawn = self._vqvae.decode(now[:, None], self.module(now, seen, action).argmax(-1), seen)
            seen, now = push(seen, places(now, drawn), action, self._material.dataset.frameskip), drawn
            real = self._material.frame(t + step + 1)
            true &= (drawn != real).flatten(1).sum(1) <= WRONG_PIXELS
            total += true.float().mean()
        return float(total) / VALIDATION_STEPS


def train_context(
    frames: Path,
    weights: Path,
    settings: LoopSettings,
    options: RunOptions,
    device: torch.device,
    show: Callable[[float, str], None] = lambda progress, text: None,
    model: dict[str, int] | None = None,
    start: Path | None = None,
) -> dict[str, Any]:
    """Train on the dataset `frames` for the codes of the VQ-VAE in `weights`, into `options.out`/context.*, from the
    controller in `start` on if there is one.

    FileError if the dataset is of another frame skip, or `start` of other codes. Returns the last validation's figures.
    """
    vqvae, _, dataset = load_both(weights, frames)
    vqvae = vqvae.to(device)
    meta: dict[str, Any] = {
        "dataset": dataset_meta(dataset, frames),
        "codes_sha256": vqvae.codes_sha256(),
    }
    material = Material(dataset, device, all_places(dataset, options.out, meta["dataset"], show, device))
    codes = stored_codes(options.out, vqvae, material, meta, show)
    task = ContextTask(vqvae, material, codes, meta, settings.seed, settings.batch, model)
    if start is not None:
        module, about = load_module(start, CONTEXT_NAME)
        if about.get("codes_sha256") != meta["codes_sha256"] or about["model"] != task.module.settings:
            raise FileError(f"the controller in {start} is of another size, or for the codes of another VQ-VAE")
        task.module.load_state_dict(module.state_dict())
        task.meta["before"] = {name: about.get(name) for name in ("dataset", "training", "step", "elapsed_seconds")}
    return train(task, CONTEXT_NAME, settings, options, device, show)

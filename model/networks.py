"""The trained networks together, for many moments at once. `WorldModel` is what plays with them, one moment at a time.

Histories are (B, n, 210, 160) uint8 classes, oldest first. What they do not show comes beside them, where it is known:
`keys` (B, n), the actions that led to the frames, and `unseen` (B, 3), the hits of the paddle, the knob's place and
whether a life is due in the newest frame (`model.memory`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.breakout import ACTIONS, KNOB_END, NO_ACTION, NO_KNOB, UNKNOWN_HITS, Frame
from model.checks import checked_classes
from model.context_controller import ContextController
from model.files import FileError
from model.gaze import BALL_FRAMES, places, places_of
from model.latent_action_model import sample_codes
from model.memory import Unseen, counted, life_due, quiet, turned_knobs, with_memory
from model.vqvae import VQVAE
from model.weights import CONTROLLERS

Codes = npt.NDArray[np.int64]


def checked_unseen(unseen: npt.ArrayLike | None, count: int) -> Tensor:
    """Hits of the paddle, the knob's place and whether a life is due (count, 3); unknown without any. ValueError if
    they are not that."""
    found = np.tile(Unseen(), (count, 1)) if unseen is None else np.asarray(unseen)
    if found.shape != (count, 3) or found.dtype.kind not in "iu":
        raise ValueError(f"unseen must be {count} times 3 integers, got shape {found.shape}, dtype {found.dtype}")
    hits, knob, due = found.T
    if ((due != 0) & (due != 1)).any():
        raise ValueError(f"unseen must say 1 if a life is due and 0 if not, got {due.min()}..{due.max()}")
    if (hits < 0).any() or (hits > UNKNOWN_HITS).any():
        raise ValueError(f"unseen must hold hits 0..{UNKNOWN_HITS}, got {hits.min()}..{hits.max()}")
    if ((knob < 0) | (knob > KNOB_END) & (knob != NO_KNOB)).any():
        raise ValueError(f"unseen must hold a knob 0..{KNOB_END} or {NO_KNOB}, got {knob.min()}..{knob.max()}")
    return torch.from_numpy(found.astype(np.int64))


def checked_keys(keys: npt.ArrayLike | None, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Actions that led to frames, of this shape; unknown ones without any. ValueError if they are not that."""
    if keys is None:
        return np.full(shape, NO_ACTION, np.int64)
    found = np.asarray(keys)
    if found.shape != shape or found.dtype.kind not in "iu" or found.min() < 0 or found.max() > NO_ACTION:
        raise ValueError(f"keys must be integers 0..{NO_ACTION} of shape {shape}, got shape {found.shape}")
    return found.astype(np.int64)


class Networks:
    """A VQ-VAE and its controllers, by name, on a device, for steps of `frameskip` emulator frames. `seed` is for what
    is drawn at temperatures above 0."""

    def __init__(
        self, vqvae: VQVAE, controllers: dict[str, nn.Module], frameskip: int, device: torch.device, seed: int
    ) -> None:
        self.frameskip, self.device = frameskip, device
        self.vqvae = vqvae.to(device).eval()
        self.controllers = {name: module.to(device).eval() for name, module in controllers.items()}
        self._generator = torch.Generator(device).manual_seed(seed)
        self._batch: tuple[Frame, Tensor] | None = None  # the last histories, and the places in them

    @property
    def controller(self) -> str:
        """Which controller predicts the codes: "context" or "action". May be set at any time."""
        return self._controller

    @controller.setter
    def controller(self, name: str) -> None:
        if name not in CONTROLLERS:
            raise ValueError(f"controller must be one of {', '.join(CONTROLLERS)}, got {name!r}")
        if name not in self.controllers:
            raise FileError(f"these weights hold no {name} controller; train one with: python main.py train {name}")
        self._controller = name

    @property
    def context(self) -> int:
        """How many past frames the twin sees, the newest included."""
        module = self.controllers.get("context")
        return module.context if isinstance(module, ContextController) else BALL_FRAMES + 1  # what the decoder looks at

    def predict_batch(
        self,
        history: Frame,
        actions: npt.ArrayLike,
        controller: str | None = None,
        keys: npt.ArrayLike | None = None,
        unseen: npt.ArrayLike | None = None,
    ) -> npt.NDArray[np.float32]:
        """Histories (B, n, 210, 160) uint8 classes, n >= context, and actions (B,) -> logits (B, 35, 256) float32.

        `keys` (B, n) are the actions that led to the frames, and `unseen` (B, 3) hits, knob and whether a life is due
        in the newest one, as in `reset`: 13, 255 and 0 where they are not known.
        """
        return self._ask(history, actions, controller or self._controller, keys, unseen)[1].cpu().numpy()

    def choose_batch(
        self,
        history: Frame,
        actions: npt.ArrayLike,
        controller: str | None = None,
        temperature: float = 0.0,
        keys: npt.ArrayLike | None = None,
        unseen: npt.ArrayLike | None = None,
    ) -> tuple[npt.NDArray[np.float32], Codes]:
        """As `predict_batch`, and the codes (B, 35) that `predict` would choose."""
        tokens, logits = self._ask(history, actions, controller or self._controller, keys, unseen)
        codes = self._settle(tokens, logits, temperature)
        due = checked_unseen(unseen, len(history))[:, 2].to(self.device) > 0
        return logits.cpu().numpy(), quiet(codes, due, self._places_of(history)).cpu().numpy()

    def encode_batch(self, previous: Frame, following: Frame) -> Codes:
        """Pairs (B, 210, 160) uint8 classes -> codes (B, 35) int64."""
        return self._encode(self._tensor(previous), self._tensor(following)).cpu().numpy()

    def decode_batch(self, history: Frame, codes: Codes, unseen: npt.ArrayLike | None = None) -> Frame:
        """Histories (B, n, 210, 160) uint8 classes, as `VQVAE.decode` sees them, codes (B, 35), and what is
        unseen, as in `predict_batch` -> next frames (B, 210, 160) uint8 classes."""
        chosen = torch.from_numpy(np.asarray(codes, np.int64)).to(self.device)
        now = self._tensor(history[:, -1])
        with torch.inference_mode():
            known = checked_unseen(unseen, len(history)).to(self.device)
            seen = with_memory(self._places_of(history), unseen=known)
            sight = self.vqvae.decoder.see(now, seen)
            return self.vqvae.draw(now, chosen, sight, surely=True).frames.cpu().numpy()

    def next_unseen(self, history: Frame, keys: npt.ArrayLike, unseen: npt.ArrayLike) -> Codes:
        """Hits, knob and whether a life is due (B, 3) in the newest frames of histories (B, n, 210, 160), n >= 8, to
        which `keys` (B,) led, from those in the frames before."""
        led = torch.from_numpy(checked_keys(keys, (len(history),))).to(self.device)
        hits, knob, due = checked_unseen(unseen, len(history)).to(self.device).unbind(1)
        before, now = self._tensor(history[:, -2]), self._tensor(history[:, -1])
        with torch.inference_mode():
            seen = self._places_of(history)
            later = counted(hits, seen), turned_knobs(knob, led, seen, self.frameskip)
            due = life_due(due > 0, seen[:, -1, 0] >= 0, before, now)
            return torch.stack((*later, due.long()), 1).cpu().numpy()

    @torch.inference_mode()
    def _ask(
        self,
        history: Frame,
        actions: npt.ArrayLike,
        controller: str,
        led_by: npt.ArrayLike | None,
        unseen: npt.ArrayLike | None,
    ) -> tuple[Tensor | None, Tensor]:
        """As `_ask_now`, of many histories. ValueError if they and the actions do not fit."""
        history = checked_classes(history, "history", 4)
        if history.shape[1] < self.context:
            raise ValueError(f"history must hold at least {self.context} frames, got {history.shape[1]}")
        chosen = np.asarray(actions, np.int64)
        if chosen.shape != history.shape[:1] or chosen.min(initial=0) < 0 or chosen.max(initial=0) >= ACTIONS:
            raise ValueError(f"actions must be {len(history)} integers 0..{ACTIONS - 1}")
        keys, module = torch.from_numpy(chosen).to(self.device), self._module(controller)
        if not isinstance(module, ContextController):
            return None, module(F.one_hot(keys, ACTIONS).float()).float()
        now = self._tensor(history[:, -1])
        led = torch.from_numpy(checked_keys(led_by, history.shape[:2])).to(self.device)
        known = checked_unseen(unseen, len(history)).to(self.device)
        seen = with_memory(self._places_of(history), led, known)[:, -module.context :]
        tokens = module.ask(module.look(now, seen), keys)
        return tokens, module.answer(tokens)

    @torch.inference_mode()
    def _settle(self, tokens: Tensor | None, logits: Tensor, temperature: float) -> Tensor:
        """Codes (B, 35) for logits; with the context controller's tokens, codes that go together."""
        module = self.controllers.get("context")
        if tokens is None or not isinstance(module, ContextController):
            return sample_codes(logits, temperature, self._generator)
        return module.settle(tokens, logits, temperature, self._generator)

    @torch.inference_mode()
    def _encode(self, previous: Tensor, following: Tensor, seen: tuple[Tensor, Tensor] | None = None) -> Tensor:
        return self.vqvae.encode(previous, following, seen)

    def _tensor(self, frames: Frame) -> Tensor:
        """Frames of any shape on the device; read-only memory, of which PyTorch warns, is copied."""
        return torch.from_numpy(np.require(frames, requirements=("C", "W"))).to(self.device)

    def _module(self, controller: str) -> nn.Module:
        if controller not in self.controllers:
            raise ValueError(f"these weights hold no {controller!r} controller")
        return self.controllers[controller]

    @torch.inference_mode()
    def _places_of(self, history: Frame) -> Tensor:
        """The places in histories (B, n, 210, 160), looked for once for a controller and a decoder that both ask, and
        in the newest frames alone where the histories went on by a step."""
        known, seen = self._batch or (history[:0], torch.zeros(0))
        if np.array_equal(known, history):
            return seen
        frames = self._tensor(history)
        if known.shape == history.shape and history.shape[1] > 1 and np.array_equal(known[:, 1:], history[:, :-1]):
            seen = torch.cat((seen[:, 1:], places(frames[:, -2], frames[:, -1])[:, None]), 1)
        else:
            seen = places_of(frames)
        self._batch = history.copy(), seen
        return seen

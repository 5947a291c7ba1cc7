"""The inference pipeline: key and recent frames in, next frame out.

    from model import WorldModel

    wm = WorldModel.load()
    wm.reset(frames)              # (n, 210, 160, 3) uint8 RGB, oldest first
    p = wm.step(2)                # RIGHT; dreaming: the prediction becomes the newest frame
    p.frame, p.codes

Frames go in and out as RGB; every method has a twin on palette classes (`..._classes`), which is the same without the
conversion, and `..._batch` methods work on many moments at once. Predictions at temperature 0 are deterministic on one
machine; above 0 they depend on the seed given to `load`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.breakout import ACTIONS, CELLS, CODES, NO_ACTION, Frame, classes_from_rgb, rgb_from_classes
from model.checks import checked_action, checked_classes, checked_rgb
from model.context_controller import ContextController
from model.device import choose_device
from model.futures import draw_each
from model.gaze import BALL_FRAMES, Glance, both_ways, glance, places
from model.latent_action_model import ActionToLatentMLP
from model.memory import Unseen, in_play, life_due, push, quiet, unseen_of, watch
from model.networks import Codes, Networks, checked_keys, checked_unseen
from model.vqvae import LINES, VQVAE, Drawn, Sight
from model.weights import SHIPPED, VQVAE_NAME, load_directory


@dataclass(frozen=True)
class Prediction:
    """What the twin expects: `classes` (210, 160) uint8 and `codes` (35,) int64; `frame` is the same as RGB."""

    classes: Frame
    codes: Codes

    @cached_property
    def frame(self) -> Frame:
        """(210, 160, 3) uint8 RGB."""
        return rgb_from_classes(self.classes)


class WorldModel(Networks):
    """The neural twin. Make one with `load`, give it a history with `reset`, then predict, observe or step."""

    def __init__(
        self,
        vqvae: VQVAE,
        controllers: dict[str, nn.Module],
        frameskip: int,
        controller: str = "context",
        majority: Codes | None = None,
        device: torch.device | None = None,
        checksum: str = "",
        seed: int = 0,
        meta: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(vqvae, controllers, frameskip, device or torch.device("cpu"), seed)
        self.majority = np.zeros(CELLS, np.int64) if majority is None else majority
        self.checksum = checksum
        self.meta = meta or {}
        self._history: Tensor | None = None
        self._places: Tensor | None = None  # where ball and paddle are in its frames
        self._due = torch.zeros(1, dtype=torch.bool)  # whether a life is
        self._backwards: Tensor | None = None  # the places of the newest step, looked at backwards in time
        self._codes: Codes | None = None  # of the newest step, once they were asked for
        self._glance: Glance | None = None  # at the newest frame, once it was looked at
        self._sight: Sight | None = None  # what the decoder has seen there
        self._answered: dict[str, tuple[Tensor | None, Tensor]] = {}  # by each controller, for every key
        self._expected: tuple[tuple[str, int], Prediction] | None = None  # what `predict_each` found for the held key
        self._sure: tuple[Drawn, Tensor] | None = None  # a next frame that has the codes (1, 35) it was drawn from
        self.controller = controller

    @classmethod
    def load(
        cls, path: str | Path | None = None, device: str = "auto", controller: str = "context", seed: int = 0
    ) -> WorldModel:
        """Load a directory of weights; without a path, the shipped ones.

        Raises FileError (a ValueError) if they are missing, damaged or do not belong together, ValueError for an
        unknown controller, one that the directory does not hold, or a device that is not there.
        """
        chosen = choose_device(device)
        held = load_directory(SHIPPED if path is None else Path(path))
        frameskip = held.meta[VQVAE_NAME]["frameskip"]
        return cls(
            held.vqvae, held.controllers, frameskip, controller, held.majority, chosen, held.checksum, seed, held.meta
        )

    @classmethod
    def untrained(cls, frameskip: int = 2, seed: int = 0, controller: str = "context") -> WorldModel:
        """A small twin with random weights: for tests, and to see what chance looks like."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            vqvae = VQVAE(16, 16, 16)
            vqvae.quantizer.codebook[1:].normal_()
            controllers: dict[str, nn.Module] = {
                "context": ContextController(context=BALL_FRAMES, width=16, paddle_width=16, token=16),
                "action": ActionToLatentMLP(),
            }
        return cls(vqvae, controllers, frameskip, controller, checksum=f"untrained-{seed}", seed=seed)

    @property
    def unseen(self) -> Unseen:
        """What no frame shows. `hits`, how often the ball has come off the paddle since it was served, 0..12, or 13 if
        the twin has not seen that: the game counts too, and at the 4th, 8th and 12th time the ball leaves at other
        speeds and angles. `knob`, how far the keys have turned the paddle controller's knob, 0..232, or 255 if it is
        not known: the paddle follows it. `due`, 1 if a life is: the ball is in play, or was lost just now."""
        self._seen()
        assert self._places is not None
        return unseen_of(self._places[None], self._due)

    def warm_up(self) -> None:
        """Run every network once at the largest sizes of play, so that no step waits for anything, and memory for them
        is not first asked for in some later hour. Changes nothing; there must be a history."""
        now, frame = self._controller, self.history[-1]
        for name in self.controllers:
            self._controller = name
            self.predict_each()
        self._controller = now
        self.decode_classes(np.ones(CELLS, np.int64))  # more cells at once than play ever changes
        several = np.repeat(frame[None], len(LINES), 0)  # as many pictures as are drawn in doubt
        self.encode_batch(several, np.roll(several, 1, 1))
        self.encode_classes(frame, np.roll(frame, 1, 0))

    # --- one moment, RGB frames ---

    def reset(
        self, frames: npt.NDArray[np.uint8], keys: npt.ArrayLike | None = None, unseen: Unseen | None = None
    ) -> None:
        """A new history: (n, 210, 160, 3) uint8 RGB, oldest first, n >= 1. A short one repeats its first frame.

        `keys` (n,) are the actions that led to the frames, where they are known: 4 where one is not. `unseen` as the
        property of this name has it for the newest frame; with no ball in play there are 0 hits in any case, a knob
        that is not known shows once the paddle has stood still, and with a ball in the frames a life is due.
        """
        frames = checked_rgb(frames, "frames", 4)
        self.reset_classes(classes_from_rgb(frames), keys, unseen)

    def predict(self, action: int, temperature: float = 0.0) -> Prediction:
        """The next frame if `action` is taken now; changes nothing. Temperature 0 takes the likeliest codes."""
        return self.predict_classes(action, temperature)

    def observe(self, frame: npt.NDArray[np.uint8], action: int | None = None) -> None:
        """A real frame (210, 160, 3) uint8 RGB becomes the newest of the history (teacher forcing).

        `action` is the one that led to it. Without it the twin does not know where the knob is until the paddle has
        stood still, and with the paddle at a wall not even then.
        """
        self.observe_classes(classes_from_rgb(checked_rgb(frame, "frame", 3)), action)

    def step(self, action: int, temperature: float = 0.0) -> Prediction:
        """Predict, and the prediction becomes the newest frame of the history (dreaming)."""
        return self.step_classes(action, temperature)

    def encode(self, previous: npt.NDArray[np.uint8], following: npt.NDArray[np.uint8]) -> Codes:
        """The actual codes (35,) int64 of a real pair of RGB frames (210, 160, 3) uint8."""
        previous, following = checked_rgb(previous, "previous", 3), checked_rgb(following, "following", 3)
        return self.encode_classes(classes_from_rgb(previous), classes_from_rgb(following))

    def decode(self, codes: npt.ArrayLike) -> Frame:
        """The next frame (210, 160, 3) uint8 RGB for these 35 codes in the present history."""
        return rgb_from_classes(self.decode_classes(codes))

    # --- one moment, classes ---

    @property
    def history(self) -> Frame:
        """The frames the twin sees: (context, 210, 160) uint8 classes, oldest first, a copy."""
        return self._seen().cpu().numpy().copy()

    def reset_classes(self, frames: Frame, keys: npt.ArrayLike | None = None, unseen: Unseen | None = None) -> None:
        """`reset` on classes (n, 210, 160) uint8 0..8."""
        frames = checked_classes(frames, "frames", 3)
        led = torch.from_numpy(checked_keys(keys, (len(frames),))).to(self.device)
        known = Unseen(*checked_unseen(None if unseen is None else [unseen], 1)[0].tolist())
        newest = torch.from_numpy(frames[-self.context :].copy()).to(self.device)
        missing = self.context - len(newest)
        self._history = torch.cat((newest[:1].expand(missing, -1, -1), newest))
        self._places = watch(torch.from_numpy(frames).to(self.device), led, self.context, self.frameskip, known)[0]
        self._due = in_play(self._places[None]) | (known.due > 0)
        self._backwards = None
        self._forget()

    def predict_classes(self, action: int, temperature: float = 0.0) -> Prediction:
        """`predict`; its `classes` need no conversion."""
        asked = self.controller, checked_action(action)
        if self._expected is not None and temperature == 0 and self._expected[0] == asked:
            known = self._expected[1]
            return Prediction(known.classes.copy(), known.codes.copy())
        tokens, logits = self._answers()
        mine = slice(action, action + 1)
        assert self._places is not None
        codes = self._settle(None if tokens is None else tokens[mine], logits[mine], temperature)
        codes = quiet(codes, self._due, self._places[None])
        drawn = self._decode_now(codes)
        if drawn.fits is not None and bool(drawn.fits):
            self._sure = drawn, codes
        return Prediction(drawn.frames[0].cpu().numpy().copy(), codes[0].cpu().numpy().copy())

    def predict_each(self, held: int = 0) -> list[Prediction]:
        """`predict_classes` for every action at temperature 0, in the order of `Action`; changes nothing.

        The work that all share is done once. That for `held` is what `predict` gives, to the bit, and `predict` and
        `step` take it from here; the other three are drawn as one batch, where sums may round differently, each cell is
        chosen for itself (`settle` would take as long again), and what was drawn is not looked at again.
        """
        chosen = self.predict_classes(held)
        self._expected = (self.controller, held), chosen
        others = [action for action in range(ACTIONS) if action != held]
        assert self._places is not None
        likeliest = quiet(self._answers()[1][others].argmax(-1), self._due, self._places[None])
        codes = np.concatenate((chosen.codes[None], likeliest.cpu().numpy()))

        def decode(asked: Codes) -> Frame:
            return self._decode_now(torch.from_numpy(asked).to(self.device), surely=False).frames.cpu().numpy()

        frames = draw_each(decode, chosen.classes, codes)
        order = np.argsort([held, *others])
        return [Prediction(frames[n], codes[n]) for n in order]

    def logits(self, action: int) -> npt.NDArray[np.float32]:
        """Action to predicted latent code: the controller's logits (35, 256) in the present history."""
        return self._answers()[1][checked_action(action)].cpu().numpy()

    def observe_classes(self, frame: Frame, action: int | None = None) -> None:
        """`observe` on classes (210, 160) uint8 0..8."""
        key = NO_ACTION if action is None else checked_action(action)
        self._push(torch.from_numpy(checked_classes(frame, "frame", 2)).to(self.device), key, asked=True)

    def step_classes(self, action: int, temperature: float = 0.0) -> Prediction:
        """`step`; its `classes` need no conversion."""
        prediction = self.predict_classes(action, temperature)
        self._push(torch.from_numpy(prediction.classes).to(self.device), action)
        return prediction

    def encode_classes(self, previous: Frame, following: Frame, pair: tuple[Tensor, Tensor] | None = None) -> Codes:
        """`encode` on classes (210, 160) uint8 0..8. `pair` is what `gaze.both_ways` gives for them, if it is known."""
        previous, following = checked_classes(previous, "previous", 2), checked_classes(following, "following", 2)
        if not self._is_newest(previous, following):
            frames = self._tensor(previous[None]), self._tensor(following[None])
            known = None if pair is None else (pair[0].to(self.device), pair[1].to(self.device))
            return self._encode(*frames, known).cpu().numpy()[0]
        if self._codes is None:
            assert self._history is not None
            assert self._places is not None
            before, after = self._history[-2:-1], self._history[-1:]
            old = places(after, before) if self._backwards is None else self._backwards
            self._codes = self._encode(before, after, (old, self._places[-1:, :3])).cpu().numpy()[0]
        return self._codes.copy()

    def decode_classes(self, codes: npt.ArrayLike) -> Frame:
        """`decode` to classes (210, 160) uint8."""
        chosen = np.asarray(codes)
        if chosen.shape != (CELLS,) or chosen.dtype.kind not in "iu":
            raise ValueError(f"codes must be {CELLS} integers, got shape {chosen.shape}, dtype {chosen.dtype}")
        if chosen.min() < 0 or chosen.max() >= CODES:
            raise ValueError(f"codes must be 0..{CODES - 1}, got {chosen.min()}..{chosen.max()}")
        codes_ = torch.from_numpy(chosen[None].astype(np.int64)).to(self.device)
        return self._decode_now(codes_).frames[0].cpu().numpy()

    # --- inside ---

    def _seen(self) -> Tensor:
        if self._history is None:
            raise ValueError("the twin has no history yet: call reset(frames) first")
        return self._history

    @torch.inference_mode()
    def _push(self, frame: Tensor, key: int, asked: bool = False) -> None:
        """`frame` becomes the newest. `asked`: its codes will be asked for, so look backwards at once, too."""
        self._history = torch.cat((self._seen()[1:], frame[None]))
        assert self._places is not None
        before, now = self._history[-2:-1], self._history[-1:]
        codes = None
        if self._sure is not None and torch.equal(self._sure[0].frames, now):  # as expected: all of it is known
            drawn, grid = self._sure
            assert drawn.seen is not None
            self._backwards, newest = drawn.seen
            codes = grid[0].cpu().numpy()
        else:
            self._backwards, newest = both_ways(before, now) if asked else (None, places(before, now))
        led = torch.tensor([key], device=self.device)
        self._places = push(self._places[None], newest, led, self.frameskip)[0]
        self._due = life_due(self._due, newest[:, 0] >= 0, before, now)
        self._forget()
        self._codes = codes

    def _forget(self) -> None:
        """What was found for the newest frame; it is another one now."""
        self._codes = self._expected = self._sure = self._glance = self._sight = None
        self._answered.clear()

    def _is_newest(self, previous: Frame, following: Frame) -> bool:
        """Whether this is the newest pair of the history, whose codes are known already."""
        if self._history is None or self.device.type != "cpu":
            return False
        pair = self._history[-2:].numpy()
        return np.array_equal(pair[1], following) and np.array_equal(pair[0], previous)

    @torch.inference_mode()
    def _answers(self) -> tuple[Tensor | None, Tensor]:
        """The controller's tokens (for `_settle`) and logits (4, 35, 256) for every key in the present history. One key
        would take almost as long, so all are asked at once, and the answers kept for whoever asks for another."""
        history, module = self._seen(), self._module(self._controller)
        if self._controller not in self._answered:
            keys = torch.arange(ACTIONS, device=self.device)
            if isinstance(module, ContextController):
                assert self._places is not None
                tokens = module.ask(module.look(history[-1:], self._places[None], self._looked()), keys)
                self._answered[self._controller] = tokens, module.answer(tokens)
            else:
                self._answered[self._controller] = None, module(F.one_hot(keys, ACTIONS).float()).float()
        return self._answered[self._controller]

    def _looked(self) -> Glance:
        """The glance at the newest frame, which controller and decoder share."""
        if self._glance is None:
            assert self._places is not None
            self._glance = glance(self._seen()[-1:], self._places[None])
        return self._glance

    @torch.inference_mode()
    def _decode_now(self, codes: Tensor, surely: bool = True) -> Drawn:
        """Several grids of codes (B, 35) in the present history; `surely` as in `VQVAE.draw`."""
        now = self._seen()[-1:]
        if self._sight is None:
            assert self._places is not None
            self._sight = self.vqvae.decoder.see(now, self._places[None], self._looked())
        return self.vqvae.draw(now, codes, self._sight, surely)

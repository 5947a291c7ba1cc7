"""The inference pipeline: the contract's shapes, errors and semantics, on an untrained twin and a real emulator."""

from pathlib import Path

import numpy as np
import pytest
import torch

from collect.emulator import Emulator
from collect.policies import make_policy
from model import WorldModel
from model.breakout import NO_ACTION, rgb_from_classes
from model.checkpoint import save_tensors
from model.files import FileError
from model.memory import Unseen


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    emulator = Emulator(2, seed=1)
    shown = [emulator.rgb]
    for step in range(9):
        emulator.step(1 if step == 0 else 2 + step % 2)
        shown.append(emulator.rgb)
    return np.stack(shown)


@pytest.fixture
def wm(frames: np.ndarray) -> WorldModel:
    torch.set_num_threads(1)
    twin = WorldModel.untrained()
    twin.reset(frames[:5])
    return twin


def seeded() -> torch.Generator:
    """For weights that say something, as those that start from zero do not."""
    return torch.Generator().manual_seed(0)


def test_predict_changes_nothing_and_is_deterministic(wm: WorldModel) -> None:
    before = wm.history
    first, second = wm.predict(2), wm.predict(2)
    assert np.array_equal(first.frame, second.frame)
    assert np.array_equal(first.codes, second.codes)
    assert np.array_equal(before, wm.history)
    assert first.frame.shape == (210, 160, 3)
    assert first.frame.dtype == np.uint8
    assert first.codes.shape == (35,)
    assert first.codes.dtype == np.int64


def test_step_dreams_and_observe_forces(wm: WorldModel, frames: np.ndarray) -> None:
    predicted = wm.step(3)
    assert np.array_equal(rgb_from_classes(wm.history[-1]), predicted.frame)
    wm.observe(frames[7])
    assert np.array_equal(rgb_from_classes(wm.history[-1]), frames[7])
    assert np.array_equal(rgb_from_classes(wm.history[-2]), predicted.frame)


def test_observing_one_by_one_is_resetting_to_all(wm: WorldModel, frames: np.ndarray) -> None:
    other = WorldModel.untrained()
    other.reset(frames[:1])
    for frame in frames[1:5]:
        other.observe(frame)
    assert np.array_equal(other.history, wm.history)
    assert np.allclose(other.logits(2), wm.logits(2), atol=1e-4)


def test_the_keys_that_led_here_are_remembered(wm: WorldModel, frames: np.ndarray) -> None:
    """Beyond the wall a held key turns the paddle's knob and nothing on the screen tells."""
    with torch.no_grad():
        wm.controllers["context"].paddle.weight.normal_(std=3, generator=seeded())
    assert wm.context == 8
    wm.reset(frames[:6])
    unknown = wm.logits(0)
    wm.reset(frames[:6], [4, 2, 2, 2, 2, 2])
    held = wm.logits(0)
    assert not np.allclose(held, unknown)
    wm.reset(frames[:1])
    for frame in frames[1:6]:
        wm.observe(frame, 2)
    assert np.array_equal(wm.logits(0), held)
    assert np.allclose(
        wm.predict_batch(wm.history[None], [0], keys=[[4, 4, 4, 2, 2, 2, 2, 2]], unseen=[wm.unseen])[0], held, atol=1e-4
    )


def test_what_no_frame_shows_may_be_told_and_reaches_the_controller(wm: WorldModel, frames: np.ndarray) -> None:
    with torch.no_grad():
        wm.controllers["context"].paddle.weight.normal_(std=3, generator=seeded())
        wm.controllers["context"].ball.weight.normal_(std=3, generator=seeded())
    logits = []
    for told in (None, Unseen(knob=40), Unseen(knob=200)):
        wm.reset(frames[1:], unseen=told)
        assert wm.unseen.knob == (told or Unseen()).knob
        logits.append(wm.logits(0))
        asked = {"keys": [[NO_ACTION] * wm.context], "unseen": [wm.unseen]}
        assert np.allclose(wm.predict_batch(wm.history[None], [0], **asked)[0], logits[-1], atol=1e-3)
    assert not np.allclose(logits[0], logits[1])
    assert not np.allclose(logits[1], logits[2])
    wm.reset(frames[:1], unseen=Unseen(hits=5))
    assert wm.unseen.hits == 0, "no ball is in play"


def test_short_history_repeats_its_first_frame(wm: WorldModel, frames: np.ndarray) -> None:
    wm.reset(frames[4:6])
    assert wm.history.shape[0] == wm.context
    assert np.array_equal(rgb_from_classes(wm.history[0]), frames[4])


def test_unchanged_cells_are_code_zero_and_copied(wm: WorldModel, frames: np.ndarray) -> None:
    codes = wm.encode(frames[4], frames[6])
    changed = (frames[4] != frames[6]).any(-1).reshape(7, 30, 5, 32).any((1, 3)).T.reshape(35)
    assert np.array_equal(codes != 0, changed)
    wm.reset(frames[:5])
    drawn = wm.decode(codes)
    same = ~changed.reshape(5, 7).T.repeat(30, 0).repeat(32, 1)
    assert np.array_equal(drawn[same], frames[4][same])
    assert np.array_equal(wm.decode(np.zeros(35, np.int64)), frames[4])


def test_batches_agree_with_single_moments(wm: WorldModel) -> None:
    history = wm.history
    logits = wm.predict_batch(np.stack((history, history)), [1, 3], unseen=[wm.unseen, wm.unseen])
    assert np.allclose(logits[0], wm.logits(1), atol=1e-4)
    assert np.allclose(logits[1], wm.logits(3), atol=1e-4)
    codes = wm.predict(3).codes
    assert np.array_equal(wm.decode_batch(history[None], codes[None], [wm.unseen])[0], wm.decode_classes(codes))


@pytest.mark.parametrize("controller", ["context", "action"])
@pytest.mark.parametrize("held", range(4))
def test_all_four_keys_at_once_are_what_each_is_alone(wm: WorldModel, controller: str, held: int) -> None:
    wm.controller = controller
    with torch.no_grad():  # a key and a code that say something, which untrained ones hardly do
        for parameter in wm.controllers["context"].parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=seeded()))
        wm.vqvae.decoder.keep.zero_()
        for parameter in wm.vqvae.decoder.parameters():
            parameter.add_(torch.randn_like(parameter))
        wm.vqvae.colours[:, 1] = 1
    wm._due[:] = True  # else all top rows are quiet: there is no ball yet
    alone = [wm.predict_classes(action) for action in range(4)]
    before = wm.history
    each = wm.predict_each(held)
    assert np.array_equal(wm.history, before)
    assert len({prediction.codes.tobytes() for prediction in each}) == 4
    assert len({prediction.classes.tobytes() for prediction in each}) == 4
    for one, other in zip(alone, each, strict=True):
        assert np.array_equal(one.codes, other.codes)
        assert np.array_equal(one.classes, other.classes)
    # What is kept for the held key cannot be spoiled from outside, and is what the next step takes.
    each[held].classes[:] = 0
    assert np.array_equal(wm.step_classes(held).classes, alone[held].classes)


def test_nothing_that_was_kept_outlives_its_moment(wm: WorldModel, frames: np.ndarray) -> None:
    fresh = WorldModel.untrained()
    for change in (
        lambda twin: twin.observe(frames[7]),
        lambda twin: twin.reset(frames[2:9]),
        lambda twin: setattr(twin, "controller", "action"),
        lambda twin: setattr(twin, "controller", "context"),
        lambda twin: twin.step(3),
    ):
        wm.predict_each(2)
        fresh.reset(rgb_from_classes(wm.history))
        change(wm)
        change(fresh)
        assert np.array_equal(wm.predict(2).frame, fresh.predict(2).frame)
    pair = wm.history[-2:]
    assert np.array_equal(wm.encode_classes(*pair), wm.encode_batch(pair[:1], pair[1:])[0])
    assert np.array_equal(wm.encode(frames[2], frames[3]), fresh.encode(frames[2], frames[3]))


@pytest.mark.parametrize("dreams", [False, True])
def test_what_a_prediction_found_out_is_what_looking_finds(dreams: bool) -> None:
    """With the shipped weights: a twin that predicts every frame beside one that only sees them."""
    torch.set_num_threads(1)
    twin, onlooker = WorldModel.load(), WorldModel.load()
    emulator = Emulator(1, seed=3)
    player = make_policy("mixed", np.random.default_rng(3), 1)
    frame = emulator.frame
    for each in (twin, onlooker):
        each.reset_classes(frame[None])
    known = 0
    for _ in range(250):
        action = player.act(emulator.objects())
        before, frame = frame, emulator.step(action).frame
        predicted = twin.predict_classes(action)
        if dreams:
            frame = predicted.classes.copy()
            twin.step_classes(action)
        else:
            predicted.classes[:], predicted.codes[:] = 0, 0  # what a caller does to it is the caller's affair
            twin.observe_classes(frame, action)
        known += twin._codes is not None
        onlooker.observe_classes(frame, action)
        assert torch.equal(twin._places, onlooker._places)
        codes = onlooker.encode_batch(before[None], frame[None])[0]
        for each in (twin, onlooker):
            assert np.array_equal(each.encode_classes(before, frame), codes)
    assert known > 20


def test_warming_up_changes_nothing(wm: WorldModel) -> None:
    fresh = WorldModel.untrained()
    fresh.reset(rgb_from_classes(wm.history))
    wm.warm_up()
    assert wm.controller == "context"
    assert wm.unseen == fresh.unseen
    for action in (1, 2):
        assert np.array_equal(wm.step(action, 0.5).frame, fresh.step(action, 0.5).frame)


def test_temperature_draws_from_the_logits(wm: WorldModel) -> None:
    drawn = {tuple(wm.predict(2, temperature=5.0).codes) for _ in range(5)}
    assert len(drawn) > 1


def test_controllers_can_be_switched(wm: WorldModel) -> None:
    context = wm.logits(2)
    wm.controller = "action"
    assert not np.allclose(context, wm.logits(2))
    with pytest.raises(ValueError, match="controller must be one of"):
        wm.controller = "telepathy"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda wm, f: wm.predict(4), "action must be 0..3"),
        (lambda wm, f: wm.predict(-1), "action must be 0..3"),
        (lambda wm, f: wm.predict(1.0), "action must be an integer"),
        (lambda wm, f: wm.predict(1, temperature=-1), "temperature"),
        (lambda wm, f: wm.predict(1, temperature=float("nan")), "temperature"),
        (lambda wm, f: wm.reset(f[0]), "frames must have shape"),
        (lambda wm, f: wm.reset(f[:0]), "frames must have shape"),
        (lambda wm, f: wm.reset(f.astype(np.float32)), "uint8"),
        (lambda wm, f: wm.observe(f), "frame must have shape"),
        (lambda wm, f: wm.observe(f[0, :100]), "frame must have shape"),
        (lambda wm, f: wm.observe(f[0] // 2 + 1), "never draws"),
        (lambda wm, f: wm.encode(f[0], None), "following must be a uint8 array"),
        (lambda wm, f: wm.reset(f[:3], [0, 1]), "keys must be integers"),
        (lambda wm, f: wm.reset(f[:3], [0, 1, 5]), "keys must be integers"),
        (lambda wm, f: wm.observe(f[0], 7), "action must be 0..3"),
        (lambda wm, f: wm.reset(f[:3], unseen=3), "unseen must be 1 times 3"),
        (lambda wm, f: wm.reset(f[:3], unseen=(3, None, 0)), "unseen must be 1 times 3"),
        (lambda wm, f: wm.reset(f[:3], unseen=(3.0, 116.0, 0.0)), "unseen must be 1 times 3"),
        (lambda wm, f: wm.reset(f[:3], unseen=(14, 116, 0)), r"hits 0\.\.13, got 14"),
        (lambda wm, f: wm.reset(f[:3], unseen=(-1, 116, 0)), r"hits 0\.\.13, got -1"),
        (lambda wm, f: wm.reset(f[:3], unseen=(0, 233, 0)), r"knob 0\.\.232 or 255, got 233"),
        (lambda wm, f: wm.reset(f[:3], unseen=(0, 116, 2)), "1 if a life is due and 0 if not, got 2"),
        (lambda wm, f: wm.reset(f[:3], unseen=(0, 256, 0)), r"knob 0\.\.232 or 255, got 256"),
        (lambda wm, f: wm.predict_batch(wm.history[None], [0], unseen=[3]), "unseen must be 1 times 3"),
        (lambda wm, f: wm.decode_batch(wm.history[None], np.zeros((1, 35)), [[3, -1, 0]]), "knob 0"),
        (lambda wm, f: wm.next_unseen(wm.history[None], [5], [[3, 116, 0]]), "keys must be integers"),
        (lambda wm, f: wm.decode(np.zeros(34, int)), "codes must be 35 integers"),
        (lambda wm, f: wm.decode(np.full(35, 256)), r"codes must be 0\.\.255"),
        (lambda wm, f: wm.decode(np.zeros(35)), "codes must be 35 integers"),
    ],
)
def test_bad_input_is_named(wm: WorldModel, frames: np.ndarray, call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(wm, frames)


def test_no_history_yet() -> None:
    with pytest.raises(ValueError, match="call reset"):
        WorldModel.untrained().predict(0)


class TestLoad:
    """Weights that cannot be used end in one FileError that says why."""

    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        wm = WorldModel.untrained()
        meta = {"kind": "vqvae", "frameskip": 2, "model": wm.vqvae.settings}
        save_tensors(tmp_path / "vqvae", dict(wm.vqvae.state_dict()), meta)
        return tmp_path

    def test_round_trip(self, weights: Path) -> None:
        with pytest.raises(FileError, match="hold no context controller"):
            WorldModel.load(weights, device="cpu")

    def test_missing_directory(self, tmp_path: Path) -> None:
        with pytest.raises(FileError, match="does not exist"):
            WorldModel.load(tmp_path / "nowhere")

    def test_truncated(self, weights: Path) -> None:
        file = weights / "vqvae.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(FileError, match="damaged"):
            WorldModel.load(weights)

    def test_foreign(self, weights: Path) -> None:
        save_tensors(weights / "vqvae", {"x": torch.zeros(3)}, {"kind": "something"})
        with pytest.raises(FileError, match="does not describe"):
            WorldModel.load(weights)

    def test_another_model(self, weights: Path) -> None:
        meta = {
            "kind": "vqvae",
            "frameskip": 2,
            "model": {"encoder_width": 16, "decoder_width": 16, "meeting_width": 16},
        }
        save_tensors(weights / "vqvae", {"x": torch.zeros(3)}, meta)
        with pytest.raises(FileError, match="another model"):
            WorldModel.load(weights)

    def test_not_a_number(self, weights: Path) -> None:
        wm = WorldModel.untrained()
        tensors = dict(wm.vqvae.state_dict())
        tensors["encoder.norm.weight"] = torch.full_like(tensors["encoder.norm.weight"], float("nan"))
        meta = {"kind": "vqvae", "frameskip": 2, "model": wm.vqvae.settings}
        save_tensors(weights / "vqvae", tensors, meta)
        with pytest.raises(FileError, match="NaN"):
            WorldModel.load(weights)

    @pytest.mark.parametrize("sizes", [{"encoder_width": 10**9}, {"width": 3}, {"encoder_width": "wide"}, {"seed": -1}])
    def test_absurd_sizes(self, weights: Path, sizes: dict) -> None:
        tensors = dict(WorldModel.untrained().vqvae.state_dict())
        save_tensors(weights / "vqvae", tensors, {"kind": "vqvae", "frameskip": 2, "model": sizes})
        with pytest.raises(FileError):
            WorldModel.load(weights)

    def test_newer_schema(self, weights: Path) -> None:
        file = weights / "vqvae.json"
        file.write_text(file.read_text().replace('"schema": 1', '"schema": 2'))
        with pytest.raises(FileError, match="newer"):
            WorldModel.load(weights)

    def test_device_that_is_not_there(self, weights: Path) -> None:
        if torch.cuda.is_available():
            pytest.skip("this machine has a CUDA GPU")
        with pytest.raises(ValueError, match="CUDA"):
            WorldModel.load(weights, device="cuda")


def test_the_lives_go_down_once_for_a_ball_that_was_lost() -> None:
    """A twin that would change the lives in every step, beside a game in which the first ball is not met."""
    wm = WorldModel.untrained(frameskip=2)
    game = Emulator(2)
    with torch.no_grad():  # it draws noise in every cell
        for parameter in wm.controllers["context"].parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=seeded()))
    wm.reset(game.rgb[None])
    changes, lives = [], []
    for step in range(260):
        action = 1 if step == 3 else 3  # serve once, and go to the wall
        changes.append(bool(wm.predict_classes(action).codes[::7].any()))
        lives.append(game.step(action).lives)
        wm.observe_classes(game.frame, action)
    lost = lives.index(4)
    assert not any(changes[:4]), "before the first serve nothing has been lost"
    assert sum(changes[lost - 15 : lost]) > 5
    assert not any(changes[lost + 3 :]), "the life is taken, and no ball in play"


def test_frames_that_may_not_be_written_to_are_taken(wm: WorldModel) -> None:
    """PyTorch warns of such memory, and warnings are errors here."""
    history = wm.history
    fixed = history.copy()
    fixed.setflags(write=False)
    assert np.array_equal(wm.encode_batch(fixed[:1], fixed[1:2]), wm.encode_batch(history[:1], history[1:2]))

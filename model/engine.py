"""The twin without PyTorch: its functions as ONNX graphs, run by onnxruntime.

A directory of weights holds `manifest.json`, a graph for each function without its weights (`train/export.py`), and one
checkpoint with all weights, `twin.safetensors`. Files may come from strangers: every one is limited in size and must
have the checksum that the manifest names, and a graph may use standard operators alone and no data outside itself.
Everything is batch first and nothing is changed in place.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from model.breakout import ACTIONS, CELLS, CLASSES, CODES, COLUMNS, EMULATOR_HZ, GRID_ROWS, ROWS, classes_from_rgb
from model.checkpoint import load_tensors
from model.files import FileError, check_schema, current_path, read_bytes, read_json
from model.state import SIZES, Array, Prediction, State, Things

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "weights"
MANIFEST, WEIGHTS = "manifest.json", "twin.safetensors"
PREFIX = "twin."  # what the exporter puts before a weight's name
WEIGHTS_SCHEMA = 2
NAMES = ("start", "predict", "draw", "advance", "encode", "action")
CONTROLLERS = ("context", "action")
EVENTS = 6  # events of a step that have a code each: see `model/controllers.py`
CONTEXT = 64  # so many past frames are worth giving: most of what is hidden shows itself within a second
STILL = 30.0  # the logit of code 0 in a cell that does not change
_WORDS = 200  # letters that say what a code does, at most
_MOST = {"action": ACTIONS - 1, "codes": CODES - 1}
_MOST |= dict.fromkeys(("frame", "next_frame", "before", "after"), CLASSES - 1)
"""The greatest number in an input of a graph. One beyond it a graph would mostly take for something else."""
_LIMIT = 1 << 24  # bytes: many times what a graph has without its weights


class Engine:
    """A trained twin. `controllers` are "context" and "action"; `majority` (35,) int64 are the commonest codes; `says`
    has for each of the 256 codes what it says, in words."""

    controllers = CONTROLLERS
    context = CONTEXT

    def __init__(self, graphs: dict[str, bytes], manifest: dict[str, Any]) -> None:
        self.meta = manifest
        self.frameskip = int(manifest["frameskip"])
        self.checksum = str(manifest["checksum"])
        self.majority = np.array(manifest["majority"], np.int64)
        self.says: list[str] = manifest["says"]
        sessions = {name: _session(graphs[name], name) for name in NAMES}
        self._sessions = {name: (each, [part.name for part in each.get_inputs()]) for name, each in sessions.items()}

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Engine":
        """Load a directory of weights; None: the shipped ones. FileError if any is missing, damaged or foreign."""
        manifest, graphs = read_weights(Path(path or SHIPPED))
        return cls(graphs, manifest)

    def _run(self, name: str, **inputs: Array) -> list[Array]:
        # Raises ValueError for what is no action, code or class, and for parts that are not of as many games.
        session, wants = self._sessions[name]
        given = {each: inputs[each] for each in wants}
        if len({*map(len, given.values())}) > 1:
            raise ValueError(f"not of as many games: { {each: len(part) for each, part in given.items()} }")
        for each in _MOST.keys() & given:
            part, most = given[each], _MOST[each]
            if part.size and not 0 <= part.min() <= part.max() <= most:
                raise ValueError(f"{each} must be 0..{most}, got {part.min()}..{part.max()}")
        return session.run(None, given)

    def begin(self, frames: Array, actions: Array | None = None, fresh: bool = False) -> State:
        """The state after a history: frames (B, n, 210, 160) uint8 classes, oldest first, n >= 1, and the actions (B, n
        - 1) between them, where they are known; without them NOOP is taken for all. `fresh`: the first frame is that of
        a game that has just been reset, so what no frame shows is known."""
        objects, wall, board = self._run("start", frame=frames[:, 0])  # (B, 4, 4), (B, 6, 18), (B, 4)
        memory = np.zeros((len(frames), len(SIZES)), np.int64)  # (B, V): nothing is known
        if fresh:
            memory += np.array(self.meta["fresh"], np.int64)
        state = State(frames[:, 0].copy(), objects, wall, board, memory, (memory > 0).astype(np.float32))
        if actions is not None and (known := np.shape(actions)[1]) != (between := frames.shape[1] - 1):
            raise ValueError(f"{between + 1} frames have {between} actions between them, got {known}")
        for number in range(1, frames.shape[1]):
            action = np.zeros(len(frames)) if actions is None else actions[:, number - 1]
            state = self.advance(state, action, frames[:, number])
        return state

    def predict(
        self,
        state: State,
        action: Array,
        controller: str = "context",
        temperature: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> Prediction:
        """The next step if `action` (B,) 0..3 is taken now; changes nothing. At temperature 0 the likeliest codes, else
        drawn by `rng` from softmax(logits / temperature)."""
        action = np.asarray(action, np.int64)
        if check_controller(controller) == "action":
            logits = self._run("action", action=action)[0]  # (B, 35, 256)
            codes = (logits + _gumbel(temperature, logits.shape, rng)).argmax(2)
            return self.follow(state, codes)._replace(sure=False)
        noise = _gumbel(temperature, (len(action), EVENTS, CODES), rng)  # (B, 6, 256)
        codes, drawn, *rest, _ = self._run("predict", **state._asdict(), action=action, noise=noise)
        things, around = Things(*rest[:4]), rest[4:]  # the latter: told (B, 14), bricks (B, 192)
        return Prediction(codes, drawn, things, around, temperature == 0)

    def advance(self, state: State, action: Array, frame: Array, guess: Prediction | None = None) -> State:
        """The state one step later: `action` (B,) led to `frame` (B, 210, 160) uint8 classes, a real or a drawn one.
        `guess` is what `predict` gave for this state and action. It says where the ball is that the frame does not
        show; left out, or if it is not sure and the frame is another one than it drew, it is predicted here."""
        action = np.asarray(action, np.int64)
        if guess is None or not (guess.sure or frame is guess.frame):
            guess = self.predict(state, action)
        expected = np.concatenate((guess.things.ball, guess.things.paddle), 1)  # (B, 4)
        told, bricks = guess.around
        about = {"action": action, "next_frame": frame, "expected": expected, "told": told, "bricks": bricks}
        kept = frame if frame is guess.frame else frame.copy()  # its owner may write the next one there
        return State(kept, *self._run("advance", **state._asdict(), **about))

    def follow(self, state: State, codes: Array) -> Prediction:
        """The next step for codes (B, 35) int64, whoever chose them."""
        codes = np.asarray(codes, np.int64)
        drawn, *rest = self._run("draw", **state._asdict(), codes=codes)
        return Prediction(codes, drawn, Things(*rest[:4]), rest[4:])

    def draw(self, state: State, codes: Array) -> Array:
        """The next frame (B, 210, 160) uint8 classes for codes (B, 35)."""
        return self.follow(state, codes).frame

    def encode(self, before: Array, after: Array) -> Array:
        """The actual codes (B, 35) int64 of real pairs of frames (B, 210, 160) uint8 classes."""
        return self._run("encode", before=before, after=after)[0]

    def logits(self, state: State, action: Array, controller: str = "context") -> Array:
        """The controller's logits (B, 35, 256) float32. The context controller gives them for each event; a cell that
        the likeliest events change has its event's, all others are sure of code 0."""
        action = np.asarray(action, np.int64)
        if check_controller(controller) == "action":
            return self._run("action", action=action)[0]
        noise = np.zeros((len(action), EVENTS, CODES), np.float32)
        codes, *_, heads = self._run("predict", **state._asdict(), action=action, noise=noise)
        logits = np.zeros((len(action), CELLS, CODES), np.float32)
        logits[:, :, 0] = STILL
        likeliest = heads.argmax(2)  # (B, 6)
        for game, cell in zip(*np.nonzero(codes), strict=True):
            code, event = codes[game, cell], _event(cell, codes[game, cell], likeliest[game])
            logits[game, cell] = heads[game, event]
            # A ball that the frame hides has another code there than its event: these two change places.
            pair = [code, likeliest[game, event]]
            logits[game, cell, pair] = heads[game, event, pair[::-1]]
        return logits


def _event(cell: int, code: int, likeliest: npt.NDArray[np.int64]) -> int:
    """Which event a changed cell shows: those of the score's row by column, else the one with the cell's code."""
    column, row = divmod(int(cell), GRID_ROWS)
    if row == 0:
        return min(max(column, 1), 3) + 1  # digits are in columns 1..3; in the two beside them no code comes
    return next((event for event in (0, 1, 5) if likeliest[event] == code), 0)


def _gumbel(temperature: float, shape: tuple[int, ...], rng: np.random.Generator | None) -> npt.NDArray[np.float32]:
    """Noise that makes an argmax a draw from softmax(logits / temperature) (Gumbel 1954; Maddison et al. 2014,
    https://arxiv.org/abs/1411.0030). Raises ValueError for a temperature that is negative or not finite."""
    if not 0 <= temperature < float("inf"):  # nor NaN
        raise ValueError(f"temperature must be 0 or more and finite, got {temperature}")
    if temperature == 0:
        return np.zeros(shape, np.float32)
    return (temperature * (rng or np.random.default_rng()).gumbel(size=shape)).astype(np.float32)


def read_weights(directory: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest of a directory of weights, and its graphs as the bytes of whole ONNX files. FileError as `load`."""
    manifest = read_manifest(directory)

    def check(file: Path, digest: str) -> None:
        if digest != manifest["files"].get(file.name):
            raise FileError(f"weights {file} are damaged, or are not those that {MANIFEST} describes")

    def place(file: Path) -> Path:
        return current_path(file, manifest["files"].get(file.name))

    tensors, about = load_tensors(place(directory / WEIGHTS))
    check(directory / WEIGHTS, about["sha256"])
    graphs = {}
    for name in NAMES:
        file, wants = directory / f"{name}.onnx", manifest["wants"].get(name, [])
        data = read_bytes(place(file), "weights", _LIMIT)
        check(file, hashlib.sha256(data).hexdigest())  # before anything is read from it
        if b"location" in data:  # the key by which a graph names a file that holds its data
            raise FileError(f"weights {file} name another file to be read, which no graph of this program does")
        if any(each not in tensors for each in wants):
            raise FileError(f"weights {directory / WEIGHTS} lack what {file.name} wants: they are of another model")
        graphs[name] = with_weights(data, {PREFIX + each: tensors[each] for each in wants})
    return manifest, graphs


def with_weights(graph: bytes, weights: dict[str, npt.NDArray[Any]]) -> bytes:
    """The bytes of an ONNX graph with float32 initializers put in by name. An ONNX file is a protobuf message, and
    protobuf merges messages that are written one after the other
    (https://protobuf.dev/programming-guides/encoding/#last-one-wins): a message with nothing but them is appended."""
    dims, kind, name_of, raw, initializer, of_model, is_float = 1, 2, 8, 9, 5, 7, 1  # numbers of onnx/onnx.proto
    tensors = b""
    for name, value in weights.items():
        tensor = b"".join(_field(dims, size) for size in value.shape) + _field(kind, is_float)
        tensor += _field(name_of, name.encode()) + _field(raw, np.ascontiguousarray(value, "<f4").tobytes())
        tensors += _field(initializer, tensor)
    return graph + _field(of_model, tensors)


def _field(number: int, value: int | bytes) -> bytes:
    """A field of a protobuf message: a whole number, or bytes after their length."""
    if isinstance(value, int):
        return bytes([number << 3]) + _varint(value)  # the low three bits say what follows: 0, a varint
    return bytes([number << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _varint(value >> 7)  # the low bits first


def read_manifest(directory: Path) -> dict[str, Any]:
    """What a directory of weights says of itself. FileError if it is none."""
    path = directory / MANIFEST
    manifest = read_json(path, "weights", limit=1 << 20)
    about = manifest if isinstance(manifest, dict) else {}
    if not all(isinstance(part, dict) for part in (about.get("files"), about.get("wants"), about.get("made", {}))):
        raise FileError(f"{path} does not describe weights")
    check_schema(manifest.get("schema"), "weights", directory, "python main.py ship", WEIGHTS_SCHEMA)
    skip, fresh, wants = manifest.get("frameskip"), manifest.get("fresh", ()), manifest["wants"].values()
    if not _numbers(fresh, len(SIZES)):
        raise FileError(f"{path} does not say what is known of a new game")
    if any(not 0 <= known < size for known, size in zip(fresh, SIZES, strict=True)):
        raise FileError(f"{path} says of a new game what the memory cannot hold")
    says = manifest.setdefault("says", [*map(str, range(CODES))])  # those of older weights are numbers
    texts = all(isinstance(part, list) and all(isinstance(each, str) for each in part) for part in (*wants, says))
    if not texts or len(says) != CODES or not all(each.isprintable() and len(each) <= _WORDS for each in says):
        raise FileError(f"{path} does not say which weights its graphs want, or what each of its codes says")
    sound = type(skip) is int and 1 <= skip <= EMULATOR_HZ and isinstance(manifest.get("checksum"), str)
    if not sound or not _numbers(manifest.get("majority"), CELLS):
        raise FileError(f"{path} lacks its frame skip, majority codes or checksum")
    return manifest


def _numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(type(each) is int for each in value)  # no bools


def _session(data: bytes, name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # The graphs are small: a second thread costs more than it gives, and would spin beside the game.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal alone: the exception says it
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # onnxruntime has an exception for each of its stages
        why = str(error).partition("\n")[0][:200]
        raise FileError(f"the graph {name}.onnx cannot be read: {why}") from None


def check_controller(name: str) -> str:
    """The name of a controller. Raises ValueError for another one."""
    if name not in CONTROLLERS:
        raise ValueError(f"controller must be one of {', '.join(CONTROLLERS)}, got {name!r}")
    return name


def check_action(action: int) -> int:
    """An action 0..3. Raises ValueError for another one."""
    if isinstance(action, bool) or not isinstance(action, (int, np.integer)) or not 0 <= action < ACTIONS:
        raise ValueError(f"action must be 0..{ACTIONS - 1}, got {action!r}")
    return int(action)


def check_frames(frames: Any) -> Array:
    """RGB frames (..., 210, 160, 3) uint8. Raises ValueError naming shape or dtype."""
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.shape[-3:] != (ROWS, COLUMNS, 3):
        found = f"{frames.dtype} {frames.shape}" if isinstance(frames, np.ndarray) else type(frames).__name__
        raise ValueError(f"a frame must be uint8 (..., {ROWS}, {COLUMNS}, 3), got {found}")
    return frames


def check_history(frames: Any, actions: Any) -> tuple[Array, Array]:
    """RGB frames (n, 210, 160, 3) uint8, oldest first, and the actions between them or None, as `Engine.begin` takes
    them for one game. Raises ValueError naming what is wrong."""
    if check_frames(frames).ndim != 4 or len(frames) < 1:
        raise ValueError(f"frames must be (n, {ROWS}, {COLUMNS}, 3) with n >= 1, got {frames.shape}")
    keys = None
    if actions is not None:
        keys = np.array([[check_action(action) for action in actions]], np.int64)
    return classes_from_rgb(frames)[None], keys

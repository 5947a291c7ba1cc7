"""`ship`: trained weights as what `play` plays without PyTorch: ONNX graphs, a manifest, and what they were made from.

Each graph takes and gives plain tensors, batch first with a free batch size; a state goes in as its parts. The graphs
hold no weights: those are in the checkpoint, once, and are put in when a graph is loaded (`model/engine.py`)."""

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from collect.dataset import TransitionDataset, read_episodes
from collect.dataset import read_manifest as read_dataset
from model.breakout import CELLS, CODES, COLUMNS, ROWS
from model.checkpoint import load_tensors, pack, rounded, save_tensors
from model.context import Around, around_ball
from model.controllers import ActionToLatentMLP, ContextController
from model.engine import MANIFEST, PREFIX, WEIGHTS, WEIGHTS_SCHEMA, Engine, read_manifest
from model.files import FileError, checksum, current_path, make_directory, waiting_path, write_atomic, write_json
from model.memory import Memory
from model.state import State
from model.twin import Twin, no_noise
from model.vqvae import VQVAE
from train.action import ACTION_NAME
from train.data import fresh_memory
from train.events import in_words
from train.weights import Arrays, arrays, build, fill, load_part

OPSET = 18
OUTSIDE_FROM = 256  # weights of so many numbers or more are left out of the graph
STATE = ("frame", "objects", "wall", "board", "memory")  # a state's parts but its certainty, which no function reads
THINGS = ("ball", "paddle", "new_wall", "new_board")  # `Things`; "wall" and "board" are names of inputs already
PARTS: dict[str, type[nn.Module]] = {"vqvae": VQVAE, "memory": Memory, "context": ContextController}
COUNTED, EPISODES = 4000, 16  # majority codes are counted over so many steps, of a dataset's first files
SURE = 10.0  # the logit of the majority codes where they stand in for an action-only controller


class _Graph(nn.Module):
    """One function of the twin, on plain tensors."""

    def __init__(self, twin: Twin, which: str) -> None:
        super().__init__()
        self.twin, self.which = twin, which
        self.eval()  # the exporter gives a graph its mode back when it is done: without this the next one had dropout
        self.table = nn.Buffer(twin.action_logits().detach())  # (4, 35, 256): all that it can ever say

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The inputs and outputs that `GRAPHS` names."""
        twin = self.twin
        if self.which == "start":
            return twin.start(*inputs)[1:4]  # objects (B, 4, 4), wall (B, 6, 18), board (B, 4)
        if self.which == "encode":
            return (twin.encode(*inputs),)  # (B, 35)
        if self.which == "action":
            return (self.table[inputs[0]],)  # four actions: what the MLP says of each
        state = State(*inputs[:5], inputs[4])  # type: ignore[call-arg]  # no function reads the certainty
        if self.which == "advance":
            action, frame, expected, *around = inputs[5:]  # (B,), (B, 210, 160), (B, 4), and the two of `Around`
            return twin.advance(state, action, frame, expected, Around(*around))[1:]  # but the frame, which is given
        told = around_ball(state)  # (B, 14), (B, 192): looked up once for all that need it
        if self.which == "draw":
            frame, things = twin.draw(state, inputs[5], told)
            return frame, *things, *told
        action, noise = inputs[5:]  # (B,), (B, 6, 256)
        heads = twin.context(state, action, told)  # (B, 6, 256)
        codes, frame, things = twin.grid(state, (heads + noise).argmax(2), told)  # (B, 35)
        return codes, frame, *things, *told, heads


AFTER = tuple(f"next_{name}" for name in (*STATE[1:], "certainty"))  # no next frame among them: it is given
GRAPHS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "start": (("frame",), ("objects", "wall", "board")),
    "predict": ((*STATE, "action", "noise"), ("codes", "drawn", *THINGS, *Around._fields, "heads")),
    "draw": ((*STATE, "codes"), ("drawn", *THINGS, *Around._fields)),
    "advance": ((*STATE, "action", "next_frame", "expected", *Around._fields), AFTER),
    "encode": (("before", "after"), ("codes",)),
    "action": (("action",), ("logits",)),
}
"""What each graph takes and gives."""
FILES = (WEIGHTS, *(f"{graph}.onnx" for graph in GRAPHS))


def _examples(twin: Twin, games: int = 2) -> dict[str, Tensor]:
    frame, number = torch.zeros(games, ROWS, COLUMNS, dtype=torch.uint8), torch.zeros(games, dtype=torch.long)
    state, frames = twin.start(frame), dict.fromkeys(("before", "after", "next_frame"), frame)
    numbers = {"action": number, "codes": number.new_zeros(games, CELLS), "expected": number.new_zeros(games, 4)}
    return {**state._asdict(), **around_ball(state)._asdict(), **frames, **numbers, "noise": no_noise(games)}


def export(twin: Twin) -> dict[str, tuple[bytes, list[str]]]:
    """Each of `GRAPHS`: the bytes of an ONNX file without its weights, and the names of the weights it wants."""
    twin.eval()
    twin.vqvae.fix()  # what all 256 codes say is then a constant of the graphs
    twin.appearance.fix()  # and so is what follows from the stamps
    return {name: _export(twin, name, *ends) for name, ends in GRAPHS.items()}


def _export(twin: Twin, name: str, takes: Sequence[str], gives: Sequence[str]) -> tuple[bytes, list[str]]:
    examples, file = _examples(twin), io.BytesIO()
    # Its warnings are of the exporter's own deprecated parts, and of shapes that it takes for constants.
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        torch.onnx.export(
            _Graph(twin, name),
            tuple(examples[each] for each in takes),
            file,  # type: ignore[arg-type]  # its hints know paths only
            input_names=list(takes),
            output_names=list(gives),
            dynamic_axes={each: {0: "games"} for each in (*takes, *gives)},
            opset_version=OPSET,
            dynamo=False,  # by tracing, which is enough: no branch of the twin depends on data
        )
    model = onnx.load_from_string(file.getvalue())
    onnx.checker.check_model(model)
    weights, wants = {name for name, _ in twin.named_parameters()}, []  # buffers stay in the graph
    for tensor in list(model.graph.initializer):  # a copy, for some are removed
        large = tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) >= OUTSIDE_FROM
        if large and (own := tensor.name.removeprefix(PREFIX)) in weights:
            wants.append(own)
            model.graph.initializer.remove(tensor)
    return model.SerializeToString(), sorted(wants)


def gather(world: Path, action: Path, say: Callable[[str], None]) -> tuple[Twin, dict[str, Any]]:
    """The twin of the checkpoints in two directories, and how its parts were made; the action-only controller's may be
    missing. FileError if they do not belong together."""
    twin, made, tensors = Twin(), dict[str, dict[str, Any]](), Arrays()
    for name, kind in PARTS.items():
        path = world / f"{name}.safetensors"
        found, meta = load_part(path, f"train {name}" + f" --weights {world}" * (name == "context"))
        setattr(twin, name, build(kind, meta, name, path, found))
        tensors |= found  # each has its part's name before it: none is there twice
        made[name] = meta
    if made["context"].get("codes_sha256") != made["vqvae"]["sha256"]:
        anew = f"remove {world / 'context_*.safetensors'}, and train it anew"  # in another folder it would not be found
        raise FileError(f"{world}: the context controller was trained on codes of another VQ-VAE: {anew}")
    path = action / f"{ACTION_NAME}.safetensors"
    if path.exists():
        if load_tensors(path)[1].get("codes_sha256") == made["vqvae"]["sha256"]:
            found, meta = load_part(path, "train action")
            twin.action = build(ActionToLatentMLP, meta, "action", path, found)
            tensors |= found
            made["action"] = meta
        else:
            say(f"note: {path} was not trained on codes of this VQ-VAE, and is left out")
    skips = {name: meta["frameskip"] for name, meta in made.items()}
    if len(set(skips.values())) > 1:
        raise FileError(f"{world}: the parts are of different frame skips: {skips}")
    fill(twin.state_dict() if "action" in made else _without_action(twin), tensors, world)
    return twin.eval(), made


def _without_action(twin: Twin) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in twin.state_dict().items() if not name.startswith("action.")}


@torch.no_grad()
def majority_codes(twin: Twin, frames: Path, frameskip: int) -> Tensor:
    """The commonest code at each position, (35,) int64, over steps drawn from the first files of a dataset. FileError
    if it is of another frame skip."""
    manifest = read_dataset(frames, frameskip)
    dataset = TransitionDataset(islice(read_episodes(frames, manifest), EPISODES), manifest)
    t = np.random.default_rng(0).permutation(dataset.transitions())[:COUNTED]  # (n,); the same in every run
    counts = torch.zeros(CELLS, CODES, dtype=torch.long)
    for part in np.array_split(t, max(1, len(t) // 256)):  # in parts, for memory's sake
        codes = twin.encode(*(torch.from_numpy(dataset.frame(part + later)) for later in (0, 1)))  # (B, 35)
        counts += one_hot(codes, CODES).sum(0)  # (B, 35, 256) -> (35, 256)
    return counts.argmax(1)


def ship_checkpoints(world: Path, action: Path, frames: Path, out: Path, say: Callable[[str], None]) -> Engine:
    """Gather what was trained, and write it to `out` as a directory of weights. Returns the engine that plays them.
    FileError if a part is missing, the parts do not belong together, or `frames` is no dataset of their frame skip."""
    twin, made = gather(world, action, say)
    frameskip = made["vqvae"]["frameskip"]
    majority = majority_codes(twin, frames, frameskip)
    if "action" not in made:
        say("note: there is no action-only controller yet: in its place the majority codes are given")
        last: Any = twin.action.layers[-1]
        with torch.no_grad():
            last.weight.zero_()  # so the key does not count
            last.bias.copy_(SURE * one_hot(majority, CODES).flatten())  # (35 * 256,)
    about = {name: {k: v for k, v in meta.items() if k not in ("schema", "palette")} for name, meta in made.items()}
    return ship(twin, out, frameskip, majority, {"codes_sha256": made["vqvae"]["sha256"], **about})


def ship(twin: Twin, out: Path, frameskip: int, majority: Tensor | Sequence[int], about: dict[str, Any]) -> Engine:
    """Write a directory of weights. `majority` (35,) are the commonest codes of the training data, `about` says how the
    weights were made. Returns the engine that plays them."""
    # Of the action-only controller its graph holds all that it can say, so its many weights need not be shipped.
    tensors = arrays(_without_action(twin))
    with torch.no_grad():  # so that graphs and words are made of what is shipped
        for name, tensor in rounded(tensors).items():
            twin.state_dict()[name].copy_(torch.from_numpy(tensor))
    graphs = export(twin)
    make_directory(out, "folder of weights")
    digests = dict[str, str]()
    with suppress(FileError):  # there are none, or none to be kept
        digests = read_manifest(out)["files"]
    _put_in_place(out, digests)  # a kill left this undone
    # All wait beside until the manifest names them: a kill or a full disk leaves the old weights or the new ones.
    save_tensors(waiting_path(out / WEIGHTS), pack(tensors), {"kind": "twin", "frameskip": frameskip, "made": about})
    for name, (data, _) in graphs.items():
        write_atomic(waiting_path(out / f"{name}.onnx"), methodcaller("write", data))
    files = {name: checksum(waiting_path(out / name)) for name in FILES}
    manifest = {
        "schema": WEIGHTS_SCHEMA,
        "frameskip": frameskip,
        "majority": [int(code) for code in majority],
        "checksum": hashlib.sha256("".join(sorted(files.values())).encode()).hexdigest(),  # sorted: in any order
        "fresh": fresh_memory(frameskip),  # (V,) classes
        "says": in_words(twin.vqvae),
        "files": files,
        "wants": {name: wants for name, (_, wants) in graphs.items()},
        "made": about,
    }
    write_json(out / MANIFEST, manifest)  # it is what makes the rest valid
    _put_in_place(out, files)
    return Engine.load(out)  # as `play` does: what cannot be read is found now


def _put_in_place(out: Path, digests: dict[str, str]) -> None:
    for path in (out / name for name in FILES):
        if (found := current_path(path, digests.get(path.name, ""))) != path:
            os.replace(found, path)
        waiting_path(path).unlink(missing_ok=True)  # of a run that did not come to its end

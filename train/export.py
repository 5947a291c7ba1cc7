"""Export the twin's functions as ONNX graphs, which play without PyTorch (`model/engine.py`).

Each graph takes and gives plain tensors, batch first with a free batch size; a state goes in as its parts. The graphs
hold no weights: those are in the checkpoint, once, and are put in when a graph is loaded (`model/graphs.py`).
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import TensorProto
from torch import Tensor, nn

from model.breakout import CELLS, COLUMNS, ROWS
from model.context import AROUND_BALL, CROP, Around, around_ball
from model.engine import PREFIX
from model.state import HISTORY, SIZES, State
from model.twin import Twin, no_noise

OPSET = 18
OUTSIDE_FROM = 256
"""Weights of so many numbers or more are left out of the graph."""
STATE = ("frame", "objects", "wall", "board", "memory")
THINGS = ("ball", "paddle", "new_wall", "new_board")


class _Graph(nn.Module):
    """One function of the twin, on plain tensors."""

    def __init__(self, twin: Twin, which: str) -> None:
        super().__init__()
        self.twin, self.which = twin, which
        self.eval()  # the exporter gives a graph its mode back when it is done: without this the next one had dropout
        self.register_buffer("table", twin.action_logits().detach())

    table: Tensor

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The inputs and outputs that `GRAPHS` names."""
        twin = self.twin
        if self.which == "start":
            state = twin.start(inputs[0])
            return state.objects, state.wall, state.board
        if self.which == "encode":
            return (twin.encode(*inputs),)
        if self.which == "action":
            return (self.table[inputs[0]],)  # four actions: what the MLP says of each
        state = State(*inputs[:5], inputs[4])  # type: ignore[call-arg]  # no function reads the certainty
        rest = inputs[5:]
        if self.which == "predict":
            (action, noise), around = rest, around_ball(state)
            heads = twin.context(state, action, around)
            codes, frame, things = twin.grid(state, (heads + noise).argmax(2), around)
            return codes, frame, *things, *around, heads
        if self.which == "draw":
            around = around_ball(state)
            frame, things = twin.draw(state, rest[0], around)
            return frame, *things, *around
        action, frame, expected, *told = rest
        after = twin.advance(state, action, frame, expected, Around(*told))
        return after.objects, after.wall, after.board, after.memory, after.certainty


GRAPHS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "start": (("frame",), ("objects", "wall", "board")),
    "predict": ((*STATE, "action", "noise"), ("codes", "drawn", *THINGS, *Around._fields, "heads")),
    "draw": ((*STATE, "codes"), ("drawn", *THINGS, *Around._fields)),
    "advance": (
        (*STATE, "action", "next_frame", "expected", *Around._fields),
        tuple(f"next_{name}" for name in (*STATE[1:], "certainty")),
    ),
    "encode": (("before", "after"), ("codes",)),
    "action": (("action",), ("logits",)),
}
"""What each graph takes and gives."""


def _examples(games: int) -> dict[str, Tensor]:
    frame = torch.zeros(games, ROWS, COLUMNS, dtype=torch.uint8)
    return {
        **dict.fromkeys(("frame", "before", "after", "next_frame"), frame),
        "objects": torch.zeros(games, HISTORY, 4, dtype=torch.long),
        "wall": torch.ones(games, 6, 18, dtype=torch.uint8),
        "board": torch.zeros(games, 4, dtype=torch.long),
        "memory": torch.zeros(games, len(SIZES), dtype=torch.long),
        "action": torch.zeros(games, dtype=torch.long),
        "noise": no_noise(games),
        "codes": torch.zeros(games, CELLS, dtype=torch.long),
        "expected": torch.zeros(games, 4, dtype=torch.long),
        "told": torch.zeros(games, len(AROUND_BALL), dtype=torch.long),
        "bricks": torch.zeros(games, CROP),
    }


def export(twin: Twin) -> tuple[dict[str, bytes], dict[str, list[str]]]:
    """Each of `GRAPHS` as the bytes of an ONNX file without its weights, and the names of the weights it wants."""
    twin.eval()
    twin.vqvae.fix()
    twin.appearance.fix()
    weights = {name for name, _ in twin.named_parameters()}
    models = {name: _export(twin, name, takes, gives) for name, (takes, gives) in GRAPHS.items()}
    wants = {name: _take_out(model, weights) for name, model in models.items()}
    return {name: model.SerializeToString() for name, model in models.items()}, wants


def _export(twin: Twin, name: str, takes: Sequence[str], gives: Sequence[str]) -> onnx.ModelProto:
    examples, file = _examples(2), io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter's own deprecated parts, and of shapes it takes for constants
        torch.onnx.export(
            _Graph(twin, name),
            tuple(examples[each] for each in takes),
            file,  # type: ignore[arg-type]  # its hints know paths only
            input_names=list(takes),
            output_names=list(gives),
            dynamic_axes={each: {0: "games"} for each in (*takes, *gives)},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(file.getvalue())
    onnx.checker.check_model(model)
    return model


def _take_out(model: onnx.ModelProto, weights: set[str]) -> list[str]:
    """Take the twin's large weights out of a graph; returns their names in the checkpoint."""
    kept, names = [], []
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix(PREFIX)
        large = tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= OUTSIDE_FROM
        if large and name in weights:
            names.append(name)
        else:
            kept.append(tensor)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return sorted(names)

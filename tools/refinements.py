"""The seed design's controller and what may be done to it, by the same held-out metrics as the context controller.

    python -m tools.refinements [--json OUT.json]

The seed maps the key alone to codes. Its refinements: balanced actions, a model for each action, and drawing codes
instead of taking the likeliest (once, and the best of many, which looks at the truth to choose). What was found is in
docs/log.md. Takes a few minutes of one core, and `pip install -e ".[train]"`."""

from typing import Any

import numpy as np
import torch
import typer
from rich.console import Console
from torch.nn import functional as F

from console import SeedOption, clean_errors, progress
from evaluate.commands import JsonOption
from evaluate.heldout import play_held_out, sample_transitions
from evaluate.rollouts import Pass, Predicted, compare, judged, predict_all
from evaluate.summaries import plain, summarise_predicted, summarise_truth
from evaluate.tables import make_table, with_interval
from model.breakout import ACTIONS
from model.controllers import ActionToLatentMLP
from model.engine import Engine
from model.files import write_json
from model.metrics import psnr
from model.readers import Ints

GAMES, GAME_SECONDS, STEPS = 24, 40.0, 800
TRAINING_SEED = 1 << 20  # far from the seeds of the games that are tested on
EPOCHS, BATCH, RATE = 20, 512, 1e-3
BEST_OF, CHUNK = 16, 64
COLUMNS = ("code_accuracy", "dynamic_accuracy", "changed_pixels", "exact_frames")


def chunks(length: int) -> list[slice]:
    """Parts of an array of this length that the engine takes at once."""
    return [slice(start, start + CHUNK) for start in range(0, length, CHUNK)]


def fit(actions: Ints, codes: Ints, seed: int) -> np.ndarray:
    """The action-only controller trained on pairs: its logits for each action, (4, 35, 256) float32."""
    torch.manual_seed(seed)
    model, order = ActionToLatentMLP(), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), RATE)
    one_hot, targets = F.one_hot(torch.from_numpy(actions), ACTIONS).float(), torch.from_numpy(codes)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(actions), generator=order).split(BATCH):
            loss = F.cross_entropy(model(one_hot[batch]).flatten(0, 1), targets[batch].flatten())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.inference_mode():
        return model.eval()(torch.eye(ACTIONS)).numpy()


def refinements(engine: Engine, seed: int) -> dict[str, np.ndarray]:
    """Each refinement's logits by action, (4, 35, 256), trained on games of the mixed policy that are not tested on."""
    games = play_held_out("mixed", engine.frameskip, seed + TRAINING_SEED, GAMES, GAME_SECONDS)
    t = games.transitions()
    encoded = [engine.encode(games.frame(t[part]), games.frame(t[part] + 1)) for part in chunks(len(t))]
    actions, codes, rng = games.actions[t].astype(np.int64), np.concatenate(encoded), np.random.default_rng([seed, 2])
    taken, counts = np.unique(actions, return_counts=True)
    # As many of each action that occurs as of the commonest.
    even = np.concatenate([rng.choice(np.flatnonzero(actions == action), counts.max()) for action in taken])
    whole = fit(actions, codes, seed)
    separate = whole.copy()  # an action that nobody took has nothing to learn from
    for action in taken:
        mine = actions == action
        separate[action] = fit(actions[mine], codes[mine], seed)[action]
    return {
        "action only": whole,
        "action only, actions balanced": fit(actions[even], codes[even], seed),
        "action only, a model for each action": separate,
    }


def predicted(
    engine: Engine, found: Pass, frames: tuple[np.ndarray, np.ndarray], table: np.ndarray, draws: int, seed: int
) -> Predicted:
    """The steps as the action alone predicts them: the likeliest codes, or the best of so many draws."""
    truth, logits = found.truth, table[found.truth.actions]  # (N, 35, 256)
    codes = logits.argmax(-1)
    if draws:
        rng = np.random.default_rng([seed, 5])
        # Gumbel noise: the likeliest of noisy logits is a draw from the softmax.
        options = np.stack([(logits + rng.gumbel(size=logits.shape)).argmax(-1) for _ in range(draws)])
        codes = options[(options == truth.codes).sum(2).argmax(0), np.arange(len(codes))]
    drawn = [engine.draw(found.states.rows(part), codes[part]) for part in chunks(len(codes))]
    return judged(logits, codes, truth.codes, compare(*frames, np.concatenate(drawn)), psnr(frames[1], frames[0]))


@clean_errors()
def main(seed: SeedOption = 0, json: JsonOption = None) -> None:
    """Compare what can be done to a controller that sees the key alone with one that sees the state."""
    engine, report = Engine.load(), dict[str, Any]()
    with progress("refinements") as show:
        show(0.0, "pairs")
        variants = [(name, table, 0) for name, table in refinements(engine, seed).items()]
        for name, draws in (("drawn once", 1), (f"best of {BEST_OF} draws", BEST_OF)):
            variants.append((f"action only, {name}", variants[0][1], draws))
        for number, policy in enumerate(("mixed", "people")):
            show(0.4 + 0.3 * number, policy)
            dataset = play_held_out(policy, engine.frameskip, seed, GAMES, GAME_SECONDS)
            t = sample_transitions(dataset, STEPS, np.random.default_rng([seed, 1]))
            found, frames = predict_all(engine, dataset, t, t, seed), (dataset.frame(t), dataset.frame(t + 1))
            rows = {name: predicted(engine, found, frames, table, draws, seed) for name, table, draws in variants}
            rows["context"] = found.predicted["context"]
            report[policy] = {"truth": summarise_truth(found.truth, engine.majority)}
            report[policy] |= {name: summarise_predicted(row, found.truth) for name, row in rows.items()}
        show(1.0, "")
    if json is not None:
        write_json(json, plain(report))
    for policy, rows in report.items():
        table = make_table(policy, "controller", *(name.replace("_", " ") for name in COLUMNS))
        for name in list(rows)[1:]:  # all but the truth
            table.add_row(name, *(with_interval(rows[name][column]["all"]) for column in COLUMNS))
        Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)

"""Step the twin from Python: the real game on the left, the twin's dream on the right, saved as a GIF.

python examples/dream.py [OUT.gif]
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs from anywhere in a clone

from collect.emulator import Emulator
from collect.policies import make_policy
from model import WorldModel


def dream(wm: WorldModel, awake: float = 3.0, asleep: float = 3.0) -> list[np.ndarray]:
    """Frames (210, 320, 3) uint8 of a dream that lasts `asleep` seconds, after `awake` seconds of the real game."""
    game = Emulator(wm.frameskip)
    player = make_policy("mixed", np.random.default_rng(0), wm.frameskip)
    wm.reset(game.rgb[None])  # (n, 210, 160, 3), oldest first
    frames = []
    for step in range(round((awake + asleep) * game.steps_per_second)):
        action = player.act(game.objects())  # 0 NOOP, 1 FIRE, 2 RIGHT, 3 LEFT
        game.step(action)
        if step < awake * game.steps_per_second:
            wm.observe(game.rgb, action)  # awake: the twin sees what really happened
        else:
            frames.append(np.hstack([game.rgb, wm.step(action).frame]))  # asleep: it lives on its own frames
    return frames


if __name__ == "__main__":
    twin, out = WorldModel.load(), Path(sys.argv[1] if len(sys.argv) > 1 else "dream.gif")  # the shipped weights
    images = [Image.fromarray(frame).resize((640, 420), Image.Resampling.NEAREST) for frame in dream(twin)]
    every = 3 - min(2, twin.frameskip)  # no player shows a GIF at 60 frames a second
    images[0].save(out, append_images=images[every::every], save_all=True, duration=17 * twin.frameskip * every, loop=0)

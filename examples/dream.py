"""The twin beside the real game: how long is its dream the same? Saved as a GIF, the real game on the left.

python examples/dream.py [OUT.gif] [--seconds 10] [--weights DIR]"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs from anywhere in a clone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", default="dream.gif")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to dream")
    parser.add_argument("--weights", help="a directory of weights (default: the shipped ones)")
    options = parser.parse_args()
    import numpy as np
    from PIL import Image

    from collect.emulator import Emulator
    from collect.policies import make_policy
    from model import WorldModel

    wm = WorldModel.load(options.weights)
    game, player = Emulator(wm.frameskip), make_policy("mixed", np.random.default_rng(0), wm.frameskip)
    wm.reset(game.rgb[None], fresh=True)  # (n, 210, 160, 3), oldest first; fresh: the game has just been reset
    second, images, parted = round(game.steps_per_second), [], False
    for step in range(-3 * second, max(1, round(options.seconds * second))):
        action = player.act(game.objects())  # 0 NOOP, 1 FIRE, 2 RIGHT, 3 LEFT
        game.step(action)
        if step < 0:
            wm.observe(game.rgb, action)  # awake for three seconds: the twin sees what really happened
            continue
        frame = wm.step(action).frame  # asleep: it lives on its own frames
        images.append(Image.fromarray(np.hstack([game.rgb, frame])).resize((640, 420), Image.Resampling.NEAREST))
        wrong = int((game.rgb != frame).any(2).sum())
        if wrong and not parted:
            parted = True
            print(f"after {step / second:.2f} s the dream first parts from the real game")
        if (step + 1) % second == 0:
            print(f"{(step + 1) // second} s dreamt: {wrong} of 33,600 pixels are wrong", flush=True)
    every = max(1, 3 // wm.frameskip)  # no player shows a GIF at 60 frames a second
    images = images[::every]
    images[0].save(options.out, append_images=images[1:], save_all=True, duration=1000 * every // second, loop=0)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()

"""The pygame program: loop, window, overlay, keys, recording."""

import os
import sys
from pathlib import Path

# Before pygame is imported: no greeting on stdout, which belongs to the program's own output.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
if sys.platform.startswith("linux"):
    # Without a GPU, SDL's "accelerated" way to the screen draws by software: 6 ms a picture, and 0.5 ms without it.
    os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")

ROOT = Path(__file__).resolve().parent.parent
FONT = ROOT / "assets" / "font" / "JetBrainsMono-Medium.ttf"
PART = " \N{MIDDLE DOT} "  # between the parts of a line; where there is little room, the last parts go first

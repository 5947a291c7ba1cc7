"""One format under Atheris, for `tools.robustness.fuzz --guided`: inputs that reach new code are kept and damaged on.

python -m tools.robustness.guided FORMAT SECONDS SEED
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random

import atheris

LOADERS = ("collect.dataset", "collect.frames", "app.keys", "app.players", "train.loop")
PARSERS = ("train.action", "tomllib", "zipfile", "numpy.lib.format", "json")
with atheris.instrument_imports(include=["model", *LOADERS, *PARSERS], enable_loader_override=False):
    from tools.robustness.formats import FORMATS
    from tools.robustness.fuzz import end_of
    from tools.robustness.mutate import damaged_bytes


def main() -> None:
    """Never returns: libFuzzer ends the process, with status 0 if all was clean."""
    name, seconds, seed = sys.argv[1:]
    home = Path(tempfile.mkdtemp())
    targets = FORMATS[name](home)
    corpus = home / "corpus"
    corpus.mkdir()
    for number, target in enumerate(targets):  # the first byte says whose file it is
        for at, sound in enumerate(target.sound):
            if len(sound) < 1 << 16:
                (corpus / f"{number}-{at}").write_bytes(bytes([number]) + sound)

    def one(data: bytes) -> None:
        if data:
            end_of(targets[data[0] % len(targets)].read, data[1:])

    def damage(data: bytes, longest: int, number: int) -> bytes:
        rng = Random(number)
        head, rest = data[:1] or b"\0", data[1:]
        way = rng.randrange(3)
        if way == 0:
            return atheris.Mutate(data, longest)
        changed = (damaged_bytes if way == 1 else targets[head[0] % len(targets)].damage)(rest, rng)
        return (head + changed)[:longest]

    options = [f"-max_total_time={seconds}", f"-seed={int(seed) + 1}", "-max_len=100000", "-timeout=10"]
    atheris.Setup([sys.argv[0], *options, "-rss_limit_mb=3000", str(corpus)], one, custom_mutator=damage)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

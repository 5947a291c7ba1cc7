"""`web`: the dream as a static page, with the same weights and graphs, run by onnxruntime-web in the browser.

`app/web/` holds the page as it is; `build` adds what the twin needs. Binary files go in as scripts that hold their
bytes (gzip, base64), so that the page also works when it is opened as a file, where browsers let no page read others.
"""

import base64
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from app import FONT
from app.keys import load_keys
from model.breakout import CODES, COLUMNS, EMULATOR_HZ, PALETTE, ROWS
from model.engine import EVENTS, SHIPPED, Engine, read_weights
from model.env import reset_state
from model.files import FileError
from model.state import VARIABLES, State

RUNTIME = "1.30.0"
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # SHA-512
_URL = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{RUNTIME}.tgz"
_SCRIPT, _WASM, _GLUE = "ort.wasm.min.js", "ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.mjs"
_SECONDS = 120
_INFO = "info.js"
PAGE = Path(__file__).resolve().parent / "web"


def build(weights: Path | None, out: Path) -> Path:
    """Write the page for a directory of weights (None: the shipped ones) into `out`, and return its index.html.
    FileError if `out` holds anything but an earlier page, or if the weights or onnxruntime-web cannot be had."""
    if out.exists() and not out.is_dir():
        raise FileError(f"{out} is not a folder")
    if out.exists() and any(out.iterdir()) and not (out / _INFO).is_file():
        raise FileError(f"{out} is not empty and holds no earlier page; choose another folder")
    where = weights or SHIPPED
    manifest, graphs = read_weights(where)
    start = reset_state(Engine.load(where))
    with tarfile.open(fileobj=io.BytesIO(download())) as archive:
        members = {name: archive.extractfile(f"package/dist/{name}") for name in (_SCRIPT, _WASM, _GLUE)}
        runtime = {name: member.read() for name, member in members.items() if member is not None}
    (out / "parts").mkdir(parents=True, exist_ok=True)
    about = json.dumps(describe(manifest, start), indent=1)
    (out / _INFO).write_text(f'"use strict";\nconst INFO = {about};\n', encoding="utf-8")  # first: it tells a page
    for path in PAGE.iterdir():
        shutil.copy(path, out / path.name)
    shutil.copy(FONT, out)
    shutil.copy(FONT.parent / "OFL.txt", out / "LICENSE-font.txt")
    (out / _SCRIPT).write_bytes(runtime[_SCRIPT])
    parts = {f"{name}.onnx": graphs[name] for name in ("predict", "advance")} | {"frame": start.frame.tobytes()}
    parts |= {"runtime.wasm": runtime[_WASM], "runtime.mjs": runtime[_GLUE]}
    for name, data in parts.items():
        packed = base64.b64encode(gzip.compress(data, mtime=0)).decode()
        (out / "parts" / f"{name}.js").write_text(f'addPart("{name}", "{packed}");\n', encoding="utf-8")
    return out / "index.html"


def describe(manifest: dict[str, Any], start: State) -> dict[str, Any]:
    """What the page has to know of twin and game, as JSON; the start state goes without its frame."""
    return {
        "weights": manifest["checksum"],
        "stepsPerSecond": EMULATOR_HZ / manifest["frameskip"],
        "rows": ROWS,
        "columns": COLUMNS,
        "palette": PALETTE.tolist(),
        "variables": [variable._asdict() for variable in VARIABLES],
        "noise": [1, EVENTS, CODES],
        "says": manifest["says"],
        "keys": vars(load_keys()),
        "start": {
            name: {"kind": str(value.dtype), "shape": value.shape, "values": np.ravel(value).tolist()}
            for name, value in start._asdict().items()
            if name != "frame"
        },
    }


def download() -> bytes:
    """onnxruntime-web's package, by npm where there is one. FileError if it cannot be had or is not the one meant."""
    try:
        if (npm := shutil.which("npm")) is None:
            data = _by_url()
        else:
            with tempfile.TemporaryDirectory() as folder:
                command = [npm, "pack", f"onnxruntime-web@{RUNTIME}", "--ignore-scripts", "--pack-destination", folder]
                subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS, cwd=folder)
                data = (Path(folder) / f"onnxruntime-web-{RUNTIME}.tgz").read_bytes()
    except (OSError, subprocess.SubprocessError) as error:
        raise FileError(f"onnxruntime-web {RUNTIME} cannot be fetched from the npm registry: {error}") from None
    if base64.b64encode(hashlib.sha512(data).digest()).decode() != INTEGRITY:
        raise FileError(f"the npm registry's onnxruntime-web {RUNTIME} is not the package that this program knows")
    return data


def _by_url() -> bytes:
    with urllib.request.urlopen(_URL, timeout=_SECONDS) as answer:
        return answer.read()

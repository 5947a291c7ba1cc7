"""The page in a real browser: it loads, plays as Python does, and answers keys. Chromium is driven by its WebDriver."""

from __future__ import annotations

import base64
import functools
import json
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import web
from model.engine import SHIPPED, Engine
from model.env import reset_state
from model.files import FileError

pytestmark = pytest.mark.slow

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MEGABYTES = 30
LOAD_SECONDS = 12.0
"""On two idle cores it is ready within 2 seconds; beside other tests it takes longer."""
NAMES = {"left": "\ue012", "right": "\ue014", "space": " ", "enter": "\ue007"}


class Browser:
    """Headless Chromium under its driver (https://www.w3.org/TR/webdriver2/); only what the tests need."""

    def __init__(self, profile: Path, **options: Any) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.driver = subprocess.Popen([str(DRIVER), f"--port={port}"], **quiet)
        self.address = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{self.address}/status", timeout=5).close()
                break
            except OSError:
                time.sleep(0.05)
        arguments = ["--headless", "--no-sandbox", "--window-size=1280,820", f"--user-data-dir={profile}"]
        # Nothing but the page: no updates, no proxy, no shared memory that a container keeps short, no graphics card.
        arguments += ["--disable-background-networking", "--disable-component-update", "--no-proxy-server"]
        arguments += ["--no-first-run", "--disable-dev-shm-usage", "--disable-gpu"]
        chrome = {"binary": BROWSER, "args": arguments, **options}
        wanted = {"browserName": "chrome", "goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        wanted["timeouts"] = {"script": 120000}
        session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.address += f"/session/{session['sessionId']}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One command of the protocol."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=180) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        """Open a page, and wait until it plays."""
        self.ask("POST", "/url", {"url": url})
        self.until("return !!window.twin || /cannot/.test(document.getElementById('note').textContent)")

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script; a promise is waited for."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script: str, seconds: float = 90.0) -> None:
        """Wait until a script's value is true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, script
            time.sleep(0.02)

    def keys(self, *what: tuple[str, str]) -> None:
        """Real key events: ("keyDown" or "keyUp", a key of `NAMES` or a letter)."""
        actions = [{"type": kind, "value": NAMES.get(key, key)} for kind, key in what]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def tap(self, key: str) -> None:
        """A key goes down and up again at once."""
        self.keys(("keyDown", key), ("keyUp", key))

    def touch(self, element: str, across: float) -> None:
        """A finger goes down on an element, so far across it, 0..1."""
        find = f"const box = document.getElementById('{element}').getBoundingClientRect();"
        x, y = self.run(f"{find} return [box.x + {across} * box.width, box.y + box.height / 2].map(Math.round)")
        self._finger({"type": "pointerMove", "x": x, "y": y}, {"type": "pointerDown", "button": 0})

    def lift(self) -> None:
        """The finger goes up again."""
        self.ask("DELETE", "/actions")  # of a finger, the driver forgets a pointerUp that comes alone

    def _finger(self, *actions: dict[str, Any]) -> None:
        pointer = {"type": "pointer", "id": "finger", "parameters": {"pointerType": "touch"}, "actions": actions}
        self.ask("POST", "/actions", {"actions": [pointer]})

    def picture(self, path: Path) -> None:
        """Write a screenshot."""
        path.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))

    def complaints(self) -> list[Any]:
        """What the page has put on the browser's console."""
        return [each for each in self.ask("POST", "/se/log", {"type": "browser"}) if each["level"] != "INFO"]

    def close(self) -> None:
        """End the browser and its driver."""
        try:
            self.ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, built once."""
    try:
        return web.build(None, tmp_path_factory.mktemp("page") / "site").parent
    except FileError as error:
        if "fetched" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The page on a plain file server."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of this file."""
    if BROWSER is None or DRIVER is None:
        pytest.skip("needs Chromium and its driver (Debian: apt-get install chromium chromium-driver)")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


# --- what is written ---


def test_the_page_is_whole_small_and_asks_nobody(site: Path) -> None:
    files = {path.relative_to(site).as_posix(): path for path in site.rglob("*") if path.is_file()}
    assert sum(path.stat().st_size for path in files.values()) < MEGABYTES * 1e6
    page = files["index.html"].read_text()
    for name in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert name in files or name == "data:,", name
    for name, path in files.items():
        if path.suffix in {".html", ".css", ".js"} and not name.startswith(("parts/", "ort.")):
            assert not re.search(r"https?://", path.read_text()), name
    assert "Microsoft" in files["LICENSE-onnxruntime.txt"].read_text()
    assert "SIL OPEN FONT LICENSE" in files["LICENSE-font.txt"].read_text()
    assert not [name for name in files if name.endswith((".bin", ".a26", ".rom"))]


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "parts").mkdir()  # as a page has it, and many another thing
    for out in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(FileError):
            web.build(None, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt", "parts"]


def test_a_page_of_somebody_elses_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "download", lambda: pytest.fail("it is refused first"))
    (tmp_path / "parts").mkdir()
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(FileError, match="holds no earlier page"):
        web.build(None, tmp_path)


def test_another_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.shutil, "which", lambda name: None)
    monkeypatch.setattr(web, "_by_url", lambda: b"something else")
    with pytest.raises(FileError, match="not the package"):
        web.download()


def test_without_a_network_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> bytes:
        raise OSError("no route")

    monkeypatch.setattr(web.shutil, "which", lambda name: None)
    monkeypatch.setattr(web, "_by_url", fail)
    with pytest.raises(FileError, match=r"cannot be fetched from the npm registry: no route"):
        web.download()


# --- in the browser ---


@pytest.mark.slow
def test_it_loads_soon_and_without_complaint(browser: Browser, address: str) -> None:
    browser.open(address)
    assert browser.run("return twin.loadMilliseconds") < LOAD_SECONDS * 1000
    assert browser.complaints() == []


@pytest.mark.slow
def test_its_frames_are_pythons(browser: Browser, address: str) -> None:
    actions = [1, *np.random.default_rng(0).integers(4, size=149).tolist()]
    engine = Engine.load(SHIPPED)
    state, hashes = reset_state(engine), []
    for action in actions:
        guess = engine.predict(state, np.array([action]))
        state = engine.advance(state, np.array([action]), guess.frame, guess)
        hashes.append(zlib.crc32(state.frame.tobytes()))
    browser.open(address)
    assert browser.run("return twin.run(arguments[0])", actions) == hashes


@pytest.mark.slow
def test_keys_steer_serve_and_command(browser: Browser, address: str) -> None:
    browser.open(address)
    before = browser.run("return twin.game.paddle")
    browser.keys(("keyDown", "left"))
    browser.until(f"return twin.game.paddle < {before - 20}")
    browser.keys(("keyUp", "left"))
    browser.tap("d")  # shorter than a step, and yet it counts
    browser.tap("p")
    browser.until("return twin.page.paused")
    steps = browser.run("return twin.game.steps")
    browser.tap("e")
    browser.until(f"return twin.game.steps === {steps + 1}")
    browser.tap("g")
    browser.tap("]")
    assert browser.run("return [twin.page.showsCodes, twin.page.pace.speed]") == [True, 1.5]
    browser.tap("enter")
    browser.until("return !twin.page.paused && twin.game.steps > 5 && twin.game.steps < 600")


@pytest.mark.slow
def test_the_game_waits_while_its_keys_are_read(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.until("return twin.game.steps > 5")
    browser.tap("h")
    steps = browser.run("return new Promise((done) => setTimeout(() => done(twin.game.steps), 300))")
    assert browser.run("return new Promise((done) => setTimeout(() => done(twin.game.steps), 500))") == steps
    browser.tap("space")
    browser.until(f"return twin.game.served && twin.game.steps > {steps + 5}")
    assert browser.run("return document.body.classList.contains('helps')") is False


@pytest.mark.slow
def test_a_served_ball_flies_and_comes_back(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.tap("space")
    row = "Number(twin.game.state.objects.data.at(-4))"
    browser.until(f"return {row} > 150")
    browser.run(  # the paddle follows the ball, as a finger would draw it
        "const {game, page} = twin; window.rows = [];"
        f"setInterval(() => {{ page.held.point(Number(game.state.objects.data.at(-3))); rows.push({row}); }}, 8)"
    )
    browser.until("return rows.some((row, i) => row > 0 && rows.slice(0, i).some((earlier) => earlier > row + 60))")


@pytest.mark.slow
def test_a_game_that_is_over_stays_over(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.run(  # no ball: serve; else away from it
        "twin.page.paused = true; const { game } = twin; return (async () => { while (!game.over)"
        "await game.step(game.state.objects.data.at(-4) ? 2 : 1); twin.page.paint(); })()"
    )
    steps = browser.run("return twin.game.steps")
    browser.tap("e")
    browser.tap("p")
    browser.until("return !twin.page.busy && !twin.page.paused")
    assert browser.run("return [twin.game.over, twin.game.steps]") == [True, steps]
    browser.tap("enter")
    browser.until("return !twin.game.over && twin.game.steps > 5")


@pytest.mark.slow
def test_it_works_as_a_plain_file_and_on_a_phone(site: Path, tmp_path: Path) -> None:
    if BROWSER is None or DRIVER is None:
        pytest.skip("needs Chromium and its driver (Debian: apt-get install chromium chromium-driver)")
    phone = {"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2.0, "touch": True}}
    browser = Browser(tmp_path, mobileEmulation=phone)
    try:
        browser.open((site / "index.html").as_uri())
        browser.until("return twin.game.steps > 5")
        width, height, wide = browser.run(
            "const box = document.getElementById('picture').getBoundingClientRect();"
            "return [box.width, box.height, document.documentElement.scrollWidth]"
        )
        assert wide <= 390
        assert width > 300
        assert abs(width / height - 4 / 3) < 0.25
        for element, across, sign in (("picture", 0.9, 1), ("left", 0.5, -1), ("right", 0.5, 1), ("picture", 0.1, -1)):
            before = browser.run("twin.page.restart(); return twin.game.paddle")
            browser.touch(element, across)
            browser.until(f"return {sign} * (twin.game.paddle - {before}) > 20")
            browser.lift()
        browser.until("return twin.game.served")
        browser.run(
            "const board = new ort.Tensor('int64', BigInt64Array.from([1n, 2n, 3n, 0n]), [1, 4]);"
            "twin.game.state = {...twin.game.state, board};"
            "twin.page.alive = performance.now() + 1e6;"  # the game has only just ended
        )
        for element in ("left", "picture"):
            browser.touch(element, 0.5)
            browser.lift()
            assert browser.run("return twin.game.score") == 123, "a finger that steers leaves the points to be seen"
        browser.run("twin.page.alive = 0")
        browser.touch("left", 0.5)
        browser.until("return !twin.game.over && twin.game.score === 0")
    finally:
        browser.close()

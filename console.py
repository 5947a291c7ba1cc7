"""What every command shares: errors that end in one line, progress that fits where it is shown, checks of options."""

import io
import math
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from model.files import UserError, one_line

INTERRUPTED = 130
Show = Callable[[float, str], None]  # told the share that is done, 0..1, and a line that says where things stand
KEPT = ("warning: ", "note: ")  # a line that begins like this is shown at once and stays on the screen
PREPARING = "preparing: "  # such a line tells of work before the first step: it has a bar, and a clock, of its own

EXTRAS = {
    "torch": "train", "onnx": "train", "onnxscript": "train", "matplotlib": "report", "jinja2": "report",
    "imageio_ffmpeg": "record", "stable_baselines3": "player", "tensorboard": "tensorboard", "wandb": "wandb",
    "atheris": "fuzz", "pytest": "dev", "hypothesis": "dev",
}  # fmt: skip
"""Which extra of pyproject.toml brings a module."""
CORE = {"numpy", "onnxruntime", "gymnasium", "ale_py", "pygame", "PIL", "safetensors", "rich"}

MOST_SEED = 2**31 - 1  # the emulator's seeds are 32 bits with a sign
SeedOption = Annotated[int, typer.Option(min=0, max=MOST_SEED, help="The same seed gives the same result.")]
WeightsOption = Annotated[Path | None, typer.Option(help="Directory of weights; default: the shipped ones.")]


def finite(low: float = -math.inf, high: float = math.inf, above: float = -math.inf) -> Callable[[Any], Any]:
    """A callback for a Typer option: its number must be finite, `low`..`high`, more than `above`; else wrong usage.
    Typer's own `min` and `max` let NaN through."""

    def check(value: float | None) -> float | None:
        if value is None or (math.isfinite(value) and low <= value <= high and value > above):
            return value
        if not math.isfinite(value):
            raise typer.BadParameter(f"{value} is not a number to work with.")
        limit = f"less than {low}" if value < low else f"more than {high}" if value > high else f"not more than {above}"
        raise typer.BadParameter(f"{value} is {limit}.")

    return check


@contextmanager
def clean_errors() -> Iterator[None]:
    """Run a command's body: whatever a user or the machine can cause ends in one line on stderr and exit status 1.
    Ctrl-C and SIGTERM end in status 130. Anything else is a bug of the program and keeps its traceback."""
    main = threading.current_thread() is threading.main_thread()  # no other thread may set a signal's handler
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if main else None
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        message = explanation(error)
        if message is None:
            raise
        print(one_line(f"error: {message}"), file=sys.stderr)
        raise typer.Exit(1) from None
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def unbroken() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the block, so that they find nothing half done."""
    came, handler = list[int](), signal.default_int_handler
    main = threading.current_thread() is threading.main_thread()  # no other thread may set a signal's handler
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if main and signal.getsignal(n) is handler]
    try:
        for number in numbers:
            signal.signal(number, lambda *_: came.append(1))
        yield
    finally:
        for number in numbers:
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def explanation(error: Exception) -> str | None:
    """One line for an error that a user or the machine can cause; None for a bug of the program."""
    if isinstance(error, MemoryError):
        return "out of memory"
    if type(error).__name__ == "BrokenProcessPool":  # by its name: the module takes 20 ms to load
        return "a worker process died (out of memory, or killed); what was finished is kept: run the command again"
    if isinstance(error, ModuleNotFoundError):
        module = (error.name or "").partition(".")[0]
        if module in EXTRAS:
            return f'{module} is not installed; this command needs: pip install -e ".[{EXTRAS[module]}]"'
        return f"{module} is not installed; in the folder of this program: pip install -e ." if module in CORE else None
    if isinstance(error, OSError):
        return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    if isinstance(error, (ValueError, UserError)):
        return str(error)
    if isinstance(error, RuntimeError) and "memory" in str(error):  # PyTorch's, onnxruntime's
        return str(error).partition("\n")[0]
    library = type(error).__module__.partition(".")[0]
    return f"{library}: {error}" if library in ("wandb", "tensorboard") else None  # set up by the user


def quiet(share: float, text: str) -> None:
    """Progress that nobody is told of."""


def within(show: Show, low: float, high: float, before: str = "") -> Show:
    """Tells `show` of a part of the work, from share `low` to `high` of the whole; `before` stands before its texts."""
    return lambda share, text: show(low + (high - low) * share, before + text)


class _Lines:
    """Progress as plain lines, for logs: one when ten seconds have passed, and one at the end."""

    def __init__(self, title: str) -> None:
        self._title, self._last, self._shown = title, "", time.monotonic()
        self._part: str | None = None

    def __call__(self, share: float, text: str = "") -> None:
        if text.startswith(KEPT):
            return self.keep(text)
        share = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
        part = PREPARING.replace(":", "") if text.startswith(PREPARING) else ""
        self.show(part, share, text.removeprefix(PREPARING))

    def keep(self, text: str) -> None:
        print(f"{self._title}: {text}", flush=True)

    def show(self, part: str, share: float, text: str) -> None:
        """Where a part of the work stands, 0..1; the main one has no name."""
        now = time.monotonic()
        if part != self._part:  # the time that is left is counted from where this part began
            self._part, self._start, self._first = part, now, share if share < 1 else 0.0
        if now - self._shown < 10 and (share < 1 or part):
            return
        done = share - self._first
        tail = f", {(now - self._start) * (1 - share) / done:.0f} s left" if done > 0 and share < 1 else ""
        percent = min(0.99, share) if share < 1 else 1.0  # 100% is said when all is done
        line = f"{self._title}: {part}{percent:4.0%}{tail}  {text}".rstrip()
        if line != self._last:
            print(line, flush=True)
        self._shown, self._last = now, line


class _Bars(_Lines):
    """A bar for the work, and one above it for what was prepared."""

    def __init__(self, bar: Any, title: str) -> None:
        super().__init__(title)
        self._bar, self._tasks = bar, dict[str, Any]()

    def keep(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)

    def show(self, part: str, share: float, text: str) -> None:
        if part not in self._tasks:
            for task in self._tasks.values():  # what came before is done
                self._bar.update(task, completed=1.0, description="")
            # Begun where a resumed run begins: what it did before says nothing of the time that is left.
            self._tasks[part] = self._bar.add_task(text, total=1.0, completed=share, title=f"{self._title} {part}")
        self._bar.update(self._tasks[part], completed=share, description=text)


@contextmanager
def progress(title: str) -> Iterator[Show]:
    """A bar with the time left on a terminal, plain lines elsewhere."""
    if sys.stdout is None or not sys.stdout.isatty():
        yield _Lines(title)
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    name, text = (TextColumn(f"{{task.{of}}}", markup=False) for of in ("fields[title]", "description"))
    with Progress(name, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), text) as bar:
        yield _Bars(bar, title)


def say_next(*words: object) -> None:
    """Name the command that comes next, as one may type it."""
    print("next: python main.py " + " ".join(shlex.quote(str(word)) for word in words))


class _Output(io.TextIOWrapper):
    """Standard output that may go away: when nobody reads it any more (`| head`), the work goes on and says nothing."""

    def _lost(self, error: OSError) -> None:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.fileno())
        os.close(nothing)
        if not isinstance(error, BrokenPipeError):
            raise OSError(error.errno, f"{error.strerror}, while writing to standard output") from None

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._lost(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._lost(error)


def run(app: Callable[[], object]) -> None:
    """The whole program: `app` with standard streams that can be written to, whatever the shell did to them."""
    for number in (0, 1, 2):  # closed with >&- ; the next file that is opened would take its place
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if isinstance(old := sys.stdout, io.TextIOWrapper):
        coding, errors, by_line = old.encoding, old.errors, old.line_buffering
        sys.stdout = _Output(old.detach(), encoding=coding, errors=errors, line_buffering=by_line)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except OSError as error:  # outside of any command: the help could not be shown
        print(one_line(f"error: {error.strerror}"), file=sys.stderr)
        sys.exit(1)


def version() -> str:
    """The version in pyproject.toml, which lies beside this file."""
    import tomllib

    about = tomllib.loads((Path(__file__).resolve().parent / "pyproject.toml").read_text(encoding="utf-8"))
    return str(about["project"]["version"])

"""The old name of `console`, until `train/commands.py` uses the new one."""

from console import INTERRUPTED, KEPT, Show, clean_errors, progress

__all__ = ["INTERRUPTED", "KEPT", "Show", "clean_errors", "progress"]

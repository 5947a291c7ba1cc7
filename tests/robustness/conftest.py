"""A directory that this process may read only."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A directory that this process may read only. Root may write anywhere, so it is someone else meanwhile."""
    where = Path(tempfile.mkdtemp())
    (where / "mine.txt").write_text("mine")
    where.chmod(0o555)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
    except OSError:
        pytest.skip("root cannot become another user here")
    yield where
    if root:
        os.seteuid(0)
    where.chmod(0o755)
    shutil.rmtree(where)

"""Pipes as files: a check needs a second read, which a pipe cannot give."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def spooled(paths: Sequence[str]) -> Iterator[list[str]]:
    """The paths, each once, with ``-`` and named pipes replaced by temporary copies that are removed afterwards."""
    once = list(dict.fromkeys(paths))
    pipes = [path for path in once if path == "-" or Path(path).is_fifo()]
    if not pipes:
        yield once
        return
    with tempfile.TemporaryDirectory(prefix="andon-") as folder:
        copies: dict[str, str] = {}
        for number, path in enumerate(pipes):
            copy = Path(folder) / ("standard input" if path == "-" else f"pipe-{number}")
            with copy.open("wb") as out:
                if path == "-":
                    shutil.copyfileobj(sys.stdin.buffer, out, 1 << 20)
                else:
                    with Path(path).open("rb") as pipe:
                        shutil.copyfileobj(pipe, out, 1 << 20)
            copies[path] = str(copy)
        yield [copies.get(path, path) for path in once]

"""Standard input as a file: a check needs a second read, which a pipe cannot give."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def spooled(paths: Sequence[str]) -> Iterator[list[str]]:
    """The paths, with ``-`` replaced by a temporary copy of standard input that is removed afterwards."""
    if "-" not in paths:
        yield list(paths)
        return
    with tempfile.TemporaryDirectory(prefix="andon-") as folder:
        copy = Path(folder) / "stdin"
        with copy.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out, 1 << 20)
        yield [str(copy) if path == "-" else path for path in paths]

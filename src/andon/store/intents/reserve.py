"""Room for endings: a file that is given up when the disk is full, so that what is in force can still be taken back
in writing. As long as it is gone nothing new is taken."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

SIZE: Final = 256 << 10  # bytes: some five hundred endings
NAME: Final = "reserve"


def keep(folder: Path) -> bool:
    """Make it if it is not there; whether it is there now."""
    path = folder / NAME
    if path.exists():
        return True
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.posix_fallocate(file, 0, SIZE)
        finally:
            os.close(file)
    except OSError:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return False
    return True


def give(folder: Path) -> bool:
    """Give it up; whether there was any."""
    try:
        (folder / NAME).unlink()
    except OSError:
        return False
    return True

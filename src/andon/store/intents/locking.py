"""The short lock between processes that append to one log."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from andon.store.errors import StoreLocked, translated

PATIENCE: Final = 10.0  # seconds for another process to let go


class LogLock:
    """``flock`` on ``folder/lock``; the kernel lets go of it when its holder dies. One thread at a time: the log's own
    mutex comes first."""

    def __init__(self, folder: Path, read_only: bool) -> None:
        self._path = folder / "lock"
        self._read_only = read_only
        self._file = -1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Shared where the log is only read. Raises StoreLocked, StoreError."""
        if self._file < 0:
            flags = os.O_RDONLY if self._read_only else os.O_RDWR | os.O_CREAT
            try:
                self._file = os.open(self._path, flags | os.O_CLOEXEC, 0o640)
            except FileNotFoundError as error:
                if not self._read_only:
                    raise translated(error, self._path, "locking the intent log") from error
                yield  # nobody has ever written here
                return
            except OSError as error:
                raise translated(error, self._path, "locking the intent log") from error
        self._take(fcntl.LOCK_SH if self._read_only else fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _take(self, how: int) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self._file, how | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise StoreLocked(
                        f"{self._path}: another process has held the intent log for {PATIENCE:.0f} s: see who has this "
                        "file open (fuser) and whether it is stopped"
                    ) from None
                time.sleep(0.0005)

    def close(self) -> None:
        """May be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()

"""One controller at a time: a lock that the kernel gives back when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path

from andon.records.finding import timestamp
from andon.store.errors import explained

NAME = "controller.lock"


class ControllerLock:
    """``take`` tries once and never waits. The file says who has it, since when, when it last was alive, and whether it
    left in order: what its successor, or the message of one that stands by, needs to know."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._fd = -1
        self._since = 0
        self._before: dict[str, object] = {}

    @property
    def held(self) -> bool:
        return self._fd >= 0

    def take(self, now: int) -> bool:
        """Whether it is ours now. Raises StoreError where the file cannot be opened."""
        if self._fd >= 0:
            return True
        with explained(self._path, "locking the controller"):
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self._before = self._read()
        self._fd, self._since = fd, now
        self._write(now, left=False)
        return True

    def alive(self, now: int) -> None:
        """Say so; called about once a second."""
        self._write(now, left=False)

    def gap(self, now: int) -> str:
        """That nobody was in control before this one, and for how long; "" if the one before left in order."""
        if not self._before or self._before.get("left"):
            return ""
        try:
            alive, pid = int(str(self._before["alive"])), int(str(self._before["pid"]))
        except (KeyError, ValueError):
            return "the controller before this one did not leave in order"
        return (
            f"process {pid}, which was in control, ended without leaving: nobody was in control from "
            f"{timestamp(alive)} to {timestamp(now)}"
        )

    def holder(self) -> str:
        """Who has it, in words."""
        said = self._read()
        try:
            return f"process {int(str(said['pid']))}, since {timestamp(int(str(said['since'])))}"
        except (KeyError, ValueError, OverflowError, OSError):
            return "another process"

    def release(self, now: int) -> None:
        """Give it back, in order. May be called twice."""
        if self._fd >= 0:
            self._write(now, left=True)
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        """One that nobody has any more is given back; that it did not leave in order stays written."""
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)

    def _read(self) -> dict[str, object]:
        try:
            said = json.loads(self._path.read_bytes()[:300])
        except (OSError, ValueError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}

    def _write(self, now: int, left: bool) -> None:
        """A full disk must not keep a controller from working: what cannot be written is left."""
        said = {"pid": os.getpid(), "since": self._since, "alive": now, "left": left}
        with suppress(OSError):
            os.pwrite(self._fd, json.dumps(said).encode().ljust(200), 0)

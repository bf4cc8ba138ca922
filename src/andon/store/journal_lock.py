"""One writer per store folder: a lock that the kernel gives back when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from andon.store.durable import make_folder
from andon.store.errors import StoreLocked, explained


class StoreLock:
    """Holds ``folder/lock`` until ``release`` or the end of the process, however it ends.

    ``clock`` (ns) is written into the file with the process number, for the message that a second one gets.
    Raises StoreLocked if another process holds it, StoreReadOnly if the folder cannot be written to. The file
    stays behind: whether the store is owned is the kernel's knowledge alone.

    Example: ``with StoreLock(Path("/var/lib/andon"), clock=time.time_ns()): ...``"""

    def __init__(self, folder: Path, clock: int) -> None:
        make_folder(folder)
        path = folder / "lock"
        with explained(path, "locking the store"):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(self._fd)
            os.close(self._fd)
            raise StoreLocked(
                f"{folder}: this store is in use by {holder}: stop that one first, or name another folder "
                "under [store]"
            ) from error
        with explained(path, "locking the store"):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps({"pid": os.getpid(), "since": clock}).encode(), 0)

    def release(self) -> None:
        """Gives the lock back. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _holder(fd: int) -> str:
    from andon.records.finding import timestamp

    try:
        said = json.loads(os.pread(fd, 200, 0))
        return f"process {int(said['pid'])}, running since {timestamp(int(said['since']))}"
    except (ValueError, KeyError, TypeError, OSError):
        return "another process"

"""Keeping the work folder small: what no job has used for a while goes.

Everything in it can be made again, so the worst that removing can do is cost time. What is used again is touched
(``touch``), and the time of change says when that was last; so this may run beside a job, as long as ``keep`` is
longer than the job.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from andon.run.cluster.errors import ClusterError

FOLDERS: Final = ("parts", "merged", "counted", "jobs")
_UNFINISHED: Final = 86_400.0  # seconds after which a file that was being written has no writer any more


@dataclass
class Cleaned:
    """``files`` and ``size`` (bytes) removed; ``kept`` and ``kept_size`` left."""

    files: int = 0
    size: int = 0
    kept: int = 0
    kept_size: int = 0


def touch(path: Path) -> None:
    """Say that a file or folder was used now. On a file system that does not let us, nothing happens."""
    with suppress(OSError):
        os.utime(path)


def clean(work: Path, keep: float, now: float | None = None, dry: bool = False) -> Cleaned:
    """Remove what was not used for ``keep`` seconds, at least a day; ``now``: seconds since 1970; ``dry``: only count.

    Links are not followed, and nothing outside ``FOLDERS`` is looked at. Raises ClusterError
    if the folder is no work folder.
    """
    if keep < 86_400:
        raise ClusterError("less than a day is not kept safely: a job may still need what it made")
    if not any((work / name).is_dir() for name in FOLDERS):
        raise ClusterError(f"{work} is not a work folder: it has none of {', '.join(FOLDERS)}")
    now = time.time() if now is None else now
    cleaned = Cleaned()
    for name in FOLDERS:
        for folder, _, files in os.walk(work / name, topdown=False):
            for file in files:
                _file(Path(folder, file), now, keep, dry, cleaned)
            if not dry and Path(folder).parent != work:
                _folder(Path(folder), now, keep)
    return cleaned


def _file(path: Path, now: float, keep: float, dry: bool, cleaned: Cleaned) -> None:
    with suppress(OSError):
        status = path.lstat()
        limit = _UNFINISHED if path.suffix == ".tmp" else keep
        if now - status.st_mtime > limit:
            if not dry:
                path.unlink()
            cleaned.files += 1
            cleaned.size += status.st_size
        else:
            cleaned.kept += 1
            cleaned.kept_size += status.st_size


def _folder(path: Path, now: float, keep: float) -> None:
    """An empty one, not used for a while either: a worker that makes files touches it first."""
    with suppress(OSError):
        if now - path.lstat().st_mtime > keep:
            path.rmdir()  # refused if there is anything in it

"""Files that survive a power cut: written beside their place, synced, renamed, and the folder synced."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from andon.store.errors import explained

TEMPORARY = ".tmp"


def make_folder(folder: Path) -> None:
    """Creates ``folder`` and its parents, and syncs the parent's entry. Raises StoreError."""
    with explained(folder, "creating the folder"):
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_path(folder.parent)


def write_durable(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """The pieces as the file ``path``, on disk when this returns. A failure leaves no trace: not the file, not
    a temporary one. Raises StoreFull, StoreReadOnly, StoreError."""
    temporary = path.with_name(path.name + TEMPORARY)
    with explained(path, "writing"):
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
            try:
                for piece in pieces:
                    _write_all(fd, memoryview(piece).cast("B"))
                os.fsync(fd)
            finally:
                os.close(fd)
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_path(path.parent)


def _write_all(fd: int, data: memoryview) -> None:
    while len(data):
        data = data[os.write(fd, data) :]


def sync_path(path: Path) -> None:
    """fsync of a file or folder that something else wrote."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

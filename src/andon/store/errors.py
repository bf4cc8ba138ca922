"""What can go wrong with a store, one class per answer the runner gives to it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StoreError(Exception):
    """A store that cannot do what was asked. The message names the file and says what to do."""


class StoreFull(StoreError):
    """No room left. Nothing half was written and nothing is lost: the caller may try again later."""


class StoreReadOnly(StoreError):
    """The folder cannot be written to."""


class StoreDamaged(StoreError):
    """A file is not what was written. Nothing is skipped in silence: an operator decides."""


class StoreLocked(StoreError):
    """Another process owns the store or has written to it in the meantime."""


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turns the system's errors of the block into a ``StoreError`` that names ``path``."""
    try:
        yield
    except OSError as error:
        raise translated(error, path, doing) from error


def translated(error: OSError, path: Path, doing: str) -> StoreError:
    """The ``StoreError`` that says the same as ``error``, met while ``doing`` something to ``path``.

    Libraries in other languages lose the error number, so their text is looked at too."""
    text = str(error).lower()
    if error.errno in _FULL or "no space left" in text or "disk quota" in text:
        return StoreFull(
            f"{path}: no room left while {doing}: free space or lower [store] retention; it is tried again"
        )
    if error.errno in _READ_ONLY or "read-only file system" in text or "permission denied" in text:
        return StoreReadOnly(
            f"{path}: not writable while {doing} ({error.strerror or error}): "
            "give this user write access or name another folder under [store]"
        )
    return StoreError(f"{path}: {error.strerror or error} while {doing}")

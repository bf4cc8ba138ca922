"""State files: carries and open summaries, named by the SHA-256 of their bytes.

The file is written, fsynced and renamed, and its folder fsynced, before its digest goes into the casebook: a digest
that the casebook knows is always there and whole. Nothing is overwritten; what nobody refers to any more is swept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from andon.store.durable import TEMPORARY, make_folder, write_durable
from andon.store.errors import StoreDamaged, explained

_HEX = frozenset("0123456789abcdef")


class StateFiles:
    """``store/state/<digest>.bin``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = StateFiles(Path(folder) / "state")
    ...     digest = files.put(b"what an engine remembers")
    ...     files.get(digest)
    b'what an engine remembers'
    """

    def __init__(self, folder: Path) -> None:
        """Makes the folder, and removes what a killed writer left half done. Raises StoreError."""
        self.folder = folder
        make_folder(folder)
        with explained(folder, "removing what a killed writer left"):
            for left in folder.glob(f"*{TEMPORARY}"):
                left.unlink(missing_ok=True)

    def path(self, digest: str) -> Path:
        """Where a digest is kept. Raises ValueError for what is not 64 hex digits."""
        if len(digest) != 64 or not _HEX.issuperset(digest):
            raise ValueError(f"{digest[:80]!r} is not a SHA-256 digest")
        return self.folder / f"{digest}.bin"

    def put(self, data: bytes) -> str:
        """Durable when it returns; what is there already is not written again. Raises StoreFull, StoreReadOnly."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        if not path.exists() or path.stat().st_size != len(data):
            write_durable(path, (data,))
        return digest

    def has(self, digest: str) -> bool:
        """Is its file there?"""
        return self.path(digest).exists()

    def get(self, digest: str) -> bytes:
        """The bytes, checked. Raises StoreDamaged if they are missing or not what was written."""
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreDamaged(
                f"state {path} cannot be read ({error.strerror}): restore it from a backup of this store"
            ) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreDamaged(f"state {path} is damaged: restore it from a backup of this store")
        return data

    def sweep(self, keep: Collection[str]) -> int:
        """Remove all files but these; how many went. Call it after the transaction that names ``keep``, from the
        thread that puts. Raises StoreReadOnly."""
        kept = frozenset(keep)
        gone = 0
        with explained(self.folder, "removing old states"):
            for path in self.folder.glob("*.bin"):
                if path.stem not in kept:
                    path.unlink(missing_ok=True)
                    gone += 1
        return gone

"""A small SQLite file of its own, for a part that keeps rows which are no findings: WAL, and synced at each commit.

A transaction that was committed survives a power cut (``synchronous=FULL``); readers see one state and stop nobody;
writers of other processes wait for each other. Any thread may use a store: connections are lent for one block.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from andon.store.durable import make_folder
from andon.store.errors import StoreDamaged, StoreError, StoreFull, StoreLocked, StoreReadOnly

_BUSY_SECONDS = 30.0
_IDLE = 8  # connections kept open


class SmallStore:
    """``path`` with the tables of ``script`` (statements that may be run again: CREATE ... IF NOT EXISTS).

    ``version`` is that of the tables: a file of another version raises StoreError rather than being misread.

    Example::

        store = SmallStore(Path("hub.db"), "CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        with store.write() as connection:
            connection.execute("INSERT INTO seen VALUES (?)", ("a",))
    """

    def __init__(self, path: Path, script: str, version: int = 1) -> None:
        self.path = path
        make_folder(path.parent)
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        with self.write() as connection:
            held = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if held not in (0, version):
                raise StoreError(f"{path}: tables of version {held}, this program reads {version}")
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={version:d}")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One state of the file, for the length of the block. Raises StoreError."""
        with self._explained(), self._lent() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on disk when the block ends; undone if it raises. Raises StoreError."""
        with self._explained(), self._lent() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    def close(self) -> None:
        """Close what is open. A later use opens it again."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect()
        kept = False
        try:
            yield connection
            kept = True
        finally:
            with self._lock:
                if kept and len(self._idle) < _IDLE:
                    self._idle.append(connection)
                    connection = None
            if connection is not None:
                connection.close()

    def _connect(self) -> sqlite3.Connection:
        made = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rwc",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            made.row_factory = sqlite3.Row
            made.execute("PRAGMA journal_mode=WAL")
            made.execute("PRAGMA synchronous=FULL")
            made.execute("PRAGMA foreign_keys=ON")
        except sqlite3.Error:
            made.close()
            raise
        return made

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error


def _translated(error: sqlite3.Error, path: Path) -> StoreError:
    # Extended codes (SQLITE_IOERR_FSYNC, SQLITE_READONLY_DIRECTORY, ...) carry the plain one in their last eight bits.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"{path}: no room left: free space; nothing half was written")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreReadOnly(f"{path}: cannot be opened for writing ({error})")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreLocked(f"{path}: another process has been writing to it for {_BUSY_SECONDS:g} s")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreDamaged(f"{path}: {error}: bring it back from a copy, or remove it to begin anew")
    return StoreError(f"{path}: {error}")

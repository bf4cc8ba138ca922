"""The objects that the TAXII server shows: added to, not changed, each (id, version) once.

A row has the time at which it was added, in microseconds, later than that of every row before: so ``added_after``
resumes exactly (TAXII 2.1, 3.4), and a page is a range of row numbers that concurrent insertions do not move.

``newest`` says whether no later version is held, and ``tlp`` is that of the newest version: an object that was marked
more strictly later on disappears from milder collections with all its versions. The same version with a milder
marking (an address that a green finding names after an amber one did) takes the place of the old row, as added now.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from andon.share.taxii.wire import Stix
from andon.store.sqlite import SmallStore

FILE: Final = "objects.db"
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, type TEXT NOT NULL, spec_version TEXT NOT NULL,
    version INTEGER NOT NULL, version_text TEXT NOT NULL, added INTEGER NOT NULL, tlp INTEGER NOT NULL,
    newest INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE (id, version));
CREATE UNIQUE INDEX IF NOT EXISTS by_added ON objects (added);
CREATE INDEX IF NOT EXISTS by_type ON objects (type, seq);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Row:
    """An object as it lies in the store; ``added`` in microseconds."""

    seq: int
    id: str
    version_text: str
    added: int
    spec_version: str
    text: str


@dataclass(frozen=True)
class Query:
    """What is asked for. ``types`` and ``tlp`` (the highest level) are of the collection, the rest of the client.

    ``after``: row number; ``added_after``: microseconds. ``versions``: any of "first", "last", "all" and ns as
    numbers. ``specs``: spec versions; none: per object the latest one."""

    types: tuple[str, ...] = ()
    tlp: int = 0
    after: int = 0
    added_after: int | None = None
    ids: tuple[str, ...] = ()
    match_types: tuple[str, ...] = ()
    versions: tuple[str | int, ...] = ("last",)
    specs: tuple[str, ...] = ()


class ObjectStore:
    """The store in ``folder`` (STORE/share/taxii). Several processes may read and write it.

    Raises StoreError and its kin, like every method."""

    def __init__(self, folder: Path) -> None:
        self._store = SmallStore(folder / FILE, _TABLES)
        with self._store.write() as connection:
            new = ("cursor-key", secrets.token_bytes(32))
            connection.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", new)
            found = connection.execute("SELECT value FROM settings WHERE name = 'cursor-key'").fetchone()
        self.key = bytes(found["value"])  # for page cursors, so that they outlive a restart

    def add(self, objects: Iterable[Stix], now: int) -> int:
        """Add those that are not held yet in one commit; how many were. ``now`` in ns."""
        added = 0
        with self._store.write() as connection:
            newest = connection.execute("SELECT max(added) AS t FROM objects").fetchone()["t"] or 0
            clock = max(now // 1000, newest + 1)
            for one in objects:
                if self._add(connection, one, clock + added):
                    added += 1
        return added

    def _add(self, connection: sqlite3.Connection, one: Stix, clock: int) -> bool:
        same = connection.execute(
            "SELECT seq, tlp, newest FROM objects WHERE id = ? AND version = ?", (one.id, one.version)
        ).fetchone()
        if same is not None:
            if one.tlp >= same["tlp"] or not same["newest"]:
                return False
            # The same version for a wider circle: that circle is to hear of it, so it is added anew.
            connection.execute("DELETE FROM objects WHERE seq = ?", (same["seq"],))
        held = connection.execute(
            "SELECT max(version) AS version, max(tlp) AS tlp FROM objects WHERE id = ?", (one.id,)
        ).fetchone()
        last = held["version"] is None or one.version > held["version"]
        tlp = one.tlp if last else held["tlp"]
        connection.execute(
            "INSERT INTO objects (id, type, spec_version, version, version_text, added, tlp, newest, text)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (one.id, one.type, one.spec_version, one.version, one.version_text, clock, tlp, int(last), one.text),
        )  # fmt: skip
        if last and held["version"] is not None:
            connection.execute(
                "UPDATE objects SET newest = 0, tlp = ? WHERE id = ? AND version < ?",
                (tlp, one.id, one.version),
            )
        return True

    def page(self, query: Query, limit: int, size: int) -> tuple[list[Row], bool]:
        """At most ``limit`` rows and about ``size`` bytes of text (at least one row), in the order in which they were
        added, and whether there are more."""
        condition, values = _condition(query)
        if query.added_after is not None:
            # Times rise with row numbers, so this is one step down an index.
            condition += " AND seq > ifnull((SELECT max(seq) FROM objects WHERE added <= ?), 0)"
            values.append(query.added_after)
        sql = f"SELECT seq, id, version_text, added, spec_version, text FROM objects WHERE {condition} ORDER BY seq"
        rows: list[Row] = []
        total = 0
        with self._store.read() as connection:
            for found in connection.execute(f"{sql} LIMIT ?", (*values, limit + 1)):
                total += len(found["text"])
                if rows and (len(rows) == limit or total > size):
                    return rows, True
                rows.append(Row(*found))
        return rows, False

    def count(self) -> int:
        """Rows in all."""
        with self._store.read() as connection:
            return int(connection.execute("SELECT count(*) AS n FROM objects").fetchone()["n"])

    def close(self) -> None:
        """Close the file."""
        self._store.close()


def _condition(query: Query) -> tuple[str, list[Any]]:
    parts = ["seq > ?", "tlp <= ?"]
    values: list[Any] = [query.after, query.tlp]
    for column, wanted in (
        ("type", query.types), ("type", query.match_types), ("id", query.ids), ("spec_version", query.specs)
    ):  # fmt: skip
        if wanted:
            parts.append(f"{column} IN ({_marks(wanted)})")
            values += wanted
    same = "FROM objects AS o WHERE o.id = objects.id"
    if query.specs:
        same += f" AND o.spec_version IN ({_marks(query.specs)})"
    elif query.versions != ("last",):
        parts.append(f"spec_version = (SELECT max(spec_version) {same})")
    if "all" in query.versions:
        return " AND ".join(parts), values
    either: list[str] = []
    if "last" in query.versions and not query.specs:
        either.append("newest = 1")
    elif "last" in query.versions:
        either.append(f"version = (SELECT max(version) {same})")
        values += query.specs
    if "first" in query.versions:
        either.append(f"version = (SELECT min(version) {same})")
        values += query.specs
    times = [one for one in query.versions if isinstance(one, int)]
    if times:
        either.append(f"version IN ({_marks(times)}) OR (version = 0 AND added * 1000 IN ({_marks(times)}))")
        values += [*times, *times]
    return " AND ".join([*parts, f"({' OR '.join(either)})"]), values


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))

"""Connections: SQLite in WAL mode with ``synchronous=FULL``, or PostgreSQL by URL.

A write transaction takes the write lock when it begins (``BEGIN IMMEDIATE``), so two writers wait for each other
instead of failing half way; a reader sees one state throughout and stops nobody.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from andon.store.casebook.records import CasebookError
from andon.store.errors import StoreDamaged, StoreError, StoreFull, StoreLocked, StoreReadOnly

_BUSY_SECONDS = 30.0
_WRITE = "andon_write"


def locate(place: str | Path) -> URL:
    """URL of a store folder, a ``.db`` file, or a PostgreSQL URL. Raises CasebookError.

    >>> locate("/var/lib/andon").database
    '/var/lib/andon/casebook.db'
    """
    text = str(place)
    if "://" not in text:
        path = Path(text)
        file = path if path.suffix == ".db" else path / "casebook.db"
        return URL.create("sqlite", database=str(file))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise CasebookError(
            "the casebook's URL cannot be read: write postgresql://USER@HOST/DATABASE"
        ) from error
    if url.drivername.split("+")[0] in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url
    raise CasebookError(f"a casebook is kept in SQLite or PostgreSQL, not in {url.drivername!r}")


def open_engine(url: URL, read_only: bool = False, busy_seconds: float = _BUSY_SECONDS) -> Engine:
    """An engine with our settings; nothing is opened yet."""
    if url.drivername != "sqlite":
        options = "-c lock_timeout=30s -c idle_in_transaction_session_timeout=10min"
        if read_only:
            options += " -c default_transaction_read_only=on"
        try:
            return create_engine(
                url, pool_pre_ping=True, connect_args={"connect_timeout": 10, "options": options}
            )
        except ModuleNotFoundError as error:
            raise CasebookError(
                "PostgreSQL needs the package psycopg: pip install 'psycopg[binary]'"
            ) from error
    path = str(url.database)
    mode = "ro" if read_only else "rwc"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode={mode}",
            uri=True,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if read_only:
                connection.execute("PRAGMA query_only=ON")
            else:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def transaction(engine: Engine, name: str, write: bool = False) -> Iterator[Connection]:
    """One transaction; raises StoreError with what to do where the database refuses."""
    try:
        with engine.connect() as connection:
            options: dict[str, Any] = {_WRITE: write}
            if engine.dialect.name == "postgresql" and not write:
                options["isolation_level"] = "REPEATABLE READ"
            connection = connection.execution_options(**options)
            with connection.begin():
                yield connection
    except SQLAlchemyError as error:
        raise explain(error, name) from error


def explain(error: SQLAlchemyError, name: str) -> StoreError:
    """What a database error means for the operator; parameters (which may be secret) are left out."""
    cause: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = " ".join(str(cause).split())[:300]
    low = text.lower()
    if "disk is full" in low or "no space left" in low or "disk i/o error" in low:
        return StoreFull(f"casebook {name}: no room left ({text}): free some space; it is tried again")
    if "readonly" in low or "read-only" in low:
        return StoreReadOnly(f"casebook {name} cannot be written to: check the owner and mount of its folder")
    if "locked" in low or "lock timeout" in low:
        return StoreLocked(f"casebook {name} is locked by another process ({text}): it is tried again")
    if "unable to open" in low:
        return StoreReadOnly(
            f"casebook {name} cannot be opened: is its folder there, and may you write to it?"
        )
    if "not a database" in low or "malformed" in low:
        return StoreDamaged(f"casebook {name} is damaged ({text}): restore it from a backup")
    if "no such table" in low or "no such column" in low or 'relation "' in low:
        return CasebookError(
            f"casebook {name} has no tables of Andon, or older ones ({text}): `andon run` makes them"
        )
    away = isinstance(error, DBAPIError) and (
        error.connection_invalidated or "connection" in low or "server" in low
    )
    return CasebookError(f"casebook {name}: {text}", away)

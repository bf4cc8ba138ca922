"""Where the parts of a casebook get their connections from: a transaction for each call, or one for a piece of work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from sqlalchemy import Connection, Engine, text

from andon.store.casebook.basics import clean
from andon.store.casebook.connect import transaction

CASES, ALERTS = 0x616E646F6E01, 0x616E646F6E02  # advisory locks of PostgreSQL


def hold(connection: Connection, lock: int) -> None:
    """Wait until no other writer of this kind is there, and keep them out until the commit."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock})


class Session:
    """``connection``: of the transaction that everything belongs to; None gives each call its own. ``actor`` and
    ``now`` hold where a call names none."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        connection: Connection | None = None,
        actor: str = "",
        now: int | None = None,
    ) -> None:
        self.engine = engine
        self.name = name
        self.connection = connection
        self._actor = actor
        self._now = now

    def read(self) -> AbstractContextManager[Connection]:
        """For a question."""
        if self.connection is not None:
            return nullcontext(self.connection)
        return transaction(self.engine, self.name)

    def write(self, lock: int = CASES) -> AbstractContextManager[Connection]:
        """For a change. On PostgreSQL too one writer follows another, as on SQLite: what a change was decided on is
        still so when it is written, and there is no deadlock. Alerts have a lock of their own (``ALERTS``), so that
        a flood of them keeps no analyst waiting."""
        if self.connection is not None:
            return nullcontext(self.connection)
        return self._locked(lock)

    @contextmanager
    def _locked(self, lock: int) -> Iterator[Connection]:
        with transaction(self.engine, self.name, write=True) as connection:
            hold(connection, lock)
            yield connection

    def actor(self, given: str) -> str:
        """Who acts. Raises ValueError where nobody is named: every change is somebody's."""
        name = clean(given or self._actor).strip()
        if not name:
            raise ValueError("say who does it: an actor is missing")
        return name[:128]

    def now(self, given: int | None) -> int:
        """When: as given, else as the work says, else now."""
        if given is not None:
            return given
        return time.time_ns() if self._now is None else self._now

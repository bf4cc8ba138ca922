"""How far followers have come: a number by name, moved in the transaction of what the follower wrote."""

from __future__ import annotations

from sqlalchemy import select

from andon.store.casebook.basics import insert_into
from andon.store.casebook.case_records import Conflict
from andon.store.casebook.schema_cases import cursors
from andon.store.casebook.session import Session


class Cursors:
    """``book.cursor(name)`` reads; ``work.move(name, to)`` moves."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> int:
        """0 before the first move."""
        with self._session.read() as connection:
            value = connection.execute(select(cursors.c.value).where(cursors.c.name == name)).scalar()
        return int(value or 0)

    def move(self, name: str, to: int, expected: int | None = None, now: int | None = None) -> None:
        """Raises Conflict if it does not stand at ``expected``: another follower of this name is at work."""
        if not name or len(name) > 128:
            raise ValueError("the name of a cursor has 1 to 128 characters")
        when = self._session.now(now)
        with self._session.write() as connection:
            held = connection.execute(select(cursors.c.value).where(cursors.c.name == name)).scalar()
            if expected is not None and int(held or 0) != expected:
                raise Conflict(
                    f"{name} stands at {held or 0}, not at {expected}: another one moved it", int(held or 0)
                )
            put = insert_into(connection, cursors).values(name=name, value=to, moved=when)
            change = {"value": to, "moved": when}
            connection.execute(put.on_conflict_do_update(index_elements=["name"], set_=change))

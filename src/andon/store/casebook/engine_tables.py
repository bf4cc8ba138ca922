"""Which published tables there are of a stretch of time, and which are new: for those who follow the engines."""

from __future__ import annotations

from sqlalchemy import select

from andon.store.casebook.records import EngineTable
from andon.store.casebook.schema import engine_tables
from andon.store.casebook.session import Session


class EngineTables:
    """``book.tables``; names are ``ENGINE:TABLE``, times ns."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def between(self, name: str, start: int, end: int) -> list[EngineTable]:
        """Of the spans that overlap [start, end), in the order of their ends."""
        t = engine_tables.c
        query = select(engine_tables).where(t.name == name, t.end > start, t.start < end)
        with self._session.read() as connection:
            rows = connection.execute(query.order_by(t.end, t.start))
            return [EngineTable(**row._mapping) for row in rows]

    def after(self, name: str, span: str, end: int, limit: int = 100) -> list[EngineTable]:
        """Of the spans of one length that end after ``end``, in the order of their ends."""
        t = engine_tables.c
        query = select(engine_tables).where(t.name == name, t.span == span, t.end > end)
        with self._session.read() as connection:
            rows = connection.execute(query.order_by(t.end).limit(limit))
            return [EngineTable(**row._mapping) for row in rows]

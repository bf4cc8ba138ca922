"""What every table here needs: texts that both databases take, JSON, numbers that followers may count on."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from andon.store.casebook.records import AuditEntry
from andon.store.casebook.schema import audit, counters

CHUNK = 500  # values in one IN list


def clean(text: str) -> str:
    """Text that both databases take: no NUL (PostgreSQL), no half surrogate (UTF-8)."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def dump(body: Any) -> str:
    """JSON in ASCII, so that no text from outside can be refused or changed on the way."""
    return json.dumps(body, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def insert_into(connection: Connection, table: Any) -> Any:
    """An INSERT that knows ON CONFLICT."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def take_numbers(connection: Connection, name: str, count: int = 1) -> int:
    """The first of ``count`` new numbers of a counter. Its row stays locked until the commit, so numbers appear in
    order: whoever follows them misses none."""
    c = counters.c
    put = insert_into(connection, counters).values(name=name, value=count)
    put = put.on_conflict_do_update(index_elements=["name"], set_={"value": c.value + count})
    return int(connection.execute(put.returning(c.value)).scalar_one()) - count + 1


def last_number(connection: Connection, name: str) -> int:
    """The number given last; 0 before the first."""
    return int(connection.execute(select(counters.c.value).where(counters.c.name == name)).scalar() or 0)


def write_audit(connection: Connection, entry: AuditEntry) -> None:
    """A line of the audit log."""
    connection.execute(
        insert(audit).values(
            time=entry.time,
            actor=clean(entry.actor)[:128],
            action=clean(entry.action)[:64],
            subject=clean(entry.subject),
            detail=dump(dict(entry.detail)),
        )
    )

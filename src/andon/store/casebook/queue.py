"""The outbox's rows: queued -> delivered, folded into a digest, or dead. Every change is one transaction.

A message is there once per (sink, dedup_key), whatever is replayed. Order within a sink is the order of enqueuing;
only a message that its sink refused steps aside for those behind it. ``share.outbox`` does the delivering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from andon.store.casebook.basics import CHUNK, clean, dump
from andon.store.casebook.records import Message, Queued
from andon.store.casebook.schema import outbox

FAR = 7_200_000_000_000  # a next attempt so far ahead was set by a clock that has jumped back since
_COLUMNS = [column for column in outbox.c if column.name != "digest"]


def enqueue(connection: Connection, messages: Sequence[Message], clock: int) -> int:
    """Queue those whose key is new for their sink; how many were."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    added = 0
    for message in messages:
        row = {
            "sink": clean(message.sink),
            "dedup_key": clean(message.dedup_key),
            "kind": clean(message.kind),
            "subject": clean(message.subject),
            "text": clean(message.text),
            "body": dump(dict(message.body)),
            "created": clock,
            "attempts": 0,
            "next_at": clock,
            "state": "queued",
            "refused": False,
            "error": "",
        }
        added += connection.execute(
            dialect.insert(outbox).values(row).on_conflict_do_nothing(index_elements=["sink", "dedup_key"])
        ).rowcount
    return added


def due(
    connection: Connection, now: int, limit: int, sink: str | None = None, kind: str | None = None
) -> list[Queued]:
    """Messages to try now, by sink and order; none behind one that waits for its sink to come back.
    ``kind``: only messages of that kind."""
    c = outbox.c
    sinks = [sink] if sink is not None else waiting_sinks(connection)
    ready: list[Queued] = []
    for name in sinks:
        query = (
            select(*_COLUMNS)
            .where(c.state == "queued", c.sink == name)
            .where(or_(c.refused.is_(False), c.attempts == 0, c.next_at <= now, c.next_at > now + FAR))
            .order_by(c.id)
            .limit(limit - len(ready))
        )
        if kind is not None:
            query = query.where(c.kind == kind)
        for message in map(_queued, connection.execute(query)):
            if message.attempts and now < message.next_at <= now + FAR:
                break
            ready.append(message)
        if len(ready) >= limit:
            break
    return ready


def waiting_sinks(connection: Connection) -> list[str]:
    """Names of the sinks that have something queued."""
    query = select(outbox.c.sink).where(outbox.c.state == "queued").distinct().order_by(outbox.c.sink)
    return [str(name) for name in connection.execute(query).scalars()]


def delivered(connection: Connection, id: int, now: int, remark: str) -> None:
    """The sink took it, and with a digest all that it carries."""
    done = update(outbox).values(state="delivered", done=now, error=clean(remark)[:500])
    connection.execute(done.where(outbox.c.id == id, outbox.c.state == "queued"))
    connection.execute(done.where(outbox.c.digest == id, outbox.c.state == "folded"))


def failed(connection: Connection, id: int, why: str, next_at: int, refused: bool) -> None:
    """One more attempt in vain; the next not before ``next_at``."""
    connection.execute(
        update(outbox)
        .where(outbox.c.id == id, outbox.c.state == "queued")
        .values(attempts=outbox.c.attempts + 1, next_at=next_at, refused=refused, error=clean(why)[:500])
    )


def dead(connection: Connection, id: int, why: str, now: int) -> int:
    """Given up, with all that it carries; how many messages that were."""
    gone = update(outbox).values(state="dead", done=now, error=clean(why)[:500])
    one = connection.execute(gone.where(outbox.c.id == id, outbox.c.state == "queued")).rowcount
    return one + connection.execute(gone.where(outbox.c.digest == id, outbox.c.state == "folded")).rowcount


def revive(connection: Connection, sink: str, now: int, ids: Sequence[int] = ()) -> int:
    """Queue a sink's dead messages again, as new (``ids``: only these); how many, with those that digests carry."""
    c = outbox.c
    mine = and_(c.sink == sink, c.state == "dead", c.digest.is_(None))
    if ids:
        mine = and_(mine, c.id.in_(ids))
    again = [int(number) for number in connection.execute(select(c.id).where(mine)).scalars()]
    back = 0
    for at in range(0, len(again), CHUNK):
        some = again[at : at + CHUNK]
        # What a digest carries goes with it again, or it would be told twice.
        carried = (
            update(outbox).where(c.digest.in_(some), c.state == "dead").values(state="folded", done=None)
        )
        back += connection.execute(carried).rowcount
        queued = {
            "state": "queued",
            "done": None,
            "created": now,
            "next_at": now,
            "attempts": 0,
            "refused": False,
        }
        back += connection.execute(update(outbox).where(c.id.in_(some)).values(**queued)).rowcount
    return back


def listed(connection: Connection, state: str, sink: str, limit: int) -> list[Queued]:
    """Messages that no digest carries, newest first."""
    c = outbox.c
    query = select(*_COLUMNS).where(c.digest.is_(None)).order_by(c.id.desc()).limit(limit)
    if state:
        query = query.where(c.state == state)
    if sink:
        query = query.where(c.sink == sink)
    return [_queued(row) for row in connection.execute(query)]


def by_number(connection: Connection, id: int) -> Queued | None:
    """One message."""
    row = connection.execute(select(*_COLUMNS).where(outbox.c.id == id)).first()
    return None if row is None else _queued(row)


def fold(connection: Connection, digest: Message, ids: Sequence[int], now: int) -> int | None:
    """Let one message carry these queued ones. None, and nothing changes, if one of them is queued no more."""
    c = outbox.c
    still = select(func.count()).where(c.id.in_(ids), c.state == "queued")
    if connection.execute(still).scalar_one() != len(ids):
        return None
    if not enqueue(connection, [digest], now):
        return None
    query = select(c.id).where(c.sink == digest.sink, c.dedup_key == digest.dedup_key)
    number = int(connection.execute(query).scalar_one())
    connection.execute(update(outbox).where(c.id.in_(ids)).values(state="folded", digest=number))
    return number


def members(connection: Connection, id: int, limit: int) -> list[Queued]:
    """What a digest carries, in order."""
    query = select(*_COLUMNS).where(outbox.c.digest == id).order_by(outbox.c.id).limit(limit)
    return [_queued(row) for row in connection.execute(query)]


def delivered_between(connection: Connection, sink: str, since: int, until: int, but: str) -> int:
    """How many messages of other kinds than ``but`` the sink took, one by one, in that time."""
    c = outbox.c
    query = select(func.count()).where(
        c.sink == sink,
        c.state == "delivered",
        c.done >= since,
        c.done < until,
        c.digest.is_(None),
        c.kind != but,
    )
    return int(connection.execute(query).scalar_one())


def foldable(
    connection: Connection, sink: str, created_before: int, left: int, but: str, limit: int
) -> list[Queued]:
    """The sink's queued messages of other kinds than ``but`` from before a time, in order, without refused ones:
    none unless more than ``left`` are queued. Cheap to ask for while a flood waits for its hour."""
    c = outbox.c
    mine = and_(c.state == "queued", c.sink == sink, c.kind != but)
    first = select(c.id).where(mine).limit(left + 1).subquery()
    if connection.execute(select(func.count()).select_from(first)).scalar_one() <= left:
        return []
    mine = and_(mine, c.refused.is_(False))
    oldest = connection.execute(select(c.created).where(mine).order_by(c.id).limit(1)).scalar()
    if oldest is None or oldest >= created_before:
        return []
    query = select(*_COLUMNS).where(mine, c.created < created_before).order_by(c.id).limit(limit)
    return [_queued(row) for row in connection.execute(query)]


def counts(connection: Connection) -> Mapping[tuple[str, str], int]:
    """(sink, state) -> messages."""
    c = outbox.c
    query = select(c.sink, c.state, func.count()).group_by(c.state, c.sink)  # along an index
    return {(str(sink), str(state)): int(number) for sink, state, number in connection.execute(query)}


def forget(connection: Connection, before: int) -> int:
    """Remove what was delivered or given up before a time; how many messages."""
    c = outbox.c
    over = and_(c.state.in_(("delivered", "dead")), c.done < before)
    carried = connection.execute(delete(outbox).where(over, c.digest.is_not(None))).rowcount
    left = select(c.digest).where(c.digest.is_not(None))
    return carried + connection.execute(delete(outbox).where(over, c.id.not_in(left))).rowcount


def _queued(row: Row[Any]) -> Queued:
    return Queued(**row._mapping)

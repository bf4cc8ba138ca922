"""What goes with time: old alerts, and as configured episodes and closed cases. Verdicts and the audit log stay.

Deleting is done in batches of their own transactions, so that a writer waits for a fraction of a second at most; it
can be stopped at any time and goes on where it was. SQLite keeps the room in its file for what comes next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, or_, select, update

from andon.store.casebook.basics import CHUNK, write_audit
from andon.store.casebook.records import AuditEntry
from andon.store.casebook.schema_cases import (
    alert_origins,
    alert_series,
    alerts,
    case_items,
    case_merges,
    cases,
    episodes,
)
from andon.store.casebook.session import ALERTS, Session

BATCH = 5_000  # rows in one transaction


@dataclass(frozen=True)
class Forgotten:
    """How many went. ``whole``: nothing older is left; else call again."""

    alerts: int = 0
    episodes: int = 0
    cases: int = 0
    whole: bool = True


def forget(
    session: Session,
    alerts_before: int | None = None,
    episodes_before: int | None = None,
    cases_before: int | None = None,
    batches: int = 200,
    now: int | None = None,
) -> Forgotten:
    """Remove alerts from before a time (ns); episodes whose last alert was before one and that are in no case; cases
    last seen and changed before one that are closed, with those merged into them, their items and time lines. None:
    keep them. At most ``batches`` transactions of BATCH rows."""
    gone = {"alerts": 0, "episodes": 0, "cases": 0}
    left = batches
    whole = True
    when = session.now(now)
    for name, before, drop, lock in (
        ("alerts", alerts_before, _alerts, True),
        ("cases", cases_before, _cases, False),
        ("episodes", episodes_before, _episodes, False),
    ):
        if before is None:
            continue
        done = BATCH
        while done == BATCH and left > 0:
            left -= 1
            with session.write(ALERTS) if lock else session.write() as connection:
                done = drop(connection, before)
                if done:
                    told = {"rows": done, "before": before}
                    write_audit(connection, AuditEntry(when, "retention", f"forget-{name}", "", told))
            gone[name] += done
        whole = whole and done < BATCH
    return Forgotten(**gone, whole=whole)


def _alerts(connection: Connection, before: int) -> int:
    a, s = alerts.c, alert_series.c
    query = select(a.id, a.series).where(a.ts < before).order_by(a.ts).limit(BATCH)
    rows = connection.execute(query).all()
    if not rows:
        return 0
    of: dict[int, int] = {}
    for _, series in rows:
        of[series] = of.get(series, 0) + 1
    _delete(connection, alerts, a.id, [row.id for row in rows])
    fewer = update(alert_series).where(s.id == bindparam("of")).values(alerts=s.alerts - bindparam("n"))
    connection.execute(fewer, [{"of": series, "n": number} for series, number in of.items()])
    ids = list(of)
    for at in range(0, len(ids), CHUNK):
        part = ids[at : at + CHUNK]
        connection.execute(delete(alert_series).where(s.id.in_(part), s.alerts == 0))
        came = alert_origins.c
        connection.execute(delete(alert_origins).where(came.series.in_(part), came.last < before))
        first = select(func.min(a.ts)).where(a.series == s.id).scalar_subquery()
        connection.execute(update(alert_series).where(s.id.in_(part)).values(first=first))
    return len(rows)


def _episodes(connection: Connection, before: int) -> int:
    e, i = episodes.c, case_items.c
    held = select(i.item).where(i.kind == "episode", i.item == e.id)
    query = select(e.seq).where(e.last < before, ~held.exists()).order_by(e.last).limit(BATCH)
    return _delete(connection, episodes, e.seq, list(connection.execute(query).scalars()))


def _cases(connection: Connection, before: int) -> int:
    """Whole families: what was merged into a case goes with it, never before it."""
    c, m = cases.c, case_merges.c
    old = select(c.id).where(c.state == "closed", c.last_seen < before, c.updated < before)
    ids = list(connection.execute(old.order_by(c.last_seen).limit(BATCH)).scalars())
    number = len(ids)
    levels = [ids]
    while levels[-1]:
        inside: list[str] = []
        for at in range(0, len(levels[-1]), CHUNK):
            query = select(c.id).where(c.merged_into.in_(levels[-1][at : at + CHUNK]))
            inside += connection.execute(query).scalars()
        levels.append(inside)
    for level in reversed(levels):
        for at in range(0, len(level), CHUNK):
            part = level[at : at + CHUNK]
            connection.execute(delete(case_merges).where(or_(m.source.in_(part), m.target.in_(part))))
        _delete(connection, cases, c.id, level)
    return number


def _delete(connection: Connection, table: Any, column: Any, ids: list[Any]) -> int:
    for at in range(0, len(ids), CHUNK):
        connection.execute(delete(table).where(column.in_(ids[at : at + CHUNK])))
    return len(ids)

"""The timeline of cases: every change is a line, written with the change and never altered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select

from andon.records.case import Case
from andon.store.casebook.basics import clean, dump, take_numbers, write_audit
from andon.store.casebook.case_records import Event
from andon.store.casebook.records import AuditEntry
from andon.store.casebook.schema_cases import case_events


def write_event(
    connection: Connection, case: Case, actor: str, action: str, now: int, detail: Mapping[str, Any]
) -> None:
    """A line of the timeline, and one of the audit log."""
    connection.execute(
        insert(case_events).values(
            id=take_numbers(connection, "case-event"),
            case_id=case.id,
            version=case.version,
            time=now,
            actor=actor,
            action=clean(action)[:64],
            detail=dump(dict(detail)),
        )
    )
    write_audit(connection, AuditEntry(now, actor, f"case-{action}", case.id, detail))


def events(connection: Connection, id: str, limit: int) -> list[Event]:
    """What was done to a case, oldest first; of more than ``limit`` lines the newest."""
    e = case_events.c
    query = select(case_events).where(e.case_id == id).order_by(e.id.desc()).limit(limit)
    return [
        Event(row.id, row.case_id, row.version, row.time, row.actor, row.action, json.loads(row.detail))
        for row in reversed(connection.execute(query).all())
    ]


def changed(old: Case, new: Case) -> dict[str, Any]:
    """What an update changed: short fields from and to, the long ones by name."""
    short = ("tier", "level", "priority", "assignee", "first_seen", "last_seen")
    told: dict[str, Any] = {
        name: [getattr(old, name), getattr(new, name)]
        for name in short
        if getattr(old, name) != getattr(new, name)
    }
    long = ("title", "statement", "entities", "judgement", "site")
    others = [name for name in long if getattr(old, name) != getattr(new, name)]
    return {**told, "changed": others} if others else told

"""Cases as rows: stored, read back, found, and one page of the queue.

A page of the queue is one small query per (state, tier), each a walk backwards along ``ix_cases_queue``, put together
by the database: its cost does not grow with the casebook.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    union_all,
    update,
)

from andon.records.case import LEVELS, STATES, Case
from andon.records.triage import TIERS
from andon.store.casebook.basics import CHUNK, clean, dump, insert_into, take_numbers
from andon.store.casebook.case_records import CaseFilter, Missing
from andon.store.casebook.schema_cases import HOST, SITE, case_entities, case_items, cases

_VALUE = 512  # characters of an entity that are indexed
Place = tuple[float, int, str]  # priority, last seen, id: where a page ends


def check(case: Case) -> None:
    """Raises ValueError for what must not be stored."""
    if not case.id or len(case.id) > 64:
        raise ValueError("the id of a case has 1 to 64 characters")
    if case.state not in STATES or case.tier not in TIERS:
        raise ValueError(f"case {case.id}: state {case.state!r} or tier {case.tier!r} is not known")
    if case.level and case.level not in LEVELS:
        raise ValueError(f"case {case.id}: level {case.level!r} is none of {', '.join(LEVELS)}")
    if not math.isfinite(case.priority):
        raise ValueError(f"case {case.id}: priority {case.priority} is not a number")
    if case.last_seen < case.first_seen:
        raise ValueError(f"case {case.id} was last seen before it was first seen")


def values(connection: Connection, case: Case) -> dict[str, Any]:
    """A row of ``cases``, with a new number."""
    entities = [[clean(kind), clean(value)] for kind, value in case.entities]
    return {
        "id": clean(case.id),
        "seq": take_numbers(connection, "case"),
        "version": case.version,
        "state": case.state,
        "tier": case.tier,
        "level": LEVELS.index(case.level) if case.level else -1,
        "priority": float(case.priority),
        "title": clean(case.title),
        "statement": clean(case.statement),
        "entities": dump(entities),
        "first_seen": case.first_seen,
        "last_seen": case.last_seen,
        "opened": case.opened,
        "updated": case.updated,
        "assignee": clean(case.assignee)[:128],
        "site": clean(case.site)[:SITE],
        "host": entities[0][1][:HOST] if entities else "",
        "merged_into": case.merged_into or None,
        "judgement": dump(dict(case.judgement)),
    }


def add(connection: Connection, case: Case) -> bool:
    """A new case with its entities, not its items; False if the id is taken."""
    if connection.execute(select(cases.c.version).where(cases.c.id == clean(case.id))).first() is not None:
        return False
    connection.execute(insert(cases), values(connection, case))
    _entities(connection, case)
    return True


def put(connection: Connection, old: Case, new: Case) -> Case:
    """Write a changed case over the one that was read in this transaction, and take the version on by one. Items are
    not written here."""
    new = replace(new, id=old.id, version=old.version + 1)
    row = values(connection, new)
    del row["id"]
    connection.execute(update(cases).where(cases.c.id == old.id).values(row))
    if new.entities != old.entities:
        connection.execute(delete(case_entities).where(case_entities.c.case_id == old.id))
        _entities(connection, new)
    return new


def _entities(connection: Connection, case: Case) -> None:
    seen: dict[str, str] = {}
    for kind, value in case.entities:
        seen.setdefault(clean(value)[:_VALUE], clean(kind)[:64])
    if seen:
        rows = [{"case_id": case.id, "value": value, "type": kind} for value, kind in seen.items()]
        connection.execute(insert(case_entities), rows)


def get(connection: Connection, ids: Sequence[str]) -> dict[str, Case]:
    """Cases with their items."""
    found: dict[str, Case] = {}
    wanted = sorted(set(ids))
    for at in range(0, len(wanted), CHUNK):
        query = select(cases).where(cases.c.id.in_(wanted[at : at + CHUNK]))
        found.update((case.id, case) for case in _cases(connection, connection.execute(query).all()))
    return found


def one(connection: Connection, id: str) -> Case:
    """The case of this id, or the only one whose id begins so (from four digits on). Raises Missing."""
    held = get(connection, [id])
    if id in held:
        return held[id]
    if len(id) >= 4:
        c = cases.c
        query = select(c.id).where(c.id > id, c.id < id + "\x7f").order_by(c.id).limit(2)
        near = list(connection.execute(query).scalars())
        if len(near) == 1:
            return get(connection, near)[near[0]]
        if near:
            raise Missing(f"several cases begin with {id!r}: give more of the id")
    raise Missing(f"there is no case {id!r}" + (" (four digits at least)" if len(id) < 4 else ""))


def _cases(connection: Connection, rows: Sequence[Any]) -> list[Case]:
    items: dict[str, list[tuple[str, str]]] = {row.id: [] for row in rows}
    ids = list(items)
    i = case_items.c
    for at in range(0, len(ids), CHUNK):
        query = (
            select(i.case_id, i.kind, i.item).where(i.case_id.in_(ids[at : at + CHUNK])).order_by(i.number)
        )
        for row in connection.execute(query):
            items[row.case_id].append((row.kind, row.item))
    return [
        Case(
            id=row.id,
            version=row.version,
            state=row.state,
            tier=row.tier,
            level=LEVELS[row.level] if row.level >= 0 else "",
            priority=row.priority,
            title=row.title,
            statement=row.statement,
            entities=tuple((kind, value) for kind, value in json.loads(row.entities)),
            first_seen=row.first_seen,
            last_seen=row.last_seen,
            opened=row.opened,
            updated=row.updated,
            assignee=row.assignee,
            site=row.site,
            merged_into=row.merged_into or "",
            items=tuple(items[row.id]),
            judgement=json.loads(row.judgement),
        )
        for row in rows
    ]


def put_items(
    connection: Connection, id: str, new: Iterable[tuple[str, str]], now: int
) -> list[tuple[str, str]]:
    """Add items that are in no case yet; those that were added. One that is in another case stays there."""
    wanted = list(dict.fromkeys((clean(kind)[:16], clean(item)[:64]) for kind, item in new))
    if not wanted:
        return []
    for kind, item in wanted:
        if kind not in ("finding", "episode") or not item:
            raise ValueError(
                f"an item of a case is a finding or an episode with its id, not {kind!r} {item!r}"
            )
    first = take_numbers(connection, "case-item", len(wanted))
    made = insert_into(connection, case_items).on_conflict_do_nothing(index_elements=["kind", "item"])
    rows = [
        {"kind": kind, "item": item, "case_id": id, "added": now, "number": first + at}
        for at, (kind, item) in enumerate(wanted)
    ]
    connection.execute(made, rows)
    i = case_items.c
    query = select(i.kind, i.item).where(i.case_id == id, i.number >= first).order_by(i.number)
    return [(row.kind, row.item) for row in connection.execute(query)]


def move_items(
    connection: Connection, source: str, target: str, wanted: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Give items of one case to another; those that were still there to be given."""
    moved = []
    i = case_items.c
    for kind, item in wanted:
        change = update(case_items).where(i.kind == kind, i.item == item, i.case_id == source)
        if connection.execute(change.values(case_id=target)).rowcount:
            moved.append((kind, item))
    return moved


def of_item(connection: Connection, kind: str, id: str) -> Case | None:
    """The case that an item is in now."""
    i = case_items.c
    held = connection.execute(select(i.case_id).where(i.kind == kind, i.item == id)).scalar()
    return None if held is None else get(connection, [held]).get(held)


def find_open(
    connection: Connection, site: str, host: str, since: int, anywhere: bool, limit: int
) -> list[Case]:
    """Open cases of a host, last seen at ``since`` or later, newest first."""
    c = cases.c
    query = select(cases).where(c.state == "open", c.site == clean(site)[:SITE], c.last_seen >= since)
    if anywhere:
        named = select(case_entities.c.case_id).where(case_entities.c.value == clean(host)[:_VALUE])
        query = query.where(c.id.in_(named))
    else:
        query = query.where(c.host == clean(host)[:HOST])
    rows = connection.execute(query.order_by(c.last_seen.desc(), c.id).limit(limit)).all()
    return _cases(connection, rows)


def page(connection: Connection, wanted: CaseFilter, before: Place | None, limit: int) -> list[Case]:
    """The queue: highest priority first, then last seen, then id; those after ``before`` only."""
    c = cases.c
    states = (wanted.state,) if wanted.state else STATES
    tiers = (wanted.tier,) if wanted.tier else TIERS
    order = (c.priority.desc(), c.last_seen.desc(), c.id.desc())
    parts = []
    for state in states:
        for tier in tiers:
            query = select(c.id, c.priority, c.last_seen).where(c.state == state, c.tier == tier)
            query = query.where(*_conditions(wanted))
            if before is not None:
                priority, seen, id = before
                query = query.where(c.priority <= priority).where(
                    or_(
                        c.priority < priority,
                        and_(c.priority == priority, c.last_seen < seen),
                        and_(c.priority == priority, c.last_seen == seen, c.id < id),
                    )
                )
            parts.append(query.order_by(*order).limit(literal(limit)).subquery())
    keys = union_all(*(select(part) for part in parts)).subquery()
    first = select(keys.c.id).order_by(keys.c.priority.desc(), keys.c.last_seen.desc(), keys.c.id.desc())
    query = select(cases).where(c.id.in_(first.limit(limit))).order_by(*order)
    return _cases(connection, connection.execute(query).all())


def _conditions(wanted: CaseFilter) -> list[Any]:
    c = cases.c
    found: list[Any] = []
    if wanted.level:
        found.append(c.level >= LEVELS.index(wanted.level))
    if wanted.assignee is not None:
        found.append(c.assignee == clean(wanted.assignee)[:128])
    if wanted.site is not None:
        found.append(c.site == clean(wanted.site)[:SITE])
    if wanted.host:
        named = select(cases.c.id).where(cases.c.host == clean(wanted.host)[:HOST])
        found.append(c.id.in_(named.correlate(None)))
    if wanted.entity:
        e = case_entities.c
        found.append(c.id.in_(select(e.case_id).where(e.value == clean(wanted.entity)[:_VALUE])))
    if wanted.since is not None:
        found.append(c.last_seen >= wanted.since)
    if wanted.until is not None:
        found.append(c.last_seen < wanted.until)
    if wanted.text:
        like = "%" + clean(wanted.text).lower().replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"
        found.append(
            or_(func.lower(c.title).like(like, escape="!"), func.lower(c.statement).like(like, escape="!"))
        )
    return found


def counts(connection: Connection) -> dict[tuple[str, str], int]:
    """(state, tier) -> cases."""
    c = cases.c
    query = select(c.state, c.tier, func.count()).group_by(c.state, c.tier)
    return {(str(state), str(tier)): int(number) for state, tier, number in connection.execute(query)}


def after(connection: Connection, seq: int, limit: int) -> tuple[list[Case], int]:
    """Cases changed after number ``seq``, in the order of their last change, and the number to go on from."""
    c = cases.c
    query = select(cases).where(c.seq > seq).order_by(c.seq).limit(limit)
    rows = connection.execute(query).all()
    return _cases(connection, rows), (int(rows[-1].seq) if rows else seq)

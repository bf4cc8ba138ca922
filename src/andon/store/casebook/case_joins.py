"""Merging, taking out again, and splitting cases.

A merge moves the items and notes what it moved and what it changed of the target, before and after. Taking out moves
those items back that are still in the target, and sets a field of the target back only where it is still what the
merge made of it: what analysts did since stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, insert, select, update

from andon.records.case import LEVELS, MERGED, OPEN, Case
from andon.records.triage import TIERS
from andon.store.casebook import case_rows
from andon.store.casebook.basics import CHUNK, dump
from andon.store.casebook.case_events import write_event
from andon.store.casebook.case_records import NotAllowed
from andon.store.casebook.schema import findings
from andon.store.casebook.schema_cases import case_merges, episodes

_DEEPEST = 10_000  # merges in a row that are followed


def root(connection: Connection, id: str) -> Case:
    """The case that this one went into in the end, or itself."""
    case = case_rows.one(connection, id)
    for _ in range(_DEEPEST):
        if case.state != MERGED:
            return case
        case = case_rows.one(connection, case.merged_into)
    raise NotAllowed(f"case {id} was merged into others more than {_DEEPEST} times")


def merge(connection: Connection, ids: Sequence[str], into: str, actor: str, now: int) -> Case:
    """See ``Cases.merge``."""
    sources = list(dict.fromkeys(case_rows.one(connection, id).id for id in ids))
    target = case_rows.one(connection, into)
    if target.id in sources or not sources:
        raise NotAllowed("a case is merged into another one")
    held = case_rows.get(connection, [*sources, target.id])
    target = held[target.id]
    for id in (target.id, *sources):
        if held[id].state == MERGED:
            raise NotAllowed(
                f"case {id} was merged into {held[id].merged_into}: take that one, or unmerge it first"
            )
    for id in sources:
        source = held[id]
        moved = case_rows.move_items(connection, id, target.id, source.items)
        joined = _joined(target, source)
        before, after = _snapshot(target), _snapshot(joined)
        connection.execute(
            insert(case_merges).values(
                source=id,
                target=target.id,
                time=now,
                state=source.state,
                items=dump(moved),
                before=dump({name: value for name, value in before.items() if value != after[name]}),
                after=dump({name: value for name, value in after.items() if value != before[name]}),
            )
        )
        gone = case_rows.put(
            connection, source, replace(source, state=MERGED, merged_into=target.id, updated=now)
        )
        write_event(connection, gone, actor, "merge-into", now, {"into": target.id})
        target = case_rows.put(connection, target, replace(joined, updated=now))
        write_event(connection, target, actor, "merge", now, {"from": id, "items": len(moved)})
    return case_rows.one(connection, target.id)


def unmerge(connection: Connection, id: str, actor: str, now: int) -> Case:
    """See ``Cases.unmerge``."""
    id = case_rows.one(connection, id).id
    m = case_merges.c
    query = select(case_merges).where(m.source == id, m.undone.is_(None)).order_by(m.id.desc()).limit(1)
    made = connection.execute(query).first()
    if made is None:
        raise NotAllowed(f"case {id} is not merged into another")
    held = case_rows.get(connection, [id, made.target])
    source, target = held[id], held[made.target]
    if source.state != MERGED or source.merged_into != target.id:
        raise NotAllowed(f"case {id} is not merged into another")
    items = [(str(kind), str(item)) for kind, item in json.loads(made.items)]
    # The other case may have gone into a third one since, and the items with it.
    back = case_rows.move_items(connection, root(connection, target.id).id, id, items)
    connection.execute(update(case_merges).where(m.id == made.id).values(undone=now))
    before, after, is_now = json.loads(made.before), json.loads(made.after), _snapshot(target)
    restored = {name: value for name, value in before.items() if is_now[name] == after[name]}
    if "entities" in restored:
        restored["entities"] = tuple(map(tuple, restored["entities"]))
    kept = tuple(item for item in target.items if item not in set(back))
    new = case_rows.put(connection, target, replace(target, **restored, items=kept, updated=now))
    write_event(connection, new, actor, "unmerge", now, {"out": id, "items": len(back)})
    out = case_rows.put(connection, source, replace(source, state=made.state, merged_into="", updated=now))
    write_event(connection, out, actor, "unmerge-from", now, {"from": target.id, "items": len(back)})
    return replace(out, items=tuple(back))


def split(connection: Connection, id: str, items: Sequence[tuple[str, str]], actor: str, now: int) -> Case:
    """See ``Cases.split``."""
    old = case_rows.one(connection, id)
    wanted = list(dict.fromkeys((kind, item) for kind, item in items))
    strange = [item for item in wanted if item not in old.items]
    if not wanted or strange:
        raise NotAllowed(
            f"case {old.id} has no {strange[0][0]} {strange[0][1]}" if strange else "nothing to split"
        )
    if len(wanted) == len(old.items):
        raise NotAllowed(f"these are all items of case {old.id}: a split leaves some")
    if old.state == MERGED:
        raise NotAllowed(f"case {old.id} was merged into {old.merged_into}: split that one")
    text = "\x1f".join((old.id, str(old.version), *(f"{kind} {item}" for kind, item in wanted)))
    first, last = _times(connection, wanted) or (old.first_seen, old.last_seen)
    new = replace(
        old,
        id=hashlib.blake2b(text.encode(), digest_size=12).hexdigest(),
        version=1,
        state=OPEN,
        first_seen=first,
        last_seen=last,
        opened=now,
        updated=now,
        judgement={},
    )
    case_rows.add(connection, new)
    case_rows.move_items(connection, old.id, new.id, wanted)
    write_event(
        connection, new, actor, "split-from", now, {"from": old.id, "items": [list(i) for i in wanted]}
    )
    kept = tuple(item for item in old.items if item not in set(wanted))
    left = _times(connection, kept) or (old.first_seen, old.last_seen)
    rest = case_rows.put(
        connection, old, replace(old, first_seen=left[0], last_seen=left[1], items=kept, updated=now)
    )
    write_event(connection, rest, actor, "split", now, {"into": new.id, "items": [list(i) for i in wanted]})
    return replace(new, items=tuple(wanted))


def _joined(target: Case, source: Case) -> Case:
    """The target with the strongest of both; TIERS begins with the most urgent."""
    return replace(
        target,
        first_seen=min(target.first_seen, source.first_seen),
        last_seen=max(target.last_seen, source.last_seen),
        priority=max(target.priority, source.priority),
        tier=min(target.tier, source.tier, key=TIERS.index),
        level=max(target.level, source.level, key=lambda level: LEVELS.index(level) if level else -1),
        entities=tuple(dict.fromkeys((*target.entities, *source.entities))),
    )


def _snapshot(case: Case) -> dict[str, Any]:
    return {
        "first_seen": case.first_seen,
        "last_seen": case.last_seen,
        "priority": case.priority,
        "tier": case.tier,
        "level": case.level,
        "entities": [list(entity) for entity in case.entities],
    }


def _times(connection: Connection, items: Sequence[tuple[str, str]]) -> tuple[int, int] | None:
    """First and last time of items as far as the casebook has them."""
    found: list[tuple[int, int]] = []
    for kind, table, first, last in (
        ("finding", findings, findings.c.first_seen, findings.c.last_seen),
        ("episode", episodes, episodes.c.first, episodes.c.last),
    ):
        ids = [item for of, item in items if of == kind]
        for at in range(0, len(ids), CHUNK):
            query = select(first, last).where(table.c.id.in_(ids[at : at + CHUNK]))
            found += [(row[0], row[1]) for row in connection.execute(query)]
    if not found:
        return None
    return min(pair[0] for pair in found), max(pair[1] for pair in found)

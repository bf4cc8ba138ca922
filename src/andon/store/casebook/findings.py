"""Findings in and out: stored if new or of a higher revision, read a page at a time, newest first.

A page is asked for as one small query per (kind, severity), each a walk backwards along an index, put together by
the database: its cost does not grow with the casebook.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    insert,
    literal,
    or_,
    select,
    text,
    union_all,
)

from andon.records.finding import INLINE_ENTITIES, SEVERITIES, Finding
from andon.store.casebook.basics import CHUNK, clean, dump, take_numbers
from andon.store.casebook.records import Filter, StoredFinding
from andon.store.casebook.schema import counters, entities, findings

_VALUE = 512  # characters of an entity that are indexed
PAGE = 200
_ENTITIES = text(
    "INSERT INTO finding_entities (value, last_seen, seq, type) SELECT * FROM unnest("
    "CAST(:value AS text[]), CAST(:last_seen AS bigint[]), CAST(:seq AS bigint[]), CAST(:type AS text[]))"
)


def store(connection: Connection, new: Sequence[Finding], clock: int) -> int:
    """Store those that are new or of a higher revision, in the order given; how many were."""
    wanted: dict[str, Finding] = {}
    for finding in new:
        held = wanted.get(finding.id)
        if held is None or finding.revision > held.revision:
            wanted[finding.id] = finding
    if not wanted:
        return 0
    first = take_numbers(connection, "seq", len(wanted))
    old = _held(connection, tuple(wanted))
    kept = [(id, finding) for id, finding in wanted.items() if id not in old or finding.revision > old[id][0]]
    replaced = [old[id][1] for id, _ in kept if id in old]
    if replaced:
        connection.execute(delete(findings).where(findings.c.seq == bindparam("gone")), [
            {"gone": seq} for seq in replaced
        ])  # fmt: skip
    rows = [_row(finding, id, first + at, clock) for at, (id, finding) in enumerate(kept)]
    if not rows:
        return 0
    connection.execute(insert(findings), rows)
    things = [thing for at, (_, finding) in enumerate(kept) for thing in _things(finding, first + at)]
    if things and connection.dialect.name == "postgresql":
        # As four arrays: row by row they were half of what a conclusion costs.
        columns = {name: [thing[name] for thing in things] for name in ("value", "last_seen", "seq", "type")}
        connection.execute(_ENTITIES, columns)
    elif things:
        connection.execute(insert(entities), things)
    return len(rows)


def _held(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    held: dict[str, tuple[int, int]] = {}
    for at in range(0, len(ids), CHUNK):
        query = select(findings.c.id, findings.c.revision, findings.c.seq).where(
            findings.c.id.in_(ids[at : at + CHUNK])
        )
        held.update({row.id: (row.revision, row.seq) for row in connection.execute(query)})
    return held


def _row(finding: Finding, id: str, seq: int, clock: int) -> dict[str, Any]:
    return {
        "seq": seq,
        "id": id,
        "series": finding.series,
        "revision": finding.revision,
        "engine": finding.engine,
        "engine_version": finding.engine_version,
        "kind": finding.kind,
        "severity": SEVERITIES.index(finding.severity),
        "confidence": finding.confidence,
        "window_start": finding.window[0],
        "window_end": finding.window[1],
        "first_seen": finding.first_seen,
        "last_seen": finding.last_seen,
        "count": finding.count,
        "title": clean(finding.title),
        "stored": clock,
        "document": dump(finding.to_dict()),
    }


def _things(finding: Finding, seq: int) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    named = [finding.subject, *((e.type, e.value) for e in finding.entities[:INLINE_ENTITIES])]
    for type, value in named:
        text = clean(value)[:_VALUE]
        if text not in seen:
            seen.add(text)
            yield {"value": text, "last_seen": finding.last_seen, "seq": seq, "type": clean(type)[:64]}


def page(
    connection: Connection, filter: Filter, limit: int, before: tuple[int, int] | None = None
) -> list[StoredFinding]:
    """At most ``limit`` findings, newest (last seen) first, those after the (last_seen, seq) ``before`` only."""
    parts = [_part(condition, filter, limit, before) for condition in _parts(filter)]
    keys = union_all(*(select(part.subquery()) for part in parts)).subquery()
    wanted = select(keys.c.seq).order_by(keys.c.last_seen.desc(), keys.c.seq.desc()).limit(limit)
    query = (
        select(findings)
        .where(findings.c.seq.in_(wanted))
        .order_by(findings.c.last_seen.desc(), findings.c.seq.desc())
    )
    return [_stored(row) for row in connection.execute(query)]


def _parts(filter: Filter) -> list[Any]:
    """Conditions that together say kind, engine and severity, each an equality along one index."""
    c = findings.c
    if filter.entity or filter.series or not (filter.kinds or filter.engines or filter.severity):
        return [None]
    severities = filter.severities
    if filter.kinds:
        return [and_(c.kind == k, c.severity == s) for k in filter.kinds for s in severities]
    if filter.engines:
        return [and_(c.engine == e, c.severity == s) for e in filter.engines for s in severities]
    return [c.severity == s for s in severities]


def _part(
    condition: Any, filter: Filter, limit: int, before: tuple[int, int] | None
) -> Select[tuple[int, int]]:
    c = findings.c
    time, seq = c.last_seen, c.seq
    query: Any = select(time, seq)
    if filter.entity:
        time, seq = entities.c.last_seen, entities.c.seq
        query = (
            select(time, seq)
            .select_from(entities.join(findings, c.seq == entities.c.seq))
            .where(entities.c.value == clean(filter.entity)[:_VALUE])
        )
    if condition is not None:
        query = query.where(condition)
    else:
        if filter.kinds:
            query = query.where(c.kind.in_(filter.kinds))
        if filter.severity:
            query = query.where(c.severity.in_(filter.severities))
    if filter.engines and (condition is None or filter.kinds):
        query = query.where(c.engine.in_(filter.engines))
    if filter.series:
        query = query.where(c.series == filter.series)
    if filter.since is not None:
        query = query.where(time >= filter.since)
    if filter.until is not None:
        query = query.where(time < filter.until)
    if before is not None:
        query = query.where(or_(time < before[0], and_(time == before[0], seq < before[1])))
        query = query.where(time <= before[0])
    answer: Select[tuple[int, int]] = query.order_by(time.desc(), seq.desc()).limit(literal(limit))
    return answer


def after(connection: Connection, seq: int, filter: Filter, limit: int) -> tuple[list[StoredFinding], int]:
    """Findings stored after number ``seq`` in the order of storing, and the number looked through to."""
    newest = select(counters.c.value).where(counters.c.name == "seq")
    last = int(connection.execute(newest).scalar() or 0)
    c = findings.c
    query = select(findings).where(c.seq > seq, c.seq <= last)
    if filter.kinds:
        query = query.where(c.kind.in_(filter.kinds))
    if filter.engines:
        query = query.where(c.engine.in_(filter.engines))
    if filter.severity:
        query = query.where(c.severity.in_(filter.severities))
    if filter.series:
        query = query.where(c.series == filter.series)
    if filter.since is not None:
        query = query.where(c.last_seen >= filter.since)
    if filter.until is not None:
        query = query.where(c.last_seen < filter.until)
    if filter.entity:
        named = select(entities.c.seq).where(entities.c.value == clean(filter.entity)[:_VALUE])
        query = query.where(c.seq.in_(named))
    rows = [_stored(row) for row in connection.execute(query.order_by(c.seq).limit(limit))]
    return rows, rows[-1].seq if len(rows) == limit else last


def by_id(connection: Connection, id: str) -> list[StoredFinding]:
    """The finding of this id, or (at most two) whose ids begin with it."""
    c = findings.c
    exact = [_stored(row) for row in connection.execute(select(findings).where(c.id == id))]
    if exact or len(id) < 4:
        return exact
    query = select(findings).where(c.id > id, c.id < id + "g").order_by(c.id).limit(2)
    return [_stored(row) for row in connection.execute(query)]


def _stored(row: Row[Any]) -> StoredFinding:
    values = dict(row._mapping)
    values["severity"] = SEVERITIES[values["severity"]]
    return StoredFinding(**values)


def only(rows: Iterable[StoredFinding]) -> StoredFinding | None:
    """The one row there is, or None."""
    held = list(rows)
    return held[0] if len(held) == 1 else None

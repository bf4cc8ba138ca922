"""Verdicts of analysts: only ever added, by this code and by triggers of the database.

A verdict on a case is also a line of its timeline. Two analysts whose newest verdicts on a subject differ are a
conflict: both stay, and ``conflicts`` shows them side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from andon.records.case import UNSURE, Verdict
from andon.store.casebook import case_rows
from andon.store.casebook.basics import CHUNK, clean, take_numbers, write_audit
from andon.store.casebook.case_events import write_event
from andon.store.casebook.case_records import Missing
from andon.store.casebook.records import AuditEntry
from andon.store.casebook.schema import findings
from andon.store.casebook.schema_cases import cases, episodes, verdicts
from andon.store.casebook.session import Session

_SUBJECTS: dict[str, Any] = {"case": cases, "episode": episodes, "finding": findings}


class Verdicts:
    """``book.verdicts``, or ``work.verdicts`` within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, verdict: Verdict, now: int | None = None) -> Verdict:
        """Store a verdict; it comes back with its number and time. Raises Missing if there is no such subject."""
        return self.add_all([verdict], now)[0]

    def add_all(self, new: Sequence[Verdict], now: int | None = None) -> list[Verdict]:
        """Several in one transaction: all or none. Raises Missing; ValueError if an analyst is not named."""
        if not new:
            return []
        when = self._session.now(now)
        with self._session.write() as connection:
            self._check(connection, new)
            first = take_numbers(connection, "verdict", len(new))
            kept = [
                replace(
                    verdict,
                    id=first + at,
                    time=verdict.time or when,
                    analyst=self._session.actor(verdict.analyst),
                    reason=clean(verdict.reason),
                    note=clean(verdict.note),
                )
                for at, verdict in enumerate(new)
            ]
            connection.execute(insert(verdicts), [_row(verdict) for verdict in kept])
            held = case_rows.get(connection, [v.subject[1] for v in kept if v.subject[0] == "case"])
            for verdict in kept:
                kind, id = verdict.subject
                told = {
                    "label": verdict.label,
                    "reason": verdict.reason,
                    "shown": verdict.shown,
                    "verdict": verdict.id,
                }
                if kind == "case":
                    case = case_rows.put(connection, held[id], replace(held[id], updated=when))
                    held[id] = case
                    write_event(connection, case, verdict.analyst, "verdict", when, told)
                else:
                    entry = AuditEntry(when, verdict.analyst, "verdict", f"{kind} {id}", told)
                    write_audit(connection, entry)
            return kept

    def of(self, subject: tuple[str, str]) -> list[Verdict]:
        """All that was said of a (kind, id), oldest first."""
        v = verdicts.c
        with self._session.read() as connection:
            query = select(verdicts).where(v.kind == subject[0], v.subject == subject[1]).order_by(v.id)
            return [_verdict(row) for row in connection.execute(query)]

    def of_many(self, kind: str, ids: Sequence[str]) -> dict[str, list[Verdict]]:
        """id -> what was said of it, oldest first; ids of which nothing was said are left out."""
        v = verdicts.c
        found: dict[str, list[Verdict]] = {}
        with self._session.read() as connection:
            for at in range(0, len(ids), CHUNK):
                wanted = select(verdicts).where(v.kind == kind, v.subject.in_(ids[at : at + CHUNK]))
                for row in connection.execute(wanted.order_by(v.id)):
                    found.setdefault(row.subject, []).append(_verdict(row))
        return found

    def since(self, id: int = 0, limit: int = 1000) -> list[Verdict]:
        """Verdicts after number ``id``, in the order of storing: whoever follows them misses none."""
        v = verdicts.c
        with self._session.read() as connection:
            query = select(verdicts).where(v.id > id).order_by(v.id).limit(limit)
            return [_verdict(row) for row in connection.execute(query)]

    def all(self, page: int = 1000) -> Iterator[Verdict]:
        """Every verdict in the order of storing, read a page at a time."""
        at = 0
        while found := self.since(at, page):
            yield from found
            at = found[-1].id

    def count(self) -> int:
        """How many there are."""
        with self._session.read() as connection:
            return int(connection.execute(select(func.count()).select_from(verdicts)).scalar_one())

    def conflicts(self, limit: int = 100) -> list[tuple[Verdict, ...]]:
        """Subjects of which analysts say different things: the newest verdict of each, those who are unsure left out;
        newest conflict first."""
        v = verdicts.c
        newest = (
            select(func.max(v.id).label("id"))
            .where(v.label != UNSURE)
            .group_by(v.kind, v.subject, v.analyst)
            .subquery()
        )
        told = select(verdicts).where(v.id.in_(select(newest.c.id))).subquery()
        disputed = (
            select(told.c.kind, told.c.subject, func.max(told.c.id).label("last"))
            .group_by(told.c.kind, told.c.subject)
            .having(func.count(told.c.label.distinct()) > 1)
            .order_by(func.max(told.c.id).desc())
            .limit(limit)
            .subquery()
        )
        query = (
            select(told, disputed.c.last)
            .join(disputed, (told.c.kind == disputed.c.kind) & (told.c.subject == disputed.c.subject))
            .order_by(disputed.c.last.desc(), told.c.id)
        )
        found: dict[tuple[str, str], list[Verdict]] = {}
        with self._session.read() as connection:
            for row in connection.execute(query):
                found.setdefault((row.kind, row.subject), []).append(_verdict(row))
        return [tuple(said) for said in found.values()]

    def _check(self, connection: Connection, new: Sequence[Verdict]) -> None:
        for kind in dict.fromkeys(verdict.subject[0] for verdict in new):
            table = _SUBJECTS.get(kind)
            if table is None:
                raise ValueError(f"a verdict is on {', '.join(_SUBJECTS)}, not on {kind!r}")
            ids = list(dict.fromkeys(v.subject[1] for v in new if v.subject[0] == kind))
            there: set[str] = set()
            for at in range(0, len(ids), CHUNK):
                query = select(table.c.id).where(table.c.id.in_(ids[at : at + CHUNK]))
                there |= set(connection.execute(query).scalars())
            for id in ids:
                if id not in there:
                    raise Missing(f"there is no {kind} {id!r} to judge")


def _row(verdict: Verdict) -> dict[str, Any]:
    return {
        "id": verdict.id,
        "kind": verdict.subject[0],
        "subject": verdict.subject[1],
        "label": verdict.label,
        "analyst": verdict.analyst,
        "reason": verdict.reason,
        "shown": verdict.shown,
        "note": verdict.note,
        "time": verdict.time,
        "model": clean(verdict.model)[:64],
    }


def _verdict(row: Row[Any]) -> Verdict:
    return Verdict(
        subject=(row.kind, row.subject),
        label=row.label,
        analyst=row.analyst,
        reason=row.reason,
        shown=row.shown,
        note=row.note,
        time=row.time,
        model=row.model,
        id=row.id,
    )

"""Models that were trained: candidate, promoted, refused or retired; at most one of a kind is promoted.

The model itself is a file that its digest names (``learn``); here is who promoted what, when and on what comparison,
and the way back. The history is only ever added to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from andon.store.casebook.basics import clean, dump, write_audit
from andon.store.casebook.case_records import (
    CANDIDATE,
    PROMOTED,
    REFUSED,
    RETIRED,
    Missing,
    ModelEvent,
    ModelRow,
    NotAllowed,
)
from andon.store.casebook.records import AuditEntry
from andon.store.casebook.schema_cases import model_events, models
from andon.store.casebook.session import Session


class Models:
    """``book.models``, or ``work.models`` within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        kind: str,
        digest: str,
        card: Mapping[str, Any],
        comparison: Mapping[str, Any] | None = None,
        actor: str = "",
        now: int | None = None,
    ) -> ModelRow:
        """A new candidate; one that is there already stays as it is."""
        for name, value in (("kind", kind), ("digest", digest)):
            if not value or len(value) > 64:
                raise ValueError(f"the {name} of a model has 1 to 64 characters")
        who, when = self._session.actor(actor), self._session.now(now)
        with self._session.write() as connection:
            where = (models.c.kind == clean(kind), models.c.digest == clean(digest))
            if connection.execute(select(models.c.state).where(*where)).first() is None:
                values = {
                    "kind": clean(kind),
                    "digest": clean(digest),
                    "state": CANDIDATE,
                    "created": when,
                    "card": dump(dict(card)),
                    "comparison": dump(dict(comparison or {})),
                    "promoted_by": "",
                }
                connection.execute(insert(models).values(values))
                _event(connection, kind, digest, "add", who, when, {})
            return _get(connection, kind, digest)

    def get(self, kind: str, digest: str) -> ModelRow:
        """Raises Missing."""
        with self._session.read() as connection:
            return _get(connection, kind, digest)

    def promoted(self, kind: str) -> ModelRow | None:
        """The model of this kind that is in use."""
        with self._session.read() as connection:
            return _promoted(connection, kind)

    def rows(self, kind: str = "", limit: int = 100) -> list[ModelRow]:
        """Models, newest first."""
        query = select(models).order_by(models.c.created.desc(), models.c.digest).limit(limit)
        if kind:
            query = query.where(models.c.kind == kind)
        with self._session.read() as connection:
            return [_model(row) for row in connection.execute(query)]

    def history(self, kind: str = "", limit: int = 1000) -> list[ModelEvent]:
        """What became of them, newest first."""
        e = model_events.c
        query = select(model_events).order_by(e.id.desc()).limit(limit)
        if kind:
            query = query.where(e.kind == kind)
        with self._session.read() as connection:
            return [
                ModelEvent(
                    row.id, row.time, row.kind, row.digest, row.action, row.actor, json.loads(row.detail)
                )
                for row in connection.execute(query)
            ]

    def promote(
        self,
        kind: str,
        digest: str,
        actor: str = "",
        comparison: Mapping[str, Any] | None = None,
        now: int | None = None,
        override: str = "",
    ) -> ModelRow:
        """Put a model in use; the one that was retires. ``override``: why one that was refused is used all the same;
        without a reason it is not: NotAllowed."""
        who, when = self._session.actor(actor), self._session.now(now)
        with self._session.write() as connection:
            model = _get(connection, kind, digest)
            if model.state == PROMOTED:
                return model
            if model.state == REFUSED and not override.strip():
                raise NotAllowed(
                    f"model {digest} was refused; it is promoted only for a reason that is given"
                )
            current = _promoted(connection, kind)
            if current is not None:
                _set(connection, current, state=RETIRED)
                _event(connection, kind, current.digest, "retire", who, when, {"for": digest})
            _set(connection, model, state=PROMOTED, promoted_at=when, promoted_by=who)
            if comparison is not None:
                _set(connection, model, comparison=dump(dict(comparison)))
            told = ({"override": override} if override else {}) | dict(comparison or model.comparison)
            _event(connection, kind, digest, "promote", who, when, told)
            return _get(connection, kind, digest)

    def refuse(
        self,
        kind: str,
        digest: str,
        reason: str,
        actor: str = "",
        comparison: Mapping[str, Any] | None = None,
        now: int | None = None,
    ) -> ModelRow:
        """Turn a candidate down. Raises NotAllowed for one that is in use."""
        who, when = self._session.actor(actor), self._session.now(now)
        with self._session.write() as connection:
            model = _get(connection, kind, digest)
            if model.state == PROMOTED:
                raise NotAllowed(f"model {digest} is in use: roll it back")
            _set(connection, model, state=REFUSED)
            if comparison is not None:
                _set(connection, model, comparison=dump(dict(comparison)))
            _event(
                connection, kind, digest, "refuse", who, when, {"reason": clean(reason), **(comparison or {})}
            )
            return _get(connection, kind, digest)

    def roll_back(self, kind: str, reason: str, actor: str = "", now: int | None = None) -> ModelRow | None:
        """Refuse the model in use and put the one before it in its place; None if there was none before, and then
        what is shipped holds. Raises NotAllowed if none is in use."""
        who, when = self._session.actor(actor), self._session.now(now)
        with self._session.write() as connection:
            current = _promoted(connection, kind)
            if current is None:
                raise NotAllowed(f"no model of kind {kind!r} was promoted: there is nothing to roll back")
            _set(connection, current, state=REFUSED)
            m = models.c
            query = (
                select(models)
                .where(m.kind == kind, m.state == RETIRED, m.promoted_at.is_not(None))
                .order_by(m.promoted_at.desc(), m.created.desc())
                .limit(1)
            )
            row = connection.execute(query).first()
            to = None if row is None else _model(row)
            told = {"reason": clean(reason), "to": to.digest if to else ""}
            _event(connection, kind, current.digest, "roll-back", who, when, told)
            if to is None:
                return None
            _set(connection, to, state=PROMOTED, promoted_by=who)
            _event(connection, kind, to.digest, "promote", who, when, {"rolled_back": current.digest})
            return _get(connection, kind, to.digest)


def _get(connection: Connection, kind: str, digest: str) -> ModelRow:
    query = select(models).where(models.c.kind == kind, models.c.digest == digest)
    row = connection.execute(query).first()
    if row is None:
        raise Missing(f"there is no model {digest!r} of kind {kind!r}")
    return _model(row)


def _promoted(connection: Connection, kind: str) -> ModelRow | None:
    row = connection.execute(select(models).where(models.c.kind == kind, models.c.state == PROMOTED)).first()
    return None if row is None else _model(row)


def _set(connection: Connection, model: ModelRow, **values: Any) -> None:
    where = (models.c.kind == model.kind, models.c.digest == model.digest)
    connection.execute(update(models).where(*where).values(values))


def _event(
    connection: Connection,
    kind: str,
    digest: str,
    action: str,
    actor: str,
    now: int,
    detail: Mapping[str, Any],
) -> None:
    values = {"time": now, "kind": kind, "digest": digest, "action": action, "actor": actor}
    connection.execute(insert(model_events).values(**values, detail=dump(dict(detail))))
    write_audit(connection, AuditEntry(now, actor, f"model-{action}", f"{kind} {digest}", detail))


def _model(row: Row[Any]) -> ModelRow:
    values = dict(row._mapping)
    return ModelRow(**{**values, "card": json.loads(row.card), "comparison": json.loads(row.comparison)})

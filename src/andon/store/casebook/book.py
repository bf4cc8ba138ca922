"""The casebook: findings, what engines remember, where the runner stands, and what is to be delivered.

Whatever belongs together is one transaction: a conclusion's findings, its carry's digest, its tables and its
messages are all there after a crash, or none of them. Replaying a conclusion changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from andon.records.finding import Finding
from andon.store.casebook import findings as rows
from andon.store.casebook import migrate, queue
from andon.store.casebook.alerts import Alerts
from andon.store.casebook.basics import insert_into, last_number, write_audit
from andon.store.casebook.cases import Cases
from andon.store.casebook.connect import locate, open_engine, transaction
from andon.store.casebook.cursors import Cursors
from andon.store.casebook.engine_tables import EngineTables
from andon.store.casebook.episodes import Episodes
from andon.store.casebook.model_rows import Models
from andon.store.casebook.records import (
    AuditEntry,
    Carry,
    CasebookError,
    Checkpoint,
    Conclusion,
    EngineTable,
    Filter,
    Message,
    Queued,
    StoredFinding,
)
from andon.store.casebook.retention import Forgotten, forget
from andon.store.casebook.schema import (
    audit,
    carries,
    checkpoints,
    conclusions,
    doomed,
    engine_tables,
    meta,
    states,
)
from andon.store.casebook.session import Session
from andon.store.casebook.suppressions import Suppressions
from andon.store.casebook.verdicts import Verdicts
from andon.store.casebook.work import Work

_KEPT_CHECKPOINTS = 5


class Casebook:
    """One casebook; threads may share it. ``url``: a store folder, a ``.db`` file, or ``postgresql://...``.

    Every method raises StoreError where the database refuses: StoreFull and StoreLocked are worth another try.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     book = Casebook(folder)
    ...     book.migrate()
    ...     book.conclude(Conclusion("darknet.census", 1, "1d", 0, 86_400, segment=7))
    ...     book.conclude(Conclusion("darknet.census", 1, "1d", 0, 86_400, segment=7))
    ...     book.concluded("darknet.census", "1d")
    ...     book.close()
    True
    False
    86400
    """

    def __init__(self, url: str | Path, read_only: bool = False, busy_seconds: float = 30.0) -> None:
        where = locate(url)
        self.name = where.render_as_string(hide_password=True)
        if where.drivername == "sqlite":
            self.name = str(where.database)
            if read_only and not Path(self.name).is_file():
                raise CasebookError(f"there is no casebook at {self.name}")
        self._engine = open_engine(where, read_only, busy_seconds)
        session = Session(self._engine, self.name)
        self.tables = EngineTables(session)
        self.alerts = Alerts(session)
        self.episodes = Episodes(session)
        self.cases = Cases(session)
        self.verdicts = Verdicts(session)
        self.suppressions = Suppressions(session)
        self.models = Models(session)
        self._cursors = Cursors(session)

    def close(self) -> None:
        """Close the connections of this process."""
        self._engine.dispose()

    def __enter__(self) -> Casebook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def migrate(self, to: str = "head") -> None:
        """Make or renew the tables. Raises CasebookError if a newer Andon wrote them."""
        migrate.migrate(self._engine, self.name, to)
        if to == "head":
            with self._write() as connection:
                self._set_meta(connection, "store_id", uuid.uuid4().hex)

    @property
    def store_id(self) -> str:
        """A name for this store, made when it was made."""
        with self._read() as connection:
            query = select(meta.c.value).where(meta.c.key == "store_id")
            return str(connection.execute(query).scalar_one())

    # Triage: each call of the parts above is a transaction of its own

    @contextmanager
    def work(self, actor: str, now: int | None = None) -> Iterator[Work]:
        """Cases, episodes, verdicts, alerts, findings and cursors in one transaction: all of it or nothing.

        ``actor``: whose work it is, for the timeline and the audit log; ``now``: ns, by default the time it is."""
        session = Session(self._engine, self.name, None, actor, now)
        with session.write() as connection:
            yield Work(Session(self._engine, self.name, connection, actor, session.now(None)))

    def cursor(self, name: str) -> int:
        """How far a follower has come (moved by ``work.move``); 0 at first."""
        return self._cursors.get(name)

    def expire(
        self,
        alerts_before: int | None = None,
        episodes_before: int | None = None,
        cases_before: int | None = None,
        batches: int = 200,
    ) -> Forgotten:
        """Remove alerts, episodes that are in no case, and closed cases from before times (ns), in short transactions:
        see ``retention``. Call again while ``whole`` is False."""
        session = Session(self._engine, self.name)
        return forget(session, alerts_before, episodes_before, cases_before, batches)

    # What engines concluded

    def conclude(self, conclusion: Conclusion) -> bool:
        """Store a conclusion; False if it is there already, and then nothing changes.

        Raises ValueError for one that starts before the newest of its engine and span ends: conclusions are
        drawn in time order."""
        with self._write() as connection:
            return self._conclude(connection, conclusion)

    def conclude_all(self, concluded: Sequence[Conclusion]) -> int:
        """Several conclusions in one transaction (spans that close together); how many were new."""
        with self._write() as connection:
            return sum(self._conclude(connection, conclusion) for conclusion in concluded)

    def _conclude(self, connection: Connection, new: Conclusion) -> bool:
        c = conclusions.c
        there = select(c.end).where(c.engine == new.engine, c.span == new.span, c.start == new.start)
        if connection.execute(there).first() is not None:
            return False
        k = carries.c
        newest = select(k.end).where(k.engine == new.engine, k.span == new.span)
        last = connection.execute(newest).scalar()
        if last is not None and new.start < last:
            raise ValueError(
                f"{new.engine} has concluded its {new.span} spans through {last}; one from {new.start} is too late"
            )
        key = {"engine": new.engine, "span": new.span}
        rest = {
            "start": new.start,
            "end": new.end,
            "version": new.version,
            "segment": new.segment,
            "wake_at": new.wake_at,
            "clock": new.clock,
        }
        connection.execute(insert(conclusions).values(**key, **rest, carry_digest=new.carry_digest))
        upsert = insert_into(connection, carries).values(**key, **rest, digest=new.carry_digest)
        connection.execute(
            upsert.on_conflict_do_update(
                index_elements=["engine", "span"], set_={**rest, "digest": new.carry_digest}
            )
        )
        if new.tables:
            connection.execute(
                insert(engine_tables),
                [
                    {
                        "name": name if ":" in name else f"{new.engine}:{name}",
                        "span": new.span,
                        "start": new.start,
                        "end": new.end,
                        "path": path,
                        "digest": digest,
                        "rows": count,
                    }
                    for name, path, digest, count in new.tables
                ],
            )
        rows.store(connection, new.findings, new.clock)
        queue.enqueue(connection, new.messages, new.clock)
        return True

    def concluded(self, engine: str, span: str) -> int | None:
        """End of the newest concluded span, None if there is none."""
        with self._read() as connection:
            query = select(carries.c.end).where(carries.c.engine == engine, carries.c.span == span)
            end = connection.execute(query).scalar()
        return None if end is None else int(end)

    def carries(self) -> dict[tuple[str, str], Carry]:
        """(engine, span) -> its newest conclusion, with the digest of the carry and when it wants to wake."""
        with self._read() as connection:
            held = [Carry(**row._mapping) for row in connection.execute(select(carries))]
        return {(carry.engine, carry.span): carry for carry in held}

    def table(self, name: str, span: str, start: int) -> EngineTable | None:
        """The table ``ENGINE:TABLE`` of one span."""
        t = engine_tables.c
        return self._table(
            select(engine_tables).where(t.name == name, t.span == span, t.start == start).limit(1)
        )

    def table_before(self, name: str, start: int, span: str | None = None) -> EngineTable | None:
        """The newest table ``ENGINE:TABLE`` whose span ended by ``start`` (a need written ``@last``)."""
        t = engine_tables.c
        query = select(engine_tables).where(t.name == name, t.end <= start)
        if span is not None:
            query = query.where(t.span == span)
        return self._table(query.order_by(t.end.desc(), t.start.desc()).limit(1))

    def _table(self, query: Any) -> EngineTable | None:
        with self._read() as connection:
            row = connection.execute(query).first()
        return None if row is None else EngineTable(**row._mapping)

    # Where the runner stands

    def checkpoint(self, point: Checkpoint) -> None:
        """Store where the runner stands, with findings and messages of its own.

        Raises CasebookError for a segment before the last checkpoint's: another runner was here, or the journal is
        an older copy."""
        with self._write() as connection:
            query = select(checkpoints.c.segment).order_by(checkpoints.c.id.desc()).limit(1)
            last = connection.execute(query).scalar()
            if last is not None and point.segment < last:
                raise CasebookError(
                    f"casebook {self.name} stands at segment {last}, the runner at {point.segment}: another runner "
                    "uses this store, or its journal was replaced by an older copy"
                )
            added = connection.execute(
                insert(checkpoints).values(segment=point.segment, clock=point.clock)
            ).inserted_primary_key
            number = int(added[0]) if added is not None else 0
            if point.states:
                connection.execute(
                    insert(states),
                    [
                        {"checkpoint": number, "name": name, "digest": digest}
                        for name, digest in point.states.items()
                    ],
                )
            connection.execute(delete(checkpoints).where(checkpoints.c.id <= number - _KEPT_CHECKPOINTS))
            rows.store(connection, point.findings, point.clock)
            queue.enqueue(connection, point.messages, point.clock)

    def last_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint (without its findings and messages)."""
        with self._read() as connection:
            query = select(checkpoints).order_by(checkpoints.c.id.desc()).limit(1)
            row = connection.execute(query).first()
            if row is None:
                return None
            held = select(states.c.name, states.c.digest).where(states.c.checkpoint == row.id)
            found = {str(name): str(digest) for name, digest in connection.execute(held)}
        return Checkpoint(segment=row.segment, states=found, clock=row.clock)

    def state(self, name: str) -> str | None:
        """Digest of one state of the last checkpoint."""
        point = self.last_checkpoint()
        return None if point is None else point.states.get(name)

    def state_digests(self) -> set[str]:
        """Digests that something refers to: what ``StateFiles.sweep`` has to keep."""
        with self._read() as connection:
            held = set(connection.execute(select(carries.c.digest)).scalars())
            held |= set(connection.execute(select(states.c.digest)).scalars())
        return {str(digest) for digest in held if digest}

    def record(
        self, findings: Sequence[Finding] = (), messages: Sequence[Message] = (), clock: int = 0
    ) -> int:
        """Store findings and messages that belong to no conclusion; how many findings were new."""
        with self._write() as connection:
            queue.enqueue(connection, messages, clock)
            return rows.store(connection, findings, clock)

    # Findings

    def findings(
        self, filter: Filter | None = None, limit: int | None = None, before: tuple[int, int] | None = None
    ) -> Iterator[StoredFinding]:
        """Findings, newest (last seen) first, read a page at a time.

        ``before``: go on after the finding with this (last_seen, seq)."""
        filter = filter or Filter()
        left = limit
        while left is None or left > 0:
            size = rows.PAGE if left is None else min(left, rows.PAGE)
            with self._read() as connection:
                found = rows.page(connection, filter, size, before)
            yield from found
            if len(found) < size:
                return
            before = (found[-1].last_seen, found[-1].seq)
            left = None if left is None else left - len(found)

    def finding(self, id: str) -> StoredFinding | None:
        """The finding of this id, or the only one whose id begins so (from four digits on)."""
        with self._read() as connection:
            return rows.only(rows.by_id(connection, id))

    def findings_after(
        self, seq: int, filter: Filter | None = None, limit: int = rows.PAGE
    ) -> tuple[list[StoredFinding], int]:
        """Findings stored after number ``seq``, oldest first, and the number to go on from."""
        with self._read() as connection:
            return rows.after(connection, seq, filter or Filter(), limit)

    def last_seq(self) -> int:
        """Number of the finding stored last; 0 before the first."""
        with self._read() as connection:
            return last_number(connection, "seq")

    # Messages to deliver

    def due(
        self, now: int, limit: int = 100, sink: str | None = None, kind: str | None = None
    ) -> list[Queued]:
        """Messages to try now, in order within each sink; none while the sink rests after a failure."""
        with self._read() as connection:
            return queue.due(connection, now, limit, sink, kind)

    def delivered(self, id: int, now: int, remark: str = "") -> None:
        """The sink took it; a remark (some of its recipients are unknown) is written down."""
        with self._write() as connection:
            queue.delivered(connection, id, now, remark)
            if remark:
                detail = {"remark": remark[:500]}
                write_audit(connection, AuditEntry(now, "outbox", "delivered", str(id), detail))

    def failed(self, id: int, why: str, next_at: int, refused: bool = False) -> None:
        """The attempt was in vain. ``refused``: the sink is there but did not take this one message."""
        with self._write() as connection:
            queue.failed(connection, id, why, next_at, refused)

    def dead(self, id: int, why: str, now: int) -> int:
        """Give a message up, and write that down; how many messages (a digest carries many)."""
        with self._write() as connection:
            gone = queue.dead(connection, id, why, now)
            if gone:
                detail = {"messages": gone, "error": why[:500]}
                write_audit(connection, AuditEntry(now, "outbox", "dead-letter", str(id), detail))
            return gone

    def revive(self, sink: str, now: int, ids: Sequence[int] = (), actor: str = "outbox") -> int:
        """Queue a sink's dead messages again (``ids``: only these); how many. A digest comes back with all that it
        carries."""
        with self._write() as connection:
            back = queue.revive(connection, sink, now, ids)
            if back:
                write_audit(connection, AuditEntry(now, actor, "revive", sink, {"messages": back}))
            return back

    def messages(self, state: str = "", sink: str = "", limit: int = 100) -> list[Queued]:
        """Messages of the outbox that stand by themselves, newest first; of a digest the digest alone."""
        with self._read() as connection:
            return queue.listed(connection, state, sink, limit)

    def message(self, id: int) -> Queued | None:
        """The message of this number."""
        with self._read() as connection:
            return queue.by_number(connection, id)

    def fold(self, digest: Message, ids: Sequence[int], now: int) -> bool:
        """Let one message carry these; False, and nothing changes, if one of them is queued no more."""
        with self._write() as connection:
            return queue.fold(connection, digest, ids, now) is not None

    def members(self, id: int, limit: int = 100_000) -> list[Queued]:
        """What a digest carries, in order."""
        with self._read() as connection:
            return queue.members(connection, id, limit)

    def foldable(self, sink: str, created_before: int, left: int, but: str, limit: int) -> list[Queued]:
        """A sink's queued messages from before a time, if more than ``left`` are queued; see ``queue.foldable``."""
        with self._read() as connection:
            return queue.foldable(connection, sink, created_before, left, but, limit)

    def delivered_between(self, sink: str, since: int, until: int, but: str) -> int:
        """How many messages of other kinds than ``but`` went out one by one in that time."""
        with self._read() as connection:
            return queue.delivered_between(connection, sink, since, until, but)

    def waiting_sinks(self) -> list[str]:
        """Sinks that have something queued."""
        with self._read() as connection:
            return queue.waiting_sinks(connection)

    def outbox_counts(self) -> Mapping[tuple[str, str], int]:
        """(sink, state) -> messages."""
        with self._read() as connection:
            return queue.counts(connection)

    # Housekeeping

    def remember(self, key: str, value: str) -> None:
        """Keep a text under a name (at most 64 characters), such as ``telescope``: the prefixes as a JSON list."""
        with self._write() as connection:
            put = insert_into(connection, meta).values(key=key, value=value)
            connection.execute(put.on_conflict_do_update(index_elements=["key"], set_={"value": value}))

    def recall(self, key: str) -> str | None:
        """The text kept under a name."""
        with self._read() as connection:
            value = connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
        return None if value is None else str(value)

    def audit(self, entry: AuditEntry) -> None:
        """Write down who did what."""
        with self._write() as connection:
            write_audit(connection, entry)

    def audit_log(self, limit: int = 100) -> list[AuditEntry]:
        """The newest entries first."""
        import json

        with self._read() as connection:
            found = connection.execute(select(audit).order_by(audit.c.id.desc()).limit(limit)).all()
        return [
            AuditEntry(row.time, row.actor, row.action, row.subject, json.loads(row.detail)) for row in found
        ]

    def forget(self, before: int) -> int:
        """Remove the log of conclusions, tables and finished messages from before a time (ns); findings stay. How
        many tables went. The newest of each table and span stays.

        The files of the tables are ``doomed`` from then on, until ``deleted`` says that they are gone."""
        t = engine_tables.c
        newest = select(t.name, t.span, func.max(t.start)).group_by(t.name, t.span)
        old = select(t.name, t.span, t.start, t.path).where(t.end < before)
        with self._write() as connection:
            kept = {tuple(row) for row in connection.execute(newest)}
            gone = [row for row in connection.execute(old) if (row.name, row.span, row.start) not in kept]
            if gone:
                connection.execute(
                    delete(engine_tables).where(
                        t.name == bindparam("n"), t.span == bindparam("s"), t.start == bindparam("at")
                    ),
                    [{"n": row.name, "s": row.span, "at": row.start} for row in gone],
                )
                connection.execute(
                    insert_into(connection, doomed).on_conflict_do_nothing(),
                    [{"path": path} for path in sorted({row.path for row in gone})],
                )
            connection.execute(delete(conclusions).where(conclusions.c.end < before))
            queue.forget(connection, before)
        return len(gone)

    def doomed(self, limit: int = 1000) -> list[str]:
        """Paths of table files to delete. They stay in this list until ``deleted`` is called, whatever dies between:
        no table names them, so nobody looks for them."""
        with self._read() as connection:
            query = select(doomed.c.path).order_by(doomed.c.path).limit(limit)
            return [str(path) for path in connection.execute(query).scalars()]

    def deleted(self, paths: Sequence[str]) -> None:
        """These files are gone."""
        if paths:
            with self._write() as connection:
                gone = delete(doomed).where(doomed.c.path == bindparam("gone"))
                connection.execute(gone, [{"gone": path} for path in paths])

    def _set_meta(self, connection: Connection, key: str, value: str) -> None:
        connection.execute(
            insert_into(connection, meta).values(key=key, value=value).on_conflict_do_nothing()
        )

    def _read(self) -> Any:
        return transaction(self._engine, self.name)

    def _write(self) -> Any:
        return transaction(self._engine, self.name, write=True)

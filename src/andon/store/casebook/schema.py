"""The tables of the casebook, for SQLite and PostgreSQL alike. Times are ns since 1970 UTC, as integers.

``seq`` numbers findings in the order in which they were stored (a higher revision gets a new number), so that a
follower never misses one. The indexes serve one page of the newest findings under any filter of ``andon findings``;
each ends in the columns that the other filters look at, so that rows are fetched for hits alone.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by INTEGER PRIMARY KEY alone

meta = Table(
    "meta",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

findings = Table(
    "findings",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False, unique=True),
    Column("series", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("engine", String(128), nullable=False),
    Column("engine_version", Integer, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("severity", SmallInteger, nullable=False),  # 0 informational .. 4 critical
    Column("confidence", Float, nullable=False),
    Column("window_start", BigInteger, nullable=False),
    Column("window_end", BigInteger, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    CheckConstraint("severity BETWEEN 0 AND 4", name="severity"),
    Index("ix_findings_time", "last_seen", "seq"),
    Index("ix_findings_kind", "kind", "severity", "last_seen", "seq", "engine"),
    Index("ix_findings_engine", "engine", "severity", "last_seen", "seq", "kind"),
    Index("ix_findings_severity", "severity", "last_seen", "seq"),
    Index("ix_findings_series", "series", "last_seen", "seq"),
)

entities = Table(
    "finding_entities",
    metadata,
    Column("value", String(512), primary_key=True),
    Column("last_seen", BigInteger, primary_key=True),
    Column(
        "seq", Number, ForeignKey("findings.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("type", String(64), nullable=False),
    Index("ix_finding_entities_seq", "seq"),
    sqlite_with_rowid=False,
)

conclusions = Table(
    "conclusions",
    metadata,
    Column("engine", String(128), primary_key=True),
    Column("span", String(32), primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("end", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("segment", BigInteger, nullable=False),
    Column("carry_digest", String(64), nullable=False),
    Column("wake_at", BigInteger),
    Column("clock", BigInteger, nullable=False),
    Index("ix_conclusions_end", "end"),
)

# The newest conclusion of each engine and span: what recovery reads, whatever the length of the log above.
carries = Table(
    "carries",
    metadata,
    Column("engine", String(128), primary_key=True),
    Column("span", String(32), primary_key=True),
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("segment", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("wake_at", BigInteger),
    Column("clock", BigInteger, nullable=False),
)

engine_tables = Table(
    "engine_tables",
    metadata,
    Column("name", String(192), primary_key=True),  # ENGINE:TABLE
    Column("span", String(32), primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("end", BigInteger, nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Index("ix_engine_tables_end", "name", "end"),
)

# Files of tables that are no longer above: named here in the transaction that took them out, until they are deleted.
doomed = Table("doomed", metadata, Column("path", String(512), primary_key=True))

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Number, primary_key=True),
    Column("segment", BigInteger, nullable=False),
    Column("clock", BigInteger, nullable=False),
)

states = Table(
    "states",
    metadata,
    Column(
        "checkpoint",
        Number,
        ForeignKey("checkpoints.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("name", String(256), primary_key=True),
    Column("digest", String(64), nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Number, primary_key=True),
    Column("sink", String(128), nullable=False),
    Column("dedup_key", String(512), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("refused", Boolean, nullable=False),  # the sink is there, but did not take this message
    Column("error", Text, nullable=False),
    Column("done", BigInteger),  # when delivered or given up
    Column("digest", Number, ForeignKey("outbox.id")),  # the message that carries this one
    UniqueConstraint("sink", "dedup_key"),
    CheckConstraint("state IN ('queued', 'folded', 'delivered', 'dead')", name="state"),
    Index("ix_outbox_queue", "state", "sink", "id"),
    Index("ix_outbox_done", "sink", "state", "done"),
    Index("ix_outbox_digest", "digest"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Number, primary_key=True),
    Column("time", BigInteger, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    Index("ix_audit_time", "time"),
)

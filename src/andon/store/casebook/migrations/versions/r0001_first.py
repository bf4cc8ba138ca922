"""The first tables: findings, conclusions, checkpoints, outbox, audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_time", "audit", ["time"], unique=False)
    op.create_table(
        "carries",
        sa.Column("engine", sa.String(length=128), nullable=False),
        sa.Column("span", sa.String(length=32), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("wake_at", sa.BigInteger(), nullable=True),
        sa.Column("clock", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("engine", "span", name=op.f("pk_carries")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "conclusions",
        sa.Column("engine", sa.String(length=128), nullable=False),
        sa.Column("span", sa.String(length=32), nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("carry_digest", sa.String(length=64), nullable=False),
        sa.Column("wake_at", sa.BigInteger(), nullable=True),
        sa.Column("clock", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("engine", "span", "start", name=op.f("pk_conclusions")),
    )
    op.create_index("ix_conclusions_end", "conclusions", ["end"], unique=False)
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "engine_tables",
        sa.Column("name", sa.String(length=192), nullable=False),
        sa.Column("span", sa.String(length=32), nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "span", "start", name=op.f("pk_engine_tables")),
    )
    op.create_index("ix_engine_tables_end", "engine_tables", ["name", "end"], unique=False)
    op.create_table(
        "findings",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("series", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("engine", sa.String(length=128), nullable=False),
        sa.Column("engine_version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("window_start", sa.BigInteger(), nullable=False),
        sa.Column("window_end", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.CheckConstraint("severity BETWEEN 0 AND 4", name=op.f("ck_findings_severity")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_findings")),
        sa.UniqueConstraint("id", name=op.f("uq_findings_id")),
    )
    op.create_index(
        "ix_findings_engine", "findings", ["engine", "severity", "last_seen", "seq", "kind"], unique=False
    )
    op.create_index(
        "ix_findings_kind", "findings", ["kind", "severity", "last_seen", "seq", "engine"], unique=False
    )
    op.create_index("ix_findings_series", "findings", ["series", "last_seen", "seq"], unique=False)
    op.create_index("ix_findings_severity", "findings", ["severity", "last_seen", "seq"], unique=False)
    op.create_index("ix_findings_time", "findings", ["last_seen", "seq"], unique=False)
    op.create_table(
        "meta",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sink", sa.String(length=128), nullable=False),
        sa.Column("dedup_key", sa.String(length=512), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'folded', 'delivered', 'dead')", name=op.f("ck_outbox_state")
        ),
        sa.ForeignKeyConstraint(["digest"], ["outbox.id"], name=op.f("fk_outbox_digest")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("sink", "dedup_key", name=op.f("uq_outbox_sink_dedup_key")),
    )
    op.create_index("ix_outbox_digest", "outbox", ["digest"], unique=False)
    op.create_index("ix_outbox_done", "outbox", ["sink", "state", "done"], unique=False)
    op.create_index("ix_outbox_queue", "outbox", ["state", "sink", "id"], unique=False)
    op.create_table(
        "finding_entities",
        sa.Column("value", sa.String(length=512), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["seq"], ["findings.seq"], name=op.f("fk_finding_entities_seq"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("value", "last_seen", "seq", name=op.f("pk_finding_entities")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_finding_entities_seq", "finding_entities", ["seq"], unique=False)
    op.create_table(
        "states",
        sa.Column(
            "checkpoint",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint"], ["checkpoints.id"], name=op.f("fk_states_checkpoint"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("checkpoint", "name", name=op.f("pk_states")),
    )


def downgrade() -> None:
    op.drop_table("states")
    op.drop_index("ix_finding_entities_seq", table_name="finding_entities")
    op.drop_table("finding_entities")
    op.drop_index("ix_outbox_queue", table_name="outbox")
    op.drop_index("ix_outbox_done", table_name="outbox")
    op.drop_index("ix_outbox_digest", table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("meta")
    op.drop_index("ix_findings_time", table_name="findings")
    op.drop_index("ix_findings_severity", table_name="findings")
    op.drop_index("ix_findings_series", table_name="findings")
    op.drop_index("ix_findings_kind", table_name="findings")
    op.drop_index("ix_findings_engine", table_name="findings")
    op.drop_table("findings")
    op.drop_index("ix_engine_tables_end", table_name="engine_tables")
    op.drop_table("engine_tables")
    op.drop_table("counters")
    op.drop_index("ix_conclusions_end", table_name="conclusions")
    op.drop_table("conclusions")
    op.drop_table("checkpoints")
    op.drop_table("carries")
    op.drop_index("ix_audit_time", table_name="audit")
    op.drop_table("audit")

"""Alerts, episodes, cases, verdicts, suppressions, models; what is only added to is held by triggers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None

# Tables that are only ever added to, and what is refused.
KEPT = {
    "verdicts": ("UPDATE", "DELETE"),
    "audit": ("UPDATE", "DELETE"),
    "model_events": ("UPDATE", "DELETE"),
    "case_events": ("UPDATE",),  # the retention of cases takes whole time lines
}


def _trigger(table: str, verb: str) -> str:
    name = f"tr_{table}_{verb.lower()}"
    if op.get_bind().dialect.name == "postgresql":
        return f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION andon_kept()"
    return (
        f"CREATE TRIGGER {name} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is only added to'); END"
    )


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION andon_kept() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is only added to', TG_TABLE_NAME; END $$"
        )
    op.create_table(
        "alert_series",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=256), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("alerts", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_series")),
        sa.UniqueConstraint("digest", name=op.f("uq_alert_series_digest")),
    )
    op.create_index("ix_alert_series_address", "alert_series", ["address"], unique=False)
    op.create_index("ix_alert_series_host", "alert_series", ["host"], unique=False)
    op.create_index("ix_alert_series_product", "alert_series", ["product"], unique=False)
    op.create_index("ix_alert_series_rule", "alert_series", ["rule", "product"], unique=False)
    op.create_index("ix_alert_series_severity", "alert_series", ["severity", "product"], unique=False)
    op.create_table(
        "alerts",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("series", sa.BigInteger(), nullable=False),
        sa.Column("src", sa.String(length=64), nullable=True),
        sa.Column("src_port", sa.Integer(), nullable=False),
        sa.Column("dst", sa.String(length=64), nullable=True),
        sa.Column("dst_port", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(length=255), nullable=True),
        sa.Column("protocol", sa.String(length=32), nullable=False),
        sa.Column("disposition", sa.SmallInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(
        "ix_alerts_dst",
        "alerts",
        ["dst", "series", "ts", "id"],
        unique=False,
        sqlite_where=sa.text("dst IS NOT NULL"),
        postgresql_where=sa.text("dst IS NOT NULL"),
    )
    op.create_index("ix_alerts_series", "alerts", ["series", "ts", "id"], unique=False)
    op.create_index(
        "ix_alerts_src",
        "alerts",
        ["src", "series", "ts", "id"],
        unique=False,
        sqlite_where=sa.text("src IS NOT NULL"),
        postgresql_where=sa.text("src IS NOT NULL"),
    )
    op.create_index(
        "ix_alerts_user",
        "alerts",
        ["user", "series", "ts", "id"],
        unique=False,
        sqlite_where=sa.text('"user" IS NOT NULL'),
        postgresql_where=sa.text('"user" IS NOT NULL'),
    )
    op.create_index("ux_alerts_key", "alerts", ["ts", "key", "series"], unique=True)
    op.create_table(
        "cases",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("tier", sa.String(length=16), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("priority", sa.Float(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("entities", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("assignee", sa.String(length=128), nullable=False),
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("merged_into", sa.String(length=64), nullable=True),
        sa.Column("judgement", sa.Text(), nullable=False),
        sa.CheckConstraint("(state = 'merged') = (merged_into IS NOT NULL)", name=op.f("ck_cases_merged")),
        sa.CheckConstraint("state IN ('open', 'closed', 'merged')", name=op.f("ck_cases_state")),
        sa.CheckConstraint("level BETWEEN -1 AND 4", name=op.f("ck_cases_level")),
        sa.ForeignKeyConstraint(["merged_into"], ["cases.id"], name=op.f("fk_cases_merged_into")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint("seq", name=op.f("uq_cases_seq")),
    )
    op.create_index("ix_cases_host", "cases", ["host", "last_seen"], unique=False)
    op.create_index("ix_cases_merged", "cases", ["merged_into"], unique=False)
    op.create_index(
        "ix_cases_queue",
        "cases",
        ["state", "tier", "priority", "last_seen", "id", "level", "assignee", "site"],
        unique=False,
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "episodes",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=256), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("alerts", sa.BigInteger(), nullable=False),
        sa.Column("over", sa.Boolean(), nullable=False),
        sa.Column("disposition", sa.SmallInteger(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("tier", sa.String(length=16), nullable=False),
        sa.Column("why_tier", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("audit_probability", sa.Float(), nullable=True),
        sa.Column("features", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("suppressed", sa.BigInteger(), nullable=True),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_episodes")),
        sa.UniqueConstraint("id", name=op.f("uq_episodes_id")),
    )
    op.create_index("ix_episodes_host", "episodes", ["host", "last", "seq", "severity"], unique=False)
    op.create_index("ix_episodes_last", "episodes", ["last", "seq", "severity"], unique=False)
    op.create_index(
        "ix_episodes_rule", "episodes", ["rule", "product", "last", "seq", "severity"], unique=False
    )
    op.create_index("ix_episodes_tier", "episodes", ["tier", "last", "seq", "severity"], unique=False)
    op.create_table(
        "model_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_events")),
    )
    op.create_index("ix_model_events_kind", "model_events", ["kind", "id"], unique=False)
    op.create_table(
        "models",
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("comparison", sa.Text(), nullable=False),
        sa.Column("promoted_at", sa.BigInteger(), nullable=True),
        sa.Column("promoted_by", sa.String(length=128), nullable=False),
        sa.CheckConstraint(
            "state IN ('candidate', 'promoted', 'refused', 'retired')", name=op.f("ck_models_state")
        ),
        sa.PrimaryKeyConstraint("kind", "digest", name=op.f("pk_models")),
    )
    op.create_index(
        "ux_models_promoted",
        "models",
        ["kind"],
        unique=True,
        sqlite_where=sa.text("state = 'promoted'"),
        postgresql_where=sa.text("state = 'promoted'"),
    )
    op.create_table(
        "suppressions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=256), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("expires > created", name=op.f("ck_suppressions_life")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppressions")),
    )
    op.create_index("ix_suppressions_expires", "suppressions", ["expires"], unique=False)
    op.create_table(
        "verdicts",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=32), nullable=False),
        sa.Column("analyst", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("shown", sa.String(length=16), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.CheckConstraint("kind IN ('case', 'episode', 'finding')", name=op.f("ck_verdicts_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
    )
    op.create_index("ix_verdicts_analyst", "verdicts", ["analyst", "id"], unique=False)
    op.create_index("ix_verdicts_subject", "verdicts", ["kind", "subject", "id"], unique=False)
    op.create_table(
        "case_entities",
        sa.Column("case_id", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=512), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"], ["cases.id"], name=op.f("fk_case_entities_case_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("case_id", "value", name=op.f("pk_case_entities")),
    )
    op.create_index("ix_case_entities_value", "case_entities", ["value", "case_id"], unique=False)
    op.create_table(
        "case_events",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("case_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"], ["cases.id"], name=op.f("fk_case_events_case_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_events")),
    )
    op.create_index("ix_case_events_case", "case_events", ["case_id", "id"], unique=False)
    op.create_table(
        "case_items",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("item", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.String(length=64), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"], ["cases.id"], name=op.f("fk_case_items_case_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("kind", "item", name=op.f("pk_case_items")),
    )
    op.create_index("ix_case_items_case", "case_items", ["case_id", "number"], unique=False)
    op.create_table(
        "case_merges",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("undone", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("items", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source"], ["cases.id"], name=op.f("fk_case_merges_source"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["target"], ["cases.id"], name=op.f("fk_case_merges_target"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_merges")),
    )
    op.create_index("ix_case_merges_source", "case_merges", ["source", "id"], unique=False)
    op.create_index("ix_case_merges_target", "case_merges", ["target"], unique=False)
    for table, verbs in KEPT.items():
        for verb in verbs:
            op.execute(_trigger(table, verb))


def downgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    for verb in KEPT["audit"]:  # the other triggers go with their tables
        op.execute(f"DROP TRIGGER tr_audit_{verb.lower()}" + (" ON audit" if postgres else ""))
    op.drop_table("case_merges")
    op.drop_table("case_items")
    op.drop_table("case_events")
    op.drop_table("case_entities")
    op.drop_table("verdicts")
    op.drop_table("suppressions")
    op.drop_table("models")
    op.drop_table("model_events")
    op.drop_table("episodes")
    op.drop_table("cursors")
    op.drop_table("cases")
    op.drop_table("alerts")
    op.drop_table("alert_series")
    if postgres:
        op.execute("DROP FUNCTION andon_kept()")

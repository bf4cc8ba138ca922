"""The tables of triage: alerts, episodes, cases, verdicts, suppressions, models. On the same metadata as ``schema``.

An alert belongs to a *series*: everything that one rule of one product says of one host at one severity. There are
few series and many alerts, so a filter is resolved to series first and a page is put together from walks along
(series, time), whatever the filter: no filter has to look through alerts that it does not want. Of the alerts of an
episode nothing is kept but the series and the times: an episode *is* what a signature said of a host between its
first and its last alert.
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
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

from andon.store.casebook.schema import Number, metadata

# Lengths to which texts are cut before they are stored; PostgreSQL takes index entries of up to 2,700 bytes.
SITE, HOST, ADDRESS, PRODUCT, RULE, USER = 128, 255, 64, 64, 256, 255

alert_series = Table(
    "alert_series",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("digest", String(32), nullable=False, unique=True),  # of the next six, uncut
    Column("site", String(SITE), nullable=False),
    Column("host", String(HOST), nullable=False),
    Column("address", String(ADDRESS), nullable=False),
    Column("product", String(PRODUCT), nullable=False),
    Column("rule", String(RULE), nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("title", Text, nullable=False),  # of the first alert; one that differs keeps its own
    Column("category", Text, nullable=False),
    Column("source", String(64), nullable=False),
    Column("alerts", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    # No times in here: they change with every batch.
    Index("ix_alert_series_host", "host"),
    Index("ix_alert_series_address", "address"),
    Index("ix_alert_series_rule", "rule", "product"),
    Index("ix_alert_series_severity", "severity", "product"),
    Index("ix_alert_series_product", "product"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),  # in the order of storing
    Column("ts", BigInteger, nullable=False),
    Column("key", BigInteger, nullable=False),  # hash of what tells an alert from all others
    Column("series", BigInteger, nullable=False),
    Column("src", String(ADDRESS)),  # NULL: none
    Column("src_port", Integer, nullable=False),
    Column("dst", String(ADDRESS)),
    Column("dst_port", Integer, nullable=False),
    Column("user", String(USER)),
    Column("protocol", String(32), nullable=False),
    Column("disposition", SmallInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON of the other columns that are not empty; "" if all are
    Index("ux_alerts_key", "ts", "key", "series", unique=True),
    Index("ix_alerts_series", "series", "ts", "id"),
    Index(
        "ix_alerts_src",
        "src",
        "series",
        "ts",
        "id",
        sqlite_where=text("src IS NOT NULL"),
        postgresql_where=text("src IS NOT NULL"),
    ),
    Index(
        "ix_alerts_dst",
        "dst",
        "series",
        "ts",
        "id",
        sqlite_where=text("dst IS NOT NULL"),
        postgresql_where=text("dst IS NOT NULL"),
    ),
    Index(
        "ix_alerts_user",
        "user",
        "series",
        "ts",
        "id",
        sqlite_where=text('"user" IS NOT NULL'),
        postgresql_where=text('"user" IS NOT NULL'),
    ),
)

# Through which [[source]] records came; "" for what was given by hand.
origins = Table(
    "origins",
    metadata,
    Column("id", Number, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("kind", String(32), nullable=False),  # of records: "alert", "contact", "flow"
    Column("forgeable", Boolean, nullable=False),  # anybody who reached it could send what he liked
    Column("last", BigInteger, nullable=False),  # when it gave some last, by our clock
    Index("ux_origins_name", "name", "kind", "forgeable", unique=True),
)

# Of each series, for each 300 s of UTC and source: its first and last alert there. See ``origins``.
alert_origins = Table(
    "alert_origins",
    metadata,
    Column("series", BigInteger, primary_key=True, autoincrement=False),
    Column("slot", BigInteger, primary_key=True, autoincrement=False),  # time / 300 s
    Column("origin", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

episodes = Table(
    "episodes",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=False),  # a changed row gets a new one
    Column("id", String(32), nullable=False, unique=True),
    Column("site", String(SITE), nullable=False),
    Column("host", String(HOST), nullable=False),
    Column("address", String(ADDRESS), nullable=False),
    Column("product", String(PRODUCT), nullable=False),
    Column("rule", String(RULE), nullable=False),
    Column("title", Text, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("category", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("alerts", BigInteger, nullable=False),
    Column("over", Boolean, nullable=False),
    Column("disposition", SmallInteger, nullable=False),
    Column("score", Float, nullable=False),
    Column("probability", Float),  # NULL: not a number
    Column("rank", BigInteger, nullable=False),
    Column("tier", String(16), nullable=False),
    Column("why_tier", String(64), nullable=False),
    Column("model", String(64), nullable=False),
    Column("audit_probability", Float),
    Column("features", LargeBinary, nullable=False),  # float32, little-endian
    Column("body", Text, nullable=False),  # JSON of the other columns, lists mostly
    Column("digest", String(32), nullable=False),  # of the row: what has not changed is not written again
    Column("suppressed", BigInteger),  # the suppression that keeps it out of the queue
    Column("stored", BigInteger, nullable=False),
    Index("ix_episodes_last", "last", "seq", "severity"),
    Index("ix_episodes_tier", "tier", "last", "seq", "severity"),
    Index("ix_episodes_host", "host", "last", "seq", "severity"),
    Index("ix_episodes_rule", "rule", "product", "last", "seq", "severity"),
)

cases = Table(
    "cases",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False, unique=True),  # of the last change
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tier", String(16), nullable=False),
    Column("level", SmallInteger, nullable=False),  # -1 not judged, 0 informational .. 4 critical
    Column("priority", Float, nullable=False),
    Column("title", Text, nullable=False),
    Column("statement", Text, nullable=False),
    Column("entities", Text, nullable=False),  # JSON [[type, value], ...]; the first is the host
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("assignee", String(128), nullable=False),
    Column("site", String(SITE), nullable=False),
    Column("host", String(HOST), nullable=False),
    Column("merged_into", String(64), ForeignKey("cases.id")),
    Column("judgement", Text, nullable=False),  # JSON
    CheckConstraint("level BETWEEN -1 AND 4", name="level"),
    CheckConstraint("state IN ('open', 'closed', 'merged')", name="state"),
    CheckConstraint("(state = 'merged') = (merged_into IS NOT NULL)", name="merged"),
    # The queue: one walk backwards for each (state, tier); the rest is there so that other filters look no further.
    Index(
        "ix_cases_queue",
        "state",
        "tier",
        "priority",
        "last_seen",
        "id",
        "level",
        "assignee",
        "site",
    ),
    Index("ix_cases_host", "host", "last_seen"),
    Index("ix_cases_merged", "merged_into"),
)

case_entities = Table(
    "case_entities",
    metadata,
    Column("case_id", String(64), ForeignKey("cases.id", ondelete="CASCADE"), primary_key=True),
    Column("value", String(512), primary_key=True),
    Column("type", String(64), nullable=False),
    Index("ix_case_entities_value", "value", "case_id"),
)

# An item is in one case at a time.
case_items = Table(
    "case_items",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("item", String(64), primary_key=True),
    Column("case_id", String(64), ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),  # order of adding
    Index("ix_case_items_case", "case_id", "number"),
)

case_events = Table(
    "case_events",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("case_id", String(64), ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    Index("ix_case_events_case", "case_id", "id"),
)

case_merges = Table(
    "case_merges",
    metadata,
    Column("id", Number, primary_key=True),
    Column("source", String(64), ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("target", String(64), ForeignKey("cases.id", ondelete="CASCADE"), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("undone", BigInteger),
    Column("state", String(16), nullable=False),  # of the source before
    Column("items", Text, nullable=False),  # JSON: the source's items, which went over
    Column("before", Text, nullable=False),  # JSON: what the merge changed of the target, before
    Column("after", Text, nullable=False),  # JSON: and afterwards
    Index("ix_case_merges_source", "source", "id"),
    Index("ix_case_merges_target", "target"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("label", String(32), nullable=False),
    Column("analyst", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("shown", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("model", String(64), nullable=False),
    CheckConstraint("kind IN ('case', 'episode', 'finding')", name="kind"),
    Index("ix_verdicts_subject", "kind", "subject", "id"),
    Index("ix_verdicts_analyst", "analyst", "id"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("id", Number, primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("revoked", BigInteger),
    Column("site", String(SITE), nullable=False),
    Column("host", String(HOST), nullable=False),
    Column("product", String(PRODUCT), nullable=False),
    Column("rule", String(RULE), nullable=False),
    Column("source", String(64), nullable=False),
    Column("hits", BigInteger, nullable=False),
    CheckConstraint("expires > created", name="life"),
    Index("ix_suppressions_expires", "expires"),
)

models = Table(
    "models",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("card", Text, nullable=False),  # JSON
    Column("comparison", Text, nullable=False),  # JSON
    Column("promoted_at", BigInteger),
    Column("promoted_by", String(128), nullable=False),
    CheckConstraint("state IN ('candidate', 'promoted', 'refused', 'retired')", name="state"),
    Index(
        "ux_models_promoted",
        "kind",
        unique=True,
        sqlite_where=text("state = 'promoted'"),
        postgresql_where=text("state = 'promoted'"),
    ),
)

model_events = Table(
    "model_events",
    metadata,
    Column("id", Number, primary_key=True),
    Column("time", BigInteger, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    Index("ix_model_events_kind", "kind", "id"),
)

# How far a follower has come; moved in the transaction of what it writes.
cursors = Table(
    "cursors",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("moved", BigInteger, nullable=False),
)

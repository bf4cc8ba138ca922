"""Alembic's entry: runs the steps on the connection it is given, inside that connection's transaction."""

from __future__ import annotations

from alembic import context

from andon.store.casebook.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()

"""Table files that no conclusion names any more and that are still to be deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "doomed",
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_doomed")),
    )


def downgrade() -> None:
    op.drop_table("doomed")

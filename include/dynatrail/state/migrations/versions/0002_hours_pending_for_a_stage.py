"""Hours pending for a stage."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pending_hour",
        sa.Column("stage", sa.String(60), nullable=False),
        sa.Column("event_hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("marks", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("stage", "event_hour", name="pk_pending_hour"),
    )


def downgrade() -> None:
    op.drop_table("pending_hour")

"""Ledger, table keys and evidence index."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "source_object",
        sa.Column("uri", sa.String(1200), nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("account_id", sa.String(12), nullable=False),
        sa.Column("region", sa.String(40), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("etag", sa.String(100), nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("records", sa.Integer()),
        sa.Column("quarantined", sa.Integer()),
        sa.Column("event_hours", sa.JSON()),
        sa.Column("oldest_event_at", sa.DateTime(timezone=True)),
        sa.Column("newest_event_at", sa.DateTime(timezone=True)),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("batch", sa.Integer()),
        sa.Column("discovered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True)),
        sa.Column("changed_at", sa.DateTime(timezone=True)),
        sa.Column("previous_sha256", sa.String(64)),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("uri", name="pk_source_object"),
    )
    op.create_index("ix_source_object_source_status", "source_object", ["source", "status"])
    op.create_index(
        "ix_source_object_source_oldest_event_at_newest_event_at",
        "source_object",
        ["source", "oldest_event_at", "newest_event_at"],
    )
    op.create_index("ix_source_object_run_id_batch", "source_object", ["run_id", "batch"])
    op.create_table(
        "table_key",
        sa.Column("table_arn", sa.String(300), nullable=False),
        sa.Column("attribute_name", sa.String(255), nullable=False),
        sa.Column("attribute_type", sa.String(1), nullable=False),
        sa.Column("key_type", sa.String(5), nullable=False),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("table_arn", "attribute_name", name="pk_table_key"),
    )
    op.create_table(
        "evidence_snapshot",
        sa.Column("snapshot_id", sa.String(64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("manifest_sha256", sa.String(64), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("snapshot_id", name="pk_evidence_snapshot"),
    )
    op.create_index("ix_evidence_snapshot_day", "evidence_snapshot", ["day"])


def downgrade() -> None:
    op.drop_table("evidence_snapshot")
    op.drop_table("table_key")
    op.drop_table("source_object")

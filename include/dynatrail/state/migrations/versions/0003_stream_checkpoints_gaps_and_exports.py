"""Stream checkpoints, gaps, exports and resource versions."""

import sqlalchemy as sa
from alembic import op


revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pitr_export",
        sa.Column("export_arn", sa.String(length=300), nullable=False),
        sa.Column("table_arn", sa.String(length=300), nullable=False),
        sa.Column("purpose", sa.String(length=10), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_for", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("view_type", sa.String(length=30), nullable=False),
        sa.Column("bucket", sa.String(length=255), nullable=False),
        sa.Column("prefix", sa.String(length=1024), nullable=False),
        sa.Column("client_token", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.String(length=250), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("item_count", sa.BigInteger(), nullable=True),
        sa.Column("loaded_rows", sa.BigInteger(), nullable=True),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("export_arn", name="pk_pitr_export"),
    )
    op.create_index("ix_pitr_export_table_arn", "pitr_export", ["table_arn"], unique=False)

    op.create_table(
        "resource_version",
        sa.Column("snapshot", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=40), nullable=False),
        sa.Column("resource_arn", sa.String(length=1200), nullable=False),
        sa.Column("aspect", sa.String(length=60), nullable=False),
        sa.Column("resource_type", sa.String(length=60), nullable=False),
        sa.Column("resource_name", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_status", sa.String(length=12), nullable=True),
        sa.Column("previous_sha256", sa.String(length=64), nullable=True),
        sa.Column("previous_captured_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint(
            "snapshot", "account_id", "region", "resource_arn", "aspect", name="pk_resource_version"
        ),
    )
    op.create_table(
        "stream_gap",
        sa.Column("gap_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("table_arn", sa.String(length=300), nullable=False),
        sa.Column("stream_arn", sa.String(length=300), nullable=False),
        sa.Column("shard_id", sa.String(length=100), nullable=True),
        sa.Column("after_sequence_number", sa.String(length=60), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("remaining", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("repaired_by", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("gap_id", name="pk_stream_gap"),
    )
    op.create_index("ix_stream_gap_table_arn", "stream_gap", ["table_arn"], unique=False)

    op.create_table(
        "stream_shard",
        sa.Column("stream_arn", sa.String(length=300), nullable=False),
        sa.Column("shard_id", sa.String(length=100), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("table_arn", sa.String(length=300), nullable=False),
        sa.Column("parent_shard_id", sa.String(length=100), nullable=True),
        sa.Column("starting_sequence_number", sa.String(length=60), nullable=True),
        sa.Column("ending_sequence_number", sa.String(length=60), nullable=True),
        sa.Column("sequence_number", sa.String(length=60), nullable=True),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("oldest_event_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("newest_event_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("stream_arn", "shard_id", name="pk_stream_shard"),
    )
    op.create_index("ix_stream_shard_table_arn", "stream_shard", ["table_arn"], unique=False)
    op.create_index("ix_source_object_source_delivered_at", "source_object", ["source", "delivered_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_source_object_source_delivered_at", table_name="source_object")
    op.drop_index("ix_stream_shard_table_arn", table_name="stream_shard")

    op.drop_table("stream_shard")
    op.drop_index("ix_stream_gap_table_arn", table_name="stream_gap")

    op.drop_table("stream_gap")
    op.drop_table("resource_version")
    op.drop_index("ix_pitr_export_table_arn", table_name="pitr_export")

    op.drop_table("pitr_export")

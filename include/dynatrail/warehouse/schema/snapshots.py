"""How the account was set up at a time: who may do what, and how tables and trails are configured."""

import pyarrow as pa

from dynatrail.warehouse.schema.columns import INSTANT, NAMES, Table, column, hour_columns


def _snapshot(name: str, what: str) -> Table:
    return Table(
        name=name,
        grain=f"one {what}, at a time when it differed from what was seen before",
        schema=pa.schema(
            [
                column("captured_at", INSTANT, "end of the interval of the run that saw it", required=True),
                *hour_columns("captured_at"),
                column("account_id", pa.string(), "account that owns it", required=True),
                column("region", pa.string(), "its region; `global` for IAM", required=True),
                column("resource_type", pa.string(), "such as AWS::DynamoDB::Table or AWS::IAM::Role", required=True),
                column("resource_arn", pa.string(), "its ARN, or what AWS has in its place", required=True),
                column("aspect", pa.string(), "API whose answer it is, such as DescribeTable", required=True),
                column("resource_name", pa.string(), "name that a person knows it by"),
                column("document", pa.string(), "canonical JSON without volatile fields; NULL: see status"),
                column("sha256", pa.string(), "SHA-256 of document"),
                column("previous_sha256", pa.string(), "the same of what was seen before"),
                column("status", pa.string(), "present, gone (no longer there) or unreadable", required=True),
                column("reason", pa.string(), "why there is no document"),
                column("marks", NAMES, "what to know of it: external_id (a policy in it asks for an sts:ExternalId)"),
            ]
        ),
        natural_key=("account_id", "region", "resource_type", "resource_arn", "aspect", "captured_at"),
        order_by=("captured_at", "resource_type", "resource_arn", "aspect"),
        slice_by=("account_id", "region"),
    )


IAM_SNAPSHOT = _snapshot("iam_snapshot", "user, role, policy, provider, report or finding")
TABLE_CONFIG = _snapshot("table_config", "setting of a DynamoDB table, its backups, streams and exports")
TRAIL_CONFIG = _snapshot("trail_config", "setting of a trail, its bucket, keys and alarms")

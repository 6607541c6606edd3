"""How the account was at a time: who may do what, how tables and trails are configured, what of it is sensitive."""

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

SENSITIVE_ATTRIBUTE = Table(
    name="sensitive_attribute",
    grain="one class of sensitive values at a path of a table, as a look at samples of the table found it",
    schema=pa.schema(
        [
            column("captured_at", INSTANT, "end of the interval of the run that looked", required=True),
            *hour_columns("captured_at"),
            column("account_id", pa.string(), "account that owns the table", required=True),
            column("region", pa.string(), "its region", required=True),
            column("table_name", pa.string(), "table", required=True),
            column("table_arn", pa.string(), "its ARN", required=True),
            column(
                "path", pa.string(), "path as a masking policy writes it; what may be a value in it is *", required=True
            ),
            column("detected_class", pa.string(), "class of docs/reference/discovery.md", required=True),
            column("in_names", pa.bool_(), "whether names of a map's members are among the values", required=True),
            column("confidence", pa.float64(), "how likely it is this class, 0 to 0.99; NULL: see status"),
            column(
                "sampled",
                pa.int64(),
                "values looked at; counts of what is unseen are those of when it was seen",
                required=True,
            ),
            column("matched", pa.int64(), "those that are of the class", required=True),
            column("distinct_values", pa.int64(), "different ones among them", required=True),
            column("images", pa.int64(), "items that the sample held", required=True),
            column("sampled_from", NAMES, "where they came from, sorted: scan, stream", required=True),
            column(
                "status", pa.string(), "new, known, changed, gone or unseen (no value of it came up)", required=True
            ),
            column("previous_confidence", pa.float64(), "that of the look before; NULL: it was not known"),
            column("action", pa.string(), "what the masking policy did with the path then", required=True),
            column("protection", pa.string(), "whether that hides it: hidden, weak or clear", required=True),
        ]
    ),
    natural_key=("account_id", "region", "table_arn", "path", "detected_class", "captured_at"),
    order_by=("captured_at", "table_arn", "path", "detected_class"),
    slice_by=("account_id", "region"),
)

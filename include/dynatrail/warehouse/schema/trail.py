"""What is derived, and what was kept out."""

import pyarrow as pa

from dynatrail.warehouse.schema.columns import INSTANT, Table, column, hour_columns

AUDIT_RECORD = Table(
    name="audit_record",
    grain="one thing that happened: what a request touched, an item change, an alarm's transition, an episode of "
    "throttling, a difference between two snapshots, a finding, or an erasure or reveal of values",
    schema=pa.schema(
        [
            column(
                "record_id", pa.string(), "SHA-256 of what identifies the record; stable over rebuilds", required=True
            ),
            column("event_time", INSTANT, "when it happened", required=True),
            *hour_columns("event_time"),
            column(
                "kind",
                pa.string(),
                "api_event, item_change, alarm, throttling, configuration, finding or privacy_event: "
                "docs/reference/timeline.md",
                required=True,
            ),
            column("account_id", pa.string(), "account in which it happened", required=True),
            column("region", pa.string(), "region in which it happened", required=True),
            column("table_name", pa.string(), "table touched"),
            column("table_arn", pa.string(), "its ARN"),
            column("index_name", pa.string(), "index read"),
            column("item_key_token", pa.string(), "item touched"),
            column(
                "operation",
                pa.string(),
                "Put, Update, Delete, Get, ConditionCheck, or the API operation; of a change INSERT, MODIFY or REMOVE; "
                "erasure or reveal",
                required=True,
            ),
            column(
                "actor",
                pa.string(),
                "whom it begins with, as far as is proven; else who signed; Unknown where nobody can be named",
                required=True,
            ),
            column("actor_type", pa.string(), "userIdentity.type of the actor, or Role for a workload's"),
            column(
                "actor_class",
                pa.string(),
                "person, workload, aws_service, break_glass or unresolved; NULL: nobody acted, or a finding names them",
            ),
            column("acting_as", pa.string(), "ARN of the user or role session that signed the request"),
            column("confidence", pa.string(), "of an item change: attribution.confidence; NULL: not attributed yet"),
            column("activity", pa.string(), "OCSF activity name", required=True),
            column(
                "outcome", pa.string(), "success (it happened), failure (of a call or look) or denied", required=True
            ),
            column("source_ip_address", pa.string(), "where from"),
            column("user_agent", pa.string(), "with what"),
            column("detail", pa.string(), "one sentence for a person", required=True),
            column(
                "subject",
                pa.string(),
                "what it is about beside table and item: alarm, metric, resource of a configuration, rule of a "
                "finding, token of whose values",
            ),
            column("ends_at", INSTANT, "end of an episode, or of what a finding is about; NULL: a moment, or open"),
            column("how_many", pa.int64(), "throttled requests, or things that a finding is about"),
            column("severity", pa.string(), "of a finding: Informational, Low, Medium, High or Critical"),
            column("event_id", pa.string(), "row of api_event; of a change the request that made it"),
            column("change_id", pa.string(), "row of item_change"),
            column("finding_id", pa.string(), "row of finding"),
            column("ocsf_category_uid", pa.int32(), "OCSF 1.8 category", required=True),
            column("ocsf_class_uid", pa.int32(), "OCSF 1.8 class", required=True),
            column("ocsf_activity_id", pa.int32(), "OCSF 1.8 activity", required=True),
            column("ocsf_type_uid", pa.int64(), "class times 100, plus activity", required=True),
            column(
                "attestation",
                pa.string(),
                "what vouches for its source: attested, not_yet_attested, unattested, altered or forged; NULL: "
                "nothing can",
            ),
        ]
    ),
    natural_key=("record_id",),
    order_by=("event_time", "record_id"),
)


QUARANTINE = Table(
    name="quarantine",
    grain="one rejected piece of a source: a whole object, one of its records, or one parsed row",
    schema=pa.schema(
        [
            column("quarantine_id", pa.string(), "SHA-256 of source_uri, position and reason code", required=True),
            *hour_columns("delivery, from the object's name"),
            column("account_id", pa.string(), "account whose folder held the object", required=True),
            column("region", pa.string(), "region whose folder held the object", required=True),
            column("source", pa.string(), "cloudtrail, …", required=True),
            column("source_uri", pa.string(), "s3:// address of the object", required=True),
            column("position", pa.string(), "`object`, `byte N` or `record N`", required=True),
            column("reason_code", pa.string(), "short, stable: truncated_gzip, not_json, …", required=True),
            column("reason", pa.string(), "what is wrong and what to do, for a person", required=True),
            column("payload", pa.string(), "what was rejected, masked"),
            column("payload_bytes", pa.int64(), "its size before masking", required=True),
            column("payload_sha256", pa.string(), "SHA-256 of it before masking"),
        ]
    ),
    natural_key=("quarantine_id",),
    order_by=("source_uri", "position", "quarantine_id"),
    slice_by=("account_id", "region"),
)


SOURCE_STATEMENT = Table(
    name="source_statement",
    grain="what one source can say of one hour of one table or account",
    schema=pa.schema(
        [
            *hour_columns("what is stated"),
            column("account_id", pa.string(), "account", required=True),
            column("region", pa.string(), "region; `global` for IAM", required=True),
            column("source", pa.string(), "streams, kinesis, cloudwatch, iam, configuration, …", required=True),
            column("table_name", pa.string(), "table; NULL: the account as a whole"),
            column("status", pa.string(), "complete, incomplete, reconstructed or not_assessable", required=True),
            column("reasons", pa.list_(pa.string()), "why it is not complete, sorted"),
            column("records", pa.int64(), "rows that the source gave for the hour"),
        ]
    ),
    natural_key=("account_id", "region", "source", "table_name", "event_hour"),
    order_by=("event_hour", "source", "table_name"),
    slice_by=("account_id", "region", "source"),
)

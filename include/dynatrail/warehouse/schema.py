"""The one definition of every warehouse table: columns, grain, what a write replaces, and in which order rows lie.

All times are UTC with microseconds. Missing is NULL. Every table is partitioned by `event_date`; the unit of work is
`event_hour`, half-open. Column names are CloudTrail's, DynamoDB's and OCSF's own.
"""

from dataclasses import dataclass

import pyarrow as pa

INSTANT = pa.timestamp("us", tz="UTC")
NAMES = pa.list_(pa.string())


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the warehouse.

    Attributes:
        name: also the name of its DuckDB view and of its folder.
        grain: what one row is.
        schema: Arrow schema; a field's metadata `comment` is its documentation.
        natural_key: columns that tell two rows apart.
        order_by: total order in which the rows of one slice lie, so that the same rows give the same bytes.
        slice_by: a write replaces all rows of one value of these columns, for a set of hours, atomically.
    """

    name: str
    grain: str
    schema: pa.Schema
    natural_key: tuple[str, ...]
    order_by: tuple[str, ...]
    slice_by: tuple[str, ...] = ()


def _column(name: str, kind: pa.DataType, comment: str, *, required: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=not required, metadata={"comment": comment})


def _hour_columns(of: str) -> list[pa.Field]:
    return [
        _column("event_hour", INSTANT, f"start of the UTC hour of {of}", required=True),
        _column("event_date", pa.date32(), "partition: date of `event_hour`", required=True),
    ]


_SOURCE_POSITION = [
    _column("source_uri", pa.string(), "s3:// address of the object that the row was read from", required=True),
    _column("source_sha256", pa.string(), "SHA-256 of that object's uncompressed bytes, as parsed", required=True),
    _column("source_index", pa.int64(), "position of the record in that object, from 0", required=True),
]

API_EVENT = Table(
    name="api_event",
    grain="one CloudTrail event",
    schema=pa.schema(
        [
            _column("event_id", pa.string(), "CloudTrail eventID", required=True),
            _column(
                "event_time", INSTANT, "CloudTrail eventTime: when the request completed, to the second", required=True
            ),
            *_hour_columns("event_time"),
            _column("recipient_account_id", pa.string(), "account whose trail got the record", required=True),
            _column("region", pa.string(), "CloudTrail awsRegion", required=True),
            _column("account_id", pa.string(), "userIdentity.accountId: the caller's account"),
            _column("event_source", pa.string(), "such as dynamodb.amazonaws.com", required=True),
            _column("event_name", pa.string(), "API operation", required=True),
            _column("event_version", pa.string(), "version of the record format"),
            _column("event_type", pa.string(), "AwsApiCall, AwsServiceEvent, AwsConsoleSignIn, …"),
            _column("event_category", pa.string(), "Management, Data, NetworkActivity, …"),
            _column("management_event", pa.bool_(), "as the record says"),
            _column("read_only", pa.bool_(), "as the record says; unreliable for PartiQL"),
            _column("api_version", pa.string(), "absent on authorization failures"),
            _column("error_code", pa.string(), "NULL on success"),
            _column("error_message", pa.string(), "masked"),
            _column("denied_action", pa.string(), "action that the denial message names, such as dynamodb:GetItem"),
            _column("denied_resource_arn", pa.string(), "resource that the denial message names"),
            _column("denied_by", pa.string(), "kind of policy that decided, and its ARN where the message names it"),
            _column("table_names", NAMES, "DynamoDB tables the event names, sorted"),
            _column("table_arns", NAMES, "their ARNs, in the same order"),
            _column("resource_arns", NAMES, "ARNs of resources[], as the record lists them"),
            _column("index_name", pa.string(), "secondary index that a read used"),
            _column("principal_type", pa.string(), "userIdentity.type"),
            _column("principal_arn", pa.string(), "userIdentity.arn"),
            _column("principal_id", pa.string(), "userIdentity.principalId"),
            _column("user_name", pa.string(), "userIdentity.userName"),
            _column("access_key_id", pa.string(), "key that signed the request"),
            _column("session_name", pa.string(), "role session name: the caller's claim, not proof"),
            _column("session_issuer_arn", pa.string(), "role, user or root that the session was issued for"),
            _column("session_created_at", INSTANT, "sessionContext.attributes.creationDate"),
            _column("mfa_authenticated", pa.bool_(), "sessionContext.attributes.mfaAuthenticated"),
            _column("source_identity", pa.string(), "STS source identity, kept through role chains"),
            _column("on_behalf_of_user_id", pa.string(), "Identity Center user"),
            _column("invoked_by", pa.string(), "AWS service that acted"),
            _column("session_credential_from_console", pa.bool_(), "true when the console made the call"),
            _column("source_ip_address", pa.string(), "IP address or service name"),
            _column("user_agent", pa.string(), "as the record says"),
            _column("vpc_endpoint_id", pa.string(), "VPC endpoint that the request came through"),
            _column("tls_version", pa.string(), "tlsDetails.tlsVersion"),
            _column("request_id", pa.string(), "the client's x-amzn-RequestId"),
            _column("shared_event_id", pa.string(), "joins the copies that several accounts got of one event"),
            _column("attribute_names", NAMES, "attributes that the request names, sorted"),
            _column("update_expression", pa.string(), "update expression, #placeholders resolved to attribute names"),
            _column("statement", pa.string(), "PartiQL text, literals masked; several statements are separated by `;`"),
            _column("key_condition_token", pa.string(), "token of the key values that bound a Query or SELECT"),
            _column("key_condition_attributes", NAMES, "attributes that this token covers, sorted"),
            _column("user_identity", pa.string(), "userIdentity as canonical JSON"),
            _column("request_parameters", pa.string(), "requestParameters as JSON, item key values replaced by tokens"),
            _column("response_elements", pa.string(), "responseElements as JSON, credentials redacted"),
            _column("additional_event_data", pa.string(), "additionalEventData as JSON"),
            _column("other_fields", pa.string(), "fields of the record that have no column, as masked JSON"),
            _column(
                "addendum_reason", pa.string(), "DELIVERY_DELAY, UPDATED_DATA or SERVICE_OUTAGE on a corrected copy"
            ),
            _column("original_event_id", pa.string(), "event that an addendum supersedes"),
            *_SOURCE_POSITION,
            _column(
                "copies",
                NAMES,
                "further deliveries of the same event, duplicate or superseded: `source_uri#source_index`",
            ),
            _column("attestation", pa.string(), "attested, not_yet_attested, unattested or forged", required=True),
            _column("ocsf_class_uid", pa.int32(), "OCSF 1.8 class of the event", required=True),
        ]
    ),
    natural_key=("recipient_account_id", "region", "event_id"),
    order_by=("event_time", "event_id", "source_uri", "source_index"),
    slice_by=("recipient_account_id", "region"),
)


API_EVENT_ITEM = Table(
    name="api_event_item",
    grain="one item named by one event",
    schema=pa.schema(
        [
            _column("event_id", pa.string(), "event that names the item", required=True),
            _column("event_time", INSTANT, "that event's time", required=True),
            *_hour_columns("event_time"),
            _column("recipient_account_id", pa.string(), "account whose trail got the record", required=True),
            _column("region", pa.string(), "CloudTrail awsRegion", required=True),
            _column("table_name", pa.string(), "table of the item"),
            _column("table_arn", pa.string(), "its ARN"),
            _column("item_key_token", pa.string(), "keyed token of the item's key; NULL where AWS redacted the key"),
            _column("key_attributes", NAMES, "attributes of the key, sorted"),
            _column("operation", pa.string(), "Put, Update, Delete, Get or ConditionCheck", required=True),
            _column("ordinal", pa.int32(), "position of the item in the request, from 0", required=True),
            _column("attribute_names", NAMES, "attributes that this member of the request names, sorted"),
            _column("update_expression", pa.string(), "this member's update expression"),
            _column("original_event_id", pa.string(), "event that an addendum supersedes"),
            *_SOURCE_POSITION,
        ]
    ),
    natural_key=("recipient_account_id", "region", "event_id", "ordinal"),
    order_by=("event_time", "event_id", "ordinal"),
    slice_by=("recipient_account_id", "region"),
)

AUDIT_RECORD = Table(
    name="audit_record",
    grain="one thing that happened: an item or table touched by an event, or an event that touched none",
    schema=pa.schema(
        [
            _column(
                "record_id", pa.string(), "SHA-256 of what identifies the record; stable over rebuilds", required=True
            ),
            _column("event_time", INSTANT, "when it happened", required=True),
            *_hour_columns("event_time"),
            _column("kind", pa.string(), "api_event; later also item_change, finding, …", required=True),
            _column("account_id", pa.string(), "account in which it happened", required=True),
            _column("region", pa.string(), "region in which it happened", required=True),
            _column("table_name", pa.string(), "table touched"),
            _column("table_arn", pa.string(), "its ARN"),
            _column("index_name", pa.string(), "index read"),
            _column("item_key_token", pa.string(), "item touched"),
            _column(
                "operation",
                pa.string(),
                "Put, Update, Delete, Get, ConditionCheck, or the API operation",
                required=True,
            ),
            _column("actor", pa.string(), "who did it, as far as is proven", required=True),
            _column("actor_type", pa.string(), "userIdentity.type of the actor"),
            _column("activity", pa.string(), "OCSF activity name", required=True),
            _column("outcome", pa.string(), "success, failure or denied", required=True),
            _column("source_ip_address", pa.string(), "where from"),
            _column("user_agent", pa.string(), "with what"),
            _column("detail", pa.string(), "one sentence for a person", required=True),
            _column("event_id", pa.string(), "row of api_event"),
            _column("change_id", pa.string(), "row of item_change"),
            _column("finding_id", pa.string(), "row of finding"),
            _column("ocsf_category_uid", pa.int32(), "OCSF 1.8 category", required=True),
            _column("ocsf_class_uid", pa.int32(), "OCSF 1.8 class", required=True),
            _column("ocsf_activity_id", pa.int32(), "OCSF 1.8 activity", required=True),
            _column("ocsf_type_uid", pa.int64(), "class times 100, plus activity", required=True),
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
            _column("quarantine_id", pa.string(), "SHA-256 of source_uri, position and reason code", required=True),
            *_hour_columns("delivery, from the object's name"),
            _column("account_id", pa.string(), "account whose folder held the object", required=True),
            _column("region", pa.string(), "region whose folder held the object", required=True),
            _column("source", pa.string(), "cloudtrail, …", required=True),
            _column("source_uri", pa.string(), "s3:// address of the object", required=True),
            _column("position", pa.string(), "`object`, `byte N` or `record N`", required=True),
            _column("reason_code", pa.string(), "short, stable: truncated_gzip, not_json, …", required=True),
            _column("reason", pa.string(), "what is wrong and what to do, for a person", required=True),
            _column("payload", pa.string(), "what was rejected, masked"),
            _column("payload_bytes", pa.int64(), "its size before masking", required=True),
            _column("payload_sha256", pa.string(), "SHA-256 of it before masking"),
        ]
    ),
    natural_key=("quarantine_id",),
    order_by=("source_uri", "position", "quarantine_id"),
    slice_by=("account_id", "region"),
)

TABLES: dict[str, Table] = {t.name: t for t in (API_EVENT, API_EVENT_ITEM, AUDIT_RECORD, QUARANTINE)}

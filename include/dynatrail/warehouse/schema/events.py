"""What CloudTrail recorded."""

import pyarrow as pa

from dynatrail.warehouse.schema.columns import INSTANT, NAMES, SOURCE_POSITION, Table, column, hour_columns

API_EVENT = Table(
    name="api_event",
    grain="one CloudTrail event",
    schema=pa.schema(
        [
            column("event_id", pa.string(), "CloudTrail eventID", required=True),
            column(
                "event_time", INSTANT, "CloudTrail eventTime: when the request completed, to the second", required=True
            ),
            *hour_columns("event_time"),
            column("recipient_account_id", pa.string(), "account whose trail got the record", required=True),
            column("region", pa.string(), "CloudTrail awsRegion", required=True),
            column("account_id", pa.string(), "userIdentity.accountId: the caller's account"),
            column("event_source", pa.string(), "such as dynamodb.amazonaws.com", required=True),
            column("event_name", pa.string(), "API operation", required=True),
            column("event_version", pa.string(), "version of the record format"),
            column("event_type", pa.string(), "AwsApiCall, AwsServiceEvent, AwsConsoleSignIn, …"),
            column("event_category", pa.string(), "Management, Data, NetworkActivity, …"),
            column("management_event", pa.bool_(), "as the record says"),
            column("read_only", pa.bool_(), "as the record says; unreliable for PartiQL"),
            column("api_version", pa.string(), "absent on authorization failures"),
            column("error_code", pa.string(), "NULL on success"),
            column("error_message", pa.string(), "masked"),
            column("denied_action", pa.string(), "action that the denial message names, such as dynamodb:GetItem"),
            column("denied_resource_arn", pa.string(), "resource that the denial message names"),
            column("denied_by", pa.string(), "kind of policy that decided, and its ARN where the message names it"),
            column("table_names", NAMES, "DynamoDB tables the event names, sorted"),
            column("table_arns", NAMES, "their ARNs, in the same order"),
            column("resource_arns", NAMES, "ARNs of resources[], as the record lists them"),
            column("index_name", pa.string(), "secondary index that a read used"),
            column("principal_type", pa.string(), "userIdentity.type"),
            column("principal_arn", pa.string(), "userIdentity.arn"),
            column("principal_id", pa.string(), "userIdentity.principalId"),
            column("user_name", pa.string(), "userIdentity.userName"),
            column("access_key_id", pa.string(), "key that signed the request"),
            column("session_name", pa.string(), "role session name: the caller's claim, not proof"),
            column("session_issuer_arn", pa.string(), "role, user or root that the session was issued for"),
            column("session_created_at", INSTANT, "sessionContext.attributes.creationDate"),
            column("mfa_authenticated", pa.bool_(), "sessionContext.attributes.mfaAuthenticated"),
            column("source_identity", pa.string(), "STS source identity, kept through role chains"),
            column("on_behalf_of_user_id", pa.string(), "Identity Center user"),
            column("invoked_by", pa.string(), "AWS service that acted"),
            column("session_credential_from_console", pa.bool_(), "true when the console made the call"),
            column("source_ip_address", pa.string(), "IP address or service name"),
            column("user_agent", pa.string(), "as the record says"),
            column("vpc_endpoint_id", pa.string(), "VPC endpoint that the request came through"),
            column("tls_version", pa.string(), "tlsDetails.tlsVersion"),
            column("request_id", pa.string(), "the client's x-amzn-RequestId"),
            column("shared_event_id", pa.string(), "joins the copies that several accounts got of one event"),
            column("attribute_names", NAMES, "attributes that the request names, sorted"),
            column("update_expression", pa.string(), "update expression, #placeholders resolved to attribute names"),
            column("statement", pa.string(), "PartiQL text, literals masked; several statements are separated by `;`"),
            column("key_condition_token", pa.string(), "token of the key values that bound a Query or SELECT"),
            column("key_condition_attributes", NAMES, "attributes that this token covers, sorted"),
            column("user_identity", pa.string(), "userIdentity as canonical JSON"),
            column("request_parameters", pa.string(), "requestParameters as JSON, item key values replaced by tokens"),
            column("response_elements", pa.string(), "responseElements as JSON, credentials redacted"),
            column("additional_event_data", pa.string(), "additionalEventData as JSON"),
            column("other_fields", pa.string(), "fields of the record that have no column, as masked JSON"),
            column(
                "addendum_reason", pa.string(), "DELIVERY_DELAY, UPDATED_DATA or SERVICE_OUTAGE on a corrected copy"
            ),
            column("original_event_id", pa.string(), "event that an addendum supersedes"),
            *SOURCE_POSITION,
            column(
                "copies",
                NAMES,
                "further deliveries of the same event, duplicate or superseded: `source_uri#source_index`",
            ),
            column(
                "attestation",
                pa.string(),
                "attested, not_yet_attested, unattested, altered or forged: see log_file",
                required=True,
            ),
            column("ocsf_class_uid", pa.int32(), "OCSF 1.8 class of the event", required=True),
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
            column("event_id", pa.string(), "event that names the item", required=True),
            column("event_time", INSTANT, "that event's time", required=True),
            *hour_columns("event_time"),
            column("recipient_account_id", pa.string(), "account whose trail got the record", required=True),
            column("region", pa.string(), "CloudTrail awsRegion", required=True),
            column("table_name", pa.string(), "table of the item"),
            column("table_arn", pa.string(), "its ARN"),
            column("item_key_token", pa.string(), "keyed token of the item's key; NULL where AWS redacted the key"),
            column("key_attributes", NAMES, "attributes of the key, sorted"),
            column("operation", pa.string(), "Put, Update, Delete, Get or ConditionCheck", required=True),
            column("ordinal", pa.int32(), "position of the item in the request, from 0", required=True),
            column("attribute_names", NAMES, "attributes that this member of the request names, sorted"),
            column("update_expression", pa.string(), "this member's update expression"),
            column("original_event_id", pa.string(), "event that an addendum supersedes"),
            *SOURCE_POSITION,
        ]
    ),
    natural_key=("recipient_account_id", "region", "event_id", "ordinal"),
    order_by=("event_time", "event_id", "ordinal"),
    slice_by=("recipient_account_id", "region"),
)

"""Who did it: credential sessions, and the request behind each item change."""

import pyarrow as pa

from dynatrail.warehouse.schema.columns import INSTANT, NAMES, Table, column, hour_columns

SESSION = Table(
    name="session",
    grain="one credential session: from the event that issued its key, or from its first use where none is known",
    schema=pa.schema(
        [
            column(
                "started_at", INSTANT, "when the key was issued, or first used where that is not known", required=True
            ),
            column("expires_at", INSTANT, "when it ends, as the issuing event says"),
            *hour_columns("started_at"),
            column("account_id", pa.string(), "account in which the session acts", required=True),
            column("region", pa.string(), "region of the event that the row is made of", required=True),
            column("access_key_id", pa.string(), "key of the session", required=True),
            column("issued_event_id", pa.string(), "event that issued it; NULL: none is known"),
            column("issued_event_name", pa.string(), "AssumeRole, GetSessionToken, ConsoleLogin, …"),
            column("principal_type", pa.string(), "userIdentity.type of the session"),
            column("principal_arn", pa.string(), "its userIdentity.arn"),
            column("principal_id", pa.string(), "its userIdentity.principalId"),
            column("role_arn", pa.string(), "role that it acts as"),
            column("parent_access_key_id", pa.string(), "key that signed the issuing request"),
            column(
                "first_principal_arn",
                pa.string(),
                "whom the chain begins with, as far as is proven: docs/reference/sessions.md",
            ),
            column("first_principal_type", pa.string(), "its userIdentity.type, or Role for a workload's"),
            column(
                "principal_class",
                pa.string(),
                "person, workload, aws_service, break_glass or unresolved",
                required=True,
            ),
            column(
                "chain",
                NAMES,
                "links, the first principal's first: `PROOF EVENT_NAME EVENT_ID: WHO`, proof key, role_id or interval",
            ),
            column("chain_proof", pa.string(), "weakest proof in the chain: key, role_id or interval; NULL: no link"),
            column("unresolved_reason", pa.string(), "why the chain ends before a first principal"),
            column("conflict", pa.string(), "links that contradict each other, for a person"),
            column("conflict_event_ids", NAMES, "events that contradict each other, sorted; other copies left out"),
            column("claimed_name", pa.string(), "role session name: the caller's claim, not proof"),
            column("source_identity", pa.string(), "STS source identity, kept through role chains"),
            column("transitive_tag_keys", NAMES, "keys of tags that the session passes on, sorted"),
            column("mfa_authenticated", pa.bool_(), "whether MFA was used when it was issued"),
            column("identity_center_user_id", pa.string(), "Identity Center user, from onBehalfOf or the sign-in"),
            column("federated_provider", pa.string(), "SAML or OIDC provider"),
            column("federated_subject", pa.string(), "subject that the provider vouches for"),
            column("origin_arn", pa.string(), "inScopeOf.sourceArn: function, task or instance that it was issued to"),
            column("invoked_by", pa.string(), "AWS service that it was issued to or for"),
        ]
    ),
    natural_key=("account_id", "region", "access_key_id", "issued_event_id"),
    order_by=("started_at", "access_key_id", "issued_event_id"),
    slice_by=("account_id", "region"),
)

ATTRIBUTION = Table(
    name="attribution",
    grain="one item change and the request that made it, or why there is none",
    schema=pa.schema(
        [
            column("change_id", pa.string(), "row of item_change", required=True),
            column("event_time", INSTANT, "its event_time", required=True),
            *hour_columns("event_time"),
            column("account_id", pa.string(), "account that owns the table", required=True),
            column("region", pa.string(), "region of the table", required=True),
            column("table_name", pa.string(), "table", required=True),
            column("table_arn", pa.string(), "its ARN", required=True),
            column("item_key_token", pa.string(), "item", required=True),
            column("event_id", pa.string(), "row of api_event: the request; NULL: see method"),
            column("ordinal", pa.int32(), "item of that request, as in api_event_item"),
            column("principal_arn", pa.string(), "userIdentity.arn of the request"),
            column("access_key_id", pa.string(), "key that signed the request"),
            column("first_principal_arn", pa.string(), "whom the request's caller begins with"),
            column(
                "principal_class",
                pa.string(),
                "person, workload, aws_service, break_glass or unresolved; NULL: no request",
            ),
            column(
                "method",
                pa.string(),
                "alignment, or why no request is behind it: expiry, replication, reconstructed, bulk (a bulk load may "
                "have put it), no_request",
                required=True,
            ),
            column(
                "confidence",
                pa.string(),
                "certain, identity_certain, probable, ambiguous or none",
                required=True,
            ),
            column("candidates", pa.int32(), "requests that could have made it", required=True),
            column(
                "rivals", NAMES, "event ids of the other requests that could, or of the bulk load, sorted; at most 20"
            ),
            column("time_delta_s", pa.float64(), "request less change, seconds"),
        ]
    ),
    natural_key=("change_id",),
    order_by=("event_time", "item_key_token", "change_id"),
    slice_by=("account_id", "region", "table_name"),
)

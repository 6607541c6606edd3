"""The medical practice's accounts before its history begins: buckets, tables, people's users and roles.

The account roots make all this, unrecorded, as a history has to begin somewhere.
"""

import json
from dataclasses import dataclass
from typing import Any

from dynatrail.sandbox.delivery import Delivery
from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.sandbox import ANALYTICS, ORGANIZATION_ID, PRODUCTION, REGIONS, Sandbox
from dynatrail.sandbox.scenarios.signals import make_signals
from dynatrail.sandbox.scenarios.stage import HOME, SAML_PROVIDER, Stage
from dynatrail.sandbox.state import Played
from dynatrail.settings import PROJECT

Json = dict[str, Any]

BUCKET = "example-clinic-cloudtrail"
EXPORT_BUCKET = "example-clinic-exports"
EXPORT_PREFIX = "dynatrail"
ABROAD = "eu-west-1"
READER = f"arn:aws:iam::{ANALYTICS}:role/DynatrailReader"
OIDC_HOST = "token.actions.example.com"

_UNRECORDED = Caller(recorded=False)
_SSO_PATH = "/aws-reserved/sso.amazonaws.com/"


@dataclass(frozen=True)
class Table:
    """A table as the house makes it: key (name → type), index (name, key), TTL attribute, replica's region.

    `kinesis` names the Kinesis data stream that its changes also go to.
    """

    name: str
    region: str
    key: dict[str, str]
    index: tuple[str, dict[str, str]] | None = None
    ttl: str | None = None
    replica: str | None = None
    protected: bool = False
    kinesis: str = ""


TABLES = (
    Table("Patients", HOME, {"patient_id": "S"}, ("EmailIndex", {"email": "S"})),
    Table(
        "Appointments",
        HOME,
        {"clinic_id": "S", "starts_at": "S"},
        ("PatientIndex", {"patient_id": "S", "starts_at": "S"}),
    ),
    Table("Invoices", HOME, {"invoice_number": "N"}),
    Table("InvoicesArchive", HOME, {"invoice_number": "N"}, protected=True),
    Table("Sessions", HOME, {"session_id": "S"}, ttl="expires_at"),
    Table("AuditConfig", HOME, {"setting": "S"}),
    Table("Prescriptions", ABROAD, {"patient_id": "S", "issued_at": "S"}, replica=HOME),
    Table("Documents", ABROAD, {"digest": "B"}, kinesis="clinic-document-changes"),
)

SSO_ROLES = {
    "Nurse": f"arn:aws:iam::{PRODUCTION}:role{_SSO_PATH}AWSReservedSSO_Nurse_0a1b2c3d4e5f6071",
    "Doctor": f"arn:aws:iam::{PRODUCTION}:role{_SSO_PATH}AWSReservedSSO_Doctor_1b2c3d4e5f607182",
}
ROLES = {
    name: f"arn:aws:iam::{account}:role/{name}"
    for name, account in {
        "BookingApiRole": PRODUCTION,
        "BillingJobRole": PRODUCTION,
        "NightlyExportRole": PRODUCTION,
        "DeployRole": PRODUCTION,
        "DeveloperRole": PRODUCTION,
        "SupportRole": PRODUCTION,
        "AnalyticsReadRole": PRODUCTION,
    }.items()
}
# IAM's PartiQL actions are per table; ministack asks for these instead, and for no table.
_PARTIQL = (["dynamodb:ExecuteStatement", "dynamodb:BatchExecuteStatement", "dynamodb:ExecuteTransaction"], ["*"])
_WORK = [
    *("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query", "dynamodb:BatchGetItem"),
    "dynamodb:ConditionCheckItem",
]
_POLICIES: dict[str, list[tuple[list[str], list[str]]]] = {
    "Nurse": [(_WORK, ["Patients", "Appointments"]), (["dynamodb:GetItem", "dynamodb:Query"], ["Prescriptions"])],
    "Doctor": [
        (_WORK, ["Patients", "Appointments", "Prescriptions", "Documents", "Invoices"]),
        (["dynamodb:DeleteItem"], ["Appointments"]),
        (["dynamodb:PartiQLSelect"], ["Patients"]),
        _PARTIQL,
    ],
    "BookingApiRole": [
        ([*_WORK, "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"], ["Appointments", "Sessions", "Patients"])
    ],
    "BillingJobRole": [
        (
            ["dynamodb:*Item", "dynamodb:Scan", "dynamodb:Query", "dynamodb:DescribeTable", "dynamodb:PartiQL*"],
            ["Invoices", "InvoicesArchive", "Appointments"],
        ),
        _PARTIQL,
    ],
    "NightlyExportRole": [
        (
            ["dynamodb:Scan", "dynamodb:GetItem", "dynamodb:Describe*", "dynamodb:List*", "dynamodb:Get*"],
            ["*"],
        )
    ],
    "DeployRole": [(["dynamodb:*Table", "dynamodb:Tag*", "dynamodb:List*", "dynamodb:UpdateTimeToLive"], ["*"])],
    "DeveloperRole": [(["dynamodb:DescribeTable", "dynamodb:ListTables"], ["*"])],
    "SupportRole": [
        (["dynamodb:GetItem", "dynamodb:Query", "dynamodb:DescribeTable"], ["Appointments", "Sessions"]),
        (["dynamodb:UpdateItem"], ["Appointments"]),
    ],
    "AnalyticsReadRole": [
        (["dynamodb:Scan", "dynamodb:Query", "dynamodb:GetItem"], ["Patients", "Appointments", "Invoices"])
    ],
}


NOTES: dict[str, Json] = {
    "Patients": {"purpose": "treatment of patients", "sensitivity": "restricted"},
    "Prescriptions": {"purpose": "treatment of patients", "sensitivity": "restricted"},
    "Documents": {"purpose": "treatment of patients", "sensitivity": "restricted", "changes_from": "kinesis"},
    "Appointments": {"purpose": "booking"},
    "Invoices*": {"purpose": "billing"},
    "*": {"purpose": "running the practice", "sensitivity": "internal"},
}
"""What is known of the tables, as the configuration file says it; the first match counts."""

MASKING: Json = {
    "version": 1,
    "tables": [
        {
            "match": "Patients",
            "otherwise": "token",
            "attributes": [
                {"path": "name", "do": {"action": "redact"}},
                {"path": "born", "do": {"action": "generalise", "to": "year"}},
                {"path": "contact.phone", "do": {"action": "partial", "keep_last": 2}},
                {"path": "contact.verified", "do": {"action": "keep"}},
            ],
        },
        {"match": "Appointments", "otherwise": "token", "attributes": [{"path": "status", "do": {"action": "keep"}}]},
        {
            "match": "Invoices",
            "otherwise": "token",
            "attributes": [
                {"path": "amount", "do": {"action": "generalise", "to": "bucket", "size": 50}},
                {"path": "paid", "do": {"action": "keep"}},
            ],
        },
        {"match": "*", "otherwise": "token"},
    ],
}
"""The masking policy of the practice."""


def build_house(sandbox: Sandbox, stage: Stage, delivery: Delivery) -> None:
    """Make everything but the trails."""
    for table in TABLES:
        _make_table(sandbox, table)
        regions = (table.region, table.replica) if table.replica else (table.region,)
        stage.know_table(table.name, tuple(table.key), *regions)
    _make_people(sandbox)
    s3 = _root(sandbox, "s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(_bucket_policy(delivery)))
    s3.create_bucket(Bucket=EXPORT_BUCKET)
    make_signals(sandbox)


def make_auditor(sandbox: Sandbox, delivery: Delivery) -> tuple[str, str]:
    """The pipeline's IAM user with the policies of docs/reference/, but for the one that reads items; its key."""
    iam = _root(sandbox, "iam")
    iam.create_user(UserName="dynatrail")
    for name, document in auditor_policies(delivery.prefix).items():
        iam.put_user_policy(UserName="dynatrail", PolicyName=name, PolicyDocument=document)
    _make_reader(sandbox, delivery)
    key = iam.create_access_key(UserName="dynatrail")["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def _make_reader(sandbox: Sandbox, delivery: Delivery) -> None:
    """The role in the other account that the auditor assumes to read there; it may do what the auditor may."""
    iam = _root(sandbox, "iam", ANALYTICS)
    auditor = {"AWS": f"arn:aws:iam::{PRODUCTION}:user/dynatrail"}
    trust = {"Effect": "Allow", "Principal": auditor, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName=READER.rsplit("/", 1)[-1], AssumeRolePolicyDocument=document)
    for name, policy in auditor_policies(delivery.prefix).items():
        iam.put_role_policy(RoleName=READER.rsplit("/", 1)[-1], PolicyName=name, PolicyDocument=policy)


def auditor_policies(prefix: str) -> dict[str, str]:
    """What the auditor may do: all reference policies but the one that allows to read items."""
    return {name: text for name, text in reference_policies(prefix).items() if name != "discover_sensitive_data"}


def reference_policies(prefix: str) -> dict[str, str]:
    """The reference policies, `iam-policy.json` and one a file of `iam/`, with their placeholders filled."""
    reference = PROJECT / "docs" / "reference"
    files = {"dynatrail": reference / "iam-policy.json"}
    files |= {path.stem: path for path in sorted((reference / "iam").glob("*.json"))}
    folder = f"{prefix.strip('/')}/" if prefix else ""
    filled = {
        "${TrailBucket}": BUCKET,
        "${TrailPrefix}": folder,
        "${ExportBucket}": EXPORT_BUCKET,
        "${ExportPrefix}": f"{EXPORT_PREFIX}/",
        "${SampledTable}": "Patients",
    }
    policies = {}
    for name, path in files.items():
        policies[name] = path.read_text()
        for placeholder, value in filled.items():
            policies[name] = policies[name].replace(placeholder, value)
    return policies


def permission_set_policy(name: str) -> str:
    """The inline policy of a permission set of Identity Center, which is that of its role."""
    return _policy(_POLICIES[name])


def played(name: str, delivery: Delivery, trail_arns: tuple[str, ...], **more: Any) -> Played:
    """What `play` gives back for this house."""
    return Played(
        scenario=name,
        trail_bucket=BUCKET,
        trail_prefix=delivery.prefix.strip("/"),
        organization_id=ORGANIZATION_ID if delivery.organization else "",
        accounts=tuple(REGIONS),
        regions=tuple(dict.fromkeys(region for regions in REGIONS.values() for region in regions)),
        trail_arns=trail_arns,
        export_bucket=EXPORT_BUCKET,
        export_prefix=EXPORT_PREFIX,
        kinesis_tables=tuple(table.name for table in TABLES if table.kinesis),
        **more,
    )


def _root(sandbox: Sandbox, service: str, account_id: str = PRODUCTION, region: str = HOME) -> Any:
    return sandbox.client(service, sandbox.root(account_id, region), caller=_UNRECORDED)


def _make_table(sandbox: Sandbox, table: Table) -> None:
    attributes = {**(table.index[1] if table.index else {}), **table.key}
    more: Json = {}
    if table.index:
        more["GlobalSecondaryIndexes"] = [
            {
                "IndexName": table.index[0],
                "KeySchema": _key_schema(table.index[1]),
                "Projection": {"ProjectionType": "ALL"},
            }
        ]
    client = _root(sandbox, "dynamodb", region=table.region)
    client.create_table(
        TableName=table.name,
        KeySchema=_key_schema(table.key),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in attributes.items()],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        DeletionProtectionEnabled=table.protected,
        Tags=[{"Key": "data-class", "Value": "health" if table.name == "Patients" else "internal"}],
        **more,
    )
    _back_up(client, table.name)
    if table.replica:
        client.update_table(TableName=table.name, ReplicaUpdates=[{"Create": {"RegionName": table.replica}}])
        _back_up(_root(sandbox, "dynamodb", region=table.replica), table.name)
    if table.ttl:
        client.update_time_to_live(
            TableName=table.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl}
        )
    if table.kinesis:
        _stream_to_kinesis(sandbox, table)


def _stream_to_kinesis(sandbox: Sandbox, table: Table) -> None:
    """Two shards, kept for a year: a DynamoDB stream would forget after a day."""
    kinesis = _root(sandbox, "kinesis", region=table.region)
    kinesis.create_stream(StreamName=table.kinesis, ShardCount=2)
    kinesis.increase_stream_retention_period(StreamName=table.kinesis, RetentionPeriodHours=24 * 365)
    _root(sandbox, "dynamodb", region=table.region).enable_kinesis_streaming_destination(
        TableName=table.name, StreamArn=f"arn:aws:kinesis:{table.region}:{PRODUCTION}:stream/{table.kinesis}"
    )


def _back_up(client: Any, table: str) -> None:
    client.update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def _key_schema(key: dict[str, str]) -> list[Json]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(key, ("HASH", "RANGE"), strict=False)]


def _make_people(sandbox: Sandbox) -> None:
    iam = _root(sandbox, "iam")
    iam.create_saml_provider(
        Name=SAML_PROVIDER, SAMLMetadataDocument=f"<EntityDescriptor>{'x' * 1000}</EntityDescriptor>"
    )
    iam.create_open_id_connect_provider(
        Url=f"https://{OIDC_HOST}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40]
    )
    saml = {"Federated": f"arn:aws:iam::{PRODUCTION}:saml-provider/{SAML_PROVIDER}"}
    for name, arn in SSO_ROLES.items():
        _make_role(iam, arn, saml, ["sts:AssumeRoleWithSAML", "sts:TagSession"], name)
    trusts: dict[str, tuple[Json, list[str]]] = {
        "BookingApiRole": ({"Service": "lambda.amazonaws.com"}, ["sts:AssumeRole"]),
        "BillingJobRole": ({"Service": "ecs-tasks.amazonaws.com"}, ["sts:AssumeRole"]),
        "NightlyExportRole": ({"Service": "lambda.amazonaws.com"}, ["sts:AssumeRole"]),
        "DeployRole": (
            {"Federated": f"arn:aws:iam::{PRODUCTION}:oidc-provider/{OIDC_HOST}"},
            ["sts:AssumeRoleWithWebIdentity"],
        ),
        "DeveloperRole": ({"AWS": f"arn:aws:iam::{PRODUCTION}:root"}, ["sts:AssumeRole", "sts:SetSourceIdentity"]),
        "SupportRole": ({"AWS": f"arn:aws:iam::{PRODUCTION}:root"}, ["sts:AssumeRole", "sts:SetSourceIdentity"]),
        "AnalyticsReadRole": ({"AWS": f"arn:aws:iam::{ANALYTICS}:root"}, ["sts:AssumeRole"]),
    }
    for name, (principal, actions) in trusts.items():
        _make_role(iam, ROLES[name], principal, actions, name)
    # The way up that the self-granting incident takes: a support role that may change its own policies.
    iam.put_role_policy(
        RoleName="SupportRole",
        PolicyName="oncall",
        PolicyDocument=_policy([(["iam:PutRolePolicy"], [ROLES["SupportRole"]])]),
    )
    iam.put_role_policy(
        RoleName="DeveloperRole",
        PolicyName="chain",
        PolicyDocument=_policy([(["sts:AssumeRole", "sts:SetSourceIdentity"], [ROLES["SupportRole"]])]),
    )
    _make_users(sandbox)


USERS = {
    "marta.dba": PRODUCTION,
    "tomas.developer": PRODUCTION,
    "robert.former": PRODUCTION,
    "ines.analyst": ANALYTICS,
    "sofia.platform": PRODUCTION,
    "otto.platform": ANALYTICS,
}
TRAIL_KEEPERS = {PRODUCTION: "sofia.platform", ANALYTICS: "otto.platform"}
_USER_POLICIES: dict[str, list[tuple[list[str], list[str]]]] = {
    "marta.dba": [
        (["dynamodb:*", "cloudtrail:Describe*", "cloudtrail:Get*", "cloudtrail:LookupEvents"], ["*"]),
        (["cloudtrail:PutEventSelectors"], ["*"]),
    ],
    **{name: [(["cloudtrail:*"], ["*"])] for name in TRAIL_KEEPERS.values()},
    "tomas.developer": [
        (["sts:AssumeRole", "sts:SetSourceIdentity"], [ROLES["DeveloperRole"]]),
        (["sts:GetSessionToken"], ["*"]),
    ],
    "robert.former": [
        (["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:ListTables"], ["*"])
    ],
    "ines.analyst": [(["sts:AssumeRole"], [ROLES["AnalyticsReadRole"]])],
}


def _make_users(sandbox: Sandbox) -> None:
    for name, account in USERS.items():
        iam = _root(sandbox, "iam", account)
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="work", PolicyDocument=_policy(_USER_POLICIES[name]))


def new_key(sandbox: Sandbox, user_name: str) -> Any:
    """An access key of one of the house's users."""
    return _root(sandbox, "iam", USERS[user_name]).create_access_key(UserName=user_name)["AccessKey"]


def _make_role(iam: Any, arn: str, principal: Json, actions: list[str], policies: str) -> None:
    path = _SSO_PATH if _SSO_PATH in arn else "/"
    name = arn.rsplit("/", 1)[-1]
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": actions}]}
    iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=name, PolicyName="work", PolicyDocument=_policy(_POLICIES[policies]))


def _policy(statements: list[tuple[list[str], list[str]]]) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": actions, "Resource": [arn for thing in things for arn in _arns(thing)]}
                for actions, things in statements
            ],
        }
    )


def _arns(thing: str) -> list[str]:
    if thing == "*" or thing.startswith("arn:"):
        return [thing]
    table = next(table for table in TABLES if table.name == thing)
    arn = f"arn:aws:dynamodb:{table.region}:{PRODUCTION}:table/{thing}"
    return [arn, f"{arn}/index/*"]


def _bucket_policy(delivery: Delivery) -> Json:
    prefix = f"{delivery.prefix.strip('/')}/" if delivery.prefix else ""
    service = {"Service": "cloudtrail.amazonaws.com"}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": service,
                "Action": "s3:GetBucketAcl",
                "Resource": f"arn:aws:s3:::{BUCKET}",
            },
            {
                "Effect": "Allow",
                "Principal": service,
                "Action": "s3:PutObject",
                "Resource": f"arn:aws:s3:::{BUCKET}/{prefix}AWSLogs/*",
                "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}},
            },
        ],
    }

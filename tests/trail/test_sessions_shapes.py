"""Records in the shapes that AWS writes, from the log file to whom the session begins with. All ids are made up."""

import gzip
import json
from datetime import UTC, datetime

import pytest

from dynatrail.clock import hour_of
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.cloudtrail.parse import Parser
from dynatrail.trail import sessions
from dynatrail.warehouse.schema import FINDING, SESSION

ACCOUNT, OTHER = "123456789012", "210987654321"
REGION = "us-east-1"
JANE = f"arn:aws:iam::{ACCOUNT}:user/jane"
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
USER = {
    "type": "IAMUser",
    "principalId": "AIDAJANE",
    "arn": JANE,
    "accountId": ACCOUNT,
    "accessKeyId": "AKIAJANE",
    "userName": "jane",
}
PROVIDER = f"arn:aws:iam::{ACCOUNT}:saml-provider/AWSSSO_0123456789abcdef_DO_NOT_DELETE"
SSO_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Nurse_0123456789abcdef"
USER_ID = "93a7c0de-0001-70e1-0000-000000000001"


def role_arn(name, account=ACCOUNT):
    return f"arn:aws:iam::{account}:role/{name}"


def session_arn(name, session, account=ACCOUNT):
    return f"arn:aws:sts::{account}:assumed-role/{name}/{session}"


def credentials(key, expiration="Nov 1, 2026, 1:00:00 PM"):
    return {"accessKeyId": key, "sessionToken": "HIDDEN", "expiration": expiration}


def taken(key, name, session="s", account=ACCOUNT):
    """responseElements of AssumeRole."""
    user = {"assumedRoleId": f"AROA{name}:{session}", "arn": session_arn(name, session, account)}
    return {"credentials": credentials(key), "assumedRoleUser": user}


def asked(name, session="s", account=ACCOUNT, **more):
    return {"roleArn": role_arn(name, account), "roleSessionName": session, "durationSeconds": 3600} | more


def in_role(key, name, session="s", created="2026-11-01T12:00:00Z", issuer=None, context=None, **more):
    """userIdentity of a role's session."""
    of = {"type": "Role", "principalId": f"AROA{name}", "arn": issuer or role_arn(name), "accountId": ACCOUNT}
    attributes = {"creationDate": created, "mfaAuthenticated": "false"}
    return {
        "type": "AssumedRole",
        "principalId": f"AROA{name}:{session}",
        "arn": session_arn(name, session),
        "accountId": ACCOUNT,
        "accessKeyId": key,
        "sessionContext": {"sessionIssuer": of, "webIdFederationData": {}, "attributes": attributes} | (context or {}),
    } | more


@pytest.fixture
def record():
    numbers = iter(range(1, 100))

    def make(name, identity, request=None, response=None, *, source="sts", at="12:00:00", **more):
        return {
            "eventVersion": "1.11",
            "userIdentity": identity,
            "eventTime": f"2026-11-01T{at}Z",
            "eventSource": f"{source}.amazonaws.com",
            "eventName": name,
            "awsRegion": REGION,
            "sourceIPAddress": "192.0.2.10",
            "userAgent": "aws-cli/2.31",
            "requestParameters": request,
            "responseElements": response,
            "eventID": f"00000000-0000-4000-8000-{next(numbers):012d}",
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": ACCOUNT,
            "eventCategory": "Management",
        } | more

    return make


@pytest.fixture
def read(record):
    """A GetItem with an identity, five minutes past noon."""
    request = {"tableName": "Patients", "key": {"patient_id": "pat-1"}}
    data = {"managementEvent": False, "eventCategory": "Data"}
    return lambda identity, at="12:05:00": record("GetItem", identity, request, source="dynamodb", at=at, **data)


@pytest.fixture
def resolve(warehouse):
    """Key -> row of `session`, of records that went through the parser; nothing may contradict itself."""

    def run(*records):
        parser = Parser(Tokenizer(bytes(range(32))), {}, max_bytes=10**7)
        uri = f"s3://example-trail/AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/11/01/one.json.gz"
        read = parser.read(uri, gzip.compress(json.dumps({"Records": records}).encode()), account_id=ACCOUNT)
        assert not read.rejected
        events, _ = parser.tables()
        hours = {hour_of(at) for at in events["event_time"].to_pylist()}
        warehouse.replace("api_event", events, hours=hours)
        sessions.build(warehouse, hours)
        assert warehouse.dataset(FINDING.name).count_rows() == 0
        return {row["access_key_id"]: row for row in warehouse.dataset(SESSION.name).to_table().to_pylist()}

    return run


def first(row):
    return row["first_principal_arn"], row["first_principal_type"], row["principal_class"]


def test_user_takes_a_role_and_uses_it(resolve, record, read):
    rows = resolve(record("AssumeRole", USER, asked("R"), taken("ASIAR", "R")), read(in_role("ASIAR", "R")))
    assert first(rows["ASIAR"]) == (JANE, "IAMUser", "person")
    assert (rows["ASIAR"]["chain_proof"], rows["ASIAR"]["claimed_name"]) == ("key", "s")


def test_console_session_of_a_user_has_no_issuing_event(resolve, record):
    context = {
        "sessionIssuer": {},
        "webIdFederationData": {},
        "attributes": {"creationDate": "2026-11-01T11:59:55Z", "mfaAuthenticated": "true"},
    }
    identity = USER | {"accessKeyId": "ASIACONSOLE", "sessionContext": context, "invokedBy": "AWS Internal"}
    row = resolve(record("GetStorageLensConfiguration", identity, {}, source="s3"))["ASIACONSOLE"]
    assert first(row) == (JANE, "IAMUser", "person")
    assert (row["issued_event_id"], row["mfa_authenticated"], row["unresolved_reason"]) == (None, True, None)


def test_service_linked_role_is_taken_by_its_service(resolve, record):
    service = {"type": "AWSService", "invokedBy": "inspector2.amazonaws.com"}
    path = "aws-service-role/inspector2.amazonaws.com/AWSServiceRoleForAmazonInspector2"
    row = resolve(
        record("AssumeRole", service, asked(path, "m-1"), taken("ASIASLR", "S", "m-1"), sharedEventID="shared-1"),
    )["ASIASLR"]
    assert first(row) == ("inspector2.amazonaws.com", "AWSService", "aws_service")


def test_identity_center_hands_out_another_key_than_its_event_names(resolve, record, read):
    name = "nurse.alice@example.com"
    saml = {"type": "SAMLUser", "principalId": f"/nQTosBb=:{name}", "userName": name, "identityProvider": "/nQTosBb="}
    request = {"sAMLAssertionID": "_1", "roleSessionName": name, "roleArn": SSO_ROLE, "principalArn": PROVIDER}
    response = taken("ASIANAMED", "SSO", name) | {"subject": name, "subjectType": "persistent", "nameQualifier": "/n="}
    portal = {"type": "IdentityCenterUser", "accountId": OTHER, "onBehalfOf": {"userId": USER_ID}}
    details = {"role_name": "Nurse", "account_id": ACCOUNT}
    used = in_role("ASIAUSED", "SSO", name, issuer=SSO_ROLE)
    rows = resolve(
        record("GetRoleCredentials", portal, source="sso", eventType="AwsServiceEvent", serviceEventDetails=details),
        record("AssumeRoleWithSAML", saml, request, response),
        read(used),
    )
    assert first(rows["ASIAUSED"]) == (f"{PROVIDER}/{name}", "SAMLUser", "person")
    assert rows["ASIAUSED"]["chain_proof"] == "role_id"


def test_identity_center_session_is_the_user_that_its_uses_name(resolve, record, read):
    name = "nurse.alice@example.com"
    on_behalf = {"userId": USER_ID, "identityStoreArn": f"arn:aws:identitystore::{OTHER}:identitystore/d-0123456789"}
    row = resolve(read(in_role("ASIAUSED", "SSO", name, issuer=SSO_ROLE, onBehalfOf=on_behalf)))["ASIAUSED"]
    assert first(row) == (f"arn:aws:identitystore:::user/{USER_ID}", "IdentityCenterUser", "person")


@pytest.mark.parametrize(
    ("kind", "arn"),
    [
        ("AWS::Lambda::Function", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:book"),
        ("AWS::ECS::Task", f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/clinic/0123"),
        ("AWS::EC2::Instance", f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0123456789abcdef0"),
    ],
    ids=["function", "task", "instance"],
)
def test_workload_is_what_its_credentials_were_issued_to(resolve, read, kind, arn):
    scope = {"issuerType": kind, "credentialsIssuedTo": arn}
    row = resolve(read(in_role("ASIAW", "W", "whatever", inScopeOf=scope)))["ASIAW"]
    assert first(row) == (arn, "Role", "workload")


def test_instance_without_scope_is_known_by_how_its_role_was_delivered(resolve, read):
    row = resolve(read(in_role("ASIAW", "W", "i-0123456789abcdef0", context={"ec2RoleDelivery": "2.0"})))["ASIAW"]
    assert first(row) == (role_arn("W"), "Role", "workload")


def test_role_taken_with_a_functions_key_begins_with_the_function(resolve, record, read):
    function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:book"
    lambda_session = in_role("ASIAL", "L", inScopeOf={"credentialsIssuedTo": function})
    rows = resolve(
        record("AssumeRole", lambda_session, asked("R", account=OTHER), taken("ASIAR", "R", account=OTHER)),
        read(in_role("ASIAR", "R")),
    )
    assert first(rows["ASIAR"]) == (function, "Role", "workload")
    assert (rows["ASIAR"]["origin_arn"], rows["ASIAL"]["origin_arn"]) == (None, function)


def test_web_identity_of_a_cluster_is_a_workload(resolve, record, read):
    subject, issuer = "system:serviceaccount:clinic:booking", "oidc.eks.us-east-1.amazonaws.com/id/0123456789ABCDEF"
    web = {"type": "WebIdentityUser", "principalId": f"{issuer}:sts:{subject}", "userName": subject}
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}"
    response = taken("ASIAR", "R") | {"provider": provider, "subjectFromWebIdentityToken": subject}
    rows = resolve(
        record("AssumeRoleWithWebIdentity", web | {"identityProvider": provider}, asked("R"), response),
        read(in_role("ASIAR", "R")),
    )
    assert first(rows["ASIAR"]) == (f"{provider}/{subject}", "WebIdentityUser", "workload")


def test_pod_is_known_by_its_association_whether_or_not_sts_tells_of_it_too(resolve, record, read):
    association = f"arn:aws:eks:{REGION}:{ACCOUNT}:podidentityassociation/clinic/a-0123456789abcdef0"
    answer = {
        "subject": {"namespace": "clinic", "serviceAccount": "booking"},
        "podIdentityAssociation": {"associationArn": association, "associationId": "a-0123456789abcdef0"},
        "assumedRoleUser": {"arn": session_arn("R", "eks-1"), "assumeRoleId": "AROAR:eks-1"},
        "credentials": credentials("ASIAPOD", "2026-11-01T13:00:00Z"),
    }
    rows = resolve(
        record("AssumeRole", {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"}, asked("R", "eks-1"),
               taken("ASIAPOD", "R", "eks-1")),
        record("AssumeRoleForPodIdentity", in_role("ASIANODE", "Node", "i-0"), {"clusterName": "clinic"}, answer,
               source="eks-auth"),
        read(in_role("ASIAPOD", "R", "eks-1")),
    )  # fmt: skip
    assert first(rows["ASIAPOD"]) == (association, "Role", "workload")
    assert (rows["ASIAPOD"]["role_arn"], rows["ASIAPOD"]["chain_proof"]) == (role_arn("R"), "key")


def test_certificate_is_known_by_its_subject(resolve, record, read):
    subject = f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}:subject/00000000-0000-4000-8000-000000000001"
    given = taken("ASIACERT", "R", "0a1b2c") | {"roleArn": role_arn("R"), "sourceIdentity": "CN=booking"}
    given["credentials"] = credentials("ASIACERT", "2026-11-01T13:00:00Z")
    request = {"roleArn": role_arn("R"), "profileArn": "p", "trustAnchorArn": "t", "durationSeconds": 3600}
    rows = resolve(
        record("CreateSession", {"type": "Unknown", "accountId": ACCOUNT}, request,
               {"credentialSet": [given], "subjectArn": subject}, source="rolesanywhere"),
        read(in_role("ASIACERT", "R", "0a1b2c")),
    )  # fmt: skip
    row = rows["ASIACERT"]
    assert first(row) == (subject, "Role", "workload")
    assert (row["source_identity"], row["expires_at"]) == ("CN=booking", datetime(2026, 11, 1, 13, tzinfo=UTC))


def test_cognito_identity_is_a_person(resolve, record, read):
    identity_id = "us-east-1:00000000-0000-4000-8000-000000000001"
    request = {"identityId": identity_id, "logins": {"cognito-idp.us-east-1.amazonaws.com/us-east-1_a": "HIDDEN"}}
    response = {"identityId": identity_id, "credentials": credentials("ASIACOG", "Nov 1, 2026 1:00:00 PM")}
    rows = resolve(
        record("GetCredentialsForIdentity", {"type": "Unknown"}, request, response, source="cognito-identity"),
        read(in_role("ASIACOG", "Patient", "CognitoIdentityCredentials")),
    )
    row = rows["ASIACOG"]
    assert first(row) == (f"cognito-identity.amazonaws.com/{identity_id}", "WebIdentityUser", "person")
    assert (row["role_arn"], row["expires_at"]) == (role_arn("Patient"), datetime(2026, 11, 1, 13, tzinfo=UTC))


def test_session_token_with_mfa_is_its_users(resolve, record, read):
    serial = {"serialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/jane", "tokenCode": "HIDDEN"}
    context = {"attributes": {"creationDate": "2026-11-01T12:00:00Z", "mfaAuthenticated": "true"}}
    used = USER | {"accessKeyId": "ASIAMFA", "sessionContext": context}
    rows = resolve(
        record("GetSessionToken", USER, serial, {"credentials": credentials("ASIAMFA")}),
        record("AssumeRole", used, asked("R"), taken("ASIAR", "R"), at="12:01:00"),
        read(in_role("ASIAR", "R", created="2026-11-01T12:01:00Z")),
    )
    assert [first(row) for row in rows.values()] == [(JANE, "IAMUser", "person")] * 2
    assert (rows["ASIAMFA"]["mfa_authenticated"], len(rows["ASIAR"]["chain"])) == (True, 2)


def test_root_of_a_member_account_is_who_took_it(resolve, record, read):
    root = f"arn:aws:iam::{OTHER}:root"
    request = {
        "targetPrincipal": OTHER,
        "taskPolicyArn": {"arn": "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"},
    }
    context = {
        "attributes": {"creationDate": "2026-11-01T12:00:00Z", "mfaAuthenticated": "false"},
        "assumedRoot": "true",
    }
    used = {"type": "Root", "principalId": OTHER, "arn": root, "accountId": OTHER, "accessKeyId": "ASIAROOT"}
    rows = resolve(
        record("AssumeRoot", USER, request, {"credentials": credentials("ASIAROOT")}),
        read(used | {"sessionContext": context}),
        read(used | {"accessKeyId": "ASIALOST", "sessionContext": context}),
    )
    assert first(rows["ASIAROOT"]) == (JANE, "IAMUser", "person")
    assert rows["ASIAROOT"]["principal_type"] == "Root"
    assert (first(rows["ASIALOST"]), rows["ASIALOST"]["unresolved_reason"]) == (
        (None, None, "unresolved"),
        "issuer_in_other_account",
    )


@pytest.mark.parametrize(
    ("name", "more"),
    [("SwitchRole", {"SwitchFrom": JANE}), ("RenewRole", {"RenewedBy": JANE})],
    ids=["switched", "renewed"],
)
def test_role_of_the_console_is_of_who_switched_or_renewed(resolve, record, read, name, more):
    signed = in_role("", "R", "jane")
    signed.pop("sessionContext")
    rows = resolve(
        record(name, signed, None, {name: "Success"}, source="signin", eventType="AwsConsoleSignIn",
               additionalEventData=more),
        read(in_role("ASIACONSOLE", "R", "jane", created="2026-11-01T12:00:01Z")),
    )  # fmt: skip
    assert first(rows["ASIACONSOLE"]) == (JANE, "IAMUser", "person")
    assert rows["ASIACONSOLE"]["chain_proof"] == "interval"


def test_two_console_keys_of_a_federated_sign_in_without_its_assumption_are_no_circle(resolve, record, read):
    signed = in_role("", "R", "jane", created="2026-11-01T11:59:58Z")
    rows = resolve(
        record("ConsoleLogin", signed, None, {"ConsoleLogin": "Success"}, source="signin",
               eventType="AwsConsoleSignIn", additionalEventData={"MFAUsed": "No"}),
        read(in_role("ASIA1", "R", "jane", created="2026-11-01T12:00:00Z")),
        read(in_role("ASIA2", "R", "jane", created="2026-11-01T12:00:00Z")),
    )  # fmt: skip
    assert {row["unresolved_reason"] for row in rows.values()} == {"issuer_not_seen"}


def test_shared_event_of_which_only_the_roles_side_is_read_names_the_account(resolve, record, read):
    stranger = {"type": "AWSAccount", "principalId": "AIDASTRANGER", "accountId": OTHER}
    rows = resolve(
        record("AssumeRole", stranger, asked("R"), taken("ASIAR", "R"), sharedEventID="shared-1"),
        read(in_role("ASIAR", "R")),
    )
    assert rows["ASIAR"]["unresolved_reason"] == "issuer_in_other_account"
    assert rows["ASIAR"]["chain"] == [
        f"key AssumeRole {rows['ASIAR']['issued_event_id']}: account {OTHER} AIDASTRANGER"
    ]


def test_session_for_another_accounts_role_of_which_only_the_callers_side_is_read_is_resolved(resolve, record):
    request, response = asked("R", account=OTHER), taken("ASIAR", "R", account=OTHER)
    row = resolve(record("AssumeRole", USER, request, response, sharedEventID="shared-1"))["ASIAR"]
    assert (first(row), row["account_id"]) == ((JANE, "IAMUser", "person"), OTHER)


def test_sign_in_steps_that_issue_nothing_are_no_sessions(resolve, record):
    portal = {"type": "Unknown", "accountId": ACCOUNT, "userName": "nurse.alice", "credentialId": "c-1"}
    names = ("CredentialChallenge", "CredentialVerification", "UserAuthentication")
    assert resolve(*(record(name, portal, source="signin", eventType="AwsServiceEvent") for name in names)) == {}

import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.clock import HOUR
from dynatrail.settings import PROJECT
from dynatrail.trail import ocsf, timeline

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ROLE = "arn:aws:iam::123456789012:role/apps/clinic"
IAM, STS, SIGNIN = "iam.amazonaws.com", "sts.amazonaws.com", "signin.amazonaws.com"
MANAGEMENT = {"event_category": "Management", "management_event": True}
HOSTILE = "x\"\\\n\r\t\x00\x1b[31m\u2028\u202e{table}</script>\U0001f600' or 1=1; --"


def table_arn(name):
    return f"arn:aws:dynamodb:eu-west-1:123456789012:table/{name}"


def events(make_event):
    """One or more of every class, with success, failure and denial."""
    patients = {"table_names": ["Patients"], "table_arns": [table_arn("Patients")]}
    session = {
        "principal_type": "AssumedRole",
        "principal_arn": "arn:aws:sts::123456789012:assumed-role/clinic/anna",
        "principal_id": "AROAEXAMPLE:anna",
        "user_name": None,
        "session_name": "anna",
        "session_issuer_arn": ROLE,
        "session_created_at": NOON,
        "mfa_authenticated": False,
        "user_identity": json.dumps(
            {
                "type": "AssumedRole",
                "onBehalfOf": {"userId": "11111111-2222-3333-4444-555555555555", "identityStoreArn": "arn:aws:x::1:y"},
                "sessionContext": {"webIdFederationData": {"federatedProvider": "accounts.example.com"}},
            }
        ),
    }
    refused = {"error_code": "AccessDenied", "request_parameters": None, "api_version": None}
    calls = [
        {**patients, "resource_arns": [table_arn("Patients")]},
        {**patients, **session, "event_name": "Scan", "vpc_endpoint_id": "vpce-0example", "tls_version": "TLSv1.3"},
        {**patients, "event_name": "UpdateItem", "error_code": "ConditionalCheckFailedException", "error_message": "…"},
        {
            "event_name": "Query",
            "denied_action": "dynamodb:Query",
            "denied_resource_arn": table_arn("Patients"),
            **refused,
        },
        {"event_name": "GetRecords"},
        {**patients, "event_name": "ExecuteStatement", "statement": "SELECT * FROM Patients WHERE a = '***'"},
        {**patients, "event_name": "TeleportItem", "request_id": None, "request_parameters": '{"limit":1}'},
        {**MANAGEMENT, **patients, "event_name": "CreateTable", "response_elements": '{"tableDescription":{}}'},
        {**MANAGEMENT, "event_name": "ListTables", "source_ip_address": "AWS Internal", "user_agent": None},
        {**MANAGEMENT, "event_name": "DescribeTable", "table_names": ["T"], "source_ip_address": "2001:db8::1"},
        {
            **MANAGEMENT,
            "event_source": "kms.amazonaws.com",
            "event_name": "Decrypt",
            "principal_type": "AWSService",
            "principal_arn": None,
            "principal_id": None,
            "user_name": None,
            "access_key_id": None,
            "account_id": None,
            "invoked_by": "dynamodb.amazonaws.com",
            "source_ip_address": None,
            "event_type": None,
            "resource_arns": ["arn:aws:kms:eu-west-1:123456789012:key/0", "no-arn"],
        },
        {**MANAGEMENT, "event_source": IAM, "event_name": "CreateUser", "request_parameters": '{"userName":"temp"}'},
        {
            **MANAGEMENT,
            "event_source": IAM,
            "event_name": "AttachRolePolicy",
            "request_parameters": '{"roleName":"clinic","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}',
        },
        {**MANAGEMENT, "event_source": IAM, "event_name": "CreateAccessKey", "request_parameters": None},
        {**MANAGEMENT, "event_source": IAM, "event_name": "DeleteUser", **refused},
        {**MANAGEMENT, "event_source": IAM, "event_name": "CreateGroup", "request_parameters": '{"groupName":"g"}'},
        {
            **MANAGEMENT,
            "event_source": IAM,
            "event_name": "CreatePolicyVersion",
            "request_parameters": '{"policyArn":"arn:p"}',
        },
        {**MANAGEMENT, "event_source": IAM, "event_name": "DeleteAccountPasswordPolicy"},
        {**MANAGEMENT, "event_source": IAM, "event_name": "DeletePolicy", "denied_resource_arn": "arn:p", **refused},
        {
            **MANAGEMENT,
            "event_source": SIGNIN,
            "event_name": "ConsoleLogin",
            "event_type": "AwsConsoleSignIn",
            "response_elements": '{"ConsoleLogin":"Success"}',
            "additional_event_data": '{"MFAUsed":"Yes","LoginTo":"https://console.aws.amazon.com/"}',
        },
        {**MANAGEMENT, "event_source": SIGNIN, "event_name": "CredentialDance"},
        {
            **MANAGEMENT,
            "event_source": STS,
            "event_name": "AssumeRole",
            "request_parameters": json.dumps({"roleArn": ROLE, "roleSessionName": "anna"}),
            "response_elements": json.dumps(
                {
                    "credentials": {"accessKeyId": "ASIAEXAMPLE"},
                    "assumedRoleUser": {"assumedRoleId": "AROAEXAMPLE:anna", "arn": "arn:aws:sts::123456789012:x"},
                }
            ),
        },
        {**MANAGEMENT, "event_source": STS, "event_name": "AssumeRole", "denied_resource_arn": ROLE, **refused},
        {
            **MANAGEMENT,
            "event_source": STS,
            "event_name": "AssumeRoleWithSAML",
            "principal_type": "SAMLUser",
            "principal_arn": None,
            "user_identity": '{"identityProvider":"idp.example.com"}',
            "request_parameters": json.dumps({"roleArn": ROLE}),
        },
        {
            **MANAGEMENT,
            "event_source": STS,
            "event_name": "GetFederationToken",
            "request_parameters": '{"name":"visitor"}',
        },
        {
            "event_name": "PutItem",
            "table_names": [HOSTILE],
            "user_name": HOSTILE,
            "principal_arn": HOSTILE,
            "session_name": HOSTILE,
            "user_agent": HOSTILE,
            "source_ip_address": HOSTILE,
            "error_message": HOSTILE,
            "request_parameters": json.dumps({HOSTILE: HOSTILE}),
            "response_elements": "{not json",
            "user_identity": "[]",
        },
    ]
    return [make_event(f"e-{number:02}", **call) for number, call in enumerate(calls)]


@pytest.fixture
def exported(warehouse, write, make_event):
    """Every kind of event, through the warehouse and the timeline, as lines of OCSF."""
    write("api_event", events(make_event))
    timeline.build(warehouse, [NOON])
    out = io.BytesIO()
    lines = ocsf.export(warehouse, NOON, NOON + HOUR, out)
    text = out.getvalue().decode()
    assert text.count("\n") == lines
    return [json.loads(line) for line in text.split("\n")[:-1]]


def one(exported, **attributes):
    (found,) = [e for e in exported if all(e["unmapped"].get(k, e.get(k)) == v for k, v in attributes.items())]
    return found


def test_every_event_is_exported(exported, make_event):
    assert {e["event_id"] for e in events(make_event)} == {e["metadata"]["original_event_uid"] for e in exported}


def test_every_class_validates_against_the_published_schema(exported, published):
    assert {e["class_uid"] for e in exported} == ocsf.OF_EVENTS
    assert {e["message"]: faults for e in exported if (faults := published.faults(e))} == {}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda e: e.pop("activity_id"),
        lambda e: e.update(activity_id=77),
        lambda e: e.update(activity_name="Sing"),
        lambda e: e.update(weather="fine"),
        lambda e: e.update(time="2026-11-01"),
        lambda e: e.update(status="Failure"),
        lambda e: e["actor"].clear(),
        lambda e: e["actor"].update(invoked_by="x"),
        lambda e: e["src_endpoint"].update(ip="nowhere"),
        lambda e: e["cloud"].pop("provider"),
        lambda e: e["metadata"].update(x=1),
        lambda e: [e.pop(name) for name in ("table", "database")],
    ],
)
def test_validation_sees_a_spoiled_event(exported, published, spoil):
    good = one(exported, operation="PutItem", table={"name": "Patients", "uid": table_arn("Patients")})
    assert published.faults(good) == []
    spoil(good)
    assert published.faults(good) != []


def test_type_is_class_and_activity(exported):
    assert all(e["type_uid"] == e["class_uid"] * 100 + e["activity_id"] for e in exported)
    assert all(e["category_uid"] == e["class_uid"] // 1000 for e in exported)


def test_time_is_milliseconds_since_1970(exported):
    assert {e["time"] for e in exported} == {1793534400000}


def test_denied_failed_and_succeeded_are_told_apart(exported):
    assert [
        (e["status"], e["severity"], e.get("status_code")) for e in exported if e["api"]["operation"] == "Query"
    ] == [("Failure", "Low", "AccessDenied")]
    failed = one(exported, operation="UpdateItem")
    assert (failed["status_id"], failed["severity"]) == (2, "Informational")
    assert failed["api"]["response"]["error"] == "ConditionalCheckFailedException"


def test_actor_is_the_issuer_and_the_claimed_name_is_the_session(exported):
    actor = one(exported, operation="Scan")["actor"]
    assert actor["user"]["uid"] == ROLE
    assert actor["user"]["name"] == "clinic"
    assert actor["session"]["issuer"] == ROLE
    assert actor["session"]["uid_alt"] == "arn:aws:sts::123456789012:assumed-role/clinic/anna"
    assert actor["idp"] == {"name": "accounts.example.com", "uid": "arn:aws:x::1:y"}


def test_service_that_acts_is_the_actors_app(exported):
    decrypt = one(exported, operation="Decrypt")
    assert decrypt["actor"]["app_name"] == "dynamodb.amazonaws.com"
    assert decrypt["src_endpoint"] == {"svc_name": "dynamodb.amazonaws.com"}


def test_address_that_is_no_address_is_a_service_name(exported):
    assert one(exported, operation="ListTables")["src_endpoint"] == {"svc_name": "AWS Internal"}
    assert one(exported, operation="DescribeTable")["src_endpoint"] == {"ip": "2001:db8::1"}


def test_role_that_was_assumed_is_the_user_and_its_key_the_session(exported):
    assumed, refused = (
        [e for e in exported if e["api"]["operation"] == "AssumeRole"][::-1]
        if False
        else sorted((e for e in exported if e["api"]["operation"] == "AssumeRole"), key=lambda e: e["status_id"])
    )
    assert assumed["user"] == {"name": "clinic", "uid": ROLE, "type": "Role", "type_id": 99}
    assert assumed["session"]["credential_uid"] == "ASIAEXAMPLE"
    assert refused["user"]["uid"] == ROLE
    assert refused["session"] == {"issuer": ROLE}


def test_parameters_without_a_request_id_are_kept_unmapped(exported):
    record = one(exported, operation="TeleportItem")
    assert "request" not in record["api"]
    assert record["unmapped"]["request_parameters"] == {"limit": 1}


def test_numbers_of_parameters_are_exact(warehouse, write, make_event):
    numbers = '{"a":12345678901234567890123456789012345678,"b":1.10,"c":1E-130}'
    write("api_event", [make_event(request_parameters=numbers)])
    timeline.build(warehouse, [NOON])
    out = io.BytesIO()
    ocsf.export(warehouse, NOON, NOON + HOUR, out)
    assert f'"data":{numbers}' in out.getvalue().decode()


def test_hostile_text_comes_back_as_it_was(exported):
    record = one(exported, operation="PutItem", table={"name": HOSTILE})
    assert record["http_request"]["user_agent"] == HOSTILE
    assert record["src_endpoint"]["svc_name"] == HOSTILE
    assert record["api"]["request"]["data"] == {HOSTILE: HOSTILE}
    assert record["api"]["response"]["data"] == "{not json"


def test_window_is_half_open(warehouse, write, make_event):
    times = [NOON - timedelta(seconds=1), NOON, NOON + 2 * HOUR - timedelta(seconds=1), NOON + 2 * HOUR]
    write("api_event", [make_event(f"e-{at.isoformat()}", event_time=at) for at in times])
    timeline.build(warehouse, times)
    out = io.BytesIO()
    assert ocsf.export(warehouse, NOON, NOON + 2 * HOUR, out) == 2
    assert [json.loads(line)["time"] for line in out.getvalue().splitlines()] == [
        int(at.timestamp() * 1000) for at in times[1:3]
    ]


def test_export_twice_gives_the_same_bytes_with_sorted_names(warehouse, write, make_event):
    write("api_event", events(make_event))
    timeline.build(warehouse, [NOON])
    first, second = io.BytesIO(), io.BytesIO()
    ocsf.export(warehouse, NOON, NOON + HOUR, first)
    ocsf.export(warehouse, NOON, NOON + HOUR, second)
    assert first.getvalue() == second.getvalue() != b""
    for line in first.getvalue().split(b"\n")[:-1]:
        assert json.dumps(json.loads(line), sort_keys=True) == json.dumps(json.loads(line))


def test_empty_window_exports_nothing(warehouse):
    out = io.BytesIO()
    assert ocsf.export(warehouse, NOON, NOON + HOUR, out) == 0
    assert out.getvalue() == b""


def test_page_tells_where_every_attribute_comes_from(exported):
    """But for the ids, names and captions that the table of classes tells."""
    page = (PROJECT / "docs" / "reference" / "ocsf.md").read_text()
    told = set(re.findall(r"`(\w+)(?:\.\w+)*`", page.partition("## Attributes")[2]))
    classified = re.compile(r"(activity|category|class|type|severity|status|logon_type|account_switch_type)(_\w+)?")
    also = {"timezone_offset", "auth_protocol", "auth_protocol_id", "is_mfa", "is_remote", "service"}
    attributes = {name for e in exported for name in e if not classified.fullmatch(name)}
    assert attributes - also - told == set()

"""Identities, control plane, denials, and the record fields around the request."""

import json

import pytest

ACCOUNT = "123456789012"
TABLE = f"arn:aws:dynamodb:eu-central-1:{ACCOUNT}:table/Patients"
USER = f"arn:aws:iam::{ACCOUNT}:user/jane"


@pytest.fixture
def as_identity(event_of, make_record):
    """The identity columns of a record made by this userIdentity."""

    def columns(**identity):
        row = event_of(make_record(userIdentity=identity))
        assert json.loads(row["user_identity"]) == identity
        names = ("principal_type", "principal_arn", "principal_id", "account_id", "user_name", "access_key_id")
        names += ("session_name", "session_issuer_arn", "mfa_authenticated", "source_identity", "on_behalf_of_user_id")
        names += ("invoked_by",)
        return {name: row[name] for name in names if row[name] is not None}

    return columns


def test_iam_user_with_a_long_term_key(as_identity):
    assert as_identity(
        type="IAMUser",
        principalId="AIDAEXAMPLE",
        arn=USER,
        accountId=ACCOUNT,
        accessKeyId="AKIAEXAMPLE",
        userName="jane",
    ) == {
        "principal_type": "IAMUser",
        "principal_arn": USER,
        "principal_id": "AIDAEXAMPLE",
        "account_id": ACCOUNT,
        "user_name": "jane",
        "access_key_id": "AKIAEXAMPLE",
    }


def test_root_has_no_session_name_and_says_whether_by_mfa(as_identity):
    columns = as_identity(
        type="Root",
        principalId=ACCOUNT,
        arn=f"arn:aws:iam::{ACCOUNT}:root",
        accountId=ACCOUNT,
        accessKeyId="ASIAEXAMPLE",
        sessionContext={"attributes": {"creationDate": "2026-11-01T02:00:00Z", "mfaAuthenticated": "true"}},
    )
    assert (columns["principal_type"], columns["mfa_authenticated"], "session_name" in columns) == ("Root", True, False)


def test_source_identity_survives_role_chains(as_identity):
    context = {"sessionIssuer": {"arn": "arn:aws:iam::210987654321:role/r"}, "sourceIdentity": "jane"}
    columns = as_identity(type="AssumedRole", principalId="AROAEXAMPLE:s", sessionContext=context)
    assert (columns["source_identity"], columns["session_name"]) == ("jane", "s")
    assert columns["session_issuer_arn"] == "arn:aws:iam::210987654321:role/r"


def test_federated_user_has_a_session_name(as_identity):
    assert as_identity(type="FederatedUser", principalId=f"{ACCOUNT}:jane")["session_name"] == "jane"


def test_service_call_without_access_key(as_identity):
    assert as_identity(type="AWSService", invokedBy="lambda.amazonaws.com", accessKeyId="") == {
        "principal_type": "AWSService",
        "invoked_by": "lambda.amazonaws.com",
    }


def test_caller_of_another_account(as_identity):
    assert as_identity(type="AWSAccount", principalId="AIDAEXAMPLE", accountId="210987654321") == {
        "principal_type": "AWSAccount",
        "principal_id": "AIDAEXAMPLE",
        "account_id": "210987654321",
    }


@pytest.mark.parametrize("kind", ["IdentityCenterUser", "AssumedRole"])
def test_identity_center_user_is_known_by_id(kind, as_identity):
    behalf = {"userId": "94482488-3041-7063", "identityStoreArn": f"arn:aws:identitystore::{ACCOUNT}:identitystore/d-1"}
    columns = as_identity(type=kind, accountId=ACCOUNT, onBehalfOf=behalf, credentialId="c")
    assert columns["on_behalf_of_user_id"] == "94482488-3041-7063"


def test_record_without_identity_has_no_principal(event_of, make_record, absent):
    row = event_of(make_record(userIdentity=absent))
    assert (row["principal_type"], row["user_identity"]) == (None, None)


def test_session_of_the_console_is_told_apart(event_of, make_record):
    assert event_of(make_record(sessionCredentialFromConsole="true"))["session_credential_from_console"] is True
    assert event_of(make_record())["session_credential_from_console"] is None


def test_console_sign_in_keeps_its_answer(event_of, make_record, absent):
    row = event_of(
        make_record(
            eventSource="signin.amazonaws.com",
            eventName="ConsoleLogin",
            eventType="AwsConsoleSignIn",
            eventCategory="Management",
            managementEvent=True,
            requestParameters=None,
            responseElements={"ConsoleLogin": "Failure"},
            additionalEventData={"MFAUsed": "Yes", "LoginTo": "https://console.aws.amazon.com/console/home"},
            errorMessage="Failed authentication",
            resources=absent,
            apiVersion=absent,
        )
    )
    assert json.loads(row["response_elements"]) == {"ConsoleLogin": "Failure"}
    assert json.loads(row["additional_event_data"])["MFAUsed"] == "Yes"
    assert (row["error_code"], row["error_message"], row["table_names"]) == (None, "Failed authentication", None)
    assert row["ocsf_class_uid"] == 3002


@pytest.mark.parametrize(
    ("event_name", "asked"),
    [
        ("AssumeRole", {"roleArn": "arn:aws:iam::123456789012:role/r", "roleSessionName": "s"}),
        ("AssumeRoleWithSAML", {"sAMLAssertionID": "_id", "principalArn": "arn:aws:iam::123456789012:saml-provider/p"}),
        ("AssumeRoleWithWebIdentity", {"roleArn": "arn:aws:iam::123456789012:role/r", "roleSessionName": "s"}),
    ],
)
def test_issued_session_keeps_its_key_id_and_not_its_token(event_name, asked, event_of, make_record):
    credentials = {"accessKeyId": "ASIANEW", "sessionToken": "s3cr3t", "expiration": "Nov 1, 2026, 4:04:05 AM"}
    row = event_of(
        make_record(
            eventSource="sts.amazonaws.com",
            eventName=event_name,
            eventCategory="Management",
            managementEvent=True,
            requestParameters=asked,
            responseElements={"credentials": credentials, "assumedRoleUser": {"assumedRoleId": "AROAEXAMPLE:s"}},
            resources=None,
        )
    )
    assert json.loads(row["response_elements"]) == {
        "credentials": credentials | {"sessionToken": "***"},
        "assumedRoleUser": {"assumedRoleId": "AROAEXAMPLE:s"},
    }
    assert json.loads(row["request_parameters"]) == asked


@pytest.mark.parametrize(
    ("message", "action", "resource", "by"),
    [
        (
            (
                f"User: {USER} is not authorized to perform: dynamodb:GetItem on resource: {TABLE} "
                "because no identity-based policy allows the dynamodb:GetItem action"
            ),
            "dynamodb:GetItem",
            TABLE,
            "no identity-based policy",
        ),
        (
            (
                f"User: {USER} is not authorized to perform: dynamodb:Query on resource: {TABLE}/index/by-ward "
                "because no VPC endpoint policy allows the dynamodb:Query action"
            ),
            "dynamodb:Query",
            f"{TABLE}/index/by-ward",
            "no VPC endpoint policy",
        ),
        (
            (
                f"User: {USER} is not authorized to perform: dynamodb:PutItem on resource: {TABLE} "
                "with an explicit deny in a service control policy"
            ),
            "dynamodb:PutItem",
            TABLE,
            "an explicit deny in a service control policy",
        ),
        (
            (
                f"User: {USER} is not authorized to perform: dynamodb:PutItem on resource: {TABLE} with an explicit "
                "deny in an identity-based policy: arn:aws:iam::123456789012:policy/no-writes"
            ),
            "dynamodb:PutItem",
            TABLE,
            "an explicit deny in an identity-based policy: arn:aws:iam::123456789012:policy/no-writes",
        ),
        (
            (
                f"User: {USER} is not authorized to perform: dynamodb:Scan on resource: {TABLE} because no session "
                "policy allows the dynamodb:Scan action (authorization id: 0f8fad5b-d9cb-469f-a165-70867728950e)"
            ),
            "dynamodb:Scan",
            TABLE,
            "no session policy",
        ),
        (f"User: {USER} is not authorized to perform: dynamodb:ListTables", "dynamodb:ListTables", None, None),
        (
            f"User: {USER} is not authorized to perform: dynamodb:Scan on resource: {TABLE}.",
            "dynamodb:Scan",
            TABLE,
            None,
        ),
        ("User is not authorized to perform: dynamodb:Scan", "dynamodb:Scan", None, None),
        (
            (
                f'User: {USER} is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::bucket/x" '
                "because no identity-based policy allows the s3:GetObject action"
            ),
            "s3:GetObject",
            "arn:aws:s3:::bucket/x",
            "no identity-based policy",
        ),
    ],
)
def test_denied_call_takes_action_and_resource_from_its_message(
    message, action, resource, by, event_of, make_record, absent
):
    row = event_of(
        make_record(
            errorCode="AccessDenied", errorMessage=message, requestParameters=None, resources=absent, apiVersion=absent
        )
    )
    assert (row["denied_action"], row["denied_resource_arn"], row["denied_by"]) == (action, resource, by)
    assert (row["error_code"], row["error_message"]) == ("AccessDenied", message)
    assert (row["request_parameters"], row["table_names"]) == (None, None)


def test_other_messages_deny_nothing(event_of, make_record):
    row = event_of(
        make_record(errorCode="ValidationException", errorMessage="One or more parameter values were invalid")
    )
    assert (row["denied_action"], row["error_message"]) == (None, "One or more parameter values were invalid")


def test_copies_of_one_event_in_two_accounts_share_an_id(event_of, make_record):
    shared = "11111111-2222-4333-8444-555555555555"
    row = event_of(make_record(sharedEventID=shared, recipientAccountId="210987654321"))
    assert (row["shared_event_id"], row["recipient_account_id"], row["account_id"]) == (shared, "210987654321", ACCOUNT)


def test_addendum_names_the_event_it_corrects(parse, make_record):
    addendum = {
        "reason": "UPDATED_DATA",
        "updatedFields": "responseElements",
        "originalRequestID": "r",
        "originalEventID": "00000000-0000-4000-8000-000000000009",
    }
    (event,), (item,) = parse(make_record(addendum=addendum))
    assert event["addendum_reason"] == "UPDATED_DATA"
    assert event["original_event_id"] == item["original_event_id"] == "00000000-0000-4000-8000-000000000009"


def test_record_of_an_old_version_without_category_is_read(event_of, make_record, absent):
    lacking = ("eventCategory", "managementEvent", "readOnly", "recipientAccountId", "resources", "tlsDetails")
    row = event_of(make_record(eventVersion="1.03", **dict.fromkeys(lacking, absent)))
    assert (row["event_category"], row["management_event"], row["read_only"], row["tls_version"]) == (None,) * 4
    assert row["recipient_account_id"] == ACCOUNT  # that of the folder
    assert row["table_names"] == ["Patients"]
    assert "pat-4711" not in row["request_parameters"]


def test_unknown_fields_are_kept_masked(event_of, make_record, tokens):
    row = event_of(make_record(newField={"value": "pat-4711"}, vpcEndpointAccountId="210987654321"))
    assert json.loads(row["other_fields"]) == {
        "newField": {"value": tokens.value("pat-4711")},
        "vpcEndpointAccountId": "210987654321",
    }


def test_fields_without_a_column_are_kept_as_they_are_outside_item_access(event_of, make_record):
    details = {"serviceEventDetails": {"keyId": "k"}, "newField": {"value": "v"}}
    row = event_of(
        make_record(eventSource="kms.amazonaws.com", eventName="RotateKey", eventType="AwsServiceEvent", **details)
    )
    assert json.loads(row["other_fields"]) == details


def test_control_plane_call_keeps_its_parameters_and_names_its_tables(parse, make_record):
    asked = {
        "tableName": "Patients",
        "globalSecondaryIndexUpdates": [{"delete": {"indexName": "by-ward"}}],
        "sSESpecification": {"kMSMasterKeyId": "alias/example"},
    }
    (event,), items = parse(
        make_record(
            eventName="UpdateTable",
            eventCategory="Management",
            managementEvent=True,
            requestParameters=asked,
            responseElements={"tableDescription": {"tableName": "Patients", "itemCount": 4711}},
            resources=None,
        )
    )
    assert json.loads(event["request_parameters"]) == asked
    assert json.loads(event["response_elements"])["tableDescription"]["itemCount"] == 4711
    assert (event["table_names"], event["table_arns"], items) == (["Patients"], [TABLE], [])


@pytest.mark.parametrize(
    ("asked", "tables"),
    [
        ({"resourceArn": TABLE + "/stream/2026-11-01T04:02:47.428"}, ["Patients"]),
        ({"sourceTableName": "Patients", "targetTableName": "Copy"}, ["Copy", "Patients"]),
        ({"exportDescription": {"tableArn": TABLE}}, ["Patients"]),
        ({"resourceArn": "arn:aws:dax:eu-central-1:123456789012:cache/c"}, None),
    ],
)
def test_control_plane_call_names_tables_wherever_they_are(asked, tables, event_of, make_record):
    row = event_of(
        make_record(
            eventName="X", eventCategory="Management", managementEvent=True, requestParameters=asked, resources=None
        )
    )
    assert row["table_names"] == tables


def test_item_access_that_calls_itself_management_is_masked(event_of, make_record):
    row = event_of(make_record(eventCategory="Management", managementEvent=True))
    assert "pat-4711" not in row["request_parameters"]


def test_event_of_any_service_is_kept(parse, make_record):
    (event,), items = parse(
        make_record(
            eventSource="s3.amazonaws.com",
            eventName="GetObject",
            requestParameters={"bucketName": "b", "key": "a/b.txt"},
        )
    )
    assert json.loads(event["request_parameters"]) == {"bucketName": "b", "key": "a/b.txt"}
    assert items == []
    assert event["table_names"] == ["Patients"]  # its resources still say so


def test_what_repeats_is_worked_out_for_each_record_by_itself(parse, make_record):
    """Memoised identities, calls and places must not leak from one record into the next."""
    other = {"type": "IAMUser", "arn": USER}
    records = [
        make_record(),
        make_record(userIdentity=other, awsRegion="us-east-1", resources=None, eventName="DeleteItem"),
        make_record(userAgent="other"),
        make_record(requestParameters={"tableName": "T2", "key": {"id": "1"}}, resources=None),
    ] * 2
    alone = [parse(record)[0][0] for record in records]
    together = parse(*records)[0]
    for index, (one, row) in enumerate(zip(alone, together, strict=True)):
        same = set(one) - {"source_index", "source_sha256"}
        assert {name: one[name] for name in same} == {name: row[name] for name in same}
        assert row["source_index"] == index


def test_records_of_a_file_with_a_bad_one_give_the_rows_that_they_give_without_it(make_parser, make_call, log_file):
    good = [
        make_call("GetItem", {"tableName": "Patients", "key": {"patient_id": "pat-1"}}),
        make_call("GetItem", {"tableName": "Patients", "key": {"patient_id": "a}b\\"}}),
        make_call("PutItem", {"tableName": "Patients", "key": {"patient_id": "pat-2"}, "items": ["patient_id", "x"]}),
        make_call("Query", {"tableName": "Patients", "key": {"patient_id": "pat-3"}}, vpcEndpointId="vpce-1"),
        make_call("GetItem", None, errorCode="AccessDenied", errorMessage="User is not authorized"),
        make_call(
            "DeleteItem", {"tableName": "T%s", "key": {"%d": "1", "a": "2"}}, addendum={"reason": "UPDATED_DATA"}
        ),
        make_call("CreateTable", {"tableName": "New"}, managementEvent=True, responseElements={"a": 1}),
        make_call("Scan", {"tableName": "Patients"}, additionalEventData={"b": 2}, sharedEventID="s-1"),
    ]
    for number, record in enumerate(good):
        record["eventID"] = f"00000000-0000-4000-8000-{number:012d}"
    tables = []
    for records in (good, [*good, "no record"]):  # the second file is taken record by record
        parser = make_parser()
        parser.read("s3://example-trail/one.json.gz", log_file(records), account_id="123456789012")
        tables.append([table.drop_columns("source_sha256").to_pylist() for table in parser.tables()])
    assert len(tables[0][0]) == len(good)
    assert tables[0] == tables[1]

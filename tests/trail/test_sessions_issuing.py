import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from dynatrail.trail import sessions_issuing

ACCOUNT = "123456789012"
JANE = f"arn:aws:iam::{ACCOUNT}:user/jane"
SUPPORT = f"arn:aws:sts::{ACCOUNT}:assumed-role/Support/jane"


@pytest.fixture
def read():
    """The row of an issuing event with these documents."""

    def run(name, asked=None, answered=None, more=None, **overrides):
        documents = {"request_parameters": asked, "response_elements": answered, "additional_event_data": more}
        row = dict.fromkeys(sessions_issuing.ISSUING.names)
        row |= {"event_name": name, "recipient_account_id": ACCOUNT, "caller_arn": JANE, "caller_account_id": ACCOUNT}
        row |= {"caller_type": "IAMUser", "user_identity": "{}"}
        row |= {column: json.dumps(value) if value is not None else None for column, value in documents.items()}
        return sessions_issuing.issuing(pa.Table.from_pylist([row | overrides])).to_pylist()[0]

    return run


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        pytest.param("Jul 10, 2023, 12:09:47 PM", datetime(2023, 7, 10, 12, 9, 47, tzinfo=UTC), id="noon"),
        pytest.param("Jul 1, 2023, 12:09:47 AM", datetime(2023, 7, 1, 0, 9, 47, tzinfo=UTC), id="midnight"),
        pytest.param("Jul 1, 2023, 1:09:47\u202fPM", datetime(2023, 7, 1, 13, 9, 47, tzinfo=UTC), id="narrow space"),
        pytest.param("Feb 30, 2023, 1:09:47 PM", None, id="no such day"),
        pytest.param("soon", None, id="no instant"),
        pytest.param(1688990987, None, id="no text"),
    ],
)
def test_expiry_is_read_as_sts_writes_it(read, text, instant):
    assert read("AssumeRole", answered={"credentials": {"expiration": text}})["expires_at"] == instant


def test_role_without_a_response_is_known_by_its_request(read):
    role = f"arn:aws:iam::{ACCOUNT}:role/Reader"
    row = read("AssumeRole", {"roleArn": role, "roleSessionName": "s"})
    assert (row["issued_key"], row["role_arn"], row["claimed_name"], row["issued_account_id"]) == (
        None,
        role,
        "s",
        ACCOUNT,
    )


def test_web_identity_is_named_by_the_identity_as_the_response_is_masked(read):
    identity = json.dumps({"userName": "repo:example/clinic", "identityProvider": "example.com"})
    answered = {"subjectFromWebIdentityToken": "***", "provider": "arn:aws:iam::123456789012:oidc-provider/example.com"}
    row = read("AssumeRoleWithWebIdentity", {}, answered, user_identity=identity)
    assert (row["provider"], row["subject"]) == (answered["provider"], "repo:example/clinic")


def test_switched_role_is_of_who_switched(read):
    row = read("SwitchRole", more={"SwitchFrom": JANE}, caller_arn=SUPPORT, caller_type="AssumedRole")
    assert (row["issued_arn"], row["caller_arn"], row["caller_type"]) == (SUPPORT, JANE, "IAMUser")


def test_console_login_says_whether_mfa_was_used(read):
    assert [read("ConsoleLogin", more={"MFAUsed": said})["mfa_authenticated"] for said in ("Yes", "No", "?")] == [
        True,
        False,
        None,
    ]


def test_root_of_a_member_account_is_named_by_its_id(read):
    row = read("AssumeRoot", {"targetPrincipal": "210987654321"})
    assert (row["issued_account_id"], row["issued_arn"]) == ("210987654321", "arn:aws:iam::210987654321:root")


def test_tags_that_are_passed_on_are_those_given_and_those_that_came(read):
    row = read("AssumeRole", {"transitiveTagKeys": ["team"], "incomingTransitiveTags": {"project": "x"}})
    assert row["transitive_tag_keys"] == ["project", "team"]


@pytest.mark.parametrize("document", ["[]", "{", '{"credentials": 1, "assumedRoleUser": []}'], ids=str)
def test_documents_of_another_shape_say_nothing(read, document):
    row = read("AssumeRole", response_elements=document, request_parameters=document)
    assert (row["issued_key"], row["issued_arn"], row["role_arn"]) == (None, None, None)


@pytest.mark.parametrize(
    ("glob", "pattern"), [("arn:aws:iam::*:role/A.b?", r"^arn:aws:iam::.*:role/A\.b.$")], ids=["glob"]
)
def test_patterns_are_whole_names(glob, pattern):
    assert sessions_issuing.patterns([glob])["pattern"].to_pylist() == [pattern]

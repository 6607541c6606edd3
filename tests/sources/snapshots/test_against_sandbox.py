"""Looks at the sandbox's accounts as the auditor: what changed is a row, what may not be read says so."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynatrail.config import Account, Target
from dynatrail.sandbox import Sandbox
from dynatrail.sandbox.sandbox import ANALYTICS, PRODUCTION
from dynatrail.sandbox.scenarios.house import auditor_policies
from dynatrail.settings import settings
from dynatrail.sources import aws
from dynatrail.sources.configuration import snapshot as configuration
from dynatrail.sources.iam import snapshot as identities
from dynatrail.warehouse.store import Warehouse

pytestmark = pytest.mark.slow

END = datetime(2026, 11, 23, tzinfo=UTC)
FIRST = datetime(2026, 11, 23, 6, tzinfo=UTC)
INVOICES = f"arn:aws:dynamodb:us-east-1:{PRODUCTION}:table/Invoices"


class Looking:
    """Takes looks, six hours apart, and tells what each has written."""

    def __init__(self, sandbox: Sandbox, home: Any) -> None:
        self.sandbox = sandbox
        self.home = home
        self.number = 0

    def root(self, service: str, account: str = PRODUCTION) -> Any:
        return self.sandbox.client(service, self.sandbox.root(account))

    def allow(self, *, without: str = "") -> None:
        """Give the auditor its policies, less one action."""
        for name, document in auditor_policies("").items():
            policy = json.loads(document)
            for statement in policy["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                statement["Action"] = [action for action in actions if action != without] or ["none:None"]
            self.root("iam").put_user_policy(UserName="dynatrail", PolicyName=name, PolicyDocument=json.dumps(policy))

    def look(self, source: Any = configuration) -> list[dict[str, Any]]:
        """One further look; its rows."""
        self.number += 1
        return self.again(source)

    def again(self, source: Any = configuration) -> list[dict[str, Any]]:
        at = FIRST + self.number * timedelta(hours=6)
        source.capture(settings(), 0, at)
        names = ("iam_snapshot",) if source is identities else ("table_config", "trail_config")
        rows = [row for name in names for row in self.rows(name) if row["captured_at"] == at]
        return sorted(rows, key=lambda row: (row["resource_arn"], row["aspect"]))

    @staticmethod
    def rows(name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = Warehouse.from_settings(settings()).dataset(name).to_table().to_pylist()
        return found

    @staticmethod
    def digests() -> list[str]:
        warehouse = Warehouse.from_settings(settings())
        return [warehouse.digest(name) for name in ("iam_snapshot", "table_config", "trail_config", "source_statement")]

    def statement(self, source: str) -> dict[str, Any]:
        return max(
            (row for row in self.rows("source_statement") if row["source"] == source), key=lambda row: row["event_hour"]
        )


@pytest.fixture(scope="module")
def looking(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox, pytest.MonkeyPatch.context() as patch:
        played = sandbox.play("tiny", end=END)
        auditor = sandbox.auditor
        connection = {
            "conn_type": "aws",
            "login": auditor.access_key_id,
            "password": auditor.secret_access_key,
            "extra": {"region_name": "us-east-1", "endpoint_url": sandbox.endpoint_url},
        }
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        patch.setenv("DYNATRAIL_HOME", str(home))
        patch.setenv("DYNATRAIL_TRAIL_BUCKET", played.trail_bucket)
        aws._client.cache_clear()
        found = Looking(sandbox, home)
        found.look()
        found.again(identities)
        yield found
        aws._client.cache_clear()


def test_first_look_sees_every_kind_of_resource_and_is_complete(looking):
    kinds = {row["resource_type"] for name in ("table_config", "trail_config") for row in looking.rows(name)}
    assert {
        "AWS::DynamoDB::Table",
        "AWS::DynamoDB::Stream",
        "AWS::CloudTrail::Trail",
        "AWS::S3::Bucket",
        "AWS::CloudWatch::Alarm",
    } <= kinds
    assert [
        row for name in ("table_config", "trail_config") for row in looking.rows(name) if row["status"] != "present"
    ] == []
    assert looking.statement("configuration")["status"] == "complete"


def test_same_look_twice_gives_the_same_digests(looking):
    before = looking.digests()
    looking.again()
    looking.again(identities)
    assert looking.digests() == before


def test_nothing_changed_gives_no_row(looking):
    assert looking.look() == []


def test_one_changed_setting_is_one_row(looking):
    looking.root("dynamodb").update_time_to_live(
        TableName="Invoices", TimeToLiveSpecification={"Enabled": True, "AttributeName": "paid_at"}
    )
    (row,) = looking.look()
    assert (row["resource_arn"], row["aspect"]) == (INVOICES, "DescribeTimeToLive")
    assert json.loads(row["document"]) == {"AttributeName": "paid_at", "TimeToLiveStatus": "ENABLED"}


def test_trail_that_was_switched_off_shows(looking):
    trail = looking.sandbox.played.trail_arn
    looking.root("cloudtrail").stop_logging(Name=trail)
    (row,) = looking.look()
    assert (row["aspect"], json.loads(row["document"])["IsLogging"]) == ("GetTrailStatus", False)
    looking.root("cloudtrail").start_logging(Name=trail)
    looking.look()


def test_denied_api_is_unreadable_once_and_the_rest_goes_on(looking):
    looking.allow(without="dynamodb:GetResourcePolicy")
    denied = looking.look()
    assert {(row["aspect"], row["status"], row["reason"]) for row in denied} == {
        ("GetResourcePolicy", "unreadable", "dynamodb:GetResourcePolicy is not allowed")
    }
    assert looking.statement("configuration")["reasons"] == ["unreadable: dynamodb:GetResourcePolicy is not allowed"]
    assert looking.look() == []
    looking.allow()
    assert {row["status"] for row in looking.look()} == {"present"}


def test_denied_list_of_tables_loses_no_table(looking):
    looking.allow(without="dynamodb:ListTables")
    (row,) = looking.look()
    assert (row["aspect"], row["reason"]) == ("ListTables", "dynamodb:ListTables is not allowed")
    looking.allow()
    assert [(row["aspect"], row["status"]) for row in looking.look()] == [("ListTables", "gone")]


def test_deleted_table_is_gone_with_all_its_sides(looking):
    looking.root("dynamodb").delete_table(TableName="Invoices")
    rows = looking.look()
    assert {(row["status"], row["resource_name"]) for row in rows} == {("gone", "Invoices")}
    assert "GetResourcePolicy" in {row["aspect"] for row in rows if "/stream/" in row["resource_arn"]}


def test_bucket_of_another_account_says_what_may_not_be_read(looking):
    looking.root("s3", ANALYTICS).create_bucket(Bucket="example-elsewhere")
    trails = looking.root("cloudtrail")
    trails.create_trail(Name="elsewhere", S3BucketName="example-elsewhere")
    rows = {row["aspect"]: row for row in looking.look() if row["resource_type"] == "AWS::S3::Bucket"}
    assert len(rows) == 8
    assert rows["GetBucketPolicy"]["reason"] == "s3:GetBucketPolicy is not allowed"
    trails.delete_trail(Name="elsewhere")
    assert {row["status"] for row in looking.look()} == {"gone"}


def test_tables_may_be_chosen_by_tag(looking):
    from dynatrail.sources.configuration import tables
    from dynatrail.sources.snapshots.asking import Asker

    account = Account(id=PRODUCTION, regions=("us-east-1",), tags={"data-class": "health"})
    capture, _ = tables.look(Asker(settings(), Target(account, "us-east-1")), {})
    names = {piece.resource_name for piece in capture.pieces if piece.resource_type == "AWS::DynamoDB::Table"}
    assert names == {"Patients"}


def test_identities_are_seen_complete_and_people_only_as_tokens(looking):
    rows = looking.rows("iam_snapshot")
    assert looking.statement("iam")["status"] == "complete"
    people = [row["document"] for row in rows if row["resource_type"].startswith("AWS::IdentityStore::")]
    assert len(people) == 14
    assert [text for text in people if "example.com" in text or "Alice" in text or "nurse." in text] == []


def test_identities_that_stay_give_no_row(looking):
    assert [row for row in looking.look(identities) if row["aspect"].startswith("GetAccount")] == []


def test_changed_policy_of_a_role_is_one_row(looking):
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}]}
    looking.root("iam").put_role_policy(RoleName="SupportRole", PolicyName="more", PolicyDocument=json.dumps(policy))
    rows = [row for row in looking.look(identities) if row["aspect"] == "GetAccountAuthorizationDetails"]
    assert [row["resource_name"] for row in rows] == ["SupportRole"]


def test_denied_report_says_so_and_the_rest_goes_on(looking):
    looking.allow(without="iam:GenerateCredentialReport")
    rows = [row for row in looking.look(identities) if row["status"] == "unreadable"]
    assert [row["reason"] for row in rows] == ["iam:GenerateCredentialReport is not allowed"]
    looking.allow()

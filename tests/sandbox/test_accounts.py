"""Into a second account by a role, with real STS calls, and what `doctor` says of both accounts."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from dynatrail import config
from dynatrail.cli import doctor, doctor_account
from dynatrail.errors import SettingsError, SourceError
from dynatrail.local.environment import sandbox_access
from dynatrail.sandbox.scenarios.house import READER
from dynatrail.settings import Settings, settings
from dynatrail.sources import aws, tables, targets

pytestmark = pytest.mark.slow

PRODUCTION, ANALYTICS = "123456789012", "210987654321"


@pytest.fixture
def configured(tiny, monkeypatch, tmp_path):
    """Dynatrail as `make run` configures it; gives a function that changes the configuration's second account."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_CONN_", "DYNATRAIL_", "AWS_"))]:
        monkeypatch.delenv(name)
    connection, variables = sandbox_access(tiny.sandbox)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    aws.forget()

    def change(**fields):
        document = yaml.safe_load(Path(variables["DYNATRAIL_CONFIG"]).read_text())
        document["accounts"][1] |= fields
        path = tmp_path / "changed.yaml"
        path.write_text(yaml.safe_dump(document))
        monkeypatch.setenv("DYNATRAIL_CONFIG", str(path))
        return second()

    yield change
    aws.forget()


def second():
    return next(one for one in config.targets(config.load(settings())) if one.account_id == ANALYTICS)


def who(target):
    return aws.client_for("sts", target, settings()).get_caller_identity()


@pytest.fixture
def table(tiny):
    """A table of the second account, unrecorded."""
    dynamodb = tiny.sandbox.client("dynamodb", tiny.sandbox.root(ANALYTICS, "us-east-1"))
    dynamodb.create_table(
        TableName="Cohorts",
        KeySchema=[{"AttributeName": "cohort", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "cohort", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield "Cohorts"
    dynamodb.delete_table(TableName="Cohorts")


def test_both_accounts_of_the_sandbox_are_targets(configured):
    assert [(target.account_id, target.region) for target in targets.of(settings())] == [
        (PRODUCTION, "us-east-1"),
        (PRODUCTION, "eu-west-1"),
        (ANALYTICS, "us-east-1"),
    ]


def test_account_whose_connection_leads_into_another_is_refused(configured):
    configured(role_arn=None)
    with pytest.raises(SettingsError, match=f"leads into account {ANALYTICS}, and it leads into {PRODUCTION}"):
        targets.of(settings())


def test_account_whose_connection_is_missing_does_not_stop_the_others(configured):
    configured(role_arn=None, connection="no_such_connection")
    assert len(targets.of(settings())) == 3


def test_without_a_file_the_connections_own_account_and_region_are_read(configured, monkeypatch, tmp_path):
    monkeypatch.delenv("DYNATRAIL_CONFIG")
    monkeypatch.setattr(Settings, "config_file", tmp_path / "none.yaml")
    assert [(target.account_id, target.region) for target in targets.of(settings())] == [(PRODUCTION, "us-east-1")]
    monkeypatch.setenv("DYNATRAIL_REGIONS", "eu-west-1,us-east-1")
    assert [target.region for target in targets.of(settings())] == ["eu-west-1", "us-east-1"]


def test_role_of_the_second_account_is_really_assumed(configured):
    assert who(second())["Arn"] == f"arn:aws:sts::{ANALYTICS}:assumed-role/DynatrailReader/dynatrail"


def test_tables_of_both_accounts_are_found_each_by_its_own_access(configured, table):
    found = {one.arn for target in targets.of(settings()) for one in tables.of(settings(), target)}
    assert {
        f"arn:aws:dynamodb:us-east-1:{PRODUCTION}:table/Patients",
        f"arn:aws:dynamodb:eu-west-1:{PRODUCTION}:table/Documents",
        f"arn:aws:dynamodb:us-east-1:{ANALYTICS}:table/{table}",
    } <= found


def test_key_types_of_another_accounts_table_are_learnt_by_its_role(configured, table):
    from dynatrail.sources.cloudtrail.key_types import KeyTypeBook

    book = KeyTypeBook(settings(), ANALYTICS, "us-east-1")
    arn = f"arn:aws:dynamodb:us-east-1:{ANALYTICS}:table/{table}"
    assert book.learn([arn])
    assert book.types[arn] == {"cohort": "N"}


def test_credentials_renew_before_they_expire(configured):
    client = aws.client_for("sts", second(), settings())
    client.get_caller_identity()
    credentials = client._request_signer._credentials
    before = credentials.get_frozen_credentials().access_key
    soon = datetime.now(UTC) + timedelta(minutes=1)
    credentials._expiry_time = soon
    for answer in credentials._refresh_using.__self__._cache.values():
        answer["Credentials"]["Expiration"] = soon
    assert client.get_caller_identity()["Account"] == ANALYTICS
    assert credentials.get_frozen_credentials().access_key != before
    assert credentials._expiry_time > datetime.now(UTC) + timedelta(minutes=30)


def test_one_session_serves_every_service_and_region(configured):
    target = second()
    keys = {
        aws.client_for(service, target, settings(), region=region)
        ._request_signer._credentials.get_frozen_credentials()
        .access_key
        for service in ("dynamodb", "cloudwatch")
        for region in ("us-east-1", "eu-west-1")
    }
    assert len(keys) == 1


def test_endpoint_of_the_connection_serves_sts_and_the_service(configured, tiny):
    client = aws.client_for("dynamodb", second(), settings())
    assert client.meta.endpoint_url == tiny.sandbox.endpoint_url
    assert client.meta.region_name == "us-east-1"


@pytest.mark.parametrize(
    "role",
    [
        pytest.param("NoSuchRole", id="role that is not there"),
        pytest.param("../DynatrailReader", id="policy that does not allow it"),
    ],
)
def test_role_that_may_not_be_assumed_is_told(role, configured):
    arn = f"arn:aws:iam::{ANALYTICS}:role/{role}"
    with pytest.raises(SourceError) as error:
        who(configured(role_arn=arn))
    assert str(error.value).startswith(
        f"Could not assume {arn} with the connection 'aws_default': AWS answered AccessDenied to sts:AssumeRole. "
        "The role does not exist, or its trust policy"
    )


def test_external_id_is_sent(configured, tiny):
    iam = tiny.sandbox.client("iam", tiny.sandbox.root(ANALYTICS, "us-east-1"))
    trust = json.loads(json.dumps(iam.get_role(RoleName="DynatrailReader")["Role"]["AssumeRolePolicyDocument"]))
    asked = {"StringEquals": {"sts:ExternalId": "example-external-id"}}
    strict = {**trust, "Statement": [{**trust["Statement"][0], "Condition": asked}]}
    iam.update_assume_role_policy(RoleName="DynatrailReader", PolicyDocument=json.dumps(strict))
    try:
        with pytest.raises(SourceError, match="another external_id"):
            who(second())
        assert who(configured(external_id="example-external-id"))["Account"] == ANALYTICS
    finally:
        iam.update_assume_role_policy(RoleName="DynatrailReader", PolicyDocument=json.dumps(trust))


def told():
    """What doctor says of the second account: state -> finding."""
    return {one.state: one for one in doctor_account.findings(settings(), config.load(settings()), [second()])}


def test_doctor_finds_nothing_that_would_fail(configured, table):
    found = [(finding.what, finding) for finding in doctor.findings()]
    assert [finding for _, finding in found if not finding.ok] == []
    (first,) = [one.state for what, one in found if what == f"account {PRODUCTION}" and not one.advice]
    assert "us-east-1 " in first
    assert "eu-west-1 " in first
    assert "arn:aws:iam::123456789012:user/dynatrail" in first
    (other,) = [one.state for what, one in found if what == f"account {ANALYTICS}" and not one.advice]
    assert other == f"analytics, us-east-1 1 tables, as arn:aws:sts::{ANALYTICS}:assumed-role/DynatrailReader/dynatrail"


def test_doctor_names_what_is_switched_off_and_what_is_refused(configured, tiny, table):
    iam = tiny.sandbox.client("iam", tiny.sandbox.root(ANALYTICS, "us-east-1"))
    policy = {"RoleName": "DynatrailReader", "PolicyName": "snapshot_iam"}
    document = json.dumps(iam.get_role_policy(**policy)["PolicyDocument"])
    iam.delete_role_policy(**policy)
    try:
        notes = {state: one.advice for state, one in told().items()}
    finally:
        iam.put_role_policy(**policy, PolicyDocument=document)
    assert "NEW_AND_OLD_IMAGES" in notes["no stream: Cohorts (us-east-1)"]
    assert "repair_changes cannot fill a gap" in notes["no point-in-time recovery: Cohorts (us-east-1)"]
    assert notes["may not iam:GetAccountAuthorizationDetails, iam:GetAccountSummary"] == (
        "snapshot_iam needs it: add the statement KnowWhoMayDoWhat of docs/reference/iam/snapshot_iam.json."
    )


def test_doctor_tells_an_access_that_leads_into_another_account(configured):
    configured(role_arn=None)
    ((state, fault),) = told().items()
    assert not fault.ok
    assert "but its access leads to arn:aws:iam::123456789012:user/dynatrail" in state


def test_doctor_tells_a_role_that_may_not_be_assumed(configured):
    configured(role_arn=f"arn:aws:iam::{ANALYTICS}:role/NoSuchRole")
    ((state, fault),) = told().items()
    assert not fault.ok
    assert (
        state
        == f"analytics, could not assume arn:aws:iam::{ANALYTICS}:role/NoSuchRole with the connection 'aws_default'"
    )
    assert fault.advice.startswith("AWS answered AccessDenied to sts:AssumeRole. ")


def test_configuration_that_the_sandbox_writes_names_its_role_and_buckets(configured, tiny):
    found = config.load(settings())
    assert [account.role_arn for account in found.accounts] == [None, READER]
    assert [trail.bucket for trail in found.trails] == [tiny.played.trail_bucket]
    assert found.exports.bucket == tiny.played.export_bucket

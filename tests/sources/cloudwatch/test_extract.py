"""A played sandbox taken whole: what lands is what the sandbox counted, again and again, and nothing is in clear."""

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
import yaml

from dynatrail import clock
from dynatrail.errors import SourceError
from dynatrail.local import environment
from dynatrail.sandbox import Sandbox
from dynatrail.settings import settings
from dynatrail.sources import aws
from dynatrail.sources.cloudtrail import extract as trail
from dynatrail.sources.cloudwatch import extract
from dynatrail.sources.cloudwatch.writing import ANNOUNCE
from dynatrail.state import pending
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

pytestmark = pytest.mark.slow

PRODUCTION, ANALYTICS = "123456789012", "210987654321"
PLACES = [f"{PRODUCTION}/us-east-1", f"{PRODUCTION}/eu-west-1", f"{ANALYTICS}/us-east-1"]
HOME = PLACES[0]
FILTERS = [
    {"name": "all of booking", "log_group": "/aws/lambda/booking-api", "regions": ["us-east-1"]},
    {"name": "booking told", "log_group": "/aws/lambda/booking-api", "pattern": "booked", "regions": ["us-east-1"]},
    {"name": "billing", "log_group": "/ecs/billing-job", "regions": ["us-east-1"]},
]


@dataclass
class Account:
    """The sandbox, and a warehouse of what was taken from it."""

    sandbox: Sandbox
    folder: Path
    start: datetime
    end: datetime

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse.from_settings(settings())

    def take(self, place: str = HOME, start: datetime | None = None, end: datetime | None = None) -> extract.Summary:
        return extract.take(settings(), place, start or self.start, end or self.end, run_id="a run")

    def rows(self, table: str, place: str = HOME) -> list[dict[str, Any]]:
        account, region = place.split("/")
        rows = self.warehouse.dataset(table).to_table().to_pylist()
        return [row for row in rows if (row["account_id"], row["region"]) == (account, region)]

    def state(self) -> tuple[dict[str, int], dict[str, str]]:
        names = [name for name in TABLES if self.warehouse.versions([name])]
        return self.warehouse.versions(), {name: self.warehouse.digest(name) for name in names}

    def truth(self) -> list[dict[str, Any]]:
        return json.loads((self.sandbox.folder / "truth" / "tiny.metrics.json").read_text())["requests"]

    def use(self, connection: dict[str, Any], patch: pytest.MonkeyPatch) -> None:
        patch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        aws.forget()


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """All three places taken once, with the trail taken before."""
    folder = tmp_path_factory.mktemp("cloudwatch")
    end = clock.hour_of(datetime.now(UTC))  # the sandbox keeps no longer than AWS, counted from now
    with Sandbox(folder / "sandbox") as sandbox, pytest.MonkeyPatch.context() as patch:
        sandbox.play("tiny", end=end)
        connection, env = environment.sandbox_access(sandbox)
        config = yaml.safe_load(Path(env["DYNATRAIL_CONFIG"]).read_text())
        config["accounts"][0]["log_filters"] = FILTERS
        (folder / "dynatrail.yaml").write_text(yaml.safe_dump(config))
        env |= {"DYNATRAIL_CONFIG": str(folder / "dynatrail.yaml"), "DYNATRAIL_HOME": str(folder / "home")}
        env |= {"DYNATRAIL_TRAIL_BUCKET": sandbox.played.trail_bucket}
        env |= {"DYNATRAIL_TRAIL_PREFIX": sandbox.played.trail_prefix}
        for name, value in env.items():
            patch.setenv(name, value)
        patch.setattr(clock, "now", lambda: end + timedelta(minutes=10))  # the tests may run past the hour
        made = Account(sandbox, folder, end - timedelta(days=1), end)
        made.use(connection, patch)
        for batch in trail.discover(settings(), made.start, end, retake=False, run_id="trail"):
            trail.take(settings(), batch, run_id="trail")
        assert extract.discover(settings()) == PLACES
        made.summaries = {place: made.take(place) for place in PLACES}
        yield made
        aws.forget()


@pytest.fixture
def as_user(taken, monkeypatch):
    """Be another user of the production account, who may do what the pipeline may, but for the actions given."""

    def become(*denied: str) -> None:
        iam = taken.sandbox.client("iam", taken.sandbox.root(PRODUCTION))
        name = f"lesser-{len(denied)}-{denied[0].replace(':', '-')}"
        everything = {"Effect": "Allow", "Action": ["dynamodb:*", "cloudwatch:*", "logs:*"], "Resource": "*"}
        never = {"Effect": "Deny", "Action": list(denied), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [everything, never]})
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="most", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        connection, _ = environment.sandbox_access(taken.sandbox)
        connection |= {"login": key["AccessKeyId"], "password": key["SecretAccessKey"]}
        monkeypatch.setenv("DYNATRAIL_HOME", str(taken.folder / name))
        taken.use(connection, monkeypatch)

    yield become
    monkeypatch.undo()
    aws.forget()


def test_counts_are_those_of_the_sandbox(taken):
    counted: Counter[tuple[str, ...]] = Counter()
    for place in PLACES:
        for row in taken.rows("metric", place):
            plain = set(json.loads(row["dimensions"])) <= {"TableName", "Operation", "StreamLabel"}
            if plain and row["metric_name"] == "SuccessfulRequestLatency" and row["statistic"] == "SampleCount":
                key = (row["account_id"], row["region"], row["table_name"], row["operation"])
                counted[*key, clock.iso(row["event_hour"])] += row["value"]
    expected = Counter(
        {
            (row["account_id"], row["region"], row["table_name"], row["operation"], row["hour"]): row["successful"]
            for row in taken.truth()
            if row["successful"]
        }
    )

    assert counted == expected


def test_every_hour_is_stated_complete(taken):
    statements = [row for place in PLACES for row in taken.rows("source_statement", place)]

    assert [row for row in statements if (row["status"], row["reasons"]) != ("complete", None)] == []
    assert len(statements) == 3 * (24 + settings().metric_lookback_hours)


def test_statement_counts_the_rows_of_its_hour(taken):
    for row in taken.rows("source_statement"):
        rows = [
            one
            for table in ("metric", "alarm_event", "log_event")
            for one in taken.rows(table)
            if one["event_hour"] == row["event_hour"]
        ]
        assert row["records"] == len(rows)


def test_same_run_again_changes_no_version_and_no_digest(taken):
    before = taken.state()

    assert {place: taken.take(place) for place in PLACES} == taken.summaries
    assert taken.state() == before


def test_hour_taken_alone_is_replaced_not_doubled(taken):
    before = taken.state()
    hour = next(row["event_hour"] for row in taken.rows("metric"))

    taken.take(start=hour, end=hour + clock.HOUR)

    assert taken.state() == before


def test_no_value_of_an_item_is_in_clear(taken):
    changes = (taken.sandbox.folder / "truth" / "tiny.changes.jsonl").read_text().splitlines()
    secrets = set()
    for line in changes:
        change = json.loads(line)
        for image in (change["old_image"], change["new_image"]):
            for name in ("email", "patient_id"):
                if image and name in image:
                    secrets.add(image[name]["S"])
    assert len(secrets) > 20
    kept = "\n".join(
        json.dumps(row, default=str)
        for table in ("metric", "alarm_event", "log_event", "quarantine", "source_statement")
        for row in taken.rows(table)
    )

    assert [secret for secret in secrets if json.dumps(secret)[1:-1] in kept] == []
    assert "@example.com" not in kept


def test_log_lines_join_with_the_trail_by_the_key(taken):
    named = {
        json.loads(row["message"])["patient_id"] for row in taken.rows("log_event") if '"patient_id"' in row["message"]
    }
    asked = "".join(
        row["request_parameters"] or "" for row in taken.warehouse.dataset("api_event").to_table().to_pylist()
    )

    assert named
    assert all(token in asked for token in named)


def test_event_of_two_filters_is_two_rows(taken):
    rows = [row for row in taken.rows("log_event") if "booked" in row["message"] or '"message"' in row["message"]]
    by_event = Counter(row["event_id"] for row in rows)

    assert set(by_event.values()) == {2}
    assert {row["filter_name"] for row in rows} == {"all of booking", "booking told"}


def test_contributors_have_the_tokens_of_the_items_of_the_trail(taken):
    tokens = {row["contributor_token"] for row in taken.rows("metric") if row["contributor_token"]}
    items = taken.warehouse.dataset("api_event_item").to_table()
    of_table = items.filter(pc.equal(items["table_name"], "Patients"))["item_key_token"].to_pylist()

    assert tokens
    assert tokens <= set(of_table)


def test_touched_hours_wait_to_be_announced(taken):
    hours = set(pending.hours(ANNOUNCE))

    assert {row["event_hour"] for place in PLACES for row in taken.rows("metric", place)} <= hours


def test_alarms_tell_what_they_watch(taken):
    rows = taken.rows("alarm_event")

    assert {"patients-scanned", "dynamodb-user-errors"} <= {row["alarm_name"] for row in rows}
    assert {row["table_name"] for row in rows} == {None, "Patients", "Appointments"}


def test_deleted_alarm_changes_nothing_of_what_was_taken(taken):
    before = taken.state()
    cloudwatch = taken.sandbox.client("cloudwatch", taken.sandbox.root(PRODUCTION))
    cloudwatch.delete_alarms(AlarmNames=["patients-scanned"])

    taken.take()

    assert taken.state() == before


def test_one_action_denied_is_named_and_the_rest_lands(taken, as_user):
    as_user("cloudwatch:DescribeAlarmHistory", "dynamodb:ListContributorInsights")

    summary = taken.take()

    assert summary.datapoints == taken.summaries[HOME].datapoints
    assert summary.log_events == taken.summaries[HOME].log_events
    assert summary.alarm_events == summary.contributors == 0
    statement = taken.rows("source_statement")[0]
    assert statement["status"] == "incomplete"
    assert statement["reasons"] == [
        "alarms: cloudwatch:DescribeAlarmHistory is not allowed",
        "insights: dynamodb:ListContributorInsights is not allowed",
    ]
    assert len(summary.warnings) == 2


def test_tables_that_only_the_trail_names_are_asked_about(taken, as_user):
    as_user("dynamodb:ListTables")  # as if all of them had been deleted since
    shutil.copytree(taken.folder / "home" / "warehouse" / "api_event", settings().home / "warehouse" / "api_event")

    summary = taken.take()

    assert summary.alarm_events == taken.summaries[HOME].alarm_events
    measured = {row["table_name"] for row in taken.rows("metric")}
    assert {"Patients", "Appointments", "Invoices"} <= measured
    assert taken.rows("source_statement")[0]["reasons"] == ["metrics: dynamodb:ListTables is not allowed"]


def test_nothing_allowed_is_red_and_stated(taken, as_user):
    as_user("cloudwatch:*", "logs:*", "dynamodb:*")

    with pytest.raises(SourceError, match=r"may not be read.*extract_cloudwatch\.json"):
        taken.take()

    assert {row["status"] for row in taken.rows("source_statement")} == {"not_assessable"}


def test_log_group_that_is_gone_is_told(taken, monkeypatch):
    config = yaml.safe_load((taken.folder / "dynatrail.yaml").read_text())
    config["accounts"][0]["log_filters"] = [{"name": "lost", "log_group": "/aws/lambda/gone"}]
    (taken.folder / "lost.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("DYNATRAIL_CONFIG", str(taken.folder / "lost.yaml"))
    monkeypatch.setenv("DYNATRAIL_HOME", str(taken.folder / "lost"))

    summary = taken.take()

    assert "/aws/lambda/gone" in summary.warnings[0]
    assert taken.rows("source_statement")[0]["reasons"] == [
        "logs: the log group /aws/lambda/gone of the filter 'lost' does not exist"
    ]


def test_hours_that_are_not_over_are_left_to_the_next_run(taken):
    assert taken.take(start=taken.end, end=taken.end + timedelta(hours=5)).hours == settings().metric_lookback_hours

from datetime import UTC, datetime

import pytest
import yaml

from dynatrail.clock import HOUR
from dynatrail.errors import SettingsError
from dynatrail.settings import PROJECT
from dynatrail.sources.cloudwatch import catalogue, plan

OPERATIONS = {
    *("PutItem", "DeleteItem", "UpdateItem", "GetItem", "BatchGetItem", "Scan", "Query", "BatchWriteItem"),
    *("TransactWriteItems", "TransactGetItems", "ExecuteTransaction", "BatchExecuteStatement", "ExecuteStatement"),
    "SearchVectors",
}


@pytest.fixture
def asked():
    """Metric -> the sets of dimensions asked of a table."""

    def ask(name, table, when="always", streams=()):
        found: dict[str, list[dict[str, str]]] = {}
        for series in catalogue.table_series(catalogue.load(), name, table, when, streams):
            found.setdefault(series.metric, []).append(dict(series.dimensions))
        return found

    return ask


@pytest.fixture
def write(tmp_path):
    """Writes a catalogue of one entry; keyword arguments change the entry."""

    def make(*more, **changes):
        entry = {
            "metric": "UserErrors",
            "dimensions": {"TableName": "$table"},
            "statistics": ["Sum"],
            "when": "always",
            "why": "A test.",
        }
        path = tmp_path / f"{datetime.now(UTC).timestamp()}.yaml"
        path.write_text(yaml.safe_dump({"namespace": "AWS/DynamoDB", "metrics": [entry | changes, *more]}))
        return path

    return make


def test_successful_requests_are_asked_by_every_operation(asked):
    found = asked("Patients", None, "traffic")["SuccessfulRequestLatency"]

    assert {one["Operation"] for one in found if set(one) == {"TableName", "Operation"}} == OPERATIONS


def test_no_metric_is_asked_by_table_alone_that_has_no_such_series(asked):
    both = asked("Patients", None, "traffic"), asked("Patients", None)

    for metric in ("SuccessfulRequestLatency", "SystemErrors", "ThrottledRequests", "ReturnedItemCount"):
        assert {"TableName": "Patients"} not in [one for found in both for one in found.get(metric, [])]


def test_metrics_of_the_account_have_no_dimensions():
    found = catalogue.account_series(catalogue.load())

    assert {series.dimensions for series in found} == {()}
    assert {"UserErrors", "AccountMaxReads"} <= {series.metric for series in found}


def test_indexes_come_from_the_description(asked, make_table):
    table = make_table(GlobalSecondaryIndexes=[{"IndexName": "by_date"}, {"IndexName": "by_doctor"}])

    found = asked("Patients", table)["ConsumedReadCapacityUnits"]

    assert [one.get("GlobalSecondaryIndexName") for one in found] == [None, "by_date", "by_doctor"]


def test_table_without_indexes_is_not_asked_about_any(asked, make_table):
    found = asked("Patients", make_table())

    assert all("GlobalSecondaryIndexName" not in one for sets in found.values() for one in sets)


def test_reads_of_a_stream_are_asked_by_its_label(asked, make_table):
    found = asked("Patients", make_table(LatestStreamLabel="2026-10-01T00:00:00.000"))

    label = {"TableName": "Patients", "Operation": "GetRecords", "StreamLabel": "2026-10-01T00:00:00.000"}
    assert found["SuccessfulRequestLatency"] == [label]
    assert found["ReturnedRecordsCount"] == [label]


def test_reads_of_a_stream_that_was_replaced_are_asked_by_its_own_label(asked, make_table):
    arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/Patients/stream/2026-09-01T00:00:00.000"
    known, gone = (
        asked("Patients", make_table(LatestStreamLabel="2026-10-01T00:00:00.000"), streams=[arn]),
        asked("Patients", None, streams=[arn]),
    )

    labels = [one["StreamLabel"] for one in known["ReturnedRecordsCount"]]
    assert labels == ["2026-09-01T00:00:00.000", "2026-10-01T00:00:00.000"]
    assert [one["StreamLabel"] for one in gone["ReturnedRecordsCount"]] == ["2026-09-01T00:00:00.000"]


def test_replicated_writes_are_asked_of_global_tables_only(asked, make_table):
    plain = asked("Patients", make_table(), "traffic")
    whole = asked("Patients", make_table(Replicas=[{"RegionName": "eu-west-1"}]), "traffic")

    assert "ReplicationLatency" not in plain
    assert whole["ReplicationLatency"] == [{"TableName": "Patients", "ReceivingRegion": "eu-west-1"}]
    assert [one["Source"] for one in whole["ConsumedWriteCapacityUnits"]] == ["Customer", "GlobalTable"]


def test_health_of_kinesis_is_asked_where_changes_come_from_it(asked, make_table):
    assert "FailedToReplicateRecordCount" not in asked("Patients", make_table())
    assert "FailedToReplicateRecordCount" in asked("Patients", make_table(changes_from="kinesis"))


def test_deleted_table_is_still_asked_about(asked):
    assert {"TableName": "Gone"} in asked("Gone", None)["ConsumedWriteCapacityUnits"]


def test_little_is_asked_of_a_table_without_traffic(asked, make_table):
    assert sum(map(len, asked("Patients", make_table()).values())) <= 6


def test_no_series_is_asked_for_twice(asked, make_table):
    table = make_table(
        changes_from="kinesis",
        LatestStreamLabel="label",
        GlobalSecondaryIndexes=[{"IndexName": "by_date"}],
        VectorIndexes=[{"IndexName": "by_text"}],
        Replicas=[{"RegionName": "eu-west-1"}],
    )
    series = [
        one
        for when in ("always", "traffic")
        for one in catalogue.table_series(catalogue.load(), "Patients", table, when)
    ]
    ids = [one.query_id(statistic) for one in series for statistic in one.statistics]

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dimensions": {"TableName": "$tabel"}}, r"\$tabel is no variable"),
        ({"statistics": ["Total"]}, "statistics"),
        ({"when": "sometimes"}, "when"),
        ({"why": ""}, "why"),
        ({"tells_traffic": True, "when": "traffic"}, "tells traffic"),
    ],
    ids=["variable", "statistic", "when", "why", "traffic"],
)
def test_wrong_entry_is_named_with_its_fault(write, changes, said):
    with pytest.raises(SettingsError, match=said):
        catalogue.load(write(**changes))


def test_metric_asked_for_twice_is_refused(write):
    entry = {"metric": "UserErrors", "statistics": ["Sum"], "when": "traffic", "why": "Again."}

    with pytest.raises(SettingsError, match="asks twice for Sum of UserErrors"):
        catalogue.load(write(entry | {"dimensions": {"TableName": "$table"}}))


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        catalogue.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("tables", "busy"), [(1000, 50), (1000, 1000), (20, 20)], ids=["few_busy", "all_busy", "small"]
)
def test_page_tells_what_a_run_asks_for_and_costs(tables, busy):
    """The table of docs/reference/cloudwatch.md, for a run an hour with the look-back of three."""
    entries, now = catalogue.load(), datetime(2026, 11, 20, 12, tzinfo=UTC)
    hours = [now - HOUR * age for age in (4, 3, 2, 1)]
    first, second = catalogue.account_series(entries), []
    for number in range(tables):
        first += catalogue.table_series(entries, f"t{number}", None, "always")
    for number in range(busy):
        second += catalogue.table_series(entries, f"t{number}", None, "traffic")
    requests = sum(len(list(plan.requests(series, hours, now))) for series in (first, second))
    metrics = len(first) + len(second)
    traffic = "all" if busy == tables else busy

    page = (PROJECT / "docs" / "reference" / "cloudwatch.md").read_text()
    month = round(metrics / 1000 * 0.01 * 730)
    assert f"| {tables:,} tables, {traffic} with traffic | {metrics:,} | {requests} | ${month} |" in page


def test_page_has_the_formula(make_table):
    entries = catalogue.load()

    def asked(table, when):
        return len(catalogue.table_series(entries, "Patients", table, when))

    plain, index = make_table(), make_table(GlobalSecondaryIndexes=[{"IndexName": "by_date"}])
    stream = make_table(LatestStreamLabel="label")
    t, b = asked(plain, "always"), asked(plain, "traffic")
    i, j = asked(index, "always") - t, asked(index, "traffic") - b
    s = asked(stream, "always") - t
    account = len(catalogue.account_series(entries))

    page = (PROJECT / "docs" / "reference" / "cloudwatch.md").read_text()
    assert f"metrics = {account} + {t}·T + {i}·I + {s}·S + {b}·B + {j}·J\n" in page

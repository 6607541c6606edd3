import pytest

from dynatrail.integrity import selector_findings
from dynatrail.settings import Settings

from .trails_kept import (
    ACCOUNT,
    ANA,
    BATCH,
    BUCKET,
    MEMBER,
    REGION,
    SECOND,
    TRAIL,
    WITHOUT_BATCH,
    Kept,
    at,
    selectors,
    table,
)

ORDERS, PATIENTS = table("Orders"), table("Patients")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    monkeypatch.setenv("DYNATRAIL_WAREHOUSE", str(tmp_path / "warehouse"))
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", BUCKET)
    kept = Kept.under(tmp_path / "warehouse")
    kept.call(0)
    kept.has_table(ORDERS)
    kept.has_table(PATIENTS)
    return kept


def found(kept, start=0, end=48):
    kept.flush()
    return selector_findings.find(Settings(), at(start), at(end))


def written(kept, *hours):
    kept.flush()
    selector_findings.write(Settings(), [at(hour) for hour in hours])
    rows = kept.warehouse.dataset("finding").to_table().to_pylist()
    return sorted(rows, key=lambda row: (row["event_time"], row["title"]))


def narrowed(kept, start=5.5, end=8.25):
    """An hour or so in which Ana's change leaves out what the batch does."""
    kept.look(0)
    events = [kept.event(start, "PutEventSelectors", asked=WITHOUT_BATCH)]
    if end:
        events.append(kept.event(end, "PutEventSelectors", asked=selectors()))
    return events


def test_a_clean_history_has_no_finding(kept):
    kept.look(0)
    kept.event(5, "StopLogging", error="AccessDenied")
    kept.nothing_new(12)

    assert found(kept) == []


def test_a_narrowing_is_one_finding_with_its_span_its_author_and_whom_it_hides(kept):
    events = narrowed(kept)

    (one,) = found(kept)

    assert (one.rule_id, one.severity, one.kind) == ("completeness.selectors_narrowed", "High", "completeness")
    assert (one.event_time, one.ends_at, one.actor) == (at(5.5), at(8.25), ANA)
    assert (one.account_id, one.region, one.table_name) == (ACCOUNT, REGION, None)
    assert set(events) == set(one.evidence_ids)
    assert one.title == f"Trails leave out calls by {BATCH}: all data operations of Orders, Patients"
    assert f"PutEventSelectors by {ANA} on trail audit" in one.explanation
    assert f"a hiding place for {BATCH}" in one.explanation
    assert "It ended at 2026-11-02T08:15:00Z" in one.explanation


def test_a_narrowing_that_goes_on_is_open(kept):
    narrowed(kept, end=None)

    (one,) = found(kept)

    assert one.ends_at is None
    assert "It is so still: " in one.explanation


def test_one_table_alone_is_named_in_its_column(kept):
    kept.look(0)
    kept.event(5, "PutEventSelectors", asked=selectors(resources_ARN={"NotEquals": [ORDERS]}))

    (one,) = found(kept)

    assert (one.table_name, one.table_arn) == ("Orders", ORDERS)
    assert one.title == "Trails leave out all calls: all data operations of Orders"


def test_what_another_trail_still_selects_is_no_finding(kept):
    kept.look(0, SECOND)
    narrowed(kept)

    assert found(kept) == []


def test_what_another_trail_makes_up_for_in_part_is_found_for_the_rest(kept):
    kept.look(0, SECOND, said=selectors(resources_ARN={"Equals": [ORDERS]}))
    narrowed(kept)

    (one,) = found(kept)

    assert one.table_name == "Patients"


def test_stopping_the_only_trail_is_a_narrowing_of_everything(kept):
    kept.look(0)
    kept.event(5, "StopLogging", answered=False)
    kept.event(6, "StartLogging", answered=False)

    (one,) = found(kept)

    assert one.title == "Trails leave out all calls: all data operations of Orders, Patients and the control plane"
    assert "Trail audit is not logging." in one.explanation
    assert (one.event_time, one.ends_at) == (at(5), at(6))


def test_what_was_narrow_all_along_is_found_from_when_it_is_known(kept):
    kept.look(3, said=WITHOUT_BATCH)

    (one,) = found(kept)

    assert (one.event_time, one.ends_at, one.actor, one.evidence_ids) == (at(0), None, None, (TRAIL,))
    assert "It was so when the configuration is first known, at 2026-11-02T00:00:00Z" in one.explanation


def test_an_account_without_any_trail_is_found(kept):
    kept.nothing_new(3)

    (one,) = found(kept)

    assert one.title == "Trails leave out all calls: all data operations of Orders, Patients and the control plane"


def test_before_a_trail_began_nothing_was_narrowed(kept):
    kept.event(3, "CreateTrail", asked={"S3BucketName": BUCKET})
    kept.event(3.1, "PutEventSelectors", asked=selectors())
    kept.event(3.2, "StartLogging")
    kept.look(12)

    assert found(kept) == []


def test_a_change_that_no_event_tells_of_lies_between_two_looks(kept):
    kept.look(2)
    kept.nothing_new(8)
    kept.look(10, said=WITHOUT_BATCH)

    (one,) = found(kept)

    assert (one.event_time, one.actor) == (at(10), None)
    assert "between 2026-11-02T08:00:00Z and 2026-11-02T10:00:00Z" in one.explanation


def test_a_further_narrowing_is_a_finding_of_its_own(kept):
    narrowed(kept, 5, None)
    kept.event(6, "PutEventSelectors", asked=selectors(userIdentity_arn={"NotEquals": [BATCH, ANA]}), actor=BATCH)
    kept.event(7, "PutEventSelectors", asked=WITHOUT_BATCH)
    kept.event(9, "PutEventSelectors", asked=selectors())

    first, second = found(kept)

    assert (first.event_time, first.ends_at, first.actor) == (at(5), at(9), ANA)
    assert (second.event_time, second.ends_at, second.actor) == (at(6), at(7), BATCH)
    assert second.title == f"Trails leave out calls by {ANA}: all data operations of Orders, Patients"


def test_one_change_is_one_finding_however_many_regions_and_accounts_it_hits(kept):
    for arn in (table("Orders", region="us-east-1"), table("Orders", MEMBER)):
        kept.has_table(arn)
    kept.call(0, MEMBER, folder="AWSLogs/o-abcdefghij")
    kept.look(0, IsMultiRegionTrail=True, IsOrganizationTrail=True)
    kept.nothing_new(0, MEMBER)
    kept.event(5, "PutEventSelectors", asked=WITHOUT_BATCH)

    (one,) = found(kept)

    assert (one.account_id, one.region) == (ACCOUNT, REGION)


def test_a_table_that_is_gone_does_not_count(kept):
    kept.look(0)
    kept.has_table(PATIENTS, 2, status="gone")
    kept.event(5, "PutEventSelectors", asked=selectors(resources_ARN={"NotEquals": [PATIENTS]}))

    assert found(kept) == []


def test_what_the_trail_lacks_within_the_span_is_counted(kept):
    narrowed(kept)
    kept.counted(5 + 1 / 3, ORDERS, "GetItem", 100)
    kept.counted(6, ORDERS, "GetItem", 20)
    kept.counted(7, PATIENTS, "PutItem", 3)
    kept.counted(7, table("Unknown"), "PutItem", 1000)
    kept.counted(9, ORDERS, "GetItem", 5000)

    (one,) = found(kept)

    assert one.how_many == 23
    assert "CloudWatch counted 23 calls" in one.explanation


def test_where_all_counts_agree_nothing_is_lacking(kept):
    narrowed(kept)
    kept.counted(6, ORDERS, "GetItem", 0, verdict="agrees")

    assert [one.how_many for one in found(kept)] == [0]


def test_without_counts_it_is_not_known_how_many_calls_are_lacking(kept):
    narrowed(kept)

    assert [one.how_many for one in found(kept)] == [None]


def test_only_what_reaches_into_the_window_is_found(kept):
    narrowed(kept)

    assert [len(found(kept, *window)) for window in ((0, 5), (5, 6), (7, 8), (8.25, 9))] == [0, 1, 1, 0]


def test_findings_are_rows_of_the_hour_in_which_they_began(kept):
    narrowed(kept)

    (row,) = written(kept, 7)

    assert (row["event_hour"], row["producer"], row["ends_at"]) == (at(5), "selectors", at(8.25))


def test_writing_again_writes_the_same(kept):
    narrowed(kept)

    assert written(kept, 5) == written(kept, 5, 6, 7)


def test_a_finding_keeps_its_id_when_it_ends(kept):
    narrowed(kept, end=None)
    (before,) = written(kept, 5)
    kept.event(8.25, "PutEventSelectors", asked=selectors())

    (after,) = written(kept, 8)

    assert (before["finding_id"], after["ends_at"]) == (after["finding_id"], at(8.25))


def test_a_finding_goes_when_it_is_explained(kept):
    narrowed(kept)
    assert len(written(kept, 5)) == 1
    kept.look(0, SECOND)

    assert written(kept, 20) == []


def test_the_findings_of_others_stay(kept):
    narrowed(kept)
    written(kept, 5)
    rows = kept.warehouse.dataset("finding").to_table()
    others = rows.set_column(rows.schema.get_field_index("producer"), "producer", [["digests"]])
    kept.warehouse.replace("finding", others, hours=[at(5)], where={"producer": "digests"})
    kept.look(0, SECOND)

    assert [row["producer"] for row in written(kept, 5)] == ["digests"]


def test_no_hours_write_nothing(kept):
    narrowed(kept)

    assert written(kept) == []

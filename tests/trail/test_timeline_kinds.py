"""The records of all kinds: the same whatever is built together, rebuilt when anything that they say changes."""

from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.clock import DAY, HOUR, hour_of
from dynatrail.integrity import findings
from dynatrail.settings import settings
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.trail import attribution, rebuilding, timeline
from dynatrail.warehouse.store import Warehouse

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
SPAN = [NOON + n * HOUR for n in range(-2, 4)]
USER = "arn:aws:iam::123456789012:user/ward/nurse-anna"


def minutes(number):
    return NOON + timedelta(minutes=number)


def of_change(change_id, at=NOON):
    return {"change_id": change_id, "event_time": at}


@pytest.fixture
def filled(warehouse, write, make_row, make_event, make_item):
    """Hours of every kind, with an episode and a change that reach over an hour's border."""
    patients = {"table_names": ["Patients"], "table_arns": ["arn:aws:dynamodb:eu-west-1:123456789012:table/Patients"]}
    late = NOON + HOUR - timedelta(seconds=1)
    write("api_event", [make_event("e-1", **patients), make_event("e-2", event_time=NOON + HOUR, **patients)])
    write(
        "api_event_item",
        [make_item("e-1", item_key_token="tok-1"), make_item("e-2", event_time=NOON + HOUR, item_key_token="tok-2")],
    )
    changes = [of_change("c-1"), of_change("c-2", late) | {"item_key_token": "tok-2"}]
    write("item_change", [make_row("item_change", **one) for one in changes])
    write("alarm_event", [make_row("alarm_event", event_time=minutes(61))])
    write("metric", [make_row("metric", event_time=minutes(at)) for at in (57, 58, 61, 62, 130)])
    write("iam_snapshot", [make_row("iam_snapshot")])
    write("iam_snapshot", [make_row("iam_snapshot", captured_at=minutes(90), event_hour=minutes(60), sha256="bb")])
    write("finding", [make_row("finding", event_time=minutes(70))])
    attribution.build(warehouse, SPAN)
    return warehouse


def records(warehouse):
    return warehouse.dataset("audit_record").to_table().sort_by("record_id").to_pylist()


def test_every_kind_has_its_records_in_the_order_of_time(filled):
    rows = timeline.derive(filled, SPAN).to_pylist()
    assert {row["kind"] for row in rows} == {
        *("api_event", "item_change", "alarm", "throttling", "configuration", "finding"),
    }
    places = [(row["event_time"], row["record_id"]) for row in rows]
    assert places == sorted(places)
    assert len({row["record_id"] for row in rows}) == len(rows)


def test_building_twice_writes_once(filled):
    assert timeline.build(filled, SPAN) > 0
    before = filled.versions(["audit_record"])
    assert timeline.build(filled, SPAN) == 0
    assert filled.versions(["audit_record"]) == before


@pytest.mark.parametrize("size", [1, 2, 3])
def test_hours_have_the_same_records_whatever_is_built_with_them(filled, size):
    together = timeline.derive(filled, SPAN)
    apart = [timeline.derive(filled, SPAN[at : at + size]) for at in range(0, len(SPAN), size)]
    assert [row for part in apart for row in part.to_pylist()] == together.to_pylist()


def test_episode_over_an_hours_border_is_one_record_of_its_first_hour(filled):
    timeline.build(filled, SPAN)
    episodes = [row for row in records(filled) if row["kind"] == "throttling"]
    assert sorted((row["event_time"], row["ends_at"], row["how_many"]) for row in episodes) == [
        (minutes(57), minutes(63), 4),
        (minutes(130), minutes(131), 1),
    ]


def test_change_is_of_whoever_made_the_request_in_the_next_hour(filled):
    timeline.build(filled, SPAN)
    changes = {row["change_id"]: row for row in records(filled) if row["kind"] == "item_change"}
    assert {name: (row["actor"], row["event_id"], row["actor_class"]) for name, row in changes.items()} == {
        "c-1": (USER, "e-1", "person"),
        "c-2": (USER, "e-2", "person"),
    }
    assert changes["c-2"]["source_ip_address"] == "192.0.2.10"


def test_request_of_the_next_hour_that_comes_late_names_who_made_the_change(
    warehouse, write, make_row, make_event, make_item
):
    late = NOON + HOUR - timedelta(seconds=1)
    write("item_change", [make_row("item_change", **of_change("c-1", late))])
    rebuild(warehouse, [NOON])
    assert records(warehouse)[0]["actor"] == "Unknown"
    write("api_event", [make_event("e-1", event_time=NOON + HOUR)])
    write("api_event_item", [make_item("e-1", event_time=NOON + HOUR, item_key_token="tok-1")])
    rebuild(warehouse, [NOON + HOUR])
    (change,) = [row for row in records(warehouse) if row["kind"] == "item_change"]
    assert (change["actor"], change["event_id"]) == (USER, "e-1")


def rebuild(warehouse, due):
    """As `build_trail` does."""
    attribution.build(warehouse, attribution.around(due))
    return timeline.build(warehouse, timeline.around(due))


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    """Settings whose warehouse is the test's."""
    monkeypatch.setenv("DYNATRAIL_WAREHOUSE", str(tmp_path / "warehouse"))
    return settings()


def test_new_metrics_bring_up_to_date_the_hour_in_which_their_episode_began(filled, write, make_row):
    timeline.build(filled, SPAN)
    write("metric", [make_row("metric", event_time=minutes(at)) for at in (61, 62, 66)])
    reached = timeline.reach(filled, [NOON + HOUR])
    assert reached == {NOON, NOON + HOUR}
    timeline.build(filled, reached)
    assert records(filled) == timeline.derive(filled, SPAN).sort_by("record_id").to_pylist()


def test_metrics_that_join_two_episodes_leave_one(warehouse, write, make_row):
    write("metric", [make_row("metric", event_time=minutes(at)) for at in (50, 61)])
    timeline.build(warehouse, SPAN)
    write("metric", [make_row("metric", event_time=minutes(at)) for at in (50, 54, 58)])
    timeline.build(warehouse, timeline.reach(warehouse, [NOON]))
    (episode,) = records(warehouse)
    assert (episode["event_time"], episode["ends_at"]) == (minutes(50), minutes(62))


def test_throttling_all_day_reaches_its_first_hour_and_the_next_alone(warehouse, write, make_row):
    write("metric", [make_row("metric", event_time=NOON + n * HOUR, period_s=3600) for n in range(-12, 12)])
    midnight = NOON.replace(hour=0)
    assert timeline.reach(warehouse, [NOON]) == {midnight, NOON, NOON + HOUR}
    timeline.build(warehouse, [midnight + n * HOUR for n in range(48)])
    (episode,) = records(warehouse)
    assert episode["ends_at"] == midnight + DAY


def test_finding_marks_the_hour_that_it_changes_and_no_other(warehouse, make_finding):
    hours = [NOON + n * HOUR for n in range(3)]
    place = ("digests", "123456789012", "eu-west-1", hours)
    findings.write(warehouse, *place, [make_finding("one", NOON + HOUR)])
    assert pending.hours(pending.TIMELINE) == [NOON + HOUR]
    drop()
    findings.write(warehouse, *place, [make_finding("one", NOON + HOUR)])
    assert pending.hours(pending.TIMELINE) == []
    findings.write(warehouse, *place, [make_finding("two", NOON)])
    assert pending.hours(pending.TIMELINE) == [NOON, NOON + HOUR]


def test_finding_reaches_the_timeline_and_leaves_it(chosen, make_finding):
    warehouse = Warehouse.from_settings(chosen)
    findings.write(warehouse, "digests", "123456789012", "eu-west-1", [NOON], [make_finding("one", NOON)])
    assert rebuilding.audit_record(chosen, {}) == ({NOON}, 1)
    assert pending.hours(pending.TIMELINE) == []
    findings.write(warehouse, "digests", "123456789012", "eu-west-1", [NOON], [])
    rebuilding.audit_record(chosen, {})
    assert records(warehouse) == []


def test_build_that_dies_leaves_its_hours_due(chosen, make_event, write, monkeypatch):
    mark(pending.TIMELINE, NOON)
    mark(pending.BUILD, NOON + 5 * HOUR)
    due = pending.seen(pending.BUILD)
    with monkeypatch.context() as patched:
        patched.setattr(timeline, "build", dying)
        with pytest.raises(RuntimeError):
            rebuilding.audit_record(chosen, due)
    assert (pending.hours(pending.TIMELINE), pending.hours(pending.BUILD)) == ([NOON], [NOON + 5 * HOUR])
    hours, _ = rebuilding.audit_record(chosen, due)
    assert hours == {NOON, *(NOON + n * HOUR for n in (4, 5, 6))}
    assert (pending.hours(pending.TIMELINE), pending.hours(pending.BUILD)) == ([], [])


def dying(*_args, **_options):
    raise RuntimeError


def test_hour_that_is_marked_while_it_is_built_stays_due(chosen, monkeypatch):
    mark(pending.TIMELINE, NOON)
    build = timeline.build

    def overtaken(*args, **options):
        mark(pending.TIMELINE, NOON)
        return build(*args, **options)

    monkeypatch.setattr(timeline, "build", overtaken)
    rebuilding.audit_record(chosen, {})
    assert pending.hours(pending.TIMELINE) == [NOON]


def mark(stage, *hours):
    with session() as opened:
        pending.mark(opened, stage, hours)


def drop():
    with pending.working(pending.TIMELINE, []):
        pass


@pytest.fixture
def make_finding():
    return lambda subject, at: findings.Finding(
        rule_id="integrity.log_file_forged",
        severity="High",
        event_time=at,
        account_id="123456789012",
        region="eu-west-1",
        title="A log file is forged",
        explanation="Its digest says so.",
        subject=subject,
    )


def test_break_glass_pattern_is_the_actors_class(warehouse, write, make_event):
    write("api_event", [make_event()])
    rows = timeline.derive(warehouse, [NOON], break_glass=["arn:aws:iam::*:user/ward/*"]).to_pylist()
    assert [row["actor_class"] for row in rows] == ["break_glass"]
    assert hour_of(rows[0]["event_time"]) == NOON

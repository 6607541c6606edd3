"""Records that are no requests, from their tables through the timeline to OCSF."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.clock import HOUR
from dynatrail.trail import ocsf, timeline

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
USER = "arn:aws:iam::210987654321:user/ward/nurse-anna"
ROLE = "arn:aws:iam::123456789012:role/apps/clinic"
SECRET = "item-value-4711"
HOSTILE = "x\"\\\n\x1b[31m\u2028\u202e</script>\U0001f600' or 1=1; --"


@pytest.fixture
def exported(warehouse, write, make_row):
    """One or more records of every kind, as events of OCSF."""
    make = make_row
    write(
        "item_change",
        [
            make("item_change", change_id="c-certain", old_image=SECRET, new_image=SECRET, changed_attributes=["ward"]),
            make("item_change", change_id="c-new", change_type="INSERT"),
            make("item_change", change_id="c-expired", change_type="REMOVE"),
            make("item_change", change_id="c-hostile", table_name=HOSTILE, changed_attributes=[HOSTILE]),
        ],
    )
    write(
        "attribution",
        [
            make("attribution", change_id="c-certain", first_principal_arn=USER, principal_class="person"),
            make("attribution", change_id="c-expired", method="expiry", confidence="none", event_id=None),
        ],
    )
    write(
        "alarm_event",
        [
            make("alarm_event", alarm_event_id="a-1", old_state="OK", new_state="ALARM"),
            make("alarm_event", alarm_event_id="a-2", old_state="ALARM", new_state="OK", table_name=None),
            make("alarm_event", alarm_event_id="a-3", history_item_type="Action", alarm_name=HOSTILE),
            make("alarm_event", alarm_event_id="a-4", history_item_type="ConfigurationUpdate", summary=None),
        ],
    )
    write("metric", [make("metric", value=7.0)])
    later = {"captured_at": NOON + timedelta(minutes=1), "event_hour": NOON}
    write("iam_snapshot", [make("iam_snapshot"), make("iam_snapshot", **later, sha256="bb", previous_sha256="aa")])
    write(
        "table_config",
        [
            make("table_config"),
            make("table_config", **later, status="gone", sha256=None, previous_sha256="aa"),
            make(
                "table_config", **later, resource_arn=HOSTILE, resource_name=HOSTILE, status="unreadable", sha256=None
            ),
        ],
    )
    write(
        "finding",
        [
            make("finding", finding_id="f-1", attack_techniques=["T1562.008"], ends_at=NOON + HOUR, how_many=2),
            make("finding", finding_id="f-2", actor=USER, table_name=None, table_arn=None, severity="Low"),
            make("finding", finding_id="f-3", title=HOSTILE, explanation=HOSTILE, evidence_ids=[HOSTILE]),
        ],
    )
    of_no_table = dict.fromkeys(("table_name", "table_arn", "item_key_token", "change_id", "attributes", "ticket"))
    everywhere = {"kind": "erasure", "account_id": "*", "region": "*", "actor": "dana", "actor_claimed": False}
    write(
        "privacy_event",
        [
            make("privacy_event"),
            make("privacy_event", privacy_event_id="p-2", reason=HOSTILE, actor=HOSTILE, attributes=[HOSTILE]),
            make("privacy_event", privacy_event_id="p-3", **everywhere, **of_no_table),
        ],
    )
    timeline.build(warehouse, [NOON])
    out = io.BytesIO()
    lines = ocsf.export(warehouse, NOON, NOON + HOUR, out)
    assert lines == warehouse.dataset("audit_record").count_rows()
    text = out.getvalue().decode()
    assert SECRET not in text
    return [json.loads(line) for line in text.split("\n")[:-1]]


def of(exported, kind):
    return [event for event in exported if event["unmapped"]["kind"] == kind]


def test_every_kind_is_exported_and_valid(exported, published):
    kinds = {event["unmapped"]["kind"] for event in exported}
    assert kinds == {path.rpartition("/")[2].removesuffix(".sql") for path in timeline.kinds()} - {"api_event"}
    assert {event["message"]: faults for event in exported if (faults := published.faults(event))} == {}


def test_records_lie_in_the_order_of_time_and_id(exported):
    places = [(event["time"], event["metadata"]["uid"]) for event in exported]
    assert places == sorted(places)


def test_change_names_who_it_begins_with_and_points_to_its_request(exported):
    (change,) = [e for e in of(exported, "item_change") if e["metadata"]["original_event_uid"] == "c-certain"]
    assert change["actor"]["user"]["uid"] == USER
    assert change["actor"]["user"]["account"]["uid"] == "210987654321"
    assert change["actor"]["session"]["uid_alt"] == "arn:aws:sts::123456789012:assumed-role/clinic/claimed"
    assert change["metadata"]["correlation_uid"] == "e-1"
    assert (change["type_uid"], change["unmapped"]["confidence"]) == (600502, "certain")
    assert change["unmapped"]["changed_attributes"] == ["ward"]


def test_change_of_nobody_has_an_unknown_user_and_no_session(exported):
    (change,) = [e for e in of(exported, "item_change") if e["metadata"]["original_event_uid"] == "c-new"]
    assert change["actor"] == {"user": {"name": "Unknown", "type": "Unknown", "type_id": 0}}
    assert change["src_endpoint"] == {"svc_name": "dynamodb.amazonaws.com"}


def test_alarm_is_found_and_resolved_under_one_id(exported):
    first, second = [e for e in of(exported, "alarm") if "went" in e["message"]]
    assert {first["activity_name"], second["activity_name"]} == {"Create", "Close"}
    assert first["finding_info"]["uid"] == second["finding_info"]["uid"]


def test_episode_of_throttling_has_its_span_and_count(exported):
    (episode,) = of(exported, "throttling")
    assert (episode["class_uid"], episode["count"], episode["end_time"] - episode["start_time"]) == (6008, 7, 60_000)
    assert episode["unmapped"]["table_name"] == "Patients"


def test_changed_document_has_both_hashes_as_versions(exported):
    (seen,) = [e for e in of(exported, "configuration") if e["activity_name"] == "Update"]
    assert (seen["entity"]["version"], seen["entity_result"]["version"]) == ("aa", "bb")
    assert seen["entity"]["uid"] == ROLE


def test_finding_keeps_its_severity_explanation_and_techniques(exported):
    found = {e["finding_info"]["uid"]: e for e in of(exported, "finding")}
    assert [(found[i]["severity"], found[i]["severity_id"]) for i in ("f-1", "f-2")] == [("High", 4), ("Low", 2)]
    assert found["f-1"]["finding_info"]["attacks"] == [{"technique": {"uid": "T1562.008"}}]
    assert found["f-1"]["finding_info"]["last_seen_time"] - found["f-1"]["time"] == 3_600_000
    assert found["f-2"]["unmapped"]["actor"] == USER
    assert found["f-3"]["finding_info"]["desc"] == HOSTILE


def test_reveal_is_a_read_of_the_table_by_nobody_who_is_known(exported):
    (reveal,) = [e for e in of(exported, "privacy_event") if e.get("table") and "request 17" in e["message"]]
    assert (reveal["activity_name"], reveal["table"]["name"]) == ("Read", "Patients")
    assert reveal["actor"]["user"]["name"] == "Unknown"
    assert reveal["metadata"]["original_event_uid"] == "c-1"


def test_erasure_deletes_a_key_that_is_of_no_account(exported):
    (erasure,) = [e for e in of(exported, "privacy_event") if e["class_uid"] == 3004]
    assert (erasure["activity_name"], erasure["entity"]["uid"]) == ("Delete", "t1:" + "a" * 32)
    assert erasure["actor"]["user"]["name"] == "dana"
    assert "account" not in erasure["cloud"]
    assert "region" not in erasure["cloud"]
    assert "tenant_uid" not in erasure["metadata"]

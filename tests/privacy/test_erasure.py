"""Erasing a person: what is gone, what stays, and that it is told once."""

import json
import shutil
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from dynatrail.clock import hour_of
from dynatrail.errors import PrivacyError, WarehouseError
from dynatrail.evidence import snapshot
from dynatrail.privacy import erasure, events, subjects
from dynatrail.state import database, pending
from dynatrail.trail import timeline
from dynatrail.warehouse.store import Warehouse

FORM = {"reason": "request 17", "confirm": "ERASE"}


def erase(clinic, subject=None, *, at=None, approved_by="dpo"):
    asked = erasure.asked(clinic.settings, FORM | {"subject": subject or clinic.anna}, "dana")
    return erasure.erase(asked, approved_by, clinic.warehouse, at=at or clinic.LATER)


def wrapped_key(clinic, subject):
    with sqlite3.connect(clinic.home / "state.db") as opened:
        ((key,),) = opened.execute("select wrapped_key from subject_key where subject = ?", [subject])
    return key


def everything_below(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_form_counts_the_rows_that_hold_values_of_the_person_per_table(clinic):
    assert erasure.holding(clinic.warehouse, clinic.anna) == {"Invoices": 1, "Visits": 1}
    assert erasure.holding(clinic.warehouse, "t1:" + "0" * 32) == {}


@pytest.mark.parametrize("subject", [None, "", "P-000007", "t1:short", "t1:" + "A" * 32, "e1:" + "a" * 32])
def test_subject_that_is_no_token_is_refused_with_the_way_to_one_and_not_repeated(clinic, subject):
    with pytest.raises(PrivacyError, match="python -m dynatrail token") as refused:
        erasure.asked(clinic.settings, FORM | {"subject": subject}, "dana")
    assert not subject or subject not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"reason": " \n "}, "reason is empty"),
        ({"reason": "x" * 1001}, "1000 are kept"),
        ({"confirm": None}, "ERASE"),
        ({"confirm": "erase"}, "ERASE"),
        ({"reason": "asked by P-000007, 3 Nov"}, "names the person"),
        ({"reason": "P-000007"}, "names the person"),
    ],
    ids=["no reason", "endless reason", "not confirmed", "confirmed otherwise", "names", "is the name"],
)
def test_form_is_refused_that_is_not_whole_or_says_too_much(clinic, given, why):
    with pytest.raises(PrivacyError, match=why) as refused:
        erasure.asked(clinic.settings, FORM | {"subject": clinic.anna} | given, "dana")
    assert "P-000007" not in str(refused.value)


@pytest.mark.parametrize("approved_by", ["dana", "Dana"])
def test_who_asks_cannot_approve(clinic, approved_by):
    with pytest.raises(PrivacyError, match="cannot approve"):
        erase(clinic, approved_by=approved_by)
    assert subjects.erased() == []
    assert clinic.events() == []


@pytest.mark.parametrize(
    "approval",
    [
        {},
        {"chosen_options": ["Reject"], "responded_by_user": {"id": "1", "name": "dpo"}},
        {"chosen_options": ["Approve"], "responded_by_user": None},
    ],
    ids=["nothing", "rejected", "by nobody"],
)
def test_approval_that_is_none_erases_nothing(approval):
    with pytest.raises(PrivacyError, match="Nobody is known"):
        erasure.approver(approval)


def test_erasure_is_recorded_once_with_who_and_why_and_without_any_value(clinic):
    done = erase(clinic)
    again = erase(clinic, at=clinic.LATER + timedelta(days=1), approved_by="other")
    assert (done.again, again.again) == (False, True)
    assert again.erased_at == done.erased_at == clinic.LATER
    (event,) = clinic.events()
    assert (event["kind"], event["subject"], event["event_time"]) == ("erasure", clinic.anna, clinic.LATER)
    assert (event["actor"], event["actor_claimed"], event["approved_by"]) == ("dana", False, "dpo")
    assert (event["account_id"], event["reason"]) == ("*", "request 17")
    assert clinic.ANNA not in json.dumps(event, default=str)


def test_values_cannot_be_read_afterwards_in_any_version_or_copy_and_others_can(clinic):
    clinic.add(change_id="c-more", patient=clinic.ANNA)  # so that there is an old version too
    key = wrapped_key(clinic, clinic.anna)
    snapshot.publish(clinic.NOON.date(), clinic.warehouse, clinic.settings.evidence_root, allow_open=True)
    erase(clinic)
    keys = subjects.load(clinic.settings)
    for version in range(clinic.warehouse.versions(["item_change"])["item_change"] + 1):
        for row in clinic.warehouse.dataset("item_change", version).to_table().to_pylist():
            stored = json.loads(row["new_image"])["diagnosis"]["S"]
            if row["change_id"] == "c-boris":
                assert keys.decrypt(stored, ("diagnosis",), "S") == f"flu of {clinic.BORIS}"
            else:
                with pytest.raises(PrivacyError, match="was erased"):
                    keys.decrypt(stored, ("diagnosis",), "S")
    everything = everything_below(clinic.home)  # state.db with its -wal and free pages, tables, evidence
    assert key.encode() not in everything
    assert wrapped_key(clinic, clinic.boris).encode() in everything
    assert b"flu of" not in everything


def test_published_evidence_stays_byte_for_byte_and_verifies(clinic):
    root = clinic.settings.evidence_root
    made = snapshot.publish(clinic.NOON.date(), clinic.warehouse, root, allow_open=True)
    before = everything_below(root)
    erase(clinic)
    assert everything_below(root) == before
    check = subprocess.run(
        [shutil.which("sha256sum"), "-c", "--strict", "SHA256SUMS"],
        cwd=made.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout
    assert snapshot.read(made.folder).manifest_sha256 == made.manifest_sha256


def test_tables_stay_as_they_were_when_hours_are_built_again(clinic):
    before = clinic.warehouse.digest("item_change"), clinic.warehouse.versions(["item_change"])
    timeline.build(clinic.warehouse, [clinic.NOON])
    record = clinic.warehouse.digest("audit_record", hour_of(clinic.NOON))
    erase(clinic)
    timeline.build(clinic.warehouse, [clinic.NOON, clinic.LATER])
    assert (clinic.warehouse.digest("item_change"), clinic.warehouse.versions(["item_change"])) == before
    assert clinic.warehouse.digest("audit_record", hour_of(clinic.NOON)) == record


def test_timeline_tells_of_it_in_its_hour(clinic):
    done = erase(clinic)
    hour = hour_of(clinic.LATER)
    assert done.hours == {hour}
    assert pending.hours(pending.TIMELINE) == [hour]
    timeline.build(clinic.warehouse, done.hours)
    (record,) = [r for r in clinic.warehouse.dataset("audit_record").to_table().to_pylist() if r["event_hour"] == hour]
    assert (record["kind"], record["operation"], record["actor"]) == ("privacy_event", "erasure", "dana")
    assert record["subject"] == clinic.anna


def test_later_changes_of_the_person_come_redacted_and_those_of_others_encrypted(clinic):
    erase(clinic)
    assert json.loads(clinic.image(clinic.ANNA))["diagnosis"] == {"S": "***"}
    assert json.loads(clinic.image(clinic.BORIS))["diagnosis"]["S"].startswith("e1:")


def test_erasure_that_was_killed_before_its_event_gets_it_from_any_later_run(clinic):
    subjects.erase(clinic.anna, reason="request 17", erased_by="dana", approved_by="dpo", at=clinic.LATER)
    assert clinic.events() == []
    erase(clinic, clinic.boris, at=clinic.LATER + timedelta(hours=2))
    assert [event["subject"] for event in clinic.events()] == [clinic.anna, clinic.boris]
    assert len(pending.hours(pending.TIMELINE)) == 2


def test_event_that_cannot_be_written_leaves_the_run_red_and_the_next_one_heals_it(clinic):
    no_folder = Warehouse(str(clinic.home / "token.key"))  # a file
    asked = erasure.asked(clinic.settings, FORM | {"subject": clinic.anna}, "dana")
    with pytest.raises(WarehouseError):
        erasure.erase(asked, "dpo", no_folder, at=clinic.LATER)
    assert [one.subject for one in subjects.erased()] == [clinic.anna]
    erase(clinic, at=clinic.LATER + timedelta(days=1))
    (event,) = clinic.events()
    assert event["event_time"] == clinic.LATER


def test_two_erasures_at_once_are_one_event_each(clinic):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda who: erase(clinic, who), [clinic.anna, clinic.boris, clinic.anna, clinic.boris]))
    assert [event["subject"] for event in clinic.events()] == sorted([clinic.anna, clinic.boris])


def test_person_who_was_never_seen_is_erased_too(clinic):
    unseen = clinic.tokens.item([("patient_id", "P-000009")])
    erase(clinic, unseen)
    assert [event["subject"] for event in clinic.events()] == [unseen]
    assert json.loads(clinic.image("P-000009"))["diagnosis"] == {"S": "***"}


def test_log_of_the_state_database_is_emptied_only_when_nobody_reads_from_it(clinic, monkeypatch):
    monkeypatch.setattr(database, "BUSY_MS", 50)
    database.engine(clinic.settings.state_database).dispose()
    database._engines.clear()
    reader = sqlite3.connect(clinic.home / "state.db")
    reader.execute("begin")
    reader.execute("select * from subject_key").fetchall()
    with pytest.raises(Exception, match="another process reads"):
        erase(clinic)
    reader.close()
    assert [event["subject"] for event in clinic.events()] == [clinic.anna]
    erase(clinic)


def test_id_of_an_erasure_hangs_on_the_subject_alone_and_that_of_a_reveal_on_all(clinic):
    told = {"subject": clinic.anna, "actor": "a", "actor_claimed": True, "reason": "r"}
    first, second = ({"event_time": clinic.LATER + timedelta(hours=n)} | told for n in (0, 1))
    erasures = {events.Event(kind="erasure", **one).privacy_event_id for one in (first, second)}
    reveals = {events.Event(kind="reveal", **one).privacy_event_id for one in (first, second)}
    assert (len(erasures), len(reveals)) == (1, 2)

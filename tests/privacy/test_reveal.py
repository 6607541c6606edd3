"""Revealing encrypted values: to whom, recorded first, and nothing otherwise."""

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from dynatrail.cli.app import app
from dynatrail.cli.reveal import claimed
from dynatrail.errors import PrivacyError, SettingsError, WarehouseError
from dynatrail.privacy import reveal, subjects
from dynatrail.privacy.reveal import Asker, Shown
from dynatrail.state import pending

CAROL = Asker("carol@desk.example.com", "fraud case", "INC-7")


def shown(clinic, change_id="c-anna", asker=CAROL, **options):
    return reveal.reveal(clinic.settings, change_id, asker, at=clinic.LATER, **options)


def test_all_encrypted_values_are_shown_wherever_they_lie(clinic):
    assert shown(clinic) == [
        Shown("new", "diagnosis", "S", f"flu of {clinic.ANNA}"),
        *(Shown("new", "marks", "SS", side) for side in marks(shown(clinic))),
        Shown("new", "phones[].number", "N", "4711.5"),
    ]
    assert set(marks(shown(clinic))) == {"left hand", "right hand"}


def marks(found):
    return [one.value for one in found if one.path == "marks"]


def test_reveal_is_recorded_with_who_claims_to_ask_and_without_any_value(clinic):
    shown(clinic, attributes=["diagnosis", "phones"])
    (event,) = clinic.events()
    assert (event["kind"], event["subject"], event["change_id"]) == ("reveal", clinic.anna, "c-anna")
    assert event["attributes"] == ["diagnosis", "phones"]
    assert (event["actor"], event["actor_claimed"], event["ticket"]) == (CAROL.name, True, "INC-7")
    assert (event["table_name"], event["account_id"], event["event_time"]) == ("Invoices", "123456789012", clinic.LATER)
    assert "flu" not in json.dumps(event, default=str)
    assert pending.hours(pending.TIMELINE) == [clinic.LATER.replace(minute=0)]


def test_each_look_is_an_event_of_its_own(clinic):
    shown(clinic)
    reveal.reveal(clinic.settings, "c-anna", CAROL, at=clinic.LATER + timedelta(seconds=1))
    assert len(clinic.events()) == 2


def test_reveal_is_a_finding_where_the_policy_says_so_and_only_there(clinic):
    shown(clinic)
    shown(clinic, "c-boris")
    shown(clinic, "c-visit")
    found = clinic.warehouse.dataset("finding").to_table().to_pylist()
    assert {(one["producer"], one["kind"], one["rule_id"], one["table_name"]) for one in found} == {
        ("privacy", "rule", "privacy.values_revealed", "Invoices")
    }
    recorded = {one["privacy_event_id"] for one in clinic.events() if one["table_name"] == "Invoices"}
    assert {id_ for one in found for id_ in one["evidence_ids"]} == recorded
    assert len(found) == 2
    assert "flu" not in json.dumps(found, default=str)


@pytest.mark.parametrize(
    ("asker", "why"),
    [
        (Asker("c", "  ", "INC-7"), "reason is empty"),
        (Asker("c", "fraud", "\n"), "ticket is empty"),
        (Asker("c", "x" * 1001, "INC-7"), "1000 are kept"),
        (Asker("c", "has flu of P-000007", "INC-7"), "holds one of the values"),
        (Asker("c", "fraud", "P-000007"), "names the person"),
    ],
    ids=["no reason", "no ticket", "endless", "a value", "the person"],
)
def test_without_a_fit_reason_and_ticket_nothing_is_shown_or_recorded(clinic, asker, why):
    with pytest.raises(PrivacyError, match=why) as refused:
        shown(clinic, asker=asker)
    assert "flu" not in str(refused.value)
    assert clinic.events() == []


def test_who_has_no_wrapping_key_is_not_entitled_and_gets_none_made(clinic):
    (clinic.home / "wrapping.key").unlink()
    with pytest.raises(SettingsError, match="Who may not have that key"):
        shown(clinic)
    assert not (clinic.home / "wrapping.key").exists()


def test_another_wrapping_key_shows_nothing(clinic):
    (clinic.home / "wrapping.key").unlink()
    subjects.load(clinic.settings)  # makes a new one
    with pytest.raises(PrivacyError, match="cannot be unwrapped"):
        shown(clinic)
    assert clinic.events() == []


def test_erased_person_says_when_and_why(clinic):
    subjects.erase(clinic.anna, reason="request 17", erased_by="dana", approved_by="dpo", at=clinic.LATER)
    with pytest.raises(PrivacyError, match=r"was erased at 2026-11-03T09:15:00Z: request 17\.$"):
        shown(clinic)
    assert clinic.events() == []


def test_nothing_is_shown_when_it_cannot_be_recorded(clinic):
    (clinic.home / "warehouse/privacy_event").write_text("a file where a table should be")
    with pytest.raises(WarehouseError):
        shown(clinic)


def test_unknown_change_is_told(clinic):
    with pytest.raises(PrivacyError, match="no change with this id"):
        shown(clinic, "c-none")


@pytest.mark.parametrize(
    ("path", "why"),
    [("note", "Encrypted are: diagnosis, marks, phones"), ("phones[0]", "any member of a list")],
    ids=["not encrypted", "no path"],
)
def test_path_that_leads_to_no_encrypted_value_is_told(clinic, path, why):
    with pytest.raises(PrivacyError, match=why):
        shown(clinic, attributes=[path])
    assert clinic.events() == []


def test_change_without_encrypted_values_says_so(clinic):
    clinic.add(
        change_id="c-plain", patient=clinic.ANNA, diagnosis={"NULL": True}, phones={"L": []}, marks={"NULL": True}
    )
    with pytest.raises(PrivacyError, match="Nothing in this change is encrypted"):
        shown(clinic, "c-plain")


def test_kept_text_that_looks_encrypted_is_told_apart_and_hides_nothing_else(clinic):
    forged = "e1:" + "0" * 32 + ":AAAA"
    clinic.add(change_id="c-forged", patient=clinic.ANNA, note={"S": forged})
    found = {one.path: one for one in shown(clinic, "c-forged")}
    assert found["diagnosis"].value == f"flu of {clinic.ANNA}"
    assert found["note"].value is None
    assert [event["subject"] for event in clinic.events()] == [clinic.anna]


def test_command_prints_the_values_and_records_who_claims_to_have_asked(clinic):
    options = ["--reason", "fraud case", "--ticket", "INC-7", "--attribute", "diagnosis"]
    done = CliRunner().invoke(app, ["reveal", "c-anna", *options])
    assert done.exit_code == 0
    assert f"flu of {clinic.ANNA}" in " ".join(done.output.split())
    (event,) = clinic.events()
    assert (event["actor"], event["actor_claimed"], event["attributes"]) == (claimed(), True, ["diagnosis"])


def test_member_that_is_called_by_a_value_is_shown_and_in_no_record(clinic):
    clinic.add(change_id="c-map", patient=clinic.ANNA, phones={"M": {"jane@example.com": {"S": "4711"}}})
    assert 'phones."jane@example.com"' in {one.path for one in shown(clinic, "c-map")}
    recorded = json.dumps(clinic.events(), default=str) + str(
        clinic.warehouse.dataset("finding").to_table().to_pylist()
    )
    assert "jane@example.com" not in recorded

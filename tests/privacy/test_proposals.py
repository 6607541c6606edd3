"""What is proposed for the masking policy, and what becomes of it."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
import yaml

from dynatrail.errors import SettingsError
from dynatrail.privacy import policy, proposals
from dynatrail.settings import settings
from dynatrail.warehouse.schema import SENSITIVE_ATTRIBUTE
from dynatrail.warehouse.store import Warehouse

AT = datetime(2026, 11, 2, 8, 15, tzinfo=UTC)
HOUR = AT.replace(minute=0)
ROW = {
    "captured_at": AT,
    "event_hour": HOUR,
    "event_date": AT.date(),
    "account_id": "123456789012",
    "region": "us-east-1",
    "table_name": "Patients",
    "table_arn": "arn:aws:dynamodb:us-east-1:123456789012:table/Patients",
    "path": "contact.phone",
    "detected_class": "phone",
    "in_names": False,
    "confidence": 0.99,
    "sampled": 40,
    "matched": 40,
    "distinct_values": 30,
    "images": 40,
    "sampled_from": ["stream"],
    "status": "new",
    "action": "keep",
    "protection": "clear",
}


class Home:
    """A home with a masking policy and what a look has found."""

    def __init__(self, folder):
        self.masking = folder / "masking"
        self.masking.mkdir()

    def policy(self, name, text):
        (self.masking / name).write_text("version: 1\n" + text)

    def found(self, *rows):
        table = pa.Table.from_pylist([ROW | row for row in rows], SENSITIVE_ATTRIBUTE.schema)
        where = {"account_id": "123456789012", "region": "us-east-1"}
        Warehouse.from_settings(settings()).replace("sensitive_attribute", table, hours=[HOUR], where=where)

    def files(self):
        return sorted(path.name for path in self.masking.iterdir())

    def approve(self):
        return proposals.apply(settings(), {one.table_name: one.text for one in proposals.propose(settings())}, "ines")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DYNATRAIL_MASKING", str(tmp_path / "masking"))
    return Home(tmp_path)


KEEPS = "tables: [{match: '*', attributes: [{path: contact, do: {action: keep}}, {path: city, do: {action: keep}}]}]\n"


def rules(text):
    (table,) = yaml.safe_load(text)["tables"]
    return {rule["path"]: rule["do"] for rule in table["attributes"]}


def test_nothing_is_proposed_where_the_policy_hides_it(home):
    home.found({})
    assert proposals.propose(settings()) == []


def test_the_whole_entry_is_proposed_with_the_path_added(home):
    home.policy("tables.yaml", KEEPS)
    home.found({})
    (one,) = proposals.propose(settings())
    assert rules(one.text) == {
        "contact.phone": {"action": "token"},
        "contact": {"action": "keep"},
        "city": {"action": "keep"},
    }
    assert one.why == ("contact.phone: phone (new, confidence 0.99, 40 of 40 values, us-east-1); keep so far.",)


def test_approved_it_is_a_file_of_its_own_that_does_what_it_says_and_nothing_more_is_proposed(home):
    home.policy("tables.yaml", KEEPS)
    home.found({})
    assert home.approve() == {"written": ["proposed-Patients.yaml"], "by_hand": []}
    masks = policy.load(settings()).of("Patients")
    assert (masks.at(("contact", "phone")).action, masks.at(("city",)).action) == ("token", "keep")
    assert proposals.propose(settings()) == []


def test_a_later_proposal_takes_the_place_of_an_approved_one(home):
    home.policy("tables.yaml", KEEPS)
    home.found({})
    home.approve()
    home.found({}, {"path": "city", "detected_class": "postal_address"})
    assert home.approve()["written"] == ["proposed-Patients.yaml"]
    assert home.files() == ["proposed-Patients.yaml", "tables.yaml"]
    masks = policy.load(settings()).of("Patients")
    assert (masks.at(("contact", "phone")).action, masks.at(("city",)).action) == ("token", "redact")


def test_a_file_that_a_person_changed_is_left_alone(home):
    home.policy("tables.yaml", KEEPS)
    home.found({})
    home.approve()
    own = home.masking / "proposed-Patients.yaml"
    own.write_text(changed := own.read_text() + "# mine\n")
    home.found({}, {"path": "city", "detected_class": "postal_address"})
    done = home.approve()
    assert done["written"] == []
    assert "was changed by a person" in done["by_hand"][0]
    assert own.read_text() == changed


@pytest.mark.parametrize(
    ("name", "match", "told"),
    [
        ("clinic.yaml", "Pat*", "Put this entry into clinic.yaml by hand, before the entry 'Pat*'."),
        ("zebra.yaml", "Patients", "Put this entry into zebra.yaml by hand, in the place of the entry 'Patients'."),
    ],
    ids=["earlier", "same"],
)
def test_where_a_file_of_its_own_would_not_count_a_person_is_told_where_it_belongs(name, match, told, home):
    home.policy(name, KEEPS.replace("'*'", match))
    home.found({})
    (one,) = proposals.propose(settings())
    assert one.by_hand == told
    assert home.approve() == {"written": [], "by_hand": [f"Patients: {told}"]}
    assert home.files() == [name]


def test_where_the_folder_cannot_be_written_to_the_text_is_to_be_committed(home, monkeypatch):
    home.policy("tables.yaml", KEEPS)
    home.found({})
    monkeypatch.setattr("os.access", lambda *_: False)
    (told,) = home.approve()["by_hand"]
    assert "Commit the text of the proposal as proposed-Patients.yaml." in told
    assert home.files() == ["tables.yaml"]


def test_what_has_changed_since_it_was_approved_is_not_written(home):
    home.policy("tables.yaml", KEEPS)
    home.found({})
    texts = {one.table_name: one.text for one in proposals.propose(settings())}
    home.policy("tables.yaml", KEEPS.replace("city", "town"))
    with pytest.raises(SettingsError, match="has changed since this was proposed"):
        proposals.apply(settings(), texts, "ines")
    assert home.files() == ["tables.yaml"]


def test_names_that_are_values_are_proposed_to_be_dropped_also_by_default(home):
    home.found({"path": "by_email", "detected_class": "email", "in_names": True})
    home.approve()
    assert policy.load(settings()).of("Patients").at(("by_email", "a@example.com")).action == "drop"
    assert proposals.propose(settings()) == []


def test_a_person_who_names_another_class_has_said_that_it_is_none(home):
    rule = "{path: contact.phone, class: order_number, do: {action: keep}}"
    home.policy("tables.yaml", f"tables: [{{match: '*', attributes: [{rule}]}}]\n")
    home.found({})
    assert proposals.propose(settings()) == []


def test_of_two_classes_at_a_path_the_action_that_hides_both_is_proposed(home):
    home.policy("tables.yaml", "tables: [{match: '*', attributes: [{path: note, do: {action: keep}}]}]\n")
    home.found(
        {"path": "note", "detected_class": "iban"}, {"path": "note", "detected_class": "diagnosis", "confidence": 0.6}
    )
    (one,) = proposals.propose(settings())
    assert rules(one.text) == {"note": {"action": "redact"}}


HOSTILE = ['a"b: {x', "# y", "``` end", "{{ ti }}", "<script>", "- z", "&anchor", "*.b", "é[]"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_names_in_the_text_and_in_what_the_person_reads(name, home):
    path = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    home.policy("tables.yaml", "tables: [{match: '*', attributes: [{path: '*', do: {action: keep}}]}]\n")
    home.found({"path": path})
    (one,) = proposals.propose(settings())
    assert path in rules(one.text)
    told = proposals.body([one], home.masking)
    fence = told.split("yaml\n", 1)[0].rsplit("\n", 1)[1]
    assert told.count(fence) == 2
    assert home.approve()["written"] == ["proposed-Patients.yaml"]


def test_gone_ones_are_not_proposed(home):
    home.policy("tables.yaml", KEEPS)
    home.found({"status": "gone", "confidence": None, "matched": 0})
    assert proposals.propose(settings()) == []

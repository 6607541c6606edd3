import json
from datetime import UTC, datetime

import pytest
from msgspec import Raw

from dynatrail.errors import PrivacyError, SettingsError
from dynatrail.privacy import policy, subjects
from dynatrail.privacy.actions import Mask
from dynatrail.privacy.policy import Subject, TableMasks
from dynatrail.privacy.subjects import SubjectKeys
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.settings import Settings
from dynatrail.sources.changes.values import Values

KEY = bytes(range(32))
ANNA, BORIS = "t1:" + "a" * 32, "t1:" + "b" * 32
AT = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture
def keys(url):
    return SubjectKeys(KEY, url)


def erase(keys, subject=ANNA, reason="GDPR 17"):
    return keys.erase(subject, reason=reason, erased_by="dana", approved_by="dpo@example.com", at=AT)


def test_value_comes_back_and_is_the_same_each_time(keys, url):
    stored = keys.encrypt(ANNA, ("diagnosis",), "S", "Ångström \ud800")
    assert stored == SubjectKeys(KEY, url).encrypt(ANNA, ("diagnosis",), "S", "Ångström \ud800")
    assert keys.decrypt(stored, ("diagnosis",), "S") == "Ångström \ud800"
    assert subjects.subject_of(stored) == ANNA
    assert "Ang" not in stored


def test_equal_values_of_two_people_or_two_attributes_look_different(keys):
    stored = {
        keys.encrypt(who, path, kind, "7")
        for who in (ANNA, BORIS)
        for path, kind in ((("a",), "S"), (("b",), "S"), (("a",), "N"))
    }
    assert len(stored) == 6


@pytest.mark.parametrize("path", [("other",), ("diagnosis", 0)])
def test_value_that_was_moved_elsewhere_is_not_read(keys, path):
    stored = keys.encrypt(ANNA, ("diagnosis",), "S", "flu")
    with pytest.raises(PrivacyError, match="does not fit its attribute"):
        keys.decrypt(stored, path, "S")


def test_value_said_to_be_of_another_subject_is_not_read(keys):
    keys.encrypt(BORIS, ("diagnosis",), "S", "x")
    stored = keys.encrypt(ANNA, ("diagnosis",), "S", "flu").replace("a" * 32, "b" * 32)
    with pytest.raises(PrivacyError, match="does not fit its attribute"):
        keys.decrypt(stored, ("diagnosis",), "S")


@pytest.mark.parametrize("stored", ["t1:" + "a" * 32, "***", "e1:zz", "", "e1:" + "a" * 32 + ":"])
def test_what_is_not_encrypted_is_said_so(keys, stored):
    with pytest.raises(PrivacyError, match="no encrypted value"):
        keys.decrypt(stored, ("diagnosis",), "S")


def test_erased_subject_cannot_be_read_by_anybody_nor_written_again(keys, url):
    stored = keys.encrypt(ANNA, ("diagnosis",), "S", "flu")
    others = keys.encrypt(BORIS, ("diagnosis",), "S", "flu")
    erase(keys)
    for one in (keys, SubjectKeys(KEY, url)):
        with pytest.raises(PrivacyError, match="was erased"):
            one.decrypt(stored, ("diagnosis",), "S")
        assert one.encrypt(ANNA, ("diagnosis",), "S", "flu") == "***"
        assert one.decrypt(others, ("diagnosis",), "S") == "flu"


def test_erasure_is_remembered_as_it_was_first(keys):
    keys.encrypt(ANNA, ("a",), "S", "x")
    first = erase(keys)
    assert erase(keys, reason="again") == first
    assert keys.erased() == [first]
    assert keys.erased([BORIS]) == []
    assert first == (ANNA, AT, "dana", "dpo@example.com", "GDPR 17")


def test_subject_that_was_never_seen_stays_erased(keys):
    erase(keys)
    assert keys.encrypt(ANNA, ("a",), "S", "x") == "***"


def test_two_processes_make_one_key(url):
    first, second = SubjectKeys(KEY, url), SubjectKeys(KEY, url)
    assert first.encrypt(ANNA, ("a",), "S", "x") == second.encrypt(ANNA, ("a",), "S", "x")


def test_another_wrapping_key_is_refused_and_nothing_is_made(keys, url):
    keys.encrypt(ANNA, ("a",), "S", "x")
    with pytest.raises(PrivacyError, match="cannot be unwrapped"):
        SubjectKeys(bytes(32), url).encrypt(ANNA, ("a",), "S", "x")


def test_wrapping_key_of_another_length_is_refused(url):
    with pytest.raises(PrivacyError, match="has 16 bytes; it needs 32"):
        SubjectKeys(bytes(16), url)


def test_wrapping_key_is_a_file_that_nobody_else_can_read(tmp_path):
    subjects.load(Settings(home=tmp_path))
    assert (tmp_path / "wrapping.key").stat().st_mode & 0o777 == 0o600


MASKS = TableMasks(
    ((("diagnosis",), Mask("encrypt")), (("visits", 0), Mask("encrypt")), (("scan",), Mask("encrypt"))),
    subject=Subject(attribute="patient", name="patient_id"),
)


def masked(values, **attributes):
    return json.loads(values.mask({name: Raw(json.dumps(value).encode()) for name, value in attributes.items()}))


def test_image_is_encrypted_for_whom_it_is_about(keys):
    tokens = Tokenizer(KEY)
    values = Values(tokens, MASKS, keys)
    anna, boris = (
        masked(values, patient={"S": who}, diagnosis={"S": "flu"}, visits={"L": [{"N": "1.0"}]}, name={"S": who})
        for who in ("anna", "boris")
    )
    assert anna["name"] == {"S": "***"}
    assert anna["diagnosis"] != boris["diagnosis"]
    assert subjects.subject_of(anna["diagnosis"]["S"]) == tokens.item([("patient_id", "anna")])
    assert keys.decrypt(anna["diagnosis"]["S"], ("diagnosis",), "S") == "flu"
    assert keys.decrypt(anna["visits"]["L"][0]["N"], ("visits", 0), "N") == "1"


@pytest.mark.parametrize("patient", [None, {"L": []}, {"X": "y"}])
def test_image_that_does_not_say_whom_it_is_about_is_redacted(keys, patient):
    said = {} if patient is None else {"patient": patient}
    assert masked(Values(Tokenizer(KEY), MASKS, keys), diagnosis={"S": "flu"}, **said)["diagnosis"] == {"S": "***"}


def test_value_of_a_type_that_is_not_known_is_redacted(keys):
    shown = masked(Values(Tokenizer(KEY), MASKS, keys), patient={"S": "anna"}, scan={"X": "secret"})
    assert shown["scan"] == {"X": "***"}


def test_without_keys_nothing_is_kept():
    shown = masked(Values(Tokenizer(KEY), MASKS), patient={"S": "anna"}, diagnosis={"S": "flu"})
    assert shown["diagnosis"] == {"S": "***"}


def test_policy_that_encrypts_must_say_whose_the_value_is(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "version: 1\ntables: [{match: T, attributes: [{path: diagnosis, do: {action: encrypt}}]}]\n"
    )
    with pytest.raises(SettingsError, match="nothing says whose it is"):
        policy.load(Settings(home=tmp_path, masking=str(tmp_path)))

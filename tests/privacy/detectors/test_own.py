# ruff: noqa: E501  rows of a table
import pyarrow as pa
import pytest

from dynatrail.errors import SettingsError
from dynatrail.privacy import discovery
from dynatrail.privacy.detectors import own


@pytest.fixture
def folder(tmp_path):
    def made(text, name="a.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return made


def refused(folder):
    with pytest.raises(SettingsError) as raised:
        own.load(folder)
    return str(raised.value)


def test_the_shipped_files_load():
    assert "payment_card" in own.load().classes


def test_a_class_of_ones_own_is_found_by_its_pattern(folder):
    text = 'version: 1\nclasses: [{class: patient_number, pattern: "P-[0-9]{6}", distinctive: true}]\n'
    found = discovery.inspect({"k": pa.array(["P-000001", "P-000002", "x"])}, own.load(folder(text)))
    assert [(one.detected_class, one.matched) for one in found] == [("patient_number", 2)]


def test_a_class_that_is_not_distinctive_wants_the_attributes_name(folder):
    text = 'version: 1\nclasses: [{class: ward, pattern: "[A-Z][0-9]{2}", names: [ward]}]\n'
    values = {"ward": pa.array(["B12"]), "shelf": pa.array(["B12"])}
    assert [one.path for one in discovery.inspect(values, own.load(folder(text)))] == ["ward"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('version: 1\nclasses:\n  - {class: x1, pattern: "(?=a)b"}\n', "line 3, classes[0].pattern: is no RE2 pattern, invalid perl operator: (?=. Look-around"),
        ('version: 1\nclasses:\n  - {class: x1, pattern: ".*"}\n', "must not fit an empty or a one-character text"),
        ("version: 1\nclasses:\n  - {class: email, pattern: abc}\n", "is built in already"),
        ("version: 1\nnames:\n  emial: [mail]\n", "line 3, names.emial: is no class or family"),
        ("version: 1\nharmless: ['--']\n", "line 2, harmless[0]: has no letter or digit"),
        ("version: 1\nname: {}\n", "line 2, name is no field; did you mean names?"),
        ("version: 2\n", "line 1, version"),
    ],
    ids=["look-around", "anything", "built-in", "unknown", "no-word", "no-field", "version"],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_place_and_fix(folder, text, told):
    message = refused(folder(text))
    assert "a.yaml" in message
    assert told in message


def test_one_pattern_twice_is_refused(folder):
    text = "version: 1\nclasses: [{class: ward, pattern: abc}]\n"
    folder(text)
    assert "ward has this pattern in a.yaml already" in refused(folder(text, "b.yaml"))


def test_no_folder_is_refused(tmp_path):
    assert "is no folder" in refused(tmp_path / "nowhere")


def test_a_hostile_pattern_cannot_stall(folder):
    text = 'version: 1\nclasses: [{class: slow, pattern: "(a+)+b", distinctive: true}]\n'
    assert discovery.inspect({"k": pa.array(["a" * 20_000])}, own.load(folder(text))) == []

import pytest

from dynatrail.errors import SettingsError
from dynatrail.privacy import policy
from dynatrail.privacy.actions import KEEP, REDACT, TOKEN, Mask
from dynatrail.settings import Settings


@pytest.fixture
def load(tmp_path):
    def of(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text("version: 1\n" + text)
        return policy.load(Settings(home=tmp_path, masking=str(tmp_path)))

    return of


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("status", ("status",)),
        ("contact.email", ("contact", "email")),
        ("phones[]", ("phones", 0)),
        ("phones[].number", ("phones", 0, "number")),
        ("grid[][]", ("grid", 0, 0)),
        ("scores.*", ("scores", "*")),
        ('"first.name".x', ("first.name", "x")),
        (r'a."say \"hi\""', ("a", 'say "hi"')),
        ("Größe.in cm", ("Größe", "in cm")),
    ],
)
def test_path_is_taken_apart(path, steps):
    assert policy.steps(path) == steps


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "is no path"),
        (".a", "is no path"),
        ("a..b", "is no path"),
        ("a.", "is no path"),
        ("a[0].b", "single members have no name"),
        ("a[]b", "is no path"),
        ('"a', "is no path"),
        ("[].a", "an item is a map"),
        (".".join("a" * 34), "deeper than DynamoDB's 32 levels"),
    ],
)
def test_path_that_cannot_exist_is_refused(path, why):
    with pytest.raises(ValueError, match=why):
        policy.steps(path)


def test_longest_path_counts_and_of_equally_long_ones_the_first(load):
    masks = load(
        a="tables:\n- match: Patients\n  otherwise: redact\n  attributes:\n"
        "  - {path: contact, do: {action: token}}\n"
        "  - {path: contact.*, do: {action: redact}}\n"
        "  - {path: contact.city, do: {action: keep}}\n"
        "  - {path: 'visits[].doctor', do: {action: keep}}\n"
    ).of("Patients")
    assert masks.at(("contact",)) == TOKEN
    assert masks.at(("contact", "city")) == REDACT
    assert masks.at(("contact", "phones", 0)) == REDACT
    assert masks.at(("visits", 0, "doctor")) == KEEP
    assert masks.at(("visits", 0, "reason")) == REDACT
    assert masks.at(("anything",)) == REDACT


def test_wildcard_is_a_name_and_no_member_of_a_list(load):
    masks = load(a="tables: [{match: T, attributes: [{path: 'a.*', do: {action: keep}}]}]").of("T")
    assert (masks.at(("a", "b")), masks.at(("a", 0))) == (KEEP, REDACT)


def test_first_entry_that_fits_rules_a_table_alone(load):
    found = load(
        a="tables: [{match: Inv*, otherwise: token, attributes: [{path: total, do: {action: keep}}]}]",
        b="tables: [{match: '*', otherwise: redact}]",
    )
    assert found.of("Invoices").at(("total",)) == KEEP
    assert found.of("Invoices").at(("other",)) == TOKEN
    assert found.of("Patients").at(("total",)) == REDACT


def test_of_a_table_without_an_entry_nothing_is_kept(load):
    assert load().of("Patients").at(("name",)) == REDACT


@pytest.mark.parametrize(
    ("entry", "hides"),
    [
        ("{match: T}", True),
        ("{match: T, otherwise: token}", False),
        ("{match: T, otherwise: token, attributes: [{path: a, do: {action: keep}}]}", False),
        ("{match: T, otherwise: token, attributes: [{path: a, do: {action: partial, keep_last: 4}}]}", True),
    ],
)
def test_policy_knows_whether_it_hides_what_differs(load, entry, hides):
    assert load(a=f"tables: [{entry}]").of("T").hides is hides


def test_class_says_what_is_done_in_all_files(load):
    found = load(
        a="classes: {payment_card: {action: partial, keep_last: 4}}",
        b="tables: [{match: Invoices, attributes: [{path: card, class: payment_card}]}]",
    )
    assert found.of("Invoices").at(("card",)) == Mask("partial", keep_last=4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tables: [{match: T, attributes: [{path: a, do: {action: hide}}]}]", r"line 2, tables\[0\].*action"),
        (
            "tables: [{match: T, attributes: [{path: 'a[1]', do: {action: keep}}]}]",
            r"line 2.*write \[\] for any member",
        ),
        ("tables: [{match: T, attributes: [{path: a, do: {action: partial}}]}]", "partial keeps nothing"),
        ("tables: [{match: T, attributes: [{path: a, do: {action: generalise}}]}]", "generalise needs to"),
        (
            "tables: [{match: T, attributes: [{path: a, do: {action: generalise, to: bucket}}]}]",
            "a bucket needs its size",
        ),
        (
            "tables: [{match: T, attributes: [{path: a, do: {action: keep, keep_last: 4}}]}]",
            "keep_last goes with partial",
        ),
        ("tables: [{match: T, attributes: [{path: a}]}]", "says nothing"),
        ("tables: [{match: T, attributes: [{path: a, class: iban}]}]", "is of class iban, and no file says"),
        (
            "tables: [{match: T, attributes: [{path: a, do: {action: keep}}, {path: a, do: {action: drop}}]}]",
            "a stands in attributes twice",
        ),
        ("tables: [{match: '*'}, {match: T}]", "the entry 'T' is never reached"),
        ("tabels: []", "did you mean tables"),
    ],
)
def test_wrong_policy_is_refused_with_file_and_fix(load, text, said):
    with pytest.raises(SettingsError, match=said) as refused:
        load(wrong=text)
    assert "wrong.yaml" in str(refused.value)


def test_class_with_two_actions_is_refused(load):
    with pytest.raises(SettingsError, match=r"b\.yaml: the class iban is in another file already"):
        load(a="classes: {iban: {action: redact}}", b="classes: {iban: {action: keep}}")


def test_folder_that_is_not_there_is_no_policy(tmp_path):
    with pytest.raises(SettingsError, match="unset DYNATRAIL_MASKING"):
        policy.load(Settings(home=tmp_path, masking=str(tmp_path / "none")))

import getpass

import pytest

from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.settings import settings


def test_token_is_that_of_the_items_key(cli, home):
    code, out, _ = cli("token", "patient_id=P-1", "visit=1042.0", "--number", "visit")
    assert code == 0
    assert out == Tokenizer(load_key(settings())).item([("patient_id", "P-1"), ("visit", "1042")]) + "\n"


@pytest.mark.parametrize("value", ["x", "NaN", "1E999"])
def test_what_is_no_number_is_refused_and_not_repeated(value, cli, home):
    code, out, err = cli("token", "--number", "patient_id", f"patient_id={value}")
    said = " ".join(err.split())
    assert (code, out) == (1, "")
    assert "patient_id=1042, or leave out --number patient_id where the attribute is text" in said
    assert f"={value}" not in said


def test_empty_value_is_refused(cli, home):
    code, out, err = cli("token", "patient_id=")
    assert (code, out) == (1, "")
    assert "Write patient_id=VALUE, or patient_id=- to be asked for it." in " ".join(err.split())


def test_nothing_entered_when_asked_is_refused(cli, home, monkeypatch):
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "")
    code, out, err = cli("token", "patient_id=-")
    assert (code, out) == (1, "")
    assert "The value of patient_id is empty" in " ".join(err.split())

import base64
import hashlib
import hmac
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail.errors import SettingsError
from dynatrail.privacy.tokens import Tokenizer, canonical_number, load_key
from dynatrail.settings import Settings

texts = st.text(st.characters(codec="utf-8"))


def independent(key, message):
    return "t1:" + hmac.new(key, message, hashlib.sha256).hexdigest()[:32]


@given(key=st.binary(min_size=32, max_size=100), text=texts)
def test_token_of_a_value_is_an_hmac_of_its_text(key, text):
    assert Tokenizer(key).value(text) == independent(key, b"value\0" + text.encode())


@given(pairs=st.dictionaries(texts, texts, min_size=1, max_size=2))
def test_token_of_an_item_is_an_hmac_of_its_sorted_pairs(pairs):
    key = bytes(32)
    canonical = json.dumps(sorted(map(list, pairs.items())), separators=(",", ":"), ensure_ascii=False)
    ours = Tokenizer(key).item(reversed(pairs.items()))
    # JSON leaves open how control characters are escaped; msgspec and json agree on all others.
    if not any(ord(char) < 32 or ord(char) == 127 for pair in pairs.items() for text in pair for char in text):
        assert ours == independent(key, b"item\0" + canonical.encode())
    assert ours == Tokenizer(key).item(pairs.items())


def test_value_and_item_of_the_same_text_differ(tokens):
    assert tokens.value('[["id","7"]]') != tokens.item([("id", "7")])


def test_a_memo_that_is_full_changes_no_token(tokens, key, monkeypatch):
    monkeypatch.setattr("dynatrail.privacy.tokens._MEMO_LIMIT", 2)
    for number in range(5):
        assert tokens.value(f"v{number}") == independent(key, f"value\0v{number}".encode())
        assert tokens.item([("id", str(number))]) == independent(key, f'item\0[["id","{number}"]]'.encode())


@pytest.mark.parametrize("text", ["7", "7.0", "+7", "0.7e1", "70E-1", "007", "7.", "700e-2"])
def test_every_notation_of_a_number_is_the_one_that_dynamodb_stores(text):
    assert canonical_number(text) == "7"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("-0.0", "0"),
        ("0e99999999999", "0"),
        ("120", "120"),
        ("-1.50", "-1.5"),
        ("1E+10", "10000000000"),
        ("1e-3", "0.001"),
        ("9.9999999999999999999999999999999999999E+125", "99999999999999999999999999999999999999" + "0" * 88),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
    ],
)
def test_numbers_are_written_out_exactly(text, canonical):
    assert canonical_number(text) == canonical


@pytest.mark.parametrize("text", ["abc", "", "NaN", "Infinity", "1E999999999", "1e-9999999", "1.2.3"])
def test_text_that_is_no_number_of_dynamodb_stays_as_it_is(text):
    assert canonical_number(text) == text


@given(number=st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**30), max_value=10**30))
def test_canonical_number_is_one_notation_of_one_value(number):
    plain = canonical_number(str(number))
    assert canonical_number(plain) == plain
    assert canonical_number(f"{number:E}") == plain
    assert "E" not in plain
    assert not (plain.endswith("0") and "." in plain)


def test_short_key_is_refused_with_how_to_make_one():
    with pytest.raises(SettingsError, match=r"16 bytes; it needs 32.*base64"):
        Tokenizer(bytes(16))


def test_key_file_is_made_once_for_its_owner_only(tmp_path):
    settings = Settings(home=tmp_path / "new")
    first = load_key(settings)
    assert (len(first), load_key(settings)) == (32, first)
    assert [(path.name, path.stat().st_mode & 0o777) for path in (tmp_path / "new").iterdir()] == [("token.key", 0o600)]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_key_file_that_others_can_read_is_refused(tmp_path, mode):
    settings = Settings(home=tmp_path)
    load_key(settings)
    (tmp_path / "token.key").chmod(mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_key(settings)


def test_key_file_that_is_not_base64_is_refused_without_showing_it(tmp_path):
    (tmp_path / "token.key").write_text("my secret")
    (tmp_path / "token.key").chmod(0o600)
    with pytest.raises(SettingsError, match="not base64") as error:
        load_key(Settings(home=tmp_path))
    assert "my secret" not in str(error.value)


def test_key_comes_from_the_variable_that_the_settings_name(monkeypatch):
    key = bytes(range(32))
    monkeypatch.setenv("AIRFLOW_VAR_MASKING_KEY", base64.b64encode(key).decode())
    assert load_key(Settings(token_key="masking_key")) == key


@pytest.mark.slow
def test_eight_processes_that_start_at_once_agree_on_one_key(tmp_path):
    program = (
        "import sys, time\n"
        "from dynatrail.privacy.tokens import load_key\n"
        "from dynatrail.settings import Settings\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"print(load_key(Settings(home={str(tmp_path / 'home')!r})).hex())"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([sys.executable, "-c", program], **pipes) for _ in range(8)]
    for one in running:
        assert one.stdout.readline() == "ready\n"
    for one in running:
        one.stdin.write("\n")
        one.stdin.flush()
    keys = {one.communicate(timeout=60)[0] for one in running}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["token.key"]

import re

import pytest
import yaml

from dynatrail import config
from dynatrail.errors import SettingsError
from dynatrail.settings import PROJECT, Settings

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ACCOUNT = 'accounts: [{id: "123456789012", regions: [us-east-1]}]\n'


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a file of this text, with these settings."""
    for name in ("TRAIL_BUCKET", "TRAIL_PREFIX", "ACCOUNTS", "REGIONS"):
        monkeypatch.delenv(f"DYNATRAIL_{name}", raising=False)

    def run(text, **settings):
        path = tmp_path / "dynatrail.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return config.load(Settings(config=str(path), **settings))

    return run


@pytest.fixture
def refusal(load):
    """What is said of a file."""

    def run(text, **settings):
        with pytest.raises(SettingsError) as error:
            load(text, **settings)
        return str(error.value)

    return run


def test_example_is_valid():
    found = config.load(Settings(config=str(PROJECT / "config" / "example.yaml")))
    assert [(target.account_id, target.region) for target in config.targets(found)] == [
        ("123456789012", "us-east-1"),
        ("123456789012", "eu-west-1"),
        ("210987654321", "us-east-1"),
    ]


def test_example_shows_every_field():
    said = yaml.safe_load((PROJECT / "config" / "example.yaml").read_text())
    assert set(said) == set(config.Config.model_fields)
    for part, model in (("trails", config.Trail), ("accounts", config.Account), ("tables", config.TableNote)):
        assert set().union(*said[part]) == set(model.model_fields)
    assert set(said["exports"]) == set(config.Exports.model_fields)
    filters = [one for account in said["accounts"] for one in account.get("log_filters", ())]
    assert set().union(*filters) == set(config.LogFilter.model_fields)


def test_empty_file_is_a_configuration_of_nothing(load):
    assert load("# nothing yet\n") == config.Config()


def test_first_note_that_matches_counts(load):
    found = load("tables: [{match: Pat*, sensitivity: restricted}, {match: '*', sensitivity: public}]")
    assert [found.note(name).sensitivity for name in ("Patients", "Sessions")] == ["restricted", "public"]
    assert load("").note("Sessions").sensitivity == "confidential"


def test_break_glass_takes_patterns_of_roles_and_users(load):
    found = load("break_glass: ['arn:aws:iam::*:role/BreakGlass*', 'arn:aws:iam::123456789012:user/emergency']")
    assert found.break_glass == ("arn:aws:iam::*:role/BreakGlass*", "arn:aws:iam::123456789012:user/emergency")


def test_break_glass_refuses_a_name_without_its_arn(refusal):
    assert "must be the ARN of roles or users" in refusal("break_glass: [BreakGlassAdmin]")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "accounts:\n- regions: [us-east-1]\n  id: 123456789012",
            'line 3, accounts[0].id must be text, and YAML reads 123456789012 as a number: put it in quotes, "1234567',
            id="account id without quotes",
        ),
        pytest.param(
            "accounts: [{id: 012345670123, regions: [us-east-1]}]",
            'reads 012345670123 as a number: put it in quotes, "012345670123"',
            id="account id that YAML takes for octal",
        ),
        pytest.param(
            "accounts: [{id: '12345', regions: [us-east-1]}]",
            'accounts[0].id must be twelve digits, in quotes: "123456789012" (it is 12345)',
            id="account id too short",
        ),
        pytest.param(
            "accounts: [{id: '123456789012', regions: []}]",
            "accounts[0].regions is empty: name at least one",
            id="no region",
        ),
        pytest.param(
            "accounts: [{id: '123456789012'}]", "line 1, accounts[0].regions is missing", id="regions left out"
        ),
        pytest.param(
            "accounts: [{id: '123456789012', regions: us-east-1}]",
            "accounts[0].regions must be a list: [us-east-1]",
            id="region that is no list",
        ),
        pytest.param(
            "accounts: [{id: '123456789012', regions: [us-east1]}]",
            "accounts[0].regions[0] must be a region's code, such as us-east-1 (it is us-east1)",
            id="region misspelt",
        ),
        pytest.param(
            "accounts: [{id: '123456789012', regions: [us-east-1, us-east-1]}]",
            "accounts[0]: us-east-1 is in regions twice: leave one out",
            id="region twice",
        ),
        pytest.param(
            ACCOUNT.replace("]}]", "]}, {id: '123456789012', regions: [eu-west-1]}]"),
            "123456789012 is in accounts twice",
            id="account twice",
        ),
        pytest.param(
            "trails: [{bucket: one, prefix: a}, {bucket: s3://one/, prefix: /a/}]",
            "one/a is in trails twice",
            id="trail twice",
        ),
        pytest.param(
            "trails: [{bucket: s3://one/logs}]",
            "trails[0].bucket must be a bucket's name alone; what comes after it goes into prefix (it is s3://one/logs)",
            id="prefix in the bucket",
        ),
        pytest.param(
            "trails: [{bucket: one, prefix: logs/AWSLogs/}]", "prefix must end before AWSLogs/", id="prefix too long"
        ),
        pytest.param(
            "accounts: [{id: '123456789012', regions: [us-east-1], role_arn: 'arn:aws:iam::210987654321:role/R'}]",
            "role_arn is of account 210987654321, but id is 123456789012: name a role of 123456789012",
            id="role of another account",
        ),
        pytest.param(
            "accounts: [{id: '123456789012', regions: [us-east-1], role_arn: 'arn:aws:iam::123456789012:user/R'}]",
            "role_arn must be a role's ARN: arn:aws:iam::123456789012:role/NAME (it is arn:aws:iam::123456789012:user/",
            id="ARN of a user",
        ),
        pytest.param(
            "accounts: [{id: '123456789012', regions: [us-east-1], external_id: x}]",
            "there is no role_arn",
            id="external id without a role",
        ),
        pytest.param("acounts: []", "line 1, acounts is no field; did you mean accounts?", id="unknown key"),
        pytest.param(
            "accounts:\n- id: '123456789012'\n  regions: [us-east-1]\n  role: x",
            "line 4, accounts[0].role is no field; did you mean role_arn?",
            id="unknown key of an account",
        ),
        pytest.param("exports: {bukket: x}", "did you mean bucket?", id="unknown key of a part"),
        pytest.param("exports: {zzz: x}", "is no field; there are bucket, prefix", id="unknown key like no other"),
        pytest.param("version: 2", "version: input should be 1 (it is 2)", id="form of the future"),
        pytest.param(
            "tables: [{match: 'Orders[1]'}]",
            "tables[0].match must be a table's name; * and ? stand for any text and any character (it is Orders[1])",
            id="pattern",
        ),
        pytest.param(
            "tables: [{match: '*'}, {match: Patients}]",
            "the note 'Patients' in tables is never reached, since '*' before it matches the same names",
            id="note that is never reached",
        ),
        pytest.param("stream_alarm_hours: 30", "stream_alarm_hours: input should be less than 24", id="bound"),
        pytest.param("accounts: {id: x}", "accounts must be a list", id="mapping for a list"),
        pytest.param("accounts: [x]", "accounts[0] must be a mapping of fields to values", id="text for a mapping"),
        pytest.param("[]", "must be a mapping such as", id="list as the file"),
        pytest.param("trails:\n- bucket: no\n", 'YAML reads no as the boolean false: put it in quotes, "no"', id="no"),
        pytest.param("trails:\n- bucket:\n", "trails[0].bucket has no value", id="no value"),
        pytest.param(
            ACCOUNT.replace("]}]", "], tags: {1: a}}]"), 'YAML reads 1 as a number: put it in quotes, "1"', id="key"
        ),
        pytest.param(
            f"{ACCOUNT}trails: []\n{ACCOUNT}",
            "line 3: 'accounts' stands here a second time, after line 1",
            id="key twice",
        ),
        pytest.param("trails: [\n", "line 2, column 1: this is no YAML", id="bracket left open"),
        pytest.param("a: b: c", "line 1, column 5: this is no YAML, mapping values are not allowed here", id="colon"),
        pytest.param("\ta: b", "line 1, column 1: this is no YAML", id="tab"),
        pytest.param("a: *b", "line 1, column 4: this is no YAML, found undefined alias", id="alias"),
        pytest.param("a: !b c", "line 1, column 4: this is no YAML", id="tag"),
        pytest.param(b"a: \xff", "is not UTF-8 text (byte 3)", id="bytes"),
        pytest.param("a: \x00", "cannot be read as YAML", id="control character"),
        pytest.param("&a [*a]", "must be a mapping", id="list in itself"),
    ],
)
def test_wrong_file_is_refused_with_place_and_fix(text, told, refusal):
    assert told in refusal(text)


def test_every_fault_is_told_on_a_line_of_its_own(refusal):
    told = refusal("acounts: []\ntrails: [{bucket: a, prefixx: b}]\nversion: 2")
    assert "dynatrail.yaml has 3 faults:\n  line " in told
    assert [line.split(",")[0] for line in told.splitlines()[1:-1]] == ["  line 3", "  line 2", "  line 1"]
    assert told.endswith("docs/reference/configuration.md says what each field takes.")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"secret_access_key: {SECRET}", id="key of its own"),
        pytest.param(f"zzz: {SECRET}", id="unknown key"),
        pytest.param(f"trails: [{{bucket: 'x {SECRET}'}}]", id="bucket"),
        pytest.param(f"accounts: [{{id: '{SECRET}', regions: [us-east-1]}}]", id="account"),
        pytest.param(f"accounts: [{{id: AKIAIOSFODNN7EXAMPLE, regions: [{SECRET}]}}]", id="region"),
        pytest.param(f"accounts: {SECRET}", id="list"),
        pytest.param(f"version: {SECRET}", id="version"),
        pytest.param(f"a: *{SECRET.replace('/', '')}", id="alias"),
        pytest.param(f"a: !{SECRET} b", id="tag"),
        pytest.param(f"a: {SECRET}: b", id="line that is no YAML"),
        pytest.param(f"- {SECRET}", id="list as the file"),
        pytest.param(
            "accounts: [{id: '123456789012', regions: [us-east-1], external_id: 99}]\n# " + SECRET, id="external id"
        ),
    ],
)
def test_what_may_be_a_secret_is_never_told(text, refusal):
    told = refusal(text)
    assert SECRET[:12] not in told
    assert "AKIAIOSFODNN7EXAMPLE" not in told
    assert "99" not in told


def test_keys_are_sent_to_the_connection(refusal):
    assert "belong into the Airflow connection" in refusal(f"accounts: [{{secret_access_key: {SECRET}}}]")


def test_long_value_is_cut(refusal):
    told = refusal(f"trails: [{{bucket: '{'a b ' * 50}'}}]")
    assert "a b a b a" in told
    assert len(told) < 400


def test_file_that_is_named_must_be_there(tmp_path):
    with pytest.raises(SettingsError, match=r"DYNATRAIL_CONFIG names .*nowhere\.yaml, and there is no such file"):
        config.load(Settings(config=str(tmp_path / "nowhere.yaml")))


def test_folder_is_no_file(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        config.load(Settings(config=str(tmp_path)))


def test_without_a_file_the_settings_describe_one_trail(tmp_path, monkeypatch):
    monkeypatch.setattr(Settings, "config_file", tmp_path / "none.yaml")
    found = config.load(Settings(trail_bucket="s3://logs/", trail_prefix="/a/", accounts="123456789012"))
    assert found.trails == (config.Trail(bucket="logs", prefix="a", accounts=("123456789012",)),)
    assert config.load(Settings(trail_bucket="")) == config.Config()


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        pytest.param({"accounts": "12"}, "DYNATRAIL_ACCOUNTS must be twelve digits", id="account"),
        pytest.param({"regions": "x"}, "DYNATRAIL_REGIONS must be a region's code", id="region"),
        pytest.param({"trail_prefix": "AWSLogs/"}, "DYNATRAIL_TRAIL_PREFIX must end before AWSLogs", id="prefix"),
        pytest.param({"trail_bucket": "a/b"}, "DYNATRAIL_TRAIL_BUCKET must be a bucket's name", id="bucket"),
    ],
)
def test_wrong_setting_is_told_by_its_variable(settings, variable, tmp_path, monkeypatch):
    monkeypatch.setattr(Settings, "config_file", tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match=variable):
        config.load(Settings(**{"trail_bucket": "logs"} | settings))


FILE = (
    "trails: [{bucket: logs, prefix: a, accounts: ['123456789012'], regions: [us-east-1, eu-west-1]}, {bucket: more}]"
)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param({"trail_bucket": "other"}, "DYNATRAIL_TRAIL_BUCKET says something else than ", id="bucket"),
        pytest.param({"trail_bucket": "logs", "trail_prefix": "b"}, "says b, the file's trail a.", id="prefix"),
        pytest.param({"accounts": "210987654321"}, "DYNATRAIL_ACCOUNTS says something else", id="accounts"),
        pytest.param({"trail_bucket": "more", "regions": "us-east-1"}, "the file's trail nothing.", id="regions"),
    ],
)
def test_settings_that_contradict_the_file_are_refused(settings, told, refusal):
    assert told in refusal(FILE, **settings)
    assert "unset the variable, or correct the file" in refusal(FILE, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"trail_bucket": "s3://logs"}, id="bucket"),
        pytest.param({"trail_bucket": "logs", "trail_prefix": "/a/", "regions": "eu-west-1,us-east-1"}, id="all of it"),
    ],
)
def test_settings_that_repeat_the_file_are_fine(settings, load):
    assert len(load(FILE, **settings).trails) == 2


@pytest.mark.parametrize("page", ["reference/configuration.md", "cookbooks/real-account.md"])
def test_examples_of_the_pages_are_valid(page, load):
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (PROJECT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    assert [load(block).accounts[1].id for block in blocks] == ["210987654321"]

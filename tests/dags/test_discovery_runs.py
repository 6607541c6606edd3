"""`discover_sensitive_data` as Airflow runs it, over the sandbox: what it finds, proposes, and never writes."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from dynatrail.sandbox import Sandbox
from dynatrail.sandbox.scenarios.house import reference_policies

pytestmark = pytest.mark.slow

SECRETS = {
    "email": "zacharias.quibbleton@example.org",
    "phone": "+49 30 9018 2077",
    "born": "1943-07-19",
    "iban": "DE89370400440532013000",
    "member": "Zacharias Quibbleton",
    "other": "hortensia.quibbleton@example.org",
}
ITEM = {
    "patient_id": {"S": "P-QUIBBLETON"},
    "email": {"S": SECRETS["email"]},
    "born": {"S": SECRETS["born"]},
    "contact": {"M": {"phone": {"S": SECRETS["phone"]}}},
    "notes": {"S": f"pays from {SECRETS['iban']}, ask Mrs. Quibbleton"},
    "relatives": {"M": {SECRETS["member"]: {"S": "uncle"}, SECRETS["other"]: {"S": "aunt"}}},
    "```\n{{ ti.task_id }}<script>": {"S": "hostile"},
}
POLICY = """\
version: 1
tables:
  - match: "*"
    otherwise: token
    attributes:
      - {path: email, do: {action: keep}}
      - {path: born, do: {action: generalise, to: month}}
      - {path: contact.phone, do: {action: keep}}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory, airflow_env):
    """What happened at each step, and the folder of all that was written."""
    folder = tmp_path_factory.mktemp("discovery")
    masking = folder / "masking"
    masking.mkdir()
    (masking / "tables.yaml").write_text(POLICY)
    steps = folder / "steps.json"
    answers = [{"answer": "Reject"}, {"answer": "Approve"}, {}]
    steps.write_text(json.dumps([{"dag": "discover_sensitive_data"} | answer for answer in answers]))
    with Sandbox(folder / "sandbox") as sandbox:
        played = sandbox.play("tiny", end=datetime(2026, 11, 23, tzinfo=UTC))
        place = sandbox.root(played.accounts[0])
        sandbox.client("dynamodb", place).put_item(TableName="Patients", Item=ITEM)
        sandbox.client("iam", place).put_user_policy(
            UserName="dynatrail", PolicyName="scan", PolicyDocument=reference_policies("")["discover_sensitive_data"]
        )
        (folder / "dynatrail.yaml").write_text(
            yaml.safe_dump(
                {
                    "trails": [{"bucket": played.trail_bucket, "prefix": played.trail_prefix}],
                    "accounts": [{"id": played.accounts[0], "regions": ["us-east-1"]}],
                    "tables": [{"match": "Patients", "sample_scan": True}],
                }
            )
        )
        auditor = sandbox.auditor
        connection = {
            "conn_type": "aws",
            "login": auditor.access_key_id,
            "password": auditor.secret_access_key,
            "extra": {"region_name": "us-east-1", "endpoint_url": sandbox.endpoint_url},
        }
        env = airflow_env | {
            "DYNATRAIL_HOME": str(folder / "home"),
            "DYNATRAIL_CONFIG": str(folder / "dynatrail.yaml"),
            "DYNATRAIL_MASKING": str(masking),
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        }
        driver = [sys.executable, str(Path(__file__).with_name("drive.py")), str(steps)]
        done = subprocess.run(driver, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    shown = subprocess.run(
        [sys.executable, "-m", "dynatrail", "discover", "--json"], env=env, capture_output=True, text=True, check=True
    )
    (folder / "home" / "printed").write_text(done.stdout + done.stderr + shown.stdout)
    told = json.loads(steps.with_suffix(".told.json").read_text())
    return told, json.loads(shown.stdout), folder, Path(env["AIRFLOW_HOME"])


def test_runs_are_green_and_ask_only_while_something_is_proposed(ran):
    rejected, approved, last = ran[0]
    assert [step["state"] for step in ran[0]] == ["success"] * 3
    assert rejected["tasks"]["write_policy[-1]"] == "skipped"
    assert approved["tasks"]["write_policy[-1]"] == "success"
    assert last["tasks"]["approve[-1]"] == last["tasks"]["write_policy[-1]"] == "skipped"


def test_phone_email_and_birth_date_are_found_and_names_in_maps_as_well(ran):
    rows = [one for one in ran[1]["found"] if one["table_name"] == "Patients"]
    found = {(one["path"], one["detected_class"], one["in_names"]) for one in rows}
    expected = {("email", "email"), ("contact.phone", "phone"), ("born", "date_of_birth"), ("notes", "iban")}
    assert {(*pair, False) for pair in expected} <= found
    assert ("relatives", "email", True) in found


def test_cost_of_a_scan_is_told_and_kept(ran):
    (told,) = ran[0][0]["results"]["summarize"]["planned"]
    assert told.startswith("Scan of Patients: at most ")
    assert 0 < ran[0][0]["results"]["summarize"]["read_units"] <= 500


def test_nothing_changes_without_approval_and_the_approved_text_alone_with_it(ran):
    told, _, folder, _ = ran
    proposed = told[1]["results"]["propose"]["texts"]["Patients"]
    assert told[1]["results"]["write_policy"]["by_hand"] == []
    assert (folder / "masking" / "tables.yaml").read_text() == POLICY
    text = (folder / "masking" / "proposed-Patients.yaml").read_text()
    assert text.endswith(proposed)
    assert "# Approved by privacy officer.\n" in text
    assert told[0]["results"]["propose"]["texts"].keys() == told[1]["results"]["propose"]["texts"].keys()


def test_finding_of_what_lies_in_clear_goes_when_the_policy_covers_it(ran):
    told = ran[0]
    assert told[0]["results"]["summarize"]["in_clear"] == 3  # e-mail, phone, and names of members
    assert told[2]["results"]["summarize"]["in_clear"] == 0
    assert told[2]["results"]["announce"] == told[0]["results"]["announce"]


def test_no_value_of_an_item_is_anywhere_in_what_was_written(ran):
    told, shown, folder, airflow = ran
    wanted = {name: value.encode() for name, value in SECRETS.items()}
    hits = []
    for root in (folder / "home", folder / "masking", airflow):
        for at, _, names in os.walk(root):
            for name in names:
                path = Path(at) / name
                content = path.read_bytes()
                if path.suffix == ".parquet":
                    content += json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
                hits += [(path.name, key) for key, value in wanted.items() if value in content]
    assert hits == []
    assert not any(value in json.dumps([told, shown]) for value in SECRETS.values())

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dynatrail.clock import hour_of
from dynatrail.privacy import policy, subjects
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.settings import settings
from dynatrail.sources.changes.values import Values, image_of
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

KEY = bytes(range(32))


@pytest.fixture
def key():
    return KEY


@pytest.fixture
def tokens(key):
    return Tokenizer(key)


POLICY = """\
version: 1
tables:
  - match: Invoices
    subject: {attribute: patient, name: patient_id}
    alert_on_reveal: true
    attributes:
      - {path: diagnosis, do: {action: encrypt}}
      - {path: phones, do: {action: encrypt}}
      - {path: marks, do: {action: encrypt}}
      - {path: note, do: {action: keep}}
  - match: Visits
    subject: {attribute: patient, name: patient_id}
    attributes:
      - {path: diagnosis, do: {action: encrypt}}
"""


class Clinic:
    """A home whose warehouse has a change of Anna's and one of Boris', at noon, masked as an extract masks them."""

    NOON = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
    LATER = datetime(2026, 11, 3, 9, 15, tzinfo=UTC)
    ANNA, BORIS = "P-000007", "P-000008"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = settings()
        self.warehouse = Warehouse.from_settings(self.settings)
        self.tokens = Tokenizer(load_key(self.settings))
        self.anna, self.boris = (self.tokens.item([("patient_id", name)]) for name in (self.ANNA, self.BORIS))
        changes = [self.change("c-anna", self.ANNA), self.change("c-boris", self.BORIS)]
        changes.append(self.change("c-visit", self.ANNA, table="Visits"))
        self.warehouse.replace("item_change", changes_as_rows(changes), hours=[hour_of(self.NOON)])

    def image(self, patient: str, table: str = "Invoices", **more: Any) -> str:
        values = {
            "patient": {"S": patient},
            "diagnosis": {"S": f"flu of {patient}"},
            "phones": {"L": [{"M": {"number": {"N": "4711.50"}}}, {"NULL": True}]},
            "marks": {"SS": ["left hand", "right hand"]},
            "note": {"S": "plain"},
        } | more
        masks = policy.load(self.settings).of(table)
        return Values(self.tokens, masks, subjects.load(self.settings)).mask(image_of(values.items()))

    def change(self, change_id: str, patient: str, table: str = "Invoices", **more: Any) -> dict[str, Any]:
        hour = hour_of(self.NOON)
        return dict.fromkeys(TABLES["item_change"].schema.names) | {
            "change_id": change_id,
            "event_time": self.NOON,
            "event_hour": hour,
            "event_date": hour.date(),
            "account_id": "123456789012",
            "region": "eu-west-1",
            "table_name": table,
            "table_arn": f"arn:aws:dynamodb:eu-west-1:123456789012:table/{table}",
            "item_key_token": self.tokens.item([("invoice", change_id)]),
            "key_attributes": ["invoice"],
            "change_type": "INSERT",
            "view_type": "NEW_AND_OLD_IMAGES",
            "new_image": self.image(patient, table, **more),
            "change_origin": "stream",
            "reconstructed": False,
            "source_uri": "stream",
            "source_position": "1",
        }

    def add(self, **change: Any) -> None:
        new = changes_as_rows([self.change(**change)])
        self.warehouse.replace("item_change", lambda old: pa.concat_tables([old, new]), hours=[hour_of(self.NOON)])

    def events(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.warehouse.dataset("privacy_event").to_table().to_pylist()
        return sorted(rows, key=lambda row: (row["event_time"], row["subject"]))


def changes_as_rows(changes: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(changes, TABLES["item_change"].schema)


@pytest.fixture
def clinic(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (tmp_path / "masking").mkdir()
    (tmp_path / "masking/clinic.yaml").write_text(POLICY)
    monkeypatch.setenv("DYNATRAIL_HOME", str(home))
    monkeypatch.setenv("DYNATRAIL_MASKING", str(tmp_path / "masking"))
    monkeypatch.setenv("DYNATRAIL_GIT_COMMIT", "0" * 40)
    return Clinic(home)

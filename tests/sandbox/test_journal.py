"""The journal of item changes, over files as ministack writes them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.journal import Journal

START = datetime(2026, 11, 23, tzinfo=UTC)
PATIENTS = "arn:aws:dynamodb:us-east-1:123456789012:table/Patients"
HOME = ("123456789012", "us-east-1", "Patients")
KEY = {"id": {"S": "a"}}

Json = dict[str, Any]


class Account:
    """A folder, its journal, and what ministack would write into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()

    def open(self) -> None:
        self.journal = Journal(self.folder, lambda: START + timedelta(days=1))

    def write(self, old: Json | None, new: Json | None, table: str = PATIENTS) -> dict[str, str]:
        """One write; the header of its answer."""
        path = self.folder / "changes.images"
        begin = path.stat().st_size
        line = {"table": table, "key": KEY, "old": old, "new": new}
        with path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
        return {"x-dynatrail-changes": f"{begin}-{path.stat().st_size}"}


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


def item(number: str = "1") -> Json:
    return {**KEY, "n": {"N": number}}


def test_a_change_has_both_images_and_the_moment_it_was_taken_in(account):
    (change,) = account.journal.take(account.write(item("1"), item("2")), START)
    assert (change.sequence, change.at, change.change_type) == (1, START, "MODIFY")
    assert (change.old, change.new, change.key, change.table_arn) == (item("1"), item("2"), KEY, PATIENTS)


@pytest.mark.parametrize(
    ("old", "new", "kind"), [(None, item(), "INSERT"), (item(), None, "REMOVE")], ids=["insert", "remove"]
)
def test_a_missing_image_says_what_kind_of_change_it_was(account, old, new, kind):
    (change,) = account.journal.take(account.write(old, new), START)
    assert change.change_type == kind


def test_a_write_that_changes_nothing_is_no_change(account):
    assert account.journal.take(account.write(item(), item()), START) == []
    assert len(account.journal) == 0


def test_answers_that_arrive_out_of_order_keep_the_order_of_the_writes(account):
    first, second = account.write(None, item("1")), account.write(item("1"), item("2"))
    assert [change.new for change in account.journal.take(second, START)] == [item("2")]
    assert account.journal.take(first, START + timedelta(seconds=1)) == []
    assert [change.new for change in account.journal] == [item("1"), item("2")]


def test_a_cause_is_that_of_its_own_writes_only(account):
    account.write(None, item("1"))
    account.journal.take(account.write(item("1"), None), START, cause="ttl")
    assert [change.cause for change in account.journal] == ["call", "ttl"]
    assert len(account.journal.ttl_deletes(*HOME)) == 1


def test_time_never_goes_back(account):
    account.journal.take(account.write(None, item("1")), START)
    (change,) = account.journal.take(account.write(item("1"), item("2")), START - timedelta(hours=1))
    assert change.at == START


def test_a_window_of_one_table_is_half_open(account):
    for hour in range(4):
        header = account.write(item(str(hour)), item(str(hour + 1)))
        account.journal.take(header, START + timedelta(hours=hour))
    account.journal.take(account.write(None, item(), PATIENTS + "Archive"), START + timedelta(hours=5))
    since, until = START + timedelta(hours=1), START + timedelta(hours=3)
    assert [change.sequence for change in account.journal.changes(*HOME, since=since, until=until)] == [2, 3]
    assert len(account.journal.changes(*HOME)) == 4
    assert account.journal.tables() == [HOME, (*HOME[:2], "PatientsArchive")]


def test_listeners_hear_of_every_change_once_in_order(account):
    heard = []
    account.journal.listen(lambda change: heard.append(change.sequence))
    account.write(None, item("1"))
    account.journal.take(account.write(item("1"), item("2")), START)
    account.journal.take(account.write(item("2"), None), START)
    assert heard == [1, 2, 3]


def test_a_new_start_has_the_same_journal(account):
    account.journal.take(account.write(None, item("1")), START)
    account.journal.take(account.write(item("1"), None), START + timedelta(hours=1), cause="ttl")
    before = list(account.journal)
    account.journal.close()
    account.open()
    assert list(account.journal) == before


def test_what_a_kill_left_untaken_is_taken_in_at_the_next_start(account):
    account.write(None, item("1"))
    account.journal.close()
    account.open()
    (change,) = account.journal
    assert (change.at, change.cause) == (START + timedelta(days=1), "call")


def test_half_a_line_at_the_end_is_dropped(account):
    account.journal.take(account.write(None, item("1")), START)
    account.journal.close()
    for name in ("changes.images", "changes.taken"):
        with (account.folder / name).open("ab") as file:
            file.write(b'{"table":"arn:aws')
    account.open()
    assert len(account.journal) == 1
    assert len(account.journal.take(account.write(item("1"), None), START)) == 1


def test_callers_never_see_the_header(account):
    response = Response(200, [("X-Dynatrail-Changes", "0-0"), ("Content-Type", "text/plain")], b"")
    account.journal.take(response, START)
    assert response.headers == [("Content-Type", "text/plain")]

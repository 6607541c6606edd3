from datetime import UTC, datetime

import pytest

from dynatrail.sources.cloudtrail.layout import Folder, folder_day

ROOT = "AWSLogs/123456789012/CloudTrail/eu-central-1/"
FOLDER = Folder("123456789012", "eu-central-1", ROOT)
NAME = "123456789012_CloudTrail_eu-central-1_20261101T0305Z_AbCdEf0123456789.json.gz"


def at(*parts):
    return datetime(2026, 11, *parts, tzinfo=UTC)


def test_first_day_is_listed_from_the_window_on_and_further_days_whole():
    assert list(FOLDER.listings(at(1, 22, 30), at(3, 1))) == [
        (f"{ROOT}2026/11/01/", f"{ROOT}2026/11/01/123456789012_CloudTrail_eu-central-1_20261101T2230"),
        (f"{ROOT}2026/11/02/", ""),
        (f"{ROOT}2026/11/03/", ""),
    ]


def test_window_that_ends_at_midnight_does_not_list_the_next_day():
    assert [prefix for prefix, _ in FOLDER.listings(at(1), at(2))] == [f"{ROOT}2026/11/01/"]


def test_object_delivered_in_the_windows_first_minute_is_listed():
    (_, after), *_ = FOLDER.listings(at(1, 3, 5), at(1, 4))
    assert after < f"{ROOT}2026/11/01/{NAME}"


def test_name_tells_when_it_was_delivered():
    assert FOLDER.delivered_at(f"{ROOT}2026/11/01/{NAME}") == at(1, 3, 5)


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        NAME.replace("123456789012", "210987654321"),
        NAME.replace("eu-central-1", "us-east-1"),
        NAME.replace("20261101", "20261301"),
        NAME.removesuffix(".gz"),
        NAME + ".bak",
        "x" + NAME,
    ],
)
def test_foreign_name_tells_nothing(name):
    assert FOLDER.delivered_at(f"{ROOT}2026/11/01/{name}") is None


def test_foreign_name_belongs_to_the_day_of_its_folder():
    assert folder_day(f"{ROOT}2026/11/01/notes.txt") == at(1)


def test_foreign_name_outside_of_a_day_belongs_to_the_epoch():
    assert folder_day(f"{ROOT}notes.txt") == datetime(1970, 1, 1, tzinfo=UTC)

"""What tampering does to a bucket is what it says that it did."""

import gzip
import json
import re
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from tests.integrity.histories import steady

from dynatrail.errors import SandboxError
from dynatrail.sandbox import tampering
from dynatrail.sandbox.objects import HeldObjects

AT = datetime(2026, 11, 9, 10, 20, tzinfo=UTC)
FOLDER = "AWSLogs/123456789012/CloudTrail/us-east-1/"


def records(objects: HeldObjects, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gzip.decompress(objects.read(key).body))["Records"]
    return found


@pytest.mark.parametrize("way", tampering.WAYS)
def test_nothing_but_what_a_way_names_is_changed(way: str):
    history = steady(5)
    before = dict(history.bucket.things)
    chain = next(iter(tampering.chains(history.bucket)))
    done = tampering.WAYS[way](history.bucket, chain, Random(5))
    after = history.bucket.things
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed == {*done.log_files, *done.digests}
    assert list(done.ends) == [tampering.ended(key) for key in done.digests]


def test_a_forged_log_bears_a_name_as_cloudtrail_gives_it_and_ids_of_its_own():
    history = steady(5)
    chain = next(iter(tampering.chains(history.bucket)))
    model = next(key for key in history.bucket.listing(chain.log_folder))
    key = tampering.forge_log(history.bucket, chain.log_folder, tampering.delivered(model), random=Random(1))
    assert re.fullmatch(r".*/\d{12}_CloudTrail_[a-z0-9-]+_\d{8}T\d{4}Z_[A-Za-z0-9]{16}\.json\.gz", key)
    own, genuine = records(history.bucket, key), records(history.bucket, model)
    assert len(own) == len(genuine)
    assert {one["eventID"] for one in own}.isdisjoint(one["eventID"] for one in genuine)


def test_a_forged_log_holds_the_records_given():
    objects = HeldObjects("logs")
    key = tampering.forge_log(objects, FOLDER, AT, [{"eventID": "1"}], random=Random(1))
    assert key.startswith(f"{FOLDER}2026/11/09/123456789012_CloudTrail_us-east-1_20261109T1020Z_")
    assert records(objects, key) == [{"eventID": "1"}]


def test_an_empty_folder_gives_nothing_to_imitate():
    with pytest.raises(SandboxError, match="Give the records"):
        tampering.forge_log(HeldObjects("logs"), FOLDER, AT, random=Random(1))


def test_a_moved_folder_holds_the_same_contents_elsewhere():
    history = steady(5)
    before = dict(history.bucket.things)
    moved = tampering.move_folder(history.bucket, "elsewhere")
    assert {key: before[key] for key in moved} == {key: history.bucket.read(new) for key, new in moved.items()}
    assert set(history.bucket.things) == set(moved.values())

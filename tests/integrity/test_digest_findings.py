"""One cause is one finding, with the right rule, and a clean history has none."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from tests.integrity.conftest import BASE, HOUR, REGION, START, Build, Built, log_key, trail

from dynatrail.integrity import digest_findings, log_files
from dynatrail.integrity.digests import Verified
from dynatrail.integrity.findings import Finding, table_of
from dynatrail.integrity.trail_facts import Change, LoggingSpan
from dynatrail.sandbox.digests import Chain, Signer

MALLORY = "arn:aws:iam::123456789012:user/mallory"


def find(built: Built, verified: Verified, known: pa.Table | None = None) -> list[Finding]:
    rows = log_files.judge(
        built.known() if known is None else known, verified, since=START - HOUR, until=built.end, listed=[BASE]
    )
    return digest_findings.find(verified, rows)


def told(found: list[Finding]) -> list[tuple[str, str, int | None]]:
    return [(one.rule_id.removeprefix("integrity."), one.severity, one.how_many) for one in found]


def plant(built: Built, at: datetime, number: int = 0) -> str:
    uri = built.root + log_key(trail(), at, 9_000_000 + number)
    built.logs[uri] = b'{"Records":[]}'
    built.delivered[uri] = at
    return uri


def test_a_clean_history_has_none(build: Build):
    built = build(48)
    assert find(built, built.verify()) == []


def test_nor_has_one_that_is_still_open_or_awaits_a_digest(build: Build):
    built = build(6)
    plant(built, built.end + timedelta(minutes=3))
    plant(built, START + 2 * HOUR)
    assert find(built, built.verify(built.files[:2] + built.files[3:])) == []


def test_a_forged_file_is_critical_and_named(build: Build):
    built = build(6)
    uri = plant(built, START + HOUR)
    (one,) = find(built, built.verify())
    assert told([one]) == [("log_file_forged", "Critical", 1)]
    assert (one.event_time, one.evidence_ids, one.subject) == (START + HOUR, (uri,), uri)
    assert uri in one.explanation


def test_many_forged_files_of_an_hour_are_one_finding(build: Build):
    built = build(6)
    for number in range(30):
        plant(built, START + HOUR, number)
    assert told(find(built, built.verify())) == [("log_file_forged", "Critical", 30)]


def test_an_altered_file_names_both_hashes(build: Build):
    built = build(6)
    uri = min(built.logs)
    (one,) = find(built, built.verify(), built.known({uri: {"sha256": "ab" * 32}}))
    assert told([one]) == [("log_file_altered", "Critical", 1)]
    assert {"ab" * 32, built.verify().named[uri].sha256} <= set(re.findall(r"\b[0-9a-f]{64}\b", one.explanation))


def test_missing_files_of_hours_that_follow_each_other_are_one_finding(build: Build):
    built = build(8)
    for uri, at in list(built.delivered.items()):
        if START + HOUR <= at < START + 3 * HOUR or at >= START + 6 * HOUR:
            del built.delivered[uri]
    found = find(built, built.verify())
    assert told(found) == [("log_file_missing", "High", 4), ("log_file_missing", "High", 4)]
    assert "4 were never taken" in found[0].explanation


def test_a_run_of_lost_digests_is_one_finding_with_its_files(build: Build):
    built = build(40)
    gone = {uri: {"present": False} for uri, at in built.delivered.items() if START + 3 * HOUR <= at < START + 4 * HOUR}
    verified = built.verify(built.files[:2] + built.files[5:])
    (one,) = find(built, verified, built.known(gone))
    assert told([one]) == [("digest_missing", "High", 3)]
    assert (one.event_time, one.ends_at) == (START + 2 * HOUR, START + 5 * HOUR)
    assert {built.uri(2), built.uri(3), built.uri(4), *gone} <= set(one.evidence_ids)
    assert "4 log files delivered then" in one.explanation
    assert "2 are gone as well" in one.explanation


def test_a_truncated_tail_and_head_have_their_own_rules(build: Build):
    built = build(40)
    span = LoggingSpan(trail_name="audit", home_region=REGION, start=START, end=None)
    found = find(built, built.verify(built.files[3:36], spans=[span], until=built.end))
    assert told(found) == [("chain_truncated_head", "High", 3), ("chain_truncated_tail", "High", 4)]


INVALID = {
    "edited": ("altered", lambda built, n, stranger: {"body": built.digests[n].body + b" "}),
    "stranger": ("signature_invalid", lambda built, n, stranger: {"signature": stranger.sign("x")}),
    "replayed": ("replayed", lambda built, n, stranger: {"body": built.digests[0].body}),
    "no gzip": ("not_gzip", lambda built, n, stranger: {"body": None, "error": "not_gzip"}),
}


@pytest.mark.parametrize("way", INVALID)
def test_an_invalid_digest_is_one_critical_finding_with_its_files(build: Build, stranger: Signer, way: str):
    built = build(40)
    code, change = INVALID[way]
    files = [replace(file, **change(built, n, stranger)) if n == 5 else file for n, file in enumerate(built.files)]
    verified = built.verify(files)
    (one,) = find(built, verified)
    assert told([one]) == [("digest_invalid", "Critical", 1)]
    assert "2 log files delivered then" in one.explanation
    assert built.uri(5) in one.evidence_ids
    assert ("altered" if way == "no gzip" else code) in verified.rows["reason_code"].to_pylist()


def test_a_moved_folder_is_one_finding(build: Build):
    built = build(40)
    moved = [replace(file, key=f"copy/{file.key}") for file in built.files]
    (one,) = digest_findings.find(built.verify(moved), log_files.LOG_FILE.schema.empty_table())
    assert told([one]) == [("digest_invalid", "Critical", 40)]
    assert "moved" in one.title


def test_a_pause_tells_since_when_and_by_whom(build: Build):
    built = build(6)
    end = built.end
    build(6, into=built, chain=Chain(end + 9 * HOUR, end + 10 * HOUR))
    plant(built, end + 4 * HOUR)

    def change(at: datetime, name: str) -> Change:
        return Change(at=at, event_name=name, event_id=f"{name}-1", actor=MALLORY)

    usual: dict[str, Any] = {"trail_name": "audit", "home_region": REGION}
    spans = [
        LoggingSpan(start=START, end=end, ended=change(end, "UpdateTrail"), **usual),
        LoggingSpan(start=end + 9 * HOUR, end=None, began=change(end + 9 * HOUR, "UpdateTrail"), **usual),
    ]
    (one,) = find(built, built.verify(spans=spans))
    assert told([one]) == [("validation_off", "Medium", 1)]
    assert (one.event_time, one.ends_at, one.actor) == (end, end + 9 * HOUR, MALLORY)
    assert "UpdateTrail-1" in one.evidence_ids


def test_files_that_no_digest_can_vouch_for_are_one_finding(build: Build):
    built = build(6)
    for number in range(3):
        plant(built, START - HOUR / 2, number)
    assert told(find(built, built.verify())) == [("validation_off", "Medium", 3)]


def test_ids_stay_the_same_and_are_told_apart(build: Build):
    built = build(60)
    plant(built, START + HOUR)
    plant(built, START + HOUR, 1)
    files = built.files[:20] + built.files[23:]
    ids = [
        table_of("digests", find(built, built.verify(order, until=until)))["finding_id"].to_pylist()
        for order, until in ((files, built.end), (files[::-1], built.end + HOUR))
    ]
    assert len(set(ids[0])) == 3
    assert ids[0] == ids[1]

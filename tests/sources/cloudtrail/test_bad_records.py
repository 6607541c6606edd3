"""What is wrong with a file or a record is said with its place; the rest of the file is taken."""

import gzip
import hashlib
import json
import re
import subprocess
import sys

import pytest

from dynatrail.errors import ObjectError

URI = "s3://example-trail/one.json.gz"
ACCOUNT = "123456789012"


@pytest.fixture
def read(make_parser):
    """Read one object; gives what `Parser.read` tells and the rows that came of it."""

    def run(data):
        parser = make_parser(max_bytes=16 << 20)
        told = parser.read(URI, data, account_id=ACCOUNT)
        return told, parser.tables()[0].to_pylist()

    return run


@pytest.fixture
def refused(make_parser):
    """The error that an object as a whole gives; nothing of it may have been taken."""

    def run(data, **options):
        parser = make_parser(**options)
        with pytest.raises(ObjectError) as error:
            parser.read(URI, data, account_id=ACCOUNT)
        assert len(parser) == 0
        return error.value

    return run


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"not json, pat-4711", "not_json", r"byte \d"),
        (b'{"Records":[{"a":1},', "not_json", "truncated"),
        (b"", "not_json", "truncated"),
        (b'{"Records":[] } x', "not_json", r"byte \d"),
        (b"{}", "no_records", "Records"),
        (b"[]", "no_records", "array"),
        (b'{"Records":{"a":1}}', "no_records", r"\$\.Records"),
        (b'{"Records":null}', "no_records", r"\$\.Records"),
        (b'{"records":[]}', "no_records", "Records"),
    ],
)
def test_object_that_is_no_log_file(content, code, said, refused):
    error = refused(gzip.compress(content))
    assert error.code == code
    assert error.args[0].count(".") >= 2  # what is wrong, and what to do
    assert "4711" not in str(error)
    assert re.search(said, str(error))


def test_log_file_without_records_is_fine(read, log_file):
    told, rows = read(log_file([]))
    assert (told.records, told.rejected, told.hours, rows) == (0, (), frozenset(), [])


@pytest.mark.parametrize(
    ("member", "code"),
    [
        (4711, "not_an_object"),
        ("pat-4711", "not_an_object"),
        (None, "not_an_object"),
        (["pat-4711"], "not_an_object"),
        (True, "not_an_object"),
        ({}, "missing_field"),
        ({"eventTime": "2026-11-01T03:04:05Z", "pat-4711": 1}, "missing_field"),
    ],
)
def test_member_of_records_that_is_no_event_is_rejected_by_position(member, code, read, make_record, log_file):
    told, rows = read(log_file([make_record(), member, make_record()]))
    (rejected,) = told.rejected
    assert (rejected.position, rejected.code, told.records) == (1, code, 3)
    raw = json.dumps(member).encode()
    assert (rejected.size, rejected.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert "4711" not in str(rejected)
    assert [row["source_index"] for row in rows] == [0, 2]


@pytest.mark.parametrize("field", ["eventTime", "eventSource", "eventName", "awsRegion", "eventID"])
def test_record_without_a_field_that_every_record_has_is_rejected(field, read, make_record, log_file, absent):
    told, rows = read(log_file([make_record(**{field: absent}), make_record()]))
    (rejected,) = told.rejected
    assert (rejected.position, rejected.code, len(rows)) == (0, "missing_field", 1)
    assert field in rejected.reason


@pytest.mark.parametrize(
    "wrong",
    [
        {"eventTime": 4711},
        {"eventName": ["pat-4711"]},
        {"userIdentity": "pat-4711"},
        {"userIdentity": {"type": 4711}},
        {"resources": {"ARN": "pat-4711"}},
        {"resources": ["pat-4711"]},
        {"tlsDetails": "pat-4711"},
        {"readOnly": "pat-4711"},
        {"managementEvent": 4711},
        {"recipientAccountId": 4711},
        {"addendum": "pat-4711"},
        {"userIdentity": {"sessionContext": {"attributes": {"creationDate": "pat-4711"}}}},
    ],
)
def test_record_with_a_wrong_type_is_rejected_without_its_value(wrong, read, make_record, log_file):
    told, rows = read(log_file([make_record(), make_record(**wrong)]))
    (rejected,) = told.rejected
    assert (rejected.position, rejected.code, len(rows)) == (1, "wrong_type", 1)
    assert "4711" not in str(rejected)


@pytest.mark.parametrize(
    "time",
    ["", "yesterday", "2026-11-01", "2026-11-01T03:04:05", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00"],
)
def test_record_without_a_readable_time_is_rejected(time, read, make_record, log_file):
    told, rows = read(log_file([make_record(eventTime=time), make_record()]))
    (rejected,) = told.rejected
    assert (rejected.position, rejected.code, len(rows)) == (0, "bad_time", 1)


def test_time_with_another_offset_is_brought_to_utc(event_of, make_record):
    row = event_of(make_record(eventTime="2026-11-01T03:04:05+05:00"))
    assert row["event_time"].isoformat() == "2026-10-31T22:04:05+00:00"
    assert row["event_hour"].isoformat() == "2026-10-31T22:00:00+00:00"


def test_time_before_1970_lies_in_its_own_hour(event_of, make_record):
    row = event_of(make_record(eventTime="1969-12-31T23:30:00Z"))
    assert row["event_hour"].isoformat() == "1969-12-31T23:00:00+00:00"
    assert row["event_date"].isoformat() == "1969-12-31"


@pytest.mark.parametrize(
    "field", ["requestParameters", "responseElements", "additionalEventData", "userIdentity", "resources", "newField"]
)
@pytest.mark.parametrize(
    ("bad", "name"),
    [
        (rb'{"a":"\ud800 pat-4711"}', "lone surrogate"),
        (b'{"a":"\xff\xfe pat-4711"}', "invalid UTF-8"),
        (b'{"a":' + b"[" * 20_000 + b'"pat-4711"' + b"]" * 20_000 + b"}", "deep nesting"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text_that_cannot_be_read_spoils_at_most_its_record(field, bad, name, read, make_record):
    spoilt = json.dumps(make_record(**{field: "HERE"})).encode().replace(b'"HERE"', bad)
    good = json.dumps(make_record()).encode()
    told, rows = read(gzip.compress(b'{"Records":[' + good + b"," + spoilt + b"," + good + b"]}"))
    kept = [row["source_index"] for row in rows]
    rejected = [one.position for one in told.rejected]
    assert sorted(kept + rejected) == [0, 1, 2]
    assert {0, 2} <= set(kept)
    assert "4711" not in str(told.rejected)
    assert "pat-4711" not in str(rows)


def test_file_of_members_that_cannot_be_events_is_refused_as_a_whole(refused):
    error = refused(gzip.compress(b'{"Records":[' + b"0," * 100_000 + b"0]}"))
    assert error.code == "no_events"
    assert "100,001" in str(error)


def test_hash_is_that_of_the_uncompressed_bytes(read, make_record, log_file):
    data = log_file([make_record()])
    told, (row,) = read(data)
    assert told.sha256 == row["source_sha256"] == hashlib.sha256(gzip.decompress(data)).hexdigest()


def test_oldest_newest_and_hours_are_told(read, make_record, log_file):
    times = ["2026-11-01T03:59:59Z", "2026-11-01T05:00:00Z", "2026-11-01T03:00:00Z"]
    told, _ = read(log_file([make_record(eventTime=time) for time in times]))
    assert (told.oldest.isoformat(), told.newest.isoformat()) == (
        "2026-11-01T03:00:00+00:00",
        "2026-11-01T05:00:00+00:00",
    )
    assert sorted(hour.hour for hour in told.hours) == [3, 5]


def test_a_record_that_is_rejected_late_leaves_nothing_behind(make_parser, make_record, log_file):
    parser = make_parser()
    bad = json.dumps(make_record(responseElements="HERE")).encode().replace(b'"HERE"', b'{"a":' + b"[" * 20_000)
    parser.read("s3://b/1", log_file([make_record(userAgent="first")]), account_id=ACCOUNT)
    with pytest.raises(ObjectError):
        parser.read("s3://b/2", gzip.compress(b'{"Records":[' + bad), account_id=ACCOUNT)
    parser.read(
        "s3://b/3", log_file([make_record(responseElements=[]), make_record(userAgent="last")]), account_id=ACCOUNT
    )
    rows = parser.tables()[0].to_pylist()
    assert [(row["source_uri"], row["user_agent"]) for row in rows] == [
        ("s3://b/1", "first"),
        ("s3://b/3", "aws-cli/2.31"),
        ("s3://b/3", "last"),
    ]


@pytest.mark.slow
def test_file_of_fifty_megabytes_is_read(read, make_record):
    record = json.dumps(make_record()).encode()
    count = (50 << 20) // (len(record) + 1)
    parts = gzip.compress(b'{"Records":[' + b",".join([record] * count) + b"]}", compresslevel=1)
    told, rows = None, None
    from dynatrail.privacy.tokens import Tokenizer
    from dynatrail.sources.cloudtrail.parse import Parser

    parser = Parser(Tokenizer(bytes(32)), {}, max_bytes=512 << 20)
    told = parser.read(URI, parts, account_id=ACCOUNT)
    rows = parser.tables()[0]
    assert (told.records, len(rows), told.rejected) == (count, count, ())


@pytest.mark.slow
def test_bomb_of_five_gigabytes_is_refused_in_little_memory(tmp_path):
    """The memory is that of a process of its own, as the kernel counts it at its highest."""
    program = f"""
import gzip, re, resource, zlib
from pathlib import Path
from dynatrail.errors import ObjectError
from dynatrail.sources.cloudtrail.gunzip import gunzip

zeros, deflater = bytes(1 << 24), zlib.compressobj(9, zlib.DEFLATED, 31)
path = Path({str(tmp_path / "bomb.gz")!r})
with path.open("wb") as file:
    for _ in range(320):
        file.write(deflater.compress(zeros))
    file.write(deflater.flush())
del zeros, deflater
data = path.read_bytes()
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
before = peak()
try:
    gunzip(data, limit=512 << 20)
except ObjectError as error:
    print(error.code, peak() - before, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    code, grown, *said = done.stdout.split()
    assert code == "too_large"
    assert int(grown) < 100, "megabytes"
    assert "DYNATRAIL_MAX_OBJECT_MB" in said

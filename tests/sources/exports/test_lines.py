import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.privacy.actions import KEEP
from dynatrail.privacy.actions import TOKEN as TOKENS
from dynatrail.privacy.policy import TableMasks
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.changes.rows import ChangedTable
from dynatrail.sources.changes.values import Values
from dynatrail.sources.exports.lines import LineParser, changed_attributes
from dynatrail.sources.exports.windows import Span

START = datetime(2026, 11, 1, 10, tzinfo=UTC)
WINDOW = Span(START, START + timedelta(minutes=30))
AT = START + timedelta(minutes=7, microseconds=1)
MICROS = str((AT - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
TABLE = ChangedTable(
    "123456789012",
    "eu-west-1",
    "Patients",
    "arn:aws:dynamodb:eu-west-1:123456789012:table/Patients",
    TableMasks(((("state",), KEEP),), otherwise=TOKENS),
)
URI = "s3://example-exports/AWSDynamoDB/data/a.json.gz"
KEY = {"patient_id": {"S": "pat-4711"}}


def item(**more):
    return KEY | {name: {"S": value} for name, value in more.items()}


def line(*, written=MICROS, **more):
    return {"Metadata": {"WriteTimestampMicros": written}, "Keys": KEY} | more


@pytest.fixture
def tokens():
    return Tokenizer(bytes(range(32)))


@pytest.fixture
def parsed(tokens):
    def parse(*lines):
        parser = LineParser(Values(tokens, TABLE.masks), TABLE, WINDOW)
        for number, one in enumerate(lines, 1):
            parser.add(one if isinstance(one, bytes) else json.dumps(one).encode(), URI, number)
        return parser.taken().arrow().to_pylist(), parser.rejected

    return parse


def test_net_change_becomes_a_labelled_row(parsed, tokens):
    (row,), rejected = parsed(line(OldImage=item(name="John", state="new"), NewImage=item(name="Jim", state="new")))
    assert rejected == []
    assert row["item_key_token"] == tokens.item([("patient_id", "pat-4711")])
    assert (row["change_type"], row["event_time"], row["time_precision"]) == ("MODIFY", AT, "MICROSECOND")
    assert (row["changed_attributes"], row["view_type"], row["by_ttl"]) == (["name"], "NEW_AND_OLD_IMAGES", None)
    assert (row["reconstructed"], row["reconstructed_from"], row["reconstructed_to"]) == (
        True,
        WINDOW.start,
        WINDOW.end,
    )
    assert (row["source_uri"], row["source_position"]) == (URI, "line 1")


def test_values_are_masked_unless_they_are_clear(parsed):
    (row,), _ = parsed(line(NewImage=item(name="John", state="new")))
    assert "John" not in str(row)
    assert "pat-4711" not in str(row)
    assert json.loads(row["new_image"])["state"] == {"S": "new"}


@pytest.mark.parametrize("written", [MICROS, {"N": MICROS}], ids=["as documented", "as AWS's tools read it"])
def test_write_time_is_read_in_both_spellings(parsed, written):
    (row,), _ = parsed(line(written=written, NewImage=item()))
    assert row["event_time"] == AT


@pytest.mark.parametrize(
    ("images", "kind"),
    [({"NewImage": item()}, "INSERT"), ({"OldImage": item()}, "REMOVE")],
    ids=["insert", "remove"],
)
def test_missing_image_says_what_happened(parsed, images, kind):
    (row,), _ = parsed(line(**images))
    assert (row["change_type"], row["changed_attributes"]) == (kind, None)


BEFORE = str(int(MICROS) - 7 * 60 * 10**6 - 2)
BAD = {
    "not_json": b'{"Metadata": pat-4711',
    "no_utf8": json.dumps(line(NewImage=item(name="HERE"))).encode().replace(b"HERE", b"pat-4711\xff"),
    "line_form": {"Keys": KEY, "NewImage": item(name="pat-4711")},
    "no_image": line(),
    "key_missing": line(NewImage={"name": {"S": "pat-4711"}}),
    "key_form": line() | {"Keys": {"patient_id": {"BOOL": True}}, "NewImage": {"patient_id": {"BOOL": True}}},
    "write_time_form": line(written="-1", NewImage=item()),
    "outside_window": line(written=BEFORE, NewImage=item()),
}


CODES = {"no_utf8": "not_json"}


@pytest.mark.parametrize("code", list(BAD))
def test_line_that_gives_no_row_is_rejected_with_its_place_and_without_its_value(parsed, code):
    good = line(NewImage=item())
    rows, (piece,) = parsed(BAD[code], good)
    assert len(rows) == 1
    assert (piece.code, piece.source_uri, piece.position) == (CODES.get(code, code), URI, "line 1")
    raw = BAD[code] if isinstance(BAD[code], bytes) else json.dumps(BAD[code]).encode()
    assert (piece.size, piece.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert "pat-4711" not in f"{piece.payload} {piece.reason}"


def test_changed_attributes_of_masked_images_are_those_of_the_values(parsed):
    old, new = item(name="John", state="new", gone="x"), item(name="Jim", state="new", more="y")
    (row,), _ = parsed(line(OldImage=old, NewImage=new))
    assert (
        changed_attributes(row["old_image"], row["new_image"]) == row["changed_attributes"] == ["gone", "more", "name"]
    )
    assert changed_attributes(None, row["new_image"]) is None

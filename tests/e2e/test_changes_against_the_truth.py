"""Every item change, exactly, and the counts of CloudWatch, of `make run` over the tiny scenario."""

import json
from collections import Counter
from decimal import Decimal
from operator import itemgetter

import pytest

from dynatrail.clock import iso, parse_instant
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


def number(text):
    """As DynamoDB stores it, worked out otherwise than by the code."""
    plain = format(Decimal(text), "f")
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"


SHOWN = {
    ("Patients", "name"): lambda _: "***",
    ("Patients", "born"): lambda text: text[:4],
    ("Patients", "contact.phone"): lambda text: f"***{text[-2:]}",
    ("Patients", "contact.verified"): bool,
    ("Appointments", "status"): str,
    ("Invoices", "amount"): lambda text: number(str(Decimal(text) // 50 * 50)),
    ("Invoices", "paid"): bool,
}
"""What the practice's masking policy makes of values; everything else is a token."""


@pytest.fixture(scope="session")
def mask(home):
    """The masked image that an exact one must have become."""
    tokens = Tokenizer(load_key(Settings(home=home)))

    def scalar(path, kind, held):
        text = json.dumps(held) if kind == "BOOL" else number(held) if kind[0] == "N" else held
        return tokens.attribute(path, kind, text)

    def value(typed, path, table):
        ((kind, held),) = typed.items()
        if kind == "NULL":
            return typed
        if kind == "M":
            return {kind: {name: value(inner, (*path, name), table) for name, inner in held.items()}}
        if kind == "L":
            return {kind: [value(inner, (*path, 0), table) for inner in held]}
        if shown := SHOWN.get((table, ".".join(map(str, path)))):
            return {kind: shown(held)}
        several = kind in ("SS", "NS", "BS")
        return {kind: sorted(scalar(path, kind, one) for one in held) if several else scalar(path, kind, held)}

    def image(typed, table):
        return None if typed is None else {name: value(held, (name,), table) for name, held in typed.items()}

    return image


@pytest.fixture(scope="session")
def token(home):
    tokens = Tokenizer(load_key(Settings(home=home)))

    def of(key):
        texts = [(name, *typed.items()) for name, typed in key.items()]
        return tokens.item((name, number(text) if kind == "N" else text) for name, (kind, text) in texts)

    return of


def told(image):
    return None if image is None else json.dumps(image, sort_keys=True)


def changed(old, new):
    if old is None or new is None:
        return None
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def test_every_item_change_is_there_once_as_it_was_and_nothing_else(rows, true_changes, mask, token):
    expected = Counter()
    for change in true_changes:
        table = change["table_arn"].rpartition("/")[2]
        old, new = change["old_image"], change["new_image"]
        expected[
            (
                change["account_id"],
                change["region"],
                change["table_arn"],
                token(change["key"]),
                change["change_type"],
                told(mask(old, table)),
                told(mask(new, table)),
                changed(old, new),
                iso(parse_instant(change["event_time"]).replace(microsecond=0)),  # a stream tells seconds
                change["cause"] == "ttl",
            )
        ] += 1
    came = Counter()
    for row in rows("SELECT * FROM item_change").to_pylist():
        images = [json.loads(row[name]) if row[name] else None for name in ("old_image", "new_image")]
        names = row["changed_attributes"]
        came[
            (
                row["account_id"],
                row["region"],
                row["table_arn"],
                row["item_key_token"],
                row["change_type"],
                *map(told, images),
                None if names is None else tuple(names),
                iso(row["event_time"].replace(microsecond=0)),
                row["by_ttl"],
            )
        ] += 1
        assert not row["reconstructed"]
    assert sum(expected.values()) > 100
    assert came == expected


def test_every_cause_of_a_change_occurs(true_changes):
    assert {change["cause"] for change in true_changes} == {"call", "ttl", "replication", "unrecorded"}


def test_tables_are_read_from_the_origin_that_the_configuration_names(rows):
    came = rows("SELECT DISTINCT table_name, change_origin FROM item_change").to_pylist()
    assert {row["table_name"]: row["change_origin"] for row in came if row["table_name"] == "Documents"} == {
        "Documents": "kinesis"
    }
    assert {row["change_origin"] for row in came if row["table_name"] != "Documents"} == {"stream"}


def test_item_tokens_of_changes_are_those_of_the_requests(rows):
    """The same item, once from CloudTrail's untyped text and once from a stream's typed key."""
    lost = rows(
        "SELECT i.table_arn FROM api_event_item i JOIN api_event e USING (event_id, recipient_account_id) "
        "WHERE i.operation = 'Put' AND e.error_code IS NULL AND i.item_key_token IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM item_change c WHERE c.table_arn = i.table_arn AND c.item_key_token = i.item_key_token)"
    )
    assert lost.num_rows == 0


def test_requests_are_counted_as_they_were_made(rows, true_requests):
    place = itemgetter("account_id", "region", "hour", "table_name", "operation")
    expected = {
        place(count): count["successful"]
        for count in true_requests["requests"]
        # PartiQL and GetRecords have further dimensions.
        if count["successful"] and "Execute" not in count["operation"] and count["operation"] != "GetRecords"
    }
    came = rows(
        "SELECT account_id, region, event_hour, table_name, operation, sum(value) AS requests FROM metric "
        "WHERE metric_name = 'SuccessfulRequestLatency' AND statistic = 'SampleCount' "
        "AND operation NOT LIKE '%Execute%' AND operation <> 'GetRecords' GROUP BY ALL"
    ).to_pylist()
    counted = {
        (row["account_id"], row["region"], iso(row["event_hour"]), row["table_name"], row["operation"]): row["requests"]
        for row in came
    }
    assert len(expected) > 20
    assert counted == expected


def test_every_source_states_something_of_every_hour(rows):
    stated = rows("SELECT source, count(*) AS hours FROM source_statement GROUP BY source").to_pylist()
    assert {row["source"] for row in stated} >= {"cloudwatch", "configuration", "iam", "kinesis", "streams"}
    refused = rows("SELECT source, reasons FROM source_statement WHERE status = 'not_assessable'")
    assert refused.to_pylist() == []

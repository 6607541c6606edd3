"""DynamoDB Streams over a journal: shards, iterators, what is trimmed, and what goes wrong on purpose."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dynatrail.sandbox.calls import Call
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.journal import Journal
from dynatrail.sandbox.parts import Seen
from dynatrail.sandbox.streams import Streams
from dynatrail.sandbox.streams_answers import Faults

Json = dict[str, Any]

START = datetime(2026, 11, 10, tzinfo=UTC)
ACCOUNT, REGION = "123456789012", "us-east-1"
TABLE_ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Visits"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class RefusedError(Exception):
    """An error answer; its text is the code."""


class Account:
    """One table with a stream; `now` is sandbox time and moves only when a test moves it."""

    def __init__(self, folder: Path, view_type: str = "NEW_AND_OLD_IMAGES") -> None:
        self.folder = folder
        self.now = START
        self.view_type = view_type
        self.items: dict[str, Json] = {}
        self.open()
        self.switch("CreateTable", "2026-11-10T00:00:00.000")

    def open(self) -> None:
        self.journal = Journal(self.folder, lambda: self.now)
        self.streams = Streams(self.journal, lambda *_: None)

    def restart(self) -> None:
        saved = self.streams.save()
        self.journal.close()
        self.open()
        self.streams.load(saved)

    def switch(self, operation: str, label: str | None) -> None:
        """Let the table say that its stream is `label`, or that it has none."""
        described: Json = {"StreamSpecification": {"StreamEnabled": False}}
        if label:
            described = {
                "StreamSpecification": {"StreamEnabled": True, "StreamViewType": self.view_type},
                "LatestStreamArn": f"{TABLE_ARN}/stream/{label}",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            }
        self.streams.saw(self._seen("dynamodb", operation, {"TableName": "Visits"}, {"TableDescription": described}))

    def put(self, name: str, text: str = "x", cause: Any = "call") -> None:
        old, new = self.items.get(name), {"id": {"S": name}, "text": {"S": text}}
        self.items[name] = new
        self._write(name, old, new, cause)

    def delete(self, name: str, cause: Any = "call") -> None:
        self._write(name, self.items.pop(name), None, cause)

    def call(self, operation: str, **sent: Any) -> Json:
        response = self.streams.answer(self._seen("dynamodbstreams", operation, sent, {}))
        assert response is not None
        answer: Json = json.loads(response.body)
        if response.status != 200:
            raise RefusedError(answer["__type"].rsplit("#", 1)[-1])
        return answer

    @property
    def arn(self) -> str:
        found: str = self.call("ListStreams")["Streams"][-1]["StreamArn"]
        return found

    def shards(self, **more: Any) -> list[Json]:
        found: list[Json] = self.call("DescribeStream", StreamArn=self.arn, **more)["StreamDescription"]["Shards"]
        return found

    def iterator(self, shard: Json, kind: str = "TRIM_HORIZON", **more: Any) -> str:
        asked = {"StreamArn": self.arn, "ShardId": shard["ShardId"], "ShardIteratorType": kind, **more}
        found: str = self.call("GetShardIterator", **asked)["ShardIterator"]
        return found

    def read(self, shard: Json, kind: str = "TRIM_HORIZON", **more: Any) -> list[Json]:
        """All records of a shard, until it is drained or has no more for now."""
        records: list[Json] = []
        iterator: str | None = self.iterator(shard, kind, **more)
        while iterator:
            answer = self.call("GetRecords", ShardIterator=iterator)
            records += answer["Records"]
            iterator = answer.get("NextShardIterator") if answer["Records"] else None
        return records

    def read_all(self) -> list[Json]:
        return [record for shard in self.shards() for record in self.read(shard)]

    def _write(self, name: str, old: Json | None, new: Json | None, cause: Any) -> None:
        path = self.folder / "changes.images"
        begin = path.stat().st_size
        with path.open("ab") as file:
            line = {"table": TABLE_ARN, "key": {"id": {"S": name}}, "old": old, "new": new}
            file.write(json.dumps(line).encode() + b"\n")
        self.journal.take({"x-dynatrail-changes": f"{begin}-{path.stat().st_size}"}, self.now, cause)

    def _seen(self, service: str, operation: str, sent: Json, answer: Json) -> Seen:
        response = Response(200, [], json.dumps(answer).encode())
        return Seen(Call(service, operation, sent, REGION), response, ACCOUNT, Caller(), self.now)


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


@pytest.fixture
def busy(account: Account) -> Account:
    """Three days of work: a burst at first, then twelve changes every hour over twenty items."""
    for number in range(40):
        account.put(f"item{number % 20}", f"first {number}")
    for hour in range(72):
        account.now = START + hour * HOUR
        for number in range(12):
            account.put(f"item{(hour + number) % 20}", f"{hour} {number}")
    account.streams.hold(START + 72 * HOUR)
    return account


def keys(records: list[Json]) -> list[str]:
    return [record["dynamodb"]["Keys"]["id"]["S"] for record in records]


class TestRecords:
    def test_a_record_has_the_fields_of_the_api_reference(self, account):
        account.now += timedelta(seconds=1, microseconds=700_000)
        account.put("a")
        (record,) = account.read_all()
        assert record == {
            "eventID": record["eventID"],
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": REGION,
            "dynamodb": {
                "ApproximateCreationDateTime": int(START.timestamp()) + 1,
                "Keys": {"id": {"S": "a"}},
                "NewImage": {"id": {"S": "a"}, "text": {"S": "x"}},
                "SequenceNumber": record["dynamodb"]["SequenceNumber"],
                "SizeBytes": 3 + 3 + 5,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
        }
        assert len(record["eventID"]) == 32
        assert 21 <= len(record["dynamodb"]["SequenceNumber"]) <= 40

    @pytest.mark.parametrize(
        ("view_type", "images"),
        [
            ("KEYS_ONLY", []),
            ("NEW_IMAGE", ["NewImage"]),
            ("OLD_IMAGE", ["OldImage"]),
            ("NEW_AND_OLD_IMAGES", ["NewImage", "OldImage"]),
        ],
    )
    def test_the_view_type_says_which_images_there_are(self, tmp_path, view_type, images):
        account = Account(tmp_path, view_type)
        account.put("a", "before")
        account.put("a", "after")
        change = account.read_all()[1]["dynamodb"]
        assert [name for name in ("NewImage", "OldImage") if name in change] == images

    def test_only_an_expiry_names_dynamodb(self, account):
        for name in "abc":
            account.put(name)
        account.delete("a", cause="ttl")
        account.delete("b")
        account.delete("c", cause="replication")
        removed = [record for record in account.read_all() if record["eventName"] == "REMOVE"]
        assert [record.get("userIdentity") for record in removed] == [
            {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"},
            None,
            None,
        ]

    def test_every_change_is_there_once(self, busy):
        records = busy.read_all()
        assert len(records) == len(busy.journal)
        assert len({record["eventID"] for record in records}) == len(records)

    def test_sequence_numbers_grow_as_numbers_and_not_as_text(self, busy):
        found = [record["dynamodb"]["SequenceNumber"] for shard in busy.shards() for record in busy.read(shard)]
        in_order = sorted(found, key=int)
        assert len(set(found)) == len(found)
        assert sorted(found) != in_order


class TestShards:
    def test_a_shard_is_left_after_about_four_hours(self, account):
        account.put("a")
        account.now += timedelta(hours=3)
        account.put("a", "in the same shard")
        account.now += timedelta(hours=2)
        account.put("a", "in its child")
        parent, child = account.shards()
        assert "EndingSequenceNumber" in parent["SequenceNumberRange"]
        assert "EndingSequenceNumber" not in child["SequenceNumberRange"]
        assert child["ParentShardId"] == parent["ShardId"]
        assert [len(account.read(shard)) for shard in (parent, child)] == [2, 1]

    def test_a_busy_shard_has_two_children_that_share_its_keys(self, busy):
        first, *later = busy.shards()
        children = [shard for shard in later if shard.get("ParentShardId") == first["ShardId"]]
        assert len(children) == 2
        left, right = (set(keys(busy.read(shard))) for shard in children)
        assert left
        assert right
        assert not left & right

    def test_an_items_changes_are_in_order_from_parent_to_child(self, busy):
        parents = {shard["ShardId"]: shard.get("ParentShardId") for shard in busy.shards()}
        shown: dict[str, list[tuple[str, str]]] = {}
        for shard in busy.shards():
            for record in busy.read(shard):
                change = record["dynamodb"]
                shown.setdefault(change["Keys"]["id"]["S"], []).append((shard["ShardId"], change["NewImage"]))
        for item, seen in shown.items():
            written = [change.new for change in busy.journal if change.key == {"id": {"S": item}}]
            assert [image for _, image in seen] == written
            places = list(dict.fromkeys(shard for shard, _ in seen))
            for older, newer in pairwise(places):
                ancestor = newer
                while ancestor != older:
                    ancestor = parents[ancestor]

    def test_records_lie_within_the_range_of_their_shard(self, busy):
        for shard in busy.shards():
            span = shard["SequenceNumberRange"]
            for record in busy.read(shard):
                number = int(record["dynamodb"]["SequenceNumber"])
                assert int(span["StartingSequenceNumber"]) <= number
                assert number <= int(span.get("EndingSequenceNumber", number))

    def test_pages_of_shards_join_to_the_whole_list(self, busy):
        found, after = [], {}
        while True:
            page = busy.call("DescribeStream", StreamArn=busy.arn, Limit=7, **after)["StreamDescription"]
            found += page["Shards"]
            if "LastEvaluatedShardId" not in page:
                break
            after = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}
        assert found == busy.shards()
        assert len(found) > 14

    def test_the_filter_gives_the_children_of_a_shard(self, busy):
        first = busy.shards()[0]
        found = busy.shards(ShardFilter={"Type": "CHILD_SHARDS", "ShardId": first["ShardId"]})
        assert {shard["ParentShardId"] for shard in found} == {first["ShardId"]}

    def test_a_restart_finds_the_same_shards_and_records(self, busy):
        before = [(shard, busy.read(shard)) for shard in busy.shards()]
        busy.restart()
        assert [(shard, busy.read(shard)) for shard in busy.shards()] == before


class TestStreams:
    def test_a_stream_enabled_again_is_another_one_and_the_old_one_stays_readable(self, account):
        account.put("a")
        account.switch("UpdateTable", None)
        account.put("b")
        account.switch("UpdateTable", "2026-11-10T01:00:00.000")
        account.put("c")
        old, new = (stream["StreamArn"] for stream in account.call("ListStreams")["Streams"])
        described = account.call("DescribeStream", StreamArn=old)["StreamDescription"]
        assert described["StreamStatus"] == "DISABLED"
        assert all("EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in described["Shards"])
        assert old != new
        assert keys(account.read_all()) == ["c"]

    @pytest.mark.parametrize("operation", ["UpdateTable", "DeleteTable"])
    def test_a_stream_that_ended_is_gone_a_day_later(self, account, operation):
        account.put("a")
        account.switch(operation, None)
        account.now += DAY - HOUR
        assert keys(account.read_all()) == ["a"]
        account.now += 2 * HOUR
        assert account.call("ListStreams")["Streams"] == []

    def test_another_account_sees_nothing(self, account):
        seen = Seen(
            Call("dynamodbstreams", "DescribeStream", {"StreamArn": account.arn}, REGION),
            Response(200, [], b""),
            "210987654321",
            Caller(),
            account.now,
        )
        assert b"ResourceNotFoundException" in account.streams.answer(seen).body

    def test_streams_are_listed_by_table_and_in_pages(self, account):
        account.switch("UpdateTable", "2026-11-10T02:00:00.000")
        first = account.call("ListStreams", TableName="Visits", Limit=1)
        last = account.call("ListStreams", Limit=1, ExclusiveStartStreamArn=first["LastEvaluatedStreamArn"])
        assert [page["Streams"][0]["StreamLabel"] for page in (first, last)] == [
            "2026-11-10T00:00:00.000",
            "2026-11-10T02:00:00.000",
        ]
        assert "LastEvaluatedStreamArn" not in last
        assert account.call("ListStreams", TableName="Other")["Streams"] == []


class TestIterators:
    def test_latest_sees_only_what_comes(self, account):
        account.put("a")
        iterator = account.iterator(account.shards()[0], "LATEST")
        account.put("b")
        assert keys(account.call("GetRecords", ShardIterator=iterator)["Records"]) == ["b"]

    @pytest.mark.parametrize(
        ("kind", "expected"), [("AT_SEQUENCE_NUMBER", ["b", "c"]), ("AFTER_SEQUENCE_NUMBER", ["c"])]
    )
    def test_a_sequence_number_is_where_to_go_on(self, account, kind, expected):
        for name in "abc":
            account.put(name)
        (shard,) = account.shards()
        number = account.read(shard)[1]["dynamodb"]["SequenceNumber"]
        assert keys(account.read(shard, kind, SequenceNumber=number)) == expected

    def test_a_time_is_where_to_begin(self, account):
        for name in "abc":
            account.put(name)
            account.now += timedelta(minutes=1)
        (shard,) = account.shards()
        since = (START + timedelta(seconds=30)).timestamp()
        assert keys(account.read(shard, "AT_TIMESTAMP", Timestamp=since)) == ["b", "c"]

    def test_a_number_of_another_shard_is_refused(self, busy):
        first, second = busy.shards()[:2]
        number = busy.read(first)[0]["dynamodb"]["SequenceNumber"]
        with pytest.raises(RefusedError, match="ValidationException"):
            busy.iterator(second, "AT_SEQUENCE_NUMBER", SequenceNumber=number)

    def test_a_time_to_come_is_refused(self, account):
        with pytest.raises(RefusedError, match="ValidationException"):
            account.iterator(account.shards()[0], "AT_TIMESTAMP", Timestamp=account.now.timestamp() + 60)

    def test_it_is_good_for_fifteen_minutes(self, account):
        account.put("a")
        iterator = account.iterator(account.shards()[0])
        account.now += timedelta(minutes=15)
        assert keys(account.call("GetRecords", ShardIterator=iterator)["Records"]) == ["a"]
        account.now += timedelta(seconds=1)
        with pytest.raises(RefusedError, match="ExpiredIteratorException"):
            account.call("GetRecords", ShardIterator=iterator)

    @pytest.mark.parametrize("text", ["", "x", "arn:aws:dynamodb|1|x", "a|1|e30="], ids=["empty", "text", "no", "less"])
    def test_what_is_none_is_refused(self, account, text):
        with pytest.raises(RefusedError, match="ValidationException"):
            account.call("GetRecords", ShardIterator=text)

    def test_an_open_shard_always_has_a_next_one(self, account):
        answer = account.call("GetRecords", ShardIterator=account.iterator(account.shards()[0]))
        assert answer["Records"] == []
        assert "NextShardIterator" in answer

    def test_a_closed_shard_ends(self, account):
        for name in "abc":
            account.put(name)
        account.now += timedelta(hours=5)
        account.put("a", "in the child")
        iterator = account.iterator(account.shards()[0])
        first = account.call("GetRecords", ShardIterator=iterator, Limit=2)
        last = account.call("GetRecords", ShardIterator=first["NextShardIterator"], Limit=2)
        assert keys(first["Records"]) + keys(last["Records"]) == ["a", "b", "c"]
        assert "NextShardIterator" not in last

    def test_a_page_has_at_most_a_thousand_records(self, account):
        for number in range(1001):
            account.put(f"{number}")
        answer = account.call("GetRecords", ShardIterator=account.iterator(account.shards()[0]))
        assert len(answer["Records"]) == 1000

    def test_a_page_has_at_most_a_megabyte_but_always_a_record(self, account):
        for name, length in (("a", 2_000_000), ("b", 500_000), ("c", 500_000), ("d", 500_000)):
            account.put(name, "x" * length)
        (shard,) = account.shards()
        first = account.call("GetRecords", ShardIterator=account.iterator(shard))
        second = account.call("GetRecords", ShardIterator=first["NextShardIterator"])
        assert keys(first["Records"]) == ["a"]
        assert keys(second["Records"]) == ["b", "c"]


class TestTrimming:
    def test_a_record_can_be_read_for_a_day(self, account):
        account.put("old")
        account.now += HOUR
        account.put("new")
        account.now = START + DAY
        assert keys(account.read_all()) == ["new"]

    def test_shards_disappear_with_their_last_record(self, busy):
        busy.streams.strict = True
        assert len({record["dynamodb"]["ApproximateCreationDateTime"] for record in busy.read_all()}) == 24
        busy.now += 2 * DAY
        assert all("EndingSequenceNumber" not in shard["SequenceNumberRange"] for shard in busy.shards())
        assert busy.read_all() == []

    def test_a_checkpoint_behind_the_horizon_says_that_records_were_lost(self, account):
        for name in "abc":
            account.put(name)
        (shard,) = account.shards()
        first = account.read(shard)[0]["dynamodb"]["SequenceNumber"]
        account.now += DAY + HOUR
        with pytest.raises(RefusedError, match="TrimmedDataAccessException"):
            account.iterator(shard, "AFTER_SEQUENCE_NUMBER", SequenceNumber=first)

    def test_a_checkpoint_at_the_last_trimmed_record_has_lost_nothing(self, account):
        account.put("a")
        (shard,) = account.shards()
        number = account.read(shard)[0]["dynamodb"]["SequenceNumber"]
        account.now += DAY
        account.put("b")
        shard = account.shards()[0]
        assert account.read(shard, "AFTER_SEQUENCE_NUMBER", SequenceNumber=number) == []

    def test_an_iterator_that_fell_behind_the_horizon_says_so(self, account):
        account.put("a")
        account.now += DAY - timedelta(minutes=5)
        iterator = account.iterator(account.shards()[0])
        account.now += timedelta(minutes=10)
        with pytest.raises(RefusedError, match="TrimmedDataAccessException"):
            account.call("GetRecords", ShardIterator=iterator)

    def test_what_was_played_counts_as_made_at_the_end_of_the_play(self, busy):
        busy.now = START + 80 * HOUR
        assert len(busy.read_all()) == len(busy.journal)
        busy.now = START + 72 * HOUR + DAY + HOUR
        assert busy.read_all() == []

    def test_a_strict_account_lets_records_age_in_the_play_too(self, busy):
        busy.streams.strict = True
        assert len(busy.read_all()) < len(busy.journal)
        busy.restart()
        assert busy.streams.strict


class TestFaults:
    def outcomes(self, account: Account, faults: Faults, calls: int = 400) -> list[str]:
        account.streams.faults = None
        iterator = account.iterator(account.shards()[0])
        account.streams.faults = faults
        found = []
        for _ in range(calls):
            try:
                account.call("GetRecords", ShardIterator=iterator)
                found.append("ok")
            except RefusedError as refused:
                found.append(str(refused))
        return found

    def test_shares_of_the_calls_meet_each_fault(self, account):
        found = self.outcomes(account, Faults(throttled=0.2, failed=0.1, expired=0.1))
        assert {name: round(found.count(name) / len(found), 1) for name in set(found)} == {
            "ok": 0.6,
            "LimitExceededException": 0.1,
            "ProvisionedThroughputExceededException": 0.1,
            "InternalServerError": 0.1,
            "ExpiredIteratorException": 0.1,
        }

    def test_a_seed_always_hits_the_same_calls(self, account):
        first, second = (self.outcomes(account, Faults(seed=3, throttled=0.3), 50) for _ in range(2))
        assert first == second
        assert first != self.outcomes(account, Faults(seed=4, throttled=0.3), 50)

    def test_only_records_meet_an_expired_iterator(self, account):
        account.streams.faults = Faults(expired=1.0)
        assert account.shards()

"""Item changes in a running sandbox: every way to write, expiry, replicas, and what a stream shows of them."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynatrail.sandbox import Sandbox
from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.journal import Change
from dynatrail.sandbox.state import Credentials

pytestmark = pytest.mark.slow

Json = dict[str, Any]
ACCOUNT, HOME, ABROAD = "123456789012", "us-east-1", "eu-west-1"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Account:
    """A running sandbox without any scenario, and its root."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.dynamodb = self.client("dynamodb")
        self.streams = self.client("dynamodbstreams")

    def client(self, service: str, region: str = HOME) -> Any:
        return self.sandbox.client(service, self.sandbox.root(ACCOUNT, region), caller=Caller(recorded=True))

    def table(self, name: str, *, region: str = HOME, view_type: str | None = "NEW_AND_OLD_IMAGES") -> str:
        stream: Json = {"StreamEnabled": True, "StreamViewType": view_type} if view_type else {"StreamEnabled": False}
        self.client("dynamodb", region).create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification=stream,
        )
        return name

    def changes(self, table: str, region: str = HOME) -> list[Change]:
        return self.sandbox.journal.changes(ACCOUNT, region, table)

    def shown(self, table: str, region: str = HOME) -> list[tuple[str, str | None, str | None]]:
        return [
            (change.change_type, text_of(change.old), text_of(change.new)) for change in self.changes(table, region)
        ]

    def records(self, table: str, region: str = HOME) -> list[Json]:
        streams = self.client("dynamodbstreams", region)
        (stream,) = streams.list_streams(TableName=table)["Streams"]
        found = []
        described = streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]
        for shard in described["Shards"]:
            iterator = streams.get_shard_iterator(
                StreamArn=stream["StreamArn"], ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            found += streams.get_records(ShardIterator=iterator)["Records"]
        return found

    def pass_time(self, **more: Any) -> None:
        self.sandbox.pass_time(self.sandbox.clock.now() + timedelta(**more))

    @contextmanager
    def recording(self) -> Iterator[list[Json]]:
        """The CloudTrail records that are made inside."""
        records: list[Json] = []
        self.sandbox.recorder.listener = lambda recorded: records.append(recorded.record)
        yield records
        self.sandbox.recorder.listener = None


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with Sandbox(tmp_path_factory.mktemp("account")) as sandbox:
        yield Account(sandbox)


def item(name: str, text: str = "x") -> Json:
    return {"id": {"S": name}, "text": {"S": text}}


def key(name: str) -> Json:
    return {"id": {"S": name}}


def text_of(image: Json | None) -> str | None:
    return image.get("text", {}).get("S", "") if image is not None else None


class TestWrites:
    def test_classic_writes_have_both_images(self, account):
        table = account.table("Classic")
        account.dynamodb.put_item(TableName=table, Item=item("a", "one"))
        account.dynamodb.update_item(
            TableName=table,
            Key=key("a"),
            UpdateExpression="SET #t = :t",
            ExpressionAttributeNames={"#t": "text"},
            ExpressionAttributeValues={":t": {"S": "two"}},
        )
        account.dynamodb.delete_item(TableName=table, Key=key("a"))
        expected = [("INSERT", None, "one"), ("MODIFY", "one", "two"), ("REMOVE", "two", None)]
        assert account.shown(table) == expected

    def test_batches_and_transactions_have_a_change_for_each_item(self, account):
        table = account.table("Several")
        puts = [{"PutRequest": {"Item": item(name)}} for name in "abc"]
        account.dynamodb.batch_write_item(RequestItems={table: puts})
        account.dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": table, "Item": item("a", "y")}},
                {"Delete": {"TableName": table, "Key": key("b")}},
                {"Put": {"TableName": table, "Item": item("d")}},
            ]
        )
        assert account.shown(table)[3:] == [("MODIFY", "x", "y"), ("REMOVE", "x", None), ("INSERT", None, "x")]

    def test_partiql_writes_are_changes_too(self, account):
        table = account.table("Statements")
        account.dynamodb.execute_statement(Statement=f"INSERT INTO {table} VALUE {{'id': 'a', 'text': 'one'}}")
        account.dynamodb.batch_execute_statement(
            Statements=[{"Statement": f"UPDATE {table} SET text = 'two' WHERE id = 'a'"}]
        )
        account.dynamodb.execute_transaction(TransactStatements=[{"Statement": f"DELETE FROM {table} WHERE id = 'a'"}])
        expected = [("INSERT", None, "one"), ("MODIFY", "one", "two"), ("REMOVE", "two", None)]
        assert account.shown(table) == expected

    def test_a_condition_that_fails_changes_nothing(self, account):
        table = account.table("Conditions")
        account.dynamodb.put_item(TableName=table, Item=item("a"))
        for write in (
            lambda: account.dynamodb.put_item(
                TableName=table, Item=item("a", "y"), ConditionExpression="attribute_not_exists(id)"
            ),
            lambda: account.dynamodb.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": table, "Item": item("b")}},
                    {
                        "ConditionCheck": {
                            "TableName": table,
                            "Key": key("c"),
                            "ConditionExpression": "attribute_exists(id)",
                        }
                    },
                ]
            ),
            lambda: account.dynamodb.execute_transaction(
                TransactStatements=[
                    {"Statement": f"INSERT INTO {table} VALUE {{'id': 'b'}}"},
                    {"Statement": f"INSERT INTO {table} VALUE {{'id': 'a'}}"},
                ]
            ),
        ):
            with pytest.raises(ClientError):
                write()
        assert account.shown(table) == [("INSERT", None, "x")]

    def test_the_same_write_again_is_no_change(self, account):
        table = account.table("Again")
        for _ in range(2):
            account.dynamodb.put_item(TableName=table, Item={**item("a"), "n": {"NS": ["1", "2"]}})
        account.dynamodb.put_item(TableName=table, Item={**item("a"), "n": {"NS": ["2.0", "1"]}})
        assert account.shown(table) == [("INSERT", None, "x")]

    def test_numbers_stay_exact_and_binary_is_base64(self, account):
        table = account.table("Exact")
        number = "12345678901234567890123456789012345678"
        account.dynamodb.put_item(
            TableName=table, Item={**key("a"), "n": {"N": number}, "b": {"B": b"\x00\xff"}, "l": {"L": [{"N": "0.1"}]}}
        )
        (change,) = account.changes(table)
        assert change.new == {**key("a"), "n": {"N": number}, "b": {"B": "AP8="}, "l": {"L": [{"N": "0.1"}]}}
        (record,) = account.records(table)
        assert record["dynamodb"]["NewImage"]["b"] == {"B": b"\x00\xff"}

    def test_imported_items_say_so(self, account):
        s3 = account.client("s3")
        s3.create_bucket(Bucket="example-import")
        s3.put_object(Bucket="example-import", Key="in/items.json", Body=json.dumps({"Item": item("a")}).encode())
        made = account.dynamodb.import_table(
            S3BucketSource={"S3Bucket": "example-import", "S3KeyPrefix": "in/"},
            InputFormat="DYNAMODB_JSON",
            TableCreationParameters={
                "TableName": "Imported",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        )["ImportTableDescription"]
        while made["ImportStatus"] == "IN_PROGRESS":
            made = account.dynamodb.describe_import(ImportArn=made["ImportArn"])["ImportTableDescription"]
        assert made["ImportedItemCount"] == 1
        assert [(change.cause, change.new) for change in account.changes("Imported")] == [("import", item("a"))]

    def test_a_table_without_a_stream_is_in_the_journal(self, account):
        table = account.table("Silent", view_type=None)
        account.dynamodb.put_item(TableName=table, Item=item("a"))
        assert account.shown(table) == [("INSERT", None, "x")]
        assert account.streams.list_streams(TableName=table)["Streams"] == []

    def test_eight_callers_at_once_lose_and_disorder_nothing(self, account):
        table = account.table("Crowd")

        def work(caller: int) -> None:
            client = account.client("dynamodb")
            for number in range(12):
                client.update_item(
                    TableName=table,
                    Key=key(f"shared{number % 3}"),
                    UpdateExpression="SET #t = :t ADD n :one",
                    ExpressionAttributeNames={"#t": "text"},
                    ExpressionAttributeValues={":t": {"S": f"{caller} {number}"}, ":one": {"N": "1"}},
                )

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        changes = account.changes(table)
        assert len(changes) == 8 * 12
        for name in ("shared0", "shared1", "shared2"):
            images: list[Json | None] = [None]
            for change in changes:
                if change.key == key(name):
                    assert change.old == images[-1]
                    images.append(change.new)
            assert images[-1] == account.dynamodb.get_item(TableName=table, Key=key(name))["Item"]
        assert [change.at for change in changes] == sorted(change.at for change in changes)

    def test_callers_get_no_header_of_the_sandbox(self, account):
        answer = account.dynamodb.put_item(TableName=account.table("Header"), Item=item("a"))
        assert not [name for name in answer["ResponseMetadata"]["HTTPHeaders"] if "dynatrail" in name.lower()]


class TestStreams:
    def test_a_stream_shows_the_journal(self, account):
        table = account.table("Shown")
        for text in ("one", "two"):
            account.dynamodb.put_item(TableName=table, Item=item("a", text))
        records = account.records(table)
        assert [record["eventName"] for record in records] == ["INSERT", "MODIFY"]
        assert records[1]["dynamodb"]["OldImage"] == item("a", "one")
        at = records[1]["dynamodb"]["ApproximateCreationDateTime"]
        assert at == account.changes(table)[1].at.replace(microsecond=0)

    def test_a_table_made_again_has_a_new_stream_with_its_own_records(self, account):
        table = account.table("Reborn")
        account.dynamodb.put_item(TableName=table, Item=item("a"))
        account.dynamodb.delete_table(TableName=table)
        account.table("Reborn")
        account.dynamodb.put_item(TableName=table, Item=item("b"))
        old, new = account.streams.list_streams(TableName=table)["Streams"]
        statuses = [
            account.streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["StreamStatus"]
            for stream in (old, new)
        ]
        assert statuses == ["DISABLED", "ENABLED"]
        assert account.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"] == new["StreamArn"]

    def test_reading_a_stream_is_recorded_with_its_table(self, account):
        table = account.table("Watched")
        account.dynamodb.put_item(TableName=table, Item=item("a"))
        with account.recording() as recorded:
            assert len(account.records(table)) == 1
        arn = f"arn:aws:dynamodb:{HOME}:{ACCOUNT}:table/{table}"
        of_table = [record for record in recorded if record["resources"][0]["ARN"] == arn]
        assert {(record["eventName"], record["managementEvent"]) for record in of_table} == {
            ("ListStreams", True),
            ("DescribeStream", True),
            ("GetShardIterator", False),
            ("GetRecords", False),
        }

    def test_a_policy_says_whose_stream_may_be_read(self, account):
        streams = {
            table: account.streams.list_streams(TableName=account.table(table))["Streams"][0]["StreamArn"]
            for table in ("Open", "Closed")
        }
        iam = account.client("iam")
        iam.create_user(UserName="other")
        actions = ["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"]
        resource = f"arn:aws:dynamodb:{HOME}:{ACCOUNT}:table/Open/stream/*"
        allowed = {"Effect": "Allow", "Action": actions, "Resource": resource}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName="other", PolicyName="other", PolicyDocument=document)
        made = iam.create_access_key(UserName="other")["AccessKey"]
        other = Credentials(made["AccessKeyId"], made["SecretAccessKey"], HOME)
        client = account.sandbox.client("dynamodbstreams", other)
        for table, arn in streams.items():
            shard = account.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
            asked = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "LATEST"}
            iterator = account.streams.get_shard_iterator(**asked)["ShardIterator"]
            for read in (
                lambda arn=arn: client.describe_stream(StreamArn=arn),
                lambda asked=asked: client.get_shard_iterator(**asked),
                lambda iterator=iterator: client.get_records(ShardIterator=iterator),
            ):
                if table == "Open":
                    assert read()
                else:
                    with pytest.raises(ClientError, match="AccessDenied"):
                        read()


class TestTimeToLive:
    def make(self, account: Account, name: str) -> str:
        table = account.table(name)
        account.dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"}
        )
        return table

    def put(self, account: Account, table: str, name: str, **after: float) -> None:
        until = int((account.sandbox.clock.now() + timedelta(**after)).timestamp())
        account.dynamodb.put_item(TableName=table, Item={**item(name), "until": {"N": str(until)}})

    def test_an_expired_item_goes_some_time_later_and_names_dynamodb(self, account):
        table = self.make(account, "Expiring")
        self.put(account, table, "a", hours=1)
        with account.recording() as recorded:
            account.pass_time(minutes=59)
            assert len(account.changes(table)) == 1
            account.pass_time(hours=3)
        assert recorded == []
        change = account.changes(table)[-1]
        expiry = int(change.old["until"]["N"])
        assert (change.change_type, change.cause) == ("REMOVE", "ttl")
        assert 2 * 60 <= change.at.timestamp() - expiry <= 150 * 60
        assert account.records(table)[-1]["userIdentity"] == {
            "PrincipalId": "dynamodb.amazonaws.com",
            "Type": "Service",
        }
        assert account.sandbox.journal.ttl_deletes(ACCOUNT, HOME, table) == [change]
        assert "Item" not in account.dynamodb.get_item(TableName=table, Key=key("a"))

    def test_an_item_that_was_prolonged_or_holds_no_time_stays(self, account):
        table = self.make(account, "Prolonged")
        self.put(account, table, "a", hours=1)
        self.put(account, table, "a", hours=9)
        account.dynamodb.put_item(TableName=table, Item={**item("b"), "until": {"S": "1"}})
        account.dynamodb.put_item(TableName=table, Item={**item("c"), "until": {"N": "1"}})  # five years and more ago
        account.pass_time(hours=6)
        assert account.sandbox.journal.ttl_deletes(ACCOUNT, HOME, table) == []

    def test_what_expired_before_it_was_switched_on_goes_too(self, account):
        table = account.table("Late")
        self.put(account, table, "a", hours=-1)
        account.pass_time(hours=6)
        assert len(account.changes(table)) == 1
        account.dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"}
        )
        account.pass_time(hours=3)
        assert account.changes(table)[-1].cause == "ttl"

    def test_nothing_goes_after_it_was_switched_off(self, account):
        table = self.make(account, "Off")
        self.put(account, table, "a", hours=1)
        account.dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": False, "AttributeName": "until"}
        )
        account.pass_time(hours=6)
        assert len(account.changes(table)) == 1


class TestReplicas:
    def make(self, account: Account, name: str) -> str:
        table = account.table(name)
        account.dynamodb.update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": ABROAD}}])
        return table

    def test_a_write_comes_over_some_seconds_later_without_any_call(self, account):
        table = self.make(account, "Global")
        account.dynamodb.put_item(TableName=table, Item=item("a"))
        assert account.changes(table, ABROAD) == []
        with account.recording() as recorded:
            account.pass_time(seconds=10)
        assert recorded == []
        (change,) = account.changes(table, ABROAD)
        assert (change.change_type, change.cause, change.new) == ("INSERT", "replication", item("a"))
        assert timedelta(seconds=1) <= change.at - account.changes(table)[0].at <= timedelta(seconds=5)
        (record,) = account.records(table, ABROAD)
        assert "userIdentity" not in record
        assert record["awsRegion"] == ABROAD

    def test_several_writes_come_over_as_one(self, account):
        table = self.make(account, "Coalesced")
        for text in ("one", "two", "three"):
            account.dynamodb.put_item(TableName=table, Item=item("a", text))
        account.dynamodb.put_item(TableName=table, Item=item("b"))
        account.dynamodb.delete_item(TableName=table, Key=key("b"))
        account.pass_time(seconds=10)
        assert account.shown(table, ABROAD) == [("INSERT", None, "three")]

    def test_it_goes_in_both_directions_and_does_not_echo(self, account):
        table = self.make(account, "Mutual")
        abroad = account.client("dynamodb", ABROAD)
        abroad.put_item(TableName=table, Item=item("a", "abroad"))
        account.pass_time(seconds=10)
        account.dynamodb.delete_item(TableName=table, Key=key("a"))
        account.pass_time(seconds=10)
        account.pass_time(seconds=10)
        assert account.shown(table) == [("INSERT", None, "abroad"), ("REMOVE", "abroad", None)]
        assert account.shown(table, ABROAD) == [("INSERT", None, "abroad"), ("REMOVE", "abroad", None)]

    def test_of_two_writers_the_last_one_wins(self, account):
        table = self.make(account, "Contended")
        abroad = account.client("dynamodb", ABROAD)
        for number in range(10):
            account.dynamodb.put_item(TableName=table, Item=item(f"{number}", "first"))
            abroad.put_item(TableName=table, Item=item(f"{number}", "last"))
        account.pass_time(seconds=10)
        account.pass_time(seconds=10)
        for client in (account.dynamodb, abroad):
            assert {one["text"]["S"] for one in client.scan(TableName=table)["Items"]} == {"last"}

    def test_an_expiry_is_ordinary_in_the_other_region(self, account):
        table = self.make(account, "GlobalSessions")
        account.dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"}
        )
        until = int((account.sandbox.clock.now() + HOUR).timestamp())
        account.dynamodb.put_item(TableName=table, Item={**item("a"), "until": {"N": str(until)}})
        account.pass_time(seconds=10)
        account.pass_time(hours=4)
        account.pass_time(seconds=10)
        assert [change.cause for change in account.changes(table)] == ["call", "ttl"]
        assert [change.cause for change in account.changes(table, ABROAD)] == ["replication", "replication"]
        assert "userIdentity" not in account.records(table, ABROAD)[-1]


def test_a_restarted_sandbox_goes_on_as_the_same_account(sandbox_folder):
    with Sandbox(sandbox_folder) as sandbox:
        account = Account(sandbox)
        table = account.table("Kept")
        account.dynamodb.update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": ABROAD}}])
        account.dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"}
        )
        until = int((sandbox.clock.now() + HOUR).timestamp())
        account.dynamodb.put_item(TableName=table, Item={**item("a"), "until": {"N": str(until)}})
        before, shown = list(sandbox.journal), account.records(table)
        (stream,) = account.streams.list_streams(TableName=table)["Streams"]
    with Sandbox(sandbox_folder) as sandbox:
        account = Account(sandbox)
        assert list(sandbox.journal) == before
        assert account.records(table) == shown
        account.pass_time(seconds=10)
        assert [change.cause for change in account.changes(table, ABROAD)] == ["replication"]
        account.pass_time(hours=4)
        assert account.changes(table)[-1].cause == "ttl"
        assert account.streams.list_streams(TableName=table)["Streams"] == [stream]


def test_unread_records_expire_when_time_passes(account):
    table = account.table("Unread")
    account.dynamodb.put_item(TableName=table, Item=item("a"))
    (record,) = account.records(table)
    (stream,) = account.streams.list_streams(TableName=table)["Streams"]
    (shard,) = account.streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]
    account.sandbox.pass_time(account.sandbox.clock.now() + DAY + HOUR)
    assert account.records(table) == []
    account.dynamodb.put_item(TableName=table, Item=item("b"))
    with pytest.raises(ClientError, match=r"TrimmedDataAccessException"):
        account.streams.get_shard_iterator(
            StreamArn=stream["StreamArn"],
            ShardId=shard["ShardId"],
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            SequenceNumber=record["dynamodb"]["SequenceNumber"],
        )

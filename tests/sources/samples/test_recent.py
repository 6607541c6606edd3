"""The newest items of streams, over HTTP; nothing of the state is touched."""

import json

import pytest
from tests.sources.streams.server import StreamsServer

from dynatrail.sources.samples import recent
from dynatrail.sources.streams.client import StreamsClient


@pytest.fixture
def server():
    made = StreamsServer()
    yield made
    made.close()


@pytest.fixture
def client(server):
    return StreamsClient(server.client(), reads_per_s=1_000)


def ids(sample):
    return [json.loads(image)["id"]["S"] for image in sample.images.values()]


def test_open_shards_come_first_and_of_a_shard_the_newest(server, client):
    stream = server.stream("Patients", "a")
    for n in range(5):
        server.write(stream, "a", f"old-{n}")
    server.split(stream, "a", "b")
    for n in range(5):
        server.write(stream, "b", f"new-{n}")
    assert ids(recent.newest(client, "Patients", 7)) == [
        *("new-4", "new-3", "new-2", "new-1", "new-0", "old-4", "old-3"),
    ]


def test_of_an_item_the_newest_image_counts_once(server, client):
    stream = server.stream("Patients", "a")
    for _ in range(4):
        server.write(stream, "a", "p-1")
    server.write(stream, "a", "p-2")
    assert ids(recent.newest(client, "Patients", 100)) == ["p-2", "p-1"]


def test_what_is_no_change_record_is_passed_over(server, client):
    stream = server.stream("Patients", "a")
    server.write(stream, "a", "p-1")
    stream.shards["a"].records.append({"eventName": "INSERT", "dynamodb": "PLANTED"})
    server.write(stream, "a", "p-2")
    assert ids(recent.newest(client, "Patients", 100)) == ["p-2", "p-1"]


def test_a_table_without_stream_gives_nothing(server, client):
    assert recent.newest(client, "Patients", 100).images == {}


def test_samples_do_not_show_in_a_representation(server, client):
    stream = server.stream("Patients", "a")
    server.write(stream, "a", "PLANTED")
    assert "PLANTED" not in repr(recent.newest(client, "Patients", 100))

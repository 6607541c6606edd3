"""The warehouse on S3, through an Airflow connection, against ministack."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import BotoCoreError

from dynatrail.errors import WarehouseError
from dynatrail.settings import PROJECT, Settings
from dynatrail.warehouse.store import Warehouse

pytestmark = pytest.mark.slow

CONNECTION = {"conn_type": "aws", "login": "123456789012", "password": "not-a-secret"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    home = tmp_path_factory.mktemp("ministack")
    port = free_port()
    server = subprocess.Popen(
        [str(PROJECT / ".venv-sandbox" / "bin" / "ministack")],
        env={**os.environ, "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "HOME": str(home)},
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="123456789012", aws_secret_access_key="x", region_name="us-east-1"
    )
    for _ in range(150):
        try:
            client.create_bucket(Bucket="warehouse")
            break
        except BotoCoreError:
            assert server.poll() is None, "ministack ended"
            time.sleep(0.2)
    yield url
    server.terminate()
    server.wait(timeout=20)


@pytest.fixture
def connected(endpoint, monkeypatch):
    def connect(root="s3://warehouse/tables", url=endpoint):
        connection = {**CONNECTION, "extra": {"region_name": "us-east-1", "endpoint_url": url}}
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
        return Warehouse.from_settings(Settings(warehouse=root, warehouse_conn_id="warehouse", home=Path("unused")))

    return connect


def test_rows_on_s3_are_written_merged_and_read_through_the_airflow_connection(connected, events, hour, slice_of):
    warehouse = connected("s3://warehouse/merged")
    calls = []

    def merge(present):
        calls.append(present.num_rows)
        if len(calls) == 1:
            connected("s3://warehouse/merged").replace("api_event", events(name="theirs"), hours=[hour], where=slice_of)
        return pa.concat_tables([present, events(name="ours")])

    assert warehouse.replace("api_event", merge, hours=[hour], where=slice_of) == 6
    assert calls == [0, 3]
    assert warehouse.dataset("api_event").count_rows() == 6
    both = pa.concat_tables([events(name="ours"), events(name="theirs")])
    assert warehouse.replace("api_event", both, hours=[hour], where=slice_of) == 0


def test_s3_and_a_folder_hold_the_same_content(connected, warehouse, events, hour, slice_of):
    remote = connected("s3://warehouse/same")
    for store in (remote, warehouse):
        store.replace("api_event", events(), hours=[hour], where=slice_of)
    assert remote.digest("api_event") == warehouse.digest("api_event")


def test_a_missing_bucket_is_named(connected):
    with pytest.raises(WarehouseError, match=r"api_event in s3://no-such-bucket/x: NoSuchBucket: The specified bucket"):
        connected("s3://no-such-bucket/x").versions()


def test_an_unreachable_endpoint_is_an_error_not_an_empty_warehouse(connected):
    with pytest.raises(WarehouseError, match="Connection refused"):
        connected(url=f"http://127.0.0.1:{free_port()}").versions()

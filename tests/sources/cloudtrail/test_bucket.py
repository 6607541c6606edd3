"""Reading from S3: a small server speaks its API over HTTP, so that boto3, its retries and its errors are real."""

import json
import os
import re
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from botocore.config import Config

from dynatrail.config import Trail
from dynatrail.errors import ObjectError, SettingsError, SourceError
from dynatrail.settings import settings
from dynatrail.sources import aws
from dynatrail.sources.cloudtrail import extract
from dynatrail.sources.cloudtrail.bucket import FolderBucket, open_bucket
from dynatrail.sources.cloudtrail.trails import Sources
from dynatrail.warehouse.store import Warehouse

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
END = START + timedelta(hours=1)
FOLDER = "AWSLogs/123456789012/CloudTrail/eu-central-1/2026/11/01/"
NAME = "123456789012_CloudTrail_eu-central-1_20261101T03{:02}Z_AbCdEf0123456789.json.gz"
LIMIT = 1 << 20
TRAIL = Trail(bucket="example-trail")


class S3:
    """The objects of one bucket, and the faults that requests meet: what a request holds -> answers in turn."""

    def __init__(self):
        self.objects = {}
        self.faults = {}
        self.asked = []

    def fault(self, target):
        for mark, answers in self.faults.items():
            if mark in target and answers:
                return answers.pop(0) if len(answers) > 1 or answers[0][2] else answers[0]
        return None

    def listing(self, query):
        prefix, after = query.get("prefix", [""])[0], query.get("start-after", [""])[0]
        delimiter = query.get("delimiter", [None])[0]
        folders, entries = set(), []
        for key, data in sorted(self.objects.items()):
            if not key.startswith(prefix) or key <= after:
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
            else:
                entries.append(
                    f"<Contents><Key>{key}</Key><Size>{len(data)}</Size><ETag>&quot;{hash(data)}&quot;</ETag></Contents>"
                )
        shown = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in sorted(folders))
        return (
            f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(entries)}{shown}</ListBucketResult>".encode()
        )


def handler_of(s3):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = urlsplit(self.path)
            s3.asked.append(unquote(self.path))
            if found := s3.fault(unquote(self.path)):
                status, code, _ = found
                if status == 0:
                    self.connection.close()
                    return
                body = f"<Error><Code>{code}</Code><Message>pat-4711 secret message</Message></Error>".encode()
            else:
                key = unquote(path.path).split("/", 2)[2] if path.path.count("/") > 1 else ""
                if not key:
                    status, body = 200, s3.listing(parse_qs(path.query))
                elif key in s3.objects:
                    status, body = 200, s3.objects[key]
                else:
                    status, body = 404, b"<Error><Code>NoSuchKey</Code></Error>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def connection(endpoint):
    extra = {
        "endpoint_url": endpoint,
        "region_name": "eu-central-1",
        "config_kwargs": {"s3": {"addressing_style": "path"}},
    }
    return json.dumps({"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "example", "extra": extra})


@pytest.fixture
def s3(monkeypatch, tmp_path):
    made = S3()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(made))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(f"http://127.0.0.1:{server.server_port}"))
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", "example-trail")
    config = Config(
        retries={"mode": "standard", "max_attempts": 3},
        s3={"addressing_style": "path"},
        connect_timeout=2,
        read_timeout=2,
    )
    monkeypatch.setattr(aws, "_CONFIG", config)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    aws.forget()
    yield made
    server.shutdown()
    server.server_close()
    aws.forget()


@pytest.fixture
def files(s3, make_record, log_file):
    """Two files of one record each in the bucket."""
    for number in (0, 1):
        record = make_record(eventID=f"00000000-0000-4000-8000-{number:012d}")
        s3.objects[FOLDER + NAME.format(number)] = log_file([record])
    return sorted(s3.objects)


def run(run_id="run"):
    return [
        extract.take(settings(), batch, run_id=run_id)
        for batch in extract.discover(settings(), START, END, retake=False, run_id=run_id)
    ]


def test_folders_objects_and_bytes_come_from_s3(files, s3):
    bucket = open_bucket(TRAIL, settings())
    assert bucket.root == "s3://example-trail/"
    assert bucket.folders("AWSLogs/") == ["123456789012"]
    assert [(one.key, one.size) for one in bucket.objects(FOLDER, "")] == [(key, len(s3.objects[key])) for key in files]
    assert [one.key for one in bucket.objects(FOLDER, files[0])] == [files[1]]
    assert bucket.read(files[0], limit=LIMIT) == s3.objects[files[0]]


def test_files_of_the_bucket_land(files):
    assert [summary.events for summary in run()] == [2]


def test_only_days_of_the_window_are_listed(files, s3):
    s3.objects["AWSLogs/123456789012/CloudTrail/eu-central-1/2020/01/01/old"] = b""
    run()
    listed = [found[1] for asked in s3.asked if (found := re.search(r"prefix=([^&]*/\d\d/)(?:&|$)", asked))]
    assert sorted(set(listed)) == [FOLDER.replace("/11/01/", "/10/31/"), FOLDER]


def test_object_larger_than_allowed_is_not_read(files, s3):
    with pytest.raises(ObjectError, match="DYNATRAIL_MAX_OBJECT_MB") as error:
        open_bucket(TRAIL, settings()).read(files[0], limit=10)
    assert error.value.code == "too_large"


def test_object_that_is_gone_says_so(s3):
    with pytest.raises(ObjectError) as error:
        open_bucket(TRAIL, settings()).read("AWSLogs/gone", limit=LIMIT)
    assert error.value.code == "missing"


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (404, "NoSuchBucket", "DYNATRAIL_TRAIL_BUCKET"),
        (403, "AccessDenied", "iam-policy.json"),
        (403, "InvalidAccessKeyId", "Renew it in the Airflow connection"),
        (403, "SignatureDoesNotMatch", "secret key"),
        (400, "ExpiredToken", "expired"),
        (503, "SlowDown", "Run the task again later"),
        (500, "InternalError", "documentation of this error code"),
    ],
)
def test_what_aws_refuses_is_said_with_what_to_do(status, code, advice, files, s3):
    s3.faults["prefix="] = [(status, code, False)]
    with pytest.raises(SourceError) as error:
        run()
    assert f"AWS answered {code}" in str(error.value)
    assert "s3://example-trail/AWSLogs/" in str(error.value)
    assert advice in str(error.value)
    assert "4711" not in str(error.value)


def test_throttling_that_passes_is_waited_out(files, s3):
    s3.faults["AbCdEf"] = [(503, "SlowDown", True)] * 2
    assert [summary.events for summary in run()] == [2]


def test_connection_that_breaks_is_tried_again(files, s3):
    s3.faults[NAME.format(0)] = [(0, "", True)]
    assert [summary.events for summary in run()] == [2]


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "InvalidObjectState"])
def test_file_that_cannot_be_read_is_named_and_the_others_land(code, files, s3):
    s3.faults[NAME.format(0)] = [(403 if code != "SlowDown" else 503, code, False)]
    with pytest.raises(SourceError, match=f"1 of 2 objects could not be read; the others landed.*{code}"):
        run()
    assert Warehouse.from_settings(settings()).dataset("api_event").count_rows() == 1
    s3.faults.clear()
    assert [summary.events for summary in run("next")] == [1]
    assert Warehouse.from_settings(settings()).dataset("api_event").count_rows() == 2


def test_endpoint_that_does_not_answer_says_what_to_check(s3, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection("http://127.0.0.1:9"))
    with pytest.raises(SourceError, match=r"the endpoint does not answer.*endpoint_url and region_name"):
        run()


def test_missing_connection_is_not_replaced_by_credentials_of_the_machine(s3, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMACHINE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "machine")
    monkeypatch.setenv("DYNATRAIL_AWS_CONN_ID", "no_such_connection")
    with pytest.raises(SourceError, match=r"'no_such_connection' does not exist.*AIRFLOW_CONN_NO_SUCH_CONNECTION"):
        run()
    assert s3.asked == []


def test_unset_bucket_says_how_to_find_its_name(monkeypatch):
    monkeypatch.delenv("DYNATRAIL_TRAIL_BUCKET", raising=False)
    with pytest.raises(SettingsError, match="describe-trails"):
        Sources(settings())


def test_copy_of_a_bucket_is_read_like_it(tmp_path):
    for name in ("b/2", "a", "b/1"):
        (tmp_path / "x y").joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x y" / name).write_bytes(name.encode())
    bucket = open_bucket(Trail(bucket=(tmp_path / "x y").as_uri()), settings())
    assert isinstance(bucket, FolderBucket)
    assert bucket.folders("") == ["b"]
    assert [one.key for one in bucket.objects("b/", "")] == ["b/1", "b/2"]
    assert [one.key for one in bucket.objects("b/", "b/1")] == ["b/2"]
    assert bucket.read("b/1", limit=LIMIT) == b"b/1"
    with pytest.raises(ObjectError):
        bucket.read("b/3", limit=LIMIT)


def test_copy_notices_that_a_file_changed(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (before,) = FolderBucket(tmp_path).objects("", "")
    (tmp_path / "a").write_bytes(b"2")
    os.utime(tmp_path / "a", ns=(0, 1))
    (after,) = FolderBucket(tmp_path).objects("", "")
    assert before.etag != after.etag

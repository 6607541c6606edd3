"""Exports that are not what their manifests say, in a bucket of the sandbox."""

import base64
import dataclasses
import gzip
import hashlib
import json
from datetime import timedelta

import pytest

from dynatrail.errors import ExportError
from dynatrail.sources.exports import calls, folder
from dynatrail.sources.exports.windows import Span

from .conftest import ARN, BUCKET, at

pytestmark = pytest.mark.slow


def md5(content):
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


class Folder:
    """A completed export; what a test changes in it is put back afterwards."""

    def __init__(self, world, described):
        self.described = described
        self.s3 = world.s3
        self._before = {}

    @property
    def summary_key(self):
        return f"{self.described.folder}/manifest-summary.json"

    @property
    def files_key(self):
        return f"{self.described.folder}/manifest-files.json"

    def get(self, key):
        return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def put(self, key, content, *, sign=True):
        self._remember(key)
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        if sign and key.endswith(".json"):
            self.put(key.replace(".json", ".checksum"), md5(content).encode(), sign=False)

    def delete(self, key):
        self._remember(key)
        self.s3.delete_object(Bucket=BUCKET, Key=key)

    def summary(self, **changed):
        self.put(self.summary_key, json.dumps(json.loads(self.get(self.summary_key)) | changed).encode())

    def files(self):
        return [json.loads(line) for line in self.get(self.files_key).splitlines()]

    def list(self, entries):
        self.put(self.files_key, b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))

    def data(self, content):
        """Other content of the first data file that has items, with a manifest that knows of it."""
        entries = self.files()
        entry = next(entry for entry in entries if entry["itemCount"])
        self.put(entry["dataFileS3Key"], content)
        head = self.s3.head_object(Bucket=BUCKET, Key=entry["dataFileS3Key"])
        entry |= {"md5Checksum": md5(content), "etag": head["ETag"].strip('"')}
        self.list(entries)

    def read(self):
        manifest = folder.read(self.s3, self.described)
        return manifest, [line for file in manifest.files for line in folder.lines(self.s3, self.described, file)]

    def restore(self):
        for key, content in self._before.items():
            if content is None:
                self.s3.delete_object(Bucket=BUCKET, Key=key)
            else:
                self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        self._before.clear()

    def _remember(self, key):
        if key in self._before:
            return
        try:
            self._before[key] = self.get(key)
        except self.s3.exceptions.NoSuchKey:
            self._before[key] = None


@pytest.fixture(scope="module")
def completed(world):
    for number in range(5):
        world.put(f"pat-{number}", state="first")
    world.pass_to(2)
    described = calls.request(world.dynamodb, ARN, Span(at(0), at(1)), BUCKET, "audit", "one")
    world.sandbox.pass_time(at(2) + timedelta(minutes=10))
    return Folder(world, calls.describe(world.dynamodb, described.arn))


@pytest.fixture
def export(completed):
    yield completed
    completed.restore()


def test_genuine_export_is_read_whole(export):
    manifest, lines = export.read()
    assert (manifest.items, len(lines), manifest.window) == (5, 5, Span(at(0), at(1)))
    assert len(manifest.sha256) == 64


def test_checksum_files_may_be_called_md5_and_hold_hexadecimal(export):
    for key in (export.summary_key, export.files_key):
        content = export.get(key)
        export.delete(key.replace(".json", ".checksum"))
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        export.put(key.replace(".json", ".md5"), f"{digest}\n".encode())
    assert export.read()[0].items == 5


def test_data_file_without_any_byte_holds_no_items(export):
    entries = export.files()
    key = f"{export.described.root}/data/empty.json.gz"
    export.put(key, b"")
    etag = export.s3.head_object(Bucket=BUCKET, Key=key)["ETag"].strip('"')
    export.list([*entries, {"itemCount": 0, "md5Checksum": md5(b""), "etag": etag, "dataFileS3Key": key}])
    assert len(export.read()[1]) == 5


def test_keys_may_leave_the_prefix_out(export):
    export.list([entry | {"dataFileS3Key": entry["dataFileS3Key"].removeprefix("audit/")} for entry in export.files()])
    export.summary(manifestFilesS3Key=export.files_key.removeprefix("audit/"))
    assert len(export.read()[1]) == 5


SUMMARIES = {
    "exportType": ("FULL_EXPORT", "exportType FULL_EXPORT instead of INCREMENTAL_EXPORT"),
    "outputView": ("NEW_IMAGE", "outputView NEW_IMAGE"),
    "outputFormat": ("ION", "outputFormat ION"),
    "tableArn": (f"{ARN}2", "tableArn"),
    "exportArn": (f"{ARN}/export/2", "exportArn"),
    "s3Bucket": ("another", "s3Bucket another"),
    "itemCount": (4, "4 items, DescribeExport 5"),
    "exportToTime": ("2026-11-01T00:30:00.000Z", "DescribeExport 2026-11-01T00:00:00Z/2026-11-01T01:00:00Z"),
    "exportFromTime": (None, "does not say from when"),
    "filterSpecification": ({"FilterExpression": "a = b"}, "it was filtered"),
    "manifestFilesS3Key": ("elsewhere/manifest-files.json", "does not lie below audit/AWSDynamoDB/"),
}


@pytest.mark.parametrize("field", list(SUMMARIES))
def test_summary_that_says_another_thing_is_refused(export, field):
    value, reason = SUMMARIES[field]
    export.summary(**{field: value})
    with pytest.raises(ExportError, match=reason):
        export.read()


def test_manifest_with_another_checksum_is_refused(export):
    for key in (export.summary_key, export.files_key):
        content = export.get(key)
        export.put(key, content + b"\n", sign=False)
        with pytest.raises(ExportError, match="does not have the MD5 of its checksum file"):
            export.read()
        export.put(key, content)


def test_manifest_without_a_checksum_is_refused(export):
    export.delete(export.summary_key.replace(".json", ".checksum"))
    with pytest.raises(ExportError, match="no checksum file beside it"):
        export.read()


def test_missing_manifest_is_refused(export):
    export.delete(export.files_key)
    with pytest.raises(ExportError, match=r"manifest-files\.json is missing"):
        export.read()


def test_missing_data_file_is_refused(export):
    export.delete(export.files()[-1]["dataFileS3Key"])
    with pytest.raises(ExportError, match=r"Its data file .* is missing"):
        export.read()


def test_data_file_written_again_is_refused(export):
    key = export.files()[0]["dataFileS3Key"]
    export.put(key, gzip.compress(b""))
    with pytest.raises(ExportError, match="another ETag"):
        export.read()


def test_data_file_with_another_md5_is_refused(export):
    entries = export.files()
    entries[0]["md5Checksum"] = md5(b"other")
    export.list(entries)
    with pytest.raises(ExportError, match="does not have the MD5"):
        export.read()


def test_data_file_with_fewer_lines_is_refused(export):
    export.data(gzip.compress(b""))
    with pytest.raises(ExportError, match="holds 0 items, the manifest names"):
        export.read()


def test_data_file_that_is_cut_off_is_refused(export):
    key = next(entry["dataFileS3Key"] for entry in export.files() if entry["itemCount"])
    export.data(export.get(key)[:-9])
    with pytest.raises(ExportError, match="has no end"):
        export.read()


def test_data_file_that_is_no_gzip_is_refused(export):
    export.data(b"pat-1 in clear")
    with pytest.raises(ExportError, match="no intact gzip file") as caught:
        export.read()
    assert "pat-1" not in str(caught.value)


def test_list_that_leaves_a_file_out_is_refused(export):
    export.list([entry for entry in export.files() if not entry["itemCount"]])
    with pytest.raises(ExportError, match="name 0 items, its summary 5"):
        export.read()


def test_list_that_names_a_file_twice_is_refused(export):
    export.list(export.files() * 2)
    with pytest.raises(ExportError, match="twice"):
        export.read()


def test_list_that_names_something_else_is_refused(export):
    export.list([entry | {"dataFileS3Key": "audit/other/a.json.gz"} for entry in export.files()])
    with pytest.raises(ExportError, match="does not lie below"):
        export.read()


def test_export_that_aws_calls_filtered_failed_or_full_is_refused(export):
    for changed, reason in (
        ({"filtered": True}, "FilterSpecification"),
        ({"status": "FAILED", "failure": "S3NoSuchBucket"}, r"FAILED \(S3NoSuchBucket\)"),
        ({"kind": "FULL_EXPORT"}, "full export"),
        ({"view_type": "NEW_IMAGE"}, "NEW_IMAGE"),
    ):
        with pytest.raises(ExportError, match=reason):
            folder.read(export.s3, dataclasses.replace(export.described, **changed))

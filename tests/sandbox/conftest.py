"""One played `tiny` sandbox for all slow tests of this folder, and readers of what it delivered."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from dynatrail.sandbox import Delivery, Played, Sandbox
from dynatrail.sandbox.calls import Call
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.identities import Caller
from dynatrail.sandbox.parts import Seen

END = datetime(2026, 11, 23, tzinfo=UTC)


@dataclass
class Tiny:
    """A running sandbox in which `tiny` was played, with irregular delivery turned up."""

    sandbox: Sandbox
    played: Played

    def keys(self, kind: str = "/CloudTrail/") -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.played.trail_bucket, Prefix="AWSLogs/")
        return [found["Key"] for page in pages for found in page.get("Contents", []) if kind in found["Key"]]

    def get(self, key: str) -> tuple[bytes, dict[str, str]]:
        answer = self._s3.get_object(Bucket=self.played.trail_bucket, Key=key)
        return gzip.decompress(answer["Body"].read()), answer["Metadata"]

    @cached_property
    def _s3(self) -> Any:
        return self.sandbox.client("s3", self.sandbox.auditor)

    @cached_property
    def files(self) -> dict[str, list[dict[str, Any]]]:
        """Log files that the scenario left; later live ones are not among them."""
        return {key: json.loads(self.get(key)[0])["Records"] for key in self.keys()}

    def records(self) -> list[dict[str, Any]]:
        return [record for records in self.files.values() for record in records]

    def first(self, event_name: str, **fields: Any) -> dict[str, Any]:
        return next(
            record
            for record in sorted(self.records(), key=lambda record: record["eventTime"])
            if record["eventName"] == event_name and all(record.get(name) == value for name, value in fields.items())
        )

    def truth(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.played.ground_truth.read_text().splitlines()]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    folder = tmp_path_factory.mktemp("sandbox")
    irregular = Delivery(late=0.05, duplicates=0.1, corrections=0.08, out_of_order=0.2)
    with Sandbox(folder) as sandbox:
        yield Tiny(sandbox, sandbox.play("tiny", end=END, delivery=irregular))


@pytest.fixture
def sandbox_folder(tmp_path: Path) -> Path:
    return tmp_path / "sandbox"


@pytest.fixture
def see() -> Callable[..., Seen]:
    """Makes a call that ministack has answered: `see("dynamodb", "GetItem", {…}, answer, at=…)`."""

    def made(
        service: str,
        operation: str,
        parameters: dict[str, Any],
        answer: Any = None,
        *,
        at: datetime = END,
        status: int = 200,
        caller: Caller | None = None,
    ) -> Seen:
        headers = [("Content-Type", "application/cbor" if service == "cloudwatch" else "application/x-amz-json-1.0")]
        response = Response(status, headers, json.dumps(answer or {}).encode())
        call = Call(service, operation, parameters, "us-east-1", "AKIAEXAMPLE")
        return Seen(call, response, "123456789012", caller or Caller(), at)

    return made

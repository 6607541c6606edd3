"""A bucket as somebody sees it who may do everything to it, objects' own metadata included."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Thing:
    """An object's bytes and its own metadata, names as S3 gives them (without `x-amz-meta-`)."""

    body: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)


class Objects(Protocol):
    """A bucket, as somebody sees it who may do everything to it."""

    name: str

    def listing(self, prefix: str = "") -> list[str]:
        """All keys under `prefix`, sorted."""

    def read(self, key: str) -> Thing: ...

    def put(self, key: str, thing: Thing) -> None: ...

    def delete(self, key: str) -> None: ...


class S3Objects:
    """A bucket of S3, through a boto3 client that may write to it."""

    def __init__(self, name: str, s3: Any) -> None:
        self.name = name
        self._s3 = s3

    def listing(self, prefix: str = "") -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", ()))

    def read(self, key: str) -> Thing:
        answer = self._s3.get_object(Bucket=self.name, Key=key)
        return Thing(answer["Body"].read(), answer["Metadata"])

    def put(self, key: str, thing: Thing) -> None:
        self._s3.put_object(
            Bucket=self.name,
            Key=key,
            Body=thing.body,
            Metadata=dict(thing.metadata),
            ContentType="application/json",
            ContentEncoding="gzip",
        )

    def delete(self, key: str) -> None:
        self._s3.delete_object(Bucket=self.name, Key=key)


class HeldObjects:
    """A bucket held in memory: histories that no server needs to keep."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.things: dict[str, Thing] = {}

    def listing(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self.things if key.startswith(prefix))

    def read(self, key: str) -> Thing:
        return self.things[key]

    def put(self, key: str, thing: Thing) -> None:
        self.things[key] = thing

    def delete(self, key: str) -> None:
        del self.things[key]

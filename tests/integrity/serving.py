"""A bucket in memory, and CloudTrail's public keys, behind a small HTTP server: boto3 and its errors are real."""

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dynatrail.sandbox.digests import Signer
from dynatrail.sandbox.objects import HeldObjects
from dynatrail.sandbox.trails import Trail


class Account:
    """What the server answers from.

    Attributes:
        refused: parts of what is asked, such as a key's folder or `ListPublicKeys`, that are denied.
        asked: the keys that were read, and the calls of CloudTrail.
    """

    def __init__(self, objects: HeldObjects, signers: Iterable[Signer], trails: Iterable[Trail] = ()) -> None:
        self.objects = objects
        self.signers = list(signers)
        self.trails = list(trails)
        self.refused: set[str] = set()
        self.asked: list[str] = []

    def denies(self, what: str) -> bool:
        return any(part in what for part in self.refused)

    def listing(self, query: dict[str, list[str]]) -> bytes:
        prefix, after = query.get("prefix", [""])[0], query.get("start-after", [""])[0]
        delimiter = query.get("delimiter", [""])[0]
        folders, entries = set(), []
        for key in self.objects.listing(prefix):
            if key <= after:
                continue
            head, slash, _ = key[len(prefix) :].partition(delimiter or "\0")
            if slash:
                folders.add(f"{prefix}{head}/")
                continue
            body = self.objects.read(key).body
            etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
            entries.append(
                f"<Contents><Key>{key}</Key><Size>{len(body)}</Size><ETag>&quot;{etag}&quot;</ETag></Contents>"
            )
        shown = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in sorted(folders))
        return (
            f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(entries)}{shown}</ListBucketResult>".encode()
        )

    def call(self, operation: str, sent: dict[str, Any]) -> dict[str, Any]:
        if operation == "ListPublicKeys":
            keys = [{"Value": one.public_key, "Fingerprint": one.fingerprint} for one in self.signers]
            return {"PublicKeyList": keys}
        trail = next(one for one in self.trails if sent["Name"] in (one.arn, one.name))
        digest_at = trail.digest_at.timestamp() if trail.digest_at else None
        return {"IsLogging": trail.logging, "LatestDigestDeliveryTime": digest_at}


def _handler(account: Account) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path)
            query = parse_qs(path.query)
            _, _, key = unquote(path.path)[1:].partition("/")
            if not key:
                denied = account.denies(query.get("prefix", [""])[0])
                self.answer(*((403, _error("AccessDenied")) if denied else (200, account.listing(query))))
                return
            account.asked.append(key)
            if account.denies(key):
                self.answer(403, _error("AccessDenied"))
            elif key not in account.objects.things:
                self.answer(404, _error("NoSuchKey"))
            else:
                thing = account.objects.read(key)
                self.answer(200, thing.body, {f"x-amz-meta-{name}": text for name, text in thing.metadata.items()})

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            account.asked.append(operation)
            if account.denies(operation) or operation not in ("ListPublicKeys", "GetTrailStatus"):
                self.answer(400, json.dumps({"__type": "AccessDeniedException", "message": "no"}).encode())
            else:
                self.answer(200, json.dumps(account.call(operation, sent)).encode())

        def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, text in {"Content-Length": str(len(body)), "Date": formatdate(), **(headers or {})}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@contextmanager
def serving(account: Account) -> Iterator[str]:
    """The Airflow connection (its JSON) that leads to the account."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(account))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    extra = {
        "endpoint_url": f"http://127.0.0.1:{server.server_port}",
        "region_name": "us-east-1",
        "config_kwargs": {"s3": {"addressing_style": "path"}},
    }
    yield json.dumps({"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "example", "extra": extra})
    server.shutdown()
    server.server_close()

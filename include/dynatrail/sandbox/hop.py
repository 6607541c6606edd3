"""The HTTP hop in front of ministack that the recorder listens on.

Requests pass with path, `Host` and `Authorization` untouched, so that ministack verifies the signatures that callers
made. One thread a connection, one upstream connection a thread: on loopback this passes about 500 calls a second.
"""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from dynatrail.clock import now
from dynatrail.errors import SandboxError
from dynatrail.sandbox.backend import LOOPBACK

CALLER_HEADER = "X-Dynatrail-Caller"
"""Names a registered `Caller`; never passed on. Put on after signing, as everything else in the request is signed."""

NOW_HEADER = "X-Dynatrail-Now"
"""Tells ministack the sandbox instant of a request, for what it names by the time (stream labels)."""

_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive", "expect", "date", "server"})
_STREAM_ABOVE = 1 << 20
_UPSTREAM_SECONDS = 120


@dataclass(slots=True)
class Request:
    """One HTTP request as the caller sent it; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: str


@dataclass(slots=True)
class Response:
    """One HTTP answer; `headers` keep order and spelling."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    def replace_header(self, name: str, value: str) -> None:
        kept = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        self.headers = [*kept, (name, value)]


Observe = Callable[[Request, Response], Response]
"""Sees a request and ministack's answer to it, and says what the caller gets."""


class Hop:
    """Listens on loopback and forwards to `upstream_port`, which may change while it runs."""

    def __init__(
        self, observe: Observe, *, host: str = LOOPBACK, port: int = 0, now: Callable[[], datetime] = now
    ) -> None:
        """Bind, without serving yet.

        `now` is what answers are dated by: whoever reads a stream learns from that how far it has been read.

        Raises:
            SandboxError: `host` is not loopback, or `port` is taken.
        """
        if host != LOOPBACK:
            raise SandboxError(f"The sandbox listens on {LOOPBACK} only; {host} was asked for. Its keys are no secret.")
        self.observe = observe
        self.now = now
        self.upstream_port = 0
        try:
            self._server = _Server((host, port), self)
        except OSError as error:
            raise SandboxError(
                f"Port {port} of {host} cannot be used: {error.strerror}. Give another port, or 0 for a free one."
            ) from error
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread = threading.Thread(target=self._server.serve_forever, name="sandbox-hop", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], hop: Hop) -> None:
        self.hop = hop
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hangs up is not worth a traceback on the terminal."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server
    _upstream: HTTPConnection | None = None
    _upstream_port: ClassVar[int] = 0

    def handle_expect_100(self) -> bool:
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()  # buffered: the caller waits for this before it sends the body
        return True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Records are the log."""

    def _pass(self) -> None:
        body = self._body()
        try:
            response = self._forward(body)
        except (OSError, HTTPException) as error:
            self._answer(Response(502, [("Content-Type", "text/plain")], f"ministack: {error!r}".encode()))
            return
        if response is None:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, str(self.client_address[0]))
        self._answer(self.server.hop.observe(request, response))

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = do_OPTIONS = _pass  # noqa: N815  http.server's names

    def _body(self) -> bytes:
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers; flexible checksums travel inside aws-chunked, not here
            return b"".join(chunks)
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(length) if length else b""

    def _forward(self, body: bytes) -> Response | None:
        """What ministack answers; None when it was large and has been streamed to the caller already."""
        try:
            answer = self._send(body)
        except (OSError, HTTPException):
            self._disconnect()
            answer = self._send(body)  # once more: a kept connection may have been closed meanwhile
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
        length = answer.getheader("Content-Length")
        if self.command == "HEAD":
            answer.read()
            if length is not None:
                headers.append(("Content-Length", length))
            return Response(answer.status, headers, b"")
        if self.command == "GET" and length is not None and int(length) > _STREAM_ABOVE:
            self._start(answer.status, [*headers, ("Content-Length", length)])
            while piece := answer.read(_STREAM_ABOVE):
                self.wfile.write(piece)
            self.wfile.flush()
            return None
        return Response(answer.status, headers, answer.read())

    def _send(self, body: bytes) -> HTTPResponse:
        upstream = self._connect()
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if (name.lower() not in _HOP_BY_HOP or name.lower() == "date") and name != CALLER_HEADER:
                upstream.putheader(name, value)
        upstream.putheader(NOW_HEADER, self.server.hop.now().isoformat())
        if body or self.command in {"PUT", "POST"}:
            upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders(body or None)
        return upstream.getresponse()

    def _connect(self) -> HTTPConnection:
        port = self.server.hop.upstream_port
        if self._upstream is None or self._upstream.port != port:
            self._disconnect()
            self._upstream = HTTPConnection(LOOPBACK, port, timeout=_UPSTREAM_SECONDS)
            self._upstream.connect()
            self._upstream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._upstream

    def _disconnect(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None

    def finish(self) -> None:
        self._disconnect()
        super().finish()

    def _start(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.send_response_only(status)
        self.send_header("Date", format_datetime(self.server.hop.now(), usegmt=True))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def _answer(self, response: Response) -> None:
        headers = response.headers
        if self.command != "HEAD":
            headers = [*headers, ("Content-Length", str(len(response.body)))]
        self._start(response.status, headers)
        self.wfile.write(response.body)
        self.wfile.flush()

"""The HTTP hop."""

import socket

import pytest

from dynatrail.errors import SandboxError
from dynatrail.sandbox.hop import Hop


def test_it_refuses_to_listen_anywhere_but_on_loopback():
    with pytest.raises(SandboxError, match="Its keys are no secret"):
        Hop(lambda _request, response: response, host="0.0.0.0")


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SandboxError, match=f"Port {port}"):
            Hop(lambda _request, response: response, port=port)

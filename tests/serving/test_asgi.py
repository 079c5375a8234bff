from __future__ import annotations

import resource
import socket
import urllib.request
from typing import Any

import pytest

from mora.errors import MoraError
from mora.serving.asgi import AsgiServer


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the path that was asked for."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def get(server: AsgiServer, host: str = "127.0.0.1") -> bytes:
    with urllib.request.urlopen(f"http://{host}:{server.port}/a", timeout=60) as answer:  # loopback
        return bytes(answer.read())


def test_it_serves_on_a_free_port_until_it_is_left() -> None:
    with AsgiServer(("127.0.0.1", 0), echo) as server:
        assert get(server) == b"/a"
        assert server.is_alive()
    assert not server.is_alive()
    with pytest.raises(OSError, match=r"refused|reset"):
        get(server)


def test_it_listens_on_ipv6() -> None:
    with AsgiServer(("::1", 0), echo) as server:
        assert get(server, "[::1]") == b"/a"


def test_a_port_in_use_is_reported_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(MoraError, match="Cannot listen") as refused:
        AsgiServer(("127.0.0.1", taken.getsockname()[1]), echo)
    assert "--listen" in (refused.value.hint or "")


def test_a_client_that_never_finishes_its_request_does_not_delay_the_end() -> None:
    with AsgiServer(("127.0.0.1", 0), echo) as server, socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"GET /a HTTP/1.1\r\nHost: ")
        assert get(server) == b"/a"
    assert not server.is_alive()


def test_it_may_open_as_many_files_as_the_system_lets_it() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        with AsgiServer(("127.0.0.1", 0), echo):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

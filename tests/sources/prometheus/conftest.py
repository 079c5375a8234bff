"""The scripted server that a test starts with the answers it names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.sources.prometheus.scripted import Answer, Scripted


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    servers: list[Scripted] = []

    def start(*answers: Answer | Callable[[], Answer]) -> Scripted:
        server = Scripted(list(answers))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()

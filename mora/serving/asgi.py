"""Serving an ASGI application by uvicorn: an address that is clearly refused, many connections, an orderly end."""

from __future__ import annotations

import resource
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mora.extras import require
from mora.serving.http import cannot_listen

if TYPE_CHECKING:
    from uvicorn import Server

# Connections that come together wait here until they are accepted.
_BACKLOG = 2048
# Of the files that the process may open, some are its own.
_OWN_FILES = 100
_MOST_CONNECTIONS = 10_000
# What answers take to be sent, at a shutdown, before they are cut off.
_PATIENCE_SECONDS = 3


class AsgiServer:
    """Serves an application in a thread of its own, as a context manager.

    port: where it listens, also where the address asked for a free one. Raises MoraError where it cannot listen.
    """

    def __init__(self, address: tuple[str, int], application: Any) -> None:
        require("serve", by="A server of pages")
        from uvicorn import Config, Server

        host, port = address
        kind = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(kind, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self._socket.close()
            raise cannot_listen(host, port, error) from error
        self.port = int(self._socket.getsockname()[1])
        config = Config(
            application,
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            limit_concurrency=_connections(),
            timeout_graceful_shutdown=_PATIENCE_SECONDS,
            backlog=_BACKLOG,
        )
        self._server: Server = Server(config)
        self._thread = threading.Thread(target=self._run, name="mora-http", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()

    def is_alive(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def _run(self) -> None:
        import asyncio

        # Signals are the main thread's: serving/process.py.
        asyncio.run(self._server.serve(sockets=[self._socket]))


def _connections() -> int:
    """How many connections are served at once; the next ones are answered 503 instead of waiting for a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_CONNECTIONS + _OWN_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return max(1, (most if soft == resource.RLIM_INFINITY else min(soft, most)) - _OWN_FILES)

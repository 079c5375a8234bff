"""Distributes connections to the replicas of the entry service, as kube-proxy does for a Service.

It listens on the shop's address and passes every accepted connection (the socket, not its bytes) to the next ready
replica through a Unix socket. So the load is even, a replica that is ending gets no new connection and loses none, and
the address remains reserved while no replica is running.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Sequence

_BACKLOG = 512


class EntryProxy:
    """Accepts connections in its own thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._wake_reading, self._wake_writing = socket.socketpair()
        self._replicas: Sequence[socket.socket] = ()
        self._next = 0
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port of the shop."""
        port: int = self._listener.getsockname()[1]
        return port

    def set_replicas(self, replicas: Sequence[socket.socket]) -> None:
        """Set the sockets of the replicas that are ready now."""
        self._replicas = tuple(replicas)

    def close(self) -> None:
        """Stop accepting connections."""
        self._wake_writing.send(b".")
        self._thread.join()
        for sock in (self._listener, self._wake_reading, self._wake_writing):
            sock.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_reading, selectors.EVENT_READ)
            while all(key.fileobj is self._listener for key, _ in selector.select()):
                connection, _ = self._listener.accept()
                with connection:
                    self._hand_over(connection)

    def _hand_over(self, connection: socket.socket) -> None:
        """Pass the connection to the next replica that takes it; without one it is closed, as if refused."""
        replicas = self._replicas
        for _ in replicas:
            self._next += 1
            # Skip a replica that was just killed, or that is so far behind that its socket is full.
            with contextlib.suppress(OSError):
                socket.send_fds(
                    replicas[self._next % len(replicas)], [b"."], [connection.fileno()], socket.MSG_DONTWAIT
                )
                return

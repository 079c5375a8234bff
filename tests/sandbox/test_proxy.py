"""The proxy: connections in turn, none to a replica that has ended."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from mora.sandbox.proxy import EntryProxy


@pytest.fixture
def proxy() -> Iterator[EntryProxy]:
    proxy = EntryProxy()
    yield proxy
    proxy.close()


class Replica:
    """The replica's end of its socket to the proxy."""

    def __init__(self) -> None:
        self.proxys_end, self.own_end = socket.socketpair()
        self.own_end.settimeout(60)

    def answer_one(self, text: bytes) -> None:
        """Take one connection and answer on it."""
        _, descriptors, _, _ = socket.recv_fds(self.own_end, 1, 1)
        with socket.socket(fileno=descriptors[0]) as connection:
            connection.sendall(text)

    def close(self) -> None:
        self.proxys_end.close()
        self.own_end.close()


@pytest.fixture
def replicas() -> Iterator[list[Replica]]:
    found = [Replica(), Replica()]
    yield found
    for replica in found:
        replica.close()


def connect(proxy: EntryProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def test_connections_go_to_the_replicas_in_turn(proxy: EntryProxy, replicas: list[Replica]) -> None:
    proxy.set_replicas([replica.proxys_end for replica in replicas])
    clients = [connect(proxy) for _ in range(4)]
    for number, replica in enumerate(replicas):
        for _ in range(2):
            replica.answer_one(str(number).encode())
    answers = []
    for client in clients:
        with client:
            answers.append(client.recv(1))
    assert answers in ([b"0", b"1"] * 2, [b"1", b"0"] * 2)


def test_a_replica_that_has_ended_is_skipped(proxy: EntryProxy, replicas: list[Replica]) -> None:
    proxy.set_replicas([replica.proxys_end for replica in replicas])
    replicas[0].own_end.close()
    for _ in range(3):
        with connect(proxy) as client:
            replicas[1].answer_one(b"1")
            assert client.recv(1) == b"1"


def test_without_a_replica_a_connection_is_closed(proxy: EntryProxy) -> None:
    with connect(proxy) as client:
        assert client.recv(1) == b""

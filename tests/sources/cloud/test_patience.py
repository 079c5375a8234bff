"""Which failures are tried again, how often, and what is waited."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mora.errors import BadInput, MoraError, SourceUnavailable
from mora.sources.cloud.patience import Failure, Patience, retry_after


class Throttled(Exception):
    wait: float | None = None


class Expired(Exception):
    pass


MEANINGS = {Throttled: Failure.BUSY, Expired: Failure.EXPIRED}


class Server:
    """Fails as it is told, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.waited: list[float] = []
        self.renewed = 0

    def ask(self, tries: int = 4) -> str:
        return Patience(tries, 1.0, 3.0, 60.0, self.waited.append).ask(
            self.send,
            meaning=lambda error: MEANINGS.get(type(error), Failure.FINAL),
            explained=lambda error: SourceUnavailable(f"It failed: {error}."),
            renew=self.renew,
            asked_wait=lambda error: getattr(error, "wait", None),
        )

    def send(self) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return "answer"

    def renew(self) -> None:
        self.renewed += 1


def test_a_throttled_request_is_sent_again_after_longer_and_longer_pauses() -> None:
    server = Server(Throttled(), Throttled(), Throttled())
    assert server.ask() == "answer"
    assert [1 <= server.waited[0] <= 2, 2 <= server.waited[1] <= 4, 3 <= server.waited[2] <= 6] == [True] * 3


def test_a_server_that_stays_busy_is_explained_after_the_last_try() -> None:
    server = Server(*[Throttled("too many requests")] * 9)
    with pytest.raises(SourceUnavailable, match="It failed: too many requests"):
        server.ask(tries=3)
    assert len(server.waited) == 2


def test_credentials_that_expired_are_renewed_once() -> None:
    assert (server := Server(Expired())).ask() == "answer"
    assert (server.renewed, server.waited) == (1, [])
    with pytest.raises(MoraError, match="It failed"):
        (server := Server(Expired(), Expired())).ask()
    assert server.renewed == 1


def test_another_failure_and_an_error_of_moras_own_are_final() -> None:
    with pytest.raises(SourceUnavailable, match="It failed: no such project"):
        Server(ValueError("no such project")).ask()
    with pytest.raises(BadInput):
        Server(BadInput("A step is too fine.")).ask()


def asking(seconds: float) -> Throttled:
    error = Throttled(f"wait {seconds}")
    error.wait = seconds
    return error


def test_a_server_that_asks_for_a_wait_is_waited_for_and_one_that_asks_for_too_long_is_not() -> None:
    server = Server(asking(45), asking(0.01))
    assert server.ask() == "answer"
    assert server.waited[0] == 45
    assert server.waited[1] >= 2  # a wait that is shorter than the own one changes nothing
    server = Server(asking(61))
    with pytest.raises(SourceUnavailable, match="wait 61"):
        server.ask()
    assert server.waited == []


@pytest.mark.parametrize("text", ["", "soon", "-3", "1" * 40, "\N{SUPERSCRIPT TWO}", "Sun, 99 Nov 2026 00:00:20 GMT"])
def test_a_header_that_names_no_wait_is_none(text: str) -> None:
    assert retry_after({"Retry-After": text}, datetime(2026, 11, 1, tzinfo=UTC)) is None
    assert retry_after({}, datetime(2026, 11, 1, tzinfo=UTC)) is None


def test_a_moment_that_is_past_is_no_wait() -> None:
    gone = {"Retry-After": "Sun, 01 Nov 2026 00:00:20 GMT"}
    assert retry_after(gone, datetime(2026, 11, 2, tzinfo=UTC)) == 0.0

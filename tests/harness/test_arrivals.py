"""A load in requests per second: what was written down, and a real Locust that offers it to a slow server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mora.errors import BadInput
from mora.harness.arrivals import Offered, read_offered, users_for
from mora.harness.load import LocustRun
from mora.harness.plan import LocustOptions
from tests.running import answering, until

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def write(folder: Path, pid: int, *, rate: float, late: int = 0, resting: int = 0, seconds: int = 30) -> None:
    lines = [
        {"time": START.timestamp() + n + 0.003, "sent": round(rate * n), "late": late * n, "resting": resting}
        for n in range(seconds + 1)
    ]
    (folder / f"{pid}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"time": 1')


def offered(folder: Path, asked: float, *, users: int = 100, processes: int = 1) -> Offered | None:
    return read_offered(folder, asked, users, START, START + timedelta(seconds=30), processes=processes)


def test_what_was_sent_is_counted_over_the_window_and_all_processes(tmp_path: Path) -> None:
    write(tmp_path, 10, rate=20, resting=30)
    write(tmp_path, 11, rate=20, resting=20)
    (tmp_path / "record.jsonl").write_text("{}\n")
    found = offered(tmp_path, 40, processes=2)
    assert found is not None
    assert found.sent == pytest.approx(40)
    assert found.busy_users == 50
    assert (found.is_off, found.warnings()) == (False, [])
    assert offered(tmp_path, 40, processes=3) is None
    assert read_offered(tmp_path / "none", 40, 1, START, START) is None


def test_a_rate_that_was_missed_by_more_than_two_percent_says_why(tmp_path: Path) -> None:
    write(tmp_path, 10, rate=38, resting=60)
    busy = offered(tmp_path, 40)
    assert busy is not None
    assert busy.warnings() == [
        "The load was not offered as asked: 38 in place of 40 requests/s; this machine was too busy to send it. "
        "Ask for less, or give the plan's [locust] more processes."
    ]
    write(tmp_path, 10, rate=38, resting=5)
    slow = offered(tmp_path, 40)
    assert slow is not None
    assert "the target is too slow for it: 95 of 100 users waited for answers" in slow.warnings()[0]
    write(tmp_path, 10, rate=39.5, resting=5)
    close = offered(tmp_path, 40)
    assert close is not None
    assert close.warnings() == []


def test_there_are_users_for_answers_that_take_seconds() -> None:
    assert users_for(100) >= 300


def test_workers_on_other_machines_cannot_offer_a_rate(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="driven from this machine"):
        LocustRun(
            tmp_path / "s.py",
            "http://127.0.0.1:1",
            users=1,
            ramp=timedelta(seconds=1),
            longest=timedelta(seconds=5),
            options=LocustOptions(workers=1),
            requests_per_second=5,
        )


class _Slow(BaseHTTPRequestHandler):
    """Answers after the server's `delay`."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        server.gate.wait(server.delay)
        with suppress(BrokenPipeError, ConnectionResetError):  # the load has ended
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, delay: float) -> None:
        from threading import Event

        super().__init__(("127.0.0.1", 0), _Slow)
        self.delay, self.gate = delay, Event()


@pytest.fixture
def slow_server() -> Iterator[_Server]:
    with answering(_Server(0.5)) as server:
        yield server
        server.gate.set()


SCENARIO = """
from locust import FastHttpUser, constant, task

class Reader(FastHttpUser):
    wait_time = constant(0.2)

    @task
    def read(self):
        self.client.get("/")
"""


def test_a_slow_target_gets_as_many_requests_as_a_quick_one(slow_server: _Server, tmp_path: Path) -> None:
    (tmp_path / "reader.py").write_text(SCENARIO)
    with LocustRun(
        tmp_path / "reader.py",
        f"http://127.0.0.1:{slow_server.server_port}",
        users=users_for(20),
        ramp=timedelta(seconds=1),
        longest=timedelta(seconds=120),
        requests_per_second=20,
    ) as load:
        until(lambda: load.spawned_at() is not None, "all users")
        begin = load.spawned_at()
        assert begin is not None
        start, end = begin + timedelta(seconds=2), begin + timedelta(seconds=7)
        until(lambda: load.record().lag_seconds(end) == 0, "seven recorded seconds")
        found = load.offered(start, end)
    assert found is not None
    # Wide, since the machine may be busy. Half a second of waiting and 0.2 s of pause, twenty times a second, are 14
    # users by Little's law; the other 56 rest.
    assert found.sent == pytest.approx(20, rel=0.3)
    assert 8 <= found.busy_users <= 50

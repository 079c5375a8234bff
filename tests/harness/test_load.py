"""The load: addresses, the command, and a real Locust against a real server on loopback."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from mora.errors import BadInput, MoraError
from mora.harness.load import (
    LocustRun,
    check_url,
    environment_for,
    locust_command,
)
from mora.harness.plan import PLAIN_LOCUST, LocustOptions, experiments_folder
from mora.harness.record import LoadRecord
from mora.values import is_loopback
from tests.running import answering, until

SCENARIO = """
from locust import FastHttpUser, constant, task


class Visitor(FastHttpUser):
    wait_time = constant(0.05)

    @task(3)
    def good(self):
        self.client.get("/good")

    @task(1)
    def bad(self):
        self.client.get("/bad")
"""


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://127.0.0.1:80", "http://127.9.9.9", "http://localhost:1", "http://[::1]:1"])
def test_loopback_is_allowed(url: str) -> None:
    assert is_loopback(url)
    check_url(url)


@pytest.mark.parametrize(
    "url", ["http://shop.example", "http://10.0.0.1", "http://localhost.example", "http://127.0.0.1.example"]
)
def test_another_machine_needs_yes(url: str) -> None:
    assert not is_loopback(url)
    with pytest.raises(BadInput, match="--yes"):
        check_url(url)
    check_url(url, allow_remote=True)


@pytest.mark.parametrize(("name", "known"), [("no_proxy", "a.example"), ("NO_PROXY", "a.example"), ("no_proxy", "")])
def test_load_on_this_machine_goes_through_no_proxy_of_the_environment(name: str, known: str) -> None:
    environ = {"http_proxy": "http://proxy:3128", name: known}
    found = environment_for("http://localhost:8080", environ)
    expected = f"{known},localhost,127.0.0.1,::1".removeprefix(",")
    assert (found["no_proxy"], found["NO_PROXY"], found["http_proxy"]) == (expected, expected, "http://proxy:3128")
    assert environment_for("http://a:b@shop.example", environ) == {**environ, "LOCUST_HOST": "http://a:b@shop.example"}


@pytest.mark.parametrize("url", ["shop:8080", "ftp://127.0.0.1", "http://", "", "127.0.0.1", "http://[::1/"])
def test_anything_but_an_http_url_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="is not an http or https URL"):
        check_url(url, allow_remote=True)


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_is_headless_and_complete() -> None:
    options = LocustOptions(workers=3, master_bind_host="10.0.0.1", master_bind_port=6000, arguments=("--tags", "a"))
    span = timedelta(seconds=4)
    command = locust_command(Path("x.py"), users=10, ramp=span, longest=span, options=options)
    text = " ".join(command)
    assert f"-f x.py,{experiments_folder()}/scenarios/_recorder.py --headless -u" in text
    assert "-u 10 -r 2.5 -t 4s --exit-code-on-error 0" in text
    assert "--master --expect-workers 3 --master-bind-host 10.0.0.1 --master-bind-port 6000 --tags a" in text
    several = locust_command(Path("x.py"), users=10, ramp=span, longest=span, options=LocustOptions(processes=2))
    assert several[-2:] == ["--processes", "2"]


# --- a real Locust ---------------------------------------------------------------------------------------------------


class _Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 500)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def shop_url() -> Iterator[str]:
    with answering(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Shop)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "visit.py"
    path.write_text(SCENARIO)
    return path


def start(scenario: Path, url: str, options: LocustOptions = PLAIN_LOCUST) -> LocustRun:
    return LocustRun(scenario, url, users=4, ramp=timedelta(seconds=1), longest=timedelta(seconds=60), options=options)


def group_members(group: int) -> list[int]:
    """Process ids of a process group, those that are not zombies."""
    members = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state != "Z":
            members.append(int(path.parent.name))
    return members


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_real_locust_is_recorded_every_second_and_leaves_no_process(
    scenario: Path, shop_url: str, processes: int
) -> None:
    with start(scenario, shop_url, LocustOptions(processes=processes)) as load:
        until(lambda: load.spawned_at() is not None, "all users run")
        until(lambda: load.record().seconds[-1].requests > 100, "a hundred requests")
        seconds = load.record().seconds
        group = load._process.pid
        assert len(group_members(group)) == (1 if processes == 1 else 3)
        assert all(
            os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0) for pid in group_members(group)
        )
    assert group_members(group) == []
    assert not load._folder.exists()
    assert seconds[-1].users == 4
    assert all(after.requests >= before.requests for before, after in pairwise(seconds))
    assert sum(second.milliseconds.total() for second in seconds) == seconds[-1].requests
    whole = LoadRecord(seconds).figures(
        datetime.fromtimestamp(seconds[0].time, UTC), datetime.fromtimestamp(seconds[-1].time, UTC)
    )
    assert whole is not None
    assert whole.error_ratio == pytest.approx(0.25, abs=0.15)
    loop = LoadRecord(seconds).loop(
        datetime.fromtimestamp(seconds[0].time, UTC), datetime.fromtimestamp(seconds[-1].time, UTC)
    )
    assert loop is not None
    assert loop.late_p95_seconds is not None
    assert loop.cpu_cores is not None
    assert 0 < loop.cpu_cores < 2 * processes + 1
    assert whole.latency_p50_seconds is not None
    assert 0 < whole.latency_p50_seconds < 1


@pytest.mark.slow
def test_recent_errors_are_known_while_the_load_runs(scenario: Path, shop_url: str) -> None:
    with start(scenario, shop_url) as load:
        until(lambda: load.recent_error_ratio(datetime.now(UTC) + timedelta(seconds=6)) > 0, "a failed request")


@pytest.mark.slow
def test_the_error_of_a_locust_that_cannot_start_is_shown(tmp_path: Path, shop_url: str) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    words = r"Locust ended by itself \(exit status 1\)(.|\n)*nothing_of_that_name"
    with start(tmp_path / "broken.py", shop_url) as load, pytest.raises(MoraError, match=words):
        until(lambda: load.spawned_at() is not None, "all users run")


_DRIVER = """
import sys, time
from datetime import timedelta
from pathlib import Path
from mora.harness.load import LocustRun
from mora.harness.plan import LocustOptions
span = timedelta(seconds=60)
run = LocustRun(Path(sys.argv[1]), sys.argv[2], users=4, ramp=timedelta(seconds=1), longest=span,
                options=LocustOptions(processes=int(sys.argv[3])))
while run.spawned_at() is None:
    time.sleep(0.05)
print(run._process.pid, run._folder, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_locust_ends_when_mora_is_killed(scenario: Path, shop_url: str, processes: int) -> None:
    command = [sys.executable, "-c", _DRIVER, str(scenario), shop_url, str(processes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        group, folder = driver.stdout.readline().split()
        assert group_members(int(group))
        driver.send_signal(signal.SIGKILL)
    until(lambda: not group_members(int(group)), "no process of the group")
    for path in Path(folder).iterdir():
        path.unlink()
    Path(folder).rmdir()

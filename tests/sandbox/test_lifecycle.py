"""However a sandbox ends, it leaves no process, cgroup, port or folder behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import mora.sandbox
from mora.errors import ClusterError, ToolMissing
from mora.sandbox import SandboxHandle
from mora.sandbox.state import list_sandboxes
from mora.sandbox.watchdog import start_time
from tests.sandbox.shopper import Shopper, until

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("MORA_SANDBOX_HOME", str(folder))
    return folder


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process:
        yield process
        process.kill()


class Traces:
    """Everything that a running sandbox has on the machine."""

    def __init__(self, status: dict[str, Any]) -> None:
        pods = [pod for service in status["services"].values() for pod in service["pods"]]
        pids = [status["pid"], status["watchdog_pid"], status["prometheus_pid"], *(pod["pid"] for pod in pods)]
        self.processes = {pid: start_time(pid) for pid in pids}
        self.folders = [Path(path) for path in [status["folder"], *status["cgroup_folders"]]]
        self.ports = [urlsplit(status[key]).port for key in ("control_url", "shop_url", "prometheus_url")]
        assert self.left() != [], "what runs leaves traces"

    def left(self) -> list[object]:
        """What is still there. A zombie has ended; burying it is its new parent's business."""
        processes = [pid for pid, started in self.processes.items() if start_time(pid) == started and not _is_dead(pid)]
        return [*processes, *(path for path in self.folders if path.exists()), *filter(_is_open, self.ports)]

    def until_gone(self) -> None:
        until(lambda: self.left() == [], f"nothing left of {self.processes}, {self.folders}, {self.ports}")


def _is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"


def _is_open(port: int | None) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port or 0)) == 0


def test_two_run_side_by_side_and_neither_outlives_its_end(home: Path, owner: subprocess.Popen[bytes]) -> None:
    """One is killed with -9, the other loses its owner."""
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(mora.sandbox.start, "killed")
        owned = mora.sandbox.start("owned", owner_pid=owner.pid)
        killed = starting.result()
    assert list_sandboxes() == ["killed", "owned"]
    assert {killed.shop_url, killed.prometheus_url}.isdisjoint({owned.shop_url, owned.prometheus_url})
    traces, owned_traces = Traces(killed.status()), Traces(owned.status())

    os.kill(killed.pid, signal.SIGKILL)
    traces.until_gone()
    assert "Shop" in Shopper(owned.shop_url).get("/"), "the other one goes on"

    owner.kill()
    owned_traces.until_gone()
    until(lambda: list(home.iterdir()) == [], "an empty home")


def test_down_leaves_nothing_not_even_of_one_that_lost_its_watchdog_too(home: Path) -> None:
    lost = mora.sandbox.start("free")
    for pid in (lost.status()["watchdog_pid"], lost.pid):
        os.kill(pid, signal.SIGKILL)
    until(lambda: list_sandboxes() == [], "the lock of the dead")
    assert (home / "free").exists(), "nobody was left to clean up"

    handle = mora.sandbox.start("free")
    traces = Traces(handle.status())
    handle.down()
    assert traces.left() == []
    assert list(home.iterdir()) == []
    with pytest.raises(ClusterError, match=r"No sandbox named 'free' is running(.|\n)*start one: mora sandbox up"):
        mora.sandbox.connect("free")


def test_ctrl_c_in_the_foreground_leaves_nothing(home: Path) -> None:
    program = (
        "from mora.sandbox import run_foreground; run_foreground('front', on_ready=lambda s: print('up', flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        traces = Traces(mora.sandbox.connect("front").status())
        # The terminal sends SIGINT to the whole foreground group.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(120) == 0
    assert traces.left() == []
    assert list(home.iterdir()) == []


def test_a_killed_replica_watchdog_or_prometheus_is_started_again(home: Path) -> None:
    handle: SandboxHandle = mora.sandbox.start("robust")
    before = handle.status()
    payment = before["services"]["paymentservice"]["pods"][0]
    for pid in (before["watchdog_pid"], before["prometheus_pid"], payment["pid"]):
        os.kill(pid, signal.SIGKILL)

    def recovered() -> bool:
        now = handle.status()
        pod = now["services"]["paymentservice"]["pods"][0]
        return bool(
            now["services"]["paymentservice"]["is_settled"]
            and (pod["name"], pod["restarts"], pod["last_terminated_reason"]) == (payment["name"], 1, "Error")
            and now["watchdog_pid"] != before["watchdog_pid"]
            and now["prometheus_pid"] != before["prometheus_pid"]
        )

    until(recovered, "everything started again")
    traces = Traces(handle.status())
    os.kill(handle.pid, signal.SIGKILL)
    traces.until_gone()


def test_without_prometheus_it_says_what_to_install_and_leaves_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mora.tools._FETCHED", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MORA_TOOLS", "")
    with pytest.raises(ToolMissing, match="'prometheus' is not installed"):
        mora.sandbox.run_foreground("lonely")
    assert list(home.iterdir()) == []

"""The process of a sandbox: however it ends, it leaves no process, cgroup, port or folder behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import mora.sandbox
from mora.errors import ClusterError, ToolMissing
from mora.sandbox.state import list_sandboxes
from tests.running import until
from tests.sandbox.shopper import Shopper
from tests.sandbox.traces import Traces

pytestmark = pytest.mark.slow


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process:
        yield process
        process.kill()


def test_two_sandboxes_run_side_by_side_and_leave_nothing(home: Path, owner: subprocess.Popen[bytes]) -> None:
    """One is killed with -9, the other loses its owner."""
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(mora.sandbox.start, "killed", await_metrics=False)
        owned = mora.sandbox.start("owned", owner_pid=owner.pid, await_metrics=False)
        killed = starting.result()
    assert list_sandboxes() == ["killed", "owned"]
    assert {killed.shop_url, killed.prometheus_url}.isdisjoint({owned.shop_url, owned.prometheus_url})
    traces, owned_traces = Traces(killed.status()), Traces(owned.status())

    os.kill(killed.pid, signal.SIGKILL)
    traces.until_gone()
    assert "Shop" in Shopper(owned.shop_url).get("/"), "the other one keeps running"

    owner.kill()
    owned_traces.until_gone()
    until(lambda: list(home.iterdir()) == [], "an empty home")


def test_down_leaves_nothing_even_of_a_sandbox_that_lost_its_watchdog(home: Path) -> None:
    lost = mora.sandbox.start("free", await_metrics=False)
    for pid in (lost.status()["watchdog_pid"], lost.pid):
        os.kill(pid, signal.SIGKILL)
    until(lambda: list_sandboxes() == [], "the lock of the killed one")
    assert (home / "free").exists(), "without a watchdog nothing was cleaned up"

    handle = mora.sandbox.start("free", await_metrics=False)
    traces = Traces(handle.status())
    handle.down()
    assert traces.left() == []
    assert list(home.iterdir()) == []
    with pytest.raises(ClusterError, match=r"No sandbox named 'free' is running(.|\n)*Start one: mora sandbox up"):
        mora.sandbox.connect("free")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["folder", "endpoints", "ready"])
def test_a_start_that_is_interrupted_leaves_nothing_however_late(home: Path, moment: str, number: int) -> None:
    """Early, late, and when the sandbox is ready but its starter has not said that it is to stay."""
    program = (
        "import time\n"
        "from mora import sandbox\n"
        "with sandbox.starting('late', await_metrics=False) as handle:\n"
        "    print(handle.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        if moment == "ready":
            assert process.stdout.readline()
            traces = Traces(mora.sandbox.connect("late").status())
        else:
            part = "late" if moment == "folder" else "late/endpoints.json"
            until((home / part).exists, f"{part} of the starting sandbox")
        # The terminal sends SIGINT to the whole foreground group.
        os.killpg(process.pid, number)
        assert process.wait(120) != 0
        if number == signal.SIGINT:
            assert list(home.iterdir()) == [], "the starter waits for the end of what it began"
    until(lambda: list(home.iterdir()) == [], "an empty home")
    if moment == "ready":
        traces.until_gone()


def test_ctrl_c_in_the_foreground_leaves_nothing(home: Path) -> None:
    program = (
        "from mora.sandbox import run_foreground\n"
        "run_foreground('front', await_metrics=False, on_ready=lambda status: print('up', flush=True))"
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


def test_without_prometheus_the_error_names_it_and_nothing_is_left(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mora.tools._FETCHED", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MORA_TOOLS", "")
    with pytest.raises(ToolMissing, match="'prometheus' is not installed"):
        mora.sandbox.run_foreground("lonely")
    assert list(home.iterdir()) == []

"""The watchdog: which process an id and a start time mean, and what is cleaned up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mora.sandbox.state import is_locked, take_lock
from mora.sandbox.watchdog import Watchdog, clean_up, is_running, remove_folder, start_time

WAITS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


def test_a_process_is_running_until_it_ends_and_a_zombie_is_not() -> None:
    child = subprocess.Popen(WAITS, stdin=subprocess.PIPE)
    started = start_time(child.pid)
    assert started.isdecimal()
    assert is_running(child.pid, started)
    assert not is_running(child.pid, str(int(started) + 1)), "another process may have the id by now"
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and its status has not been read yet
    assert start_time(child.pid) == started
    assert not is_running(child.pid, started)
    child.wait()
    assert start_time(child.pid) == "gone"
    assert not is_running(child.pid, started)
    assert not is_running(child.pid, "gone")


def test_a_process_name_with_brackets_and_blanks_is_read_correctly(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1"
    program.symlink_to("/bin/cat")
    child = subprocess.Popen([program], stdin=subprocess.PIPE)
    try:
        started = start_time(child.pid)
        assert abs(int(started) - int(start_time(os.getpid()))) < os.sysconf("SC_CLK_TCK") * 86_400
        assert is_running(child.pid, started)
    finally:
        child.communicate()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(WAITS, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_cleaning_up_kills_the_children_that_are_meant_and_removes_the_folder(
    tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    folder = tmp_path / "sandbox"
    (folder / "logs").mkdir(parents=True)
    clean_up(folder, [tmp_path / "no-such-group"], [f"{child.pid} {int(start_time(child.pid)) + 1}"])
    assert not folder.exists()
    assert child.poll() is None, "another process has the id"
    clean_up(folder, [], [f"{child.pid} {start_time(child.pid)}"])
    assert child.wait(60) == -signal.SIGKILL


def test_a_folder_that_does_not_exist_is_removed_already(tmp_path: Path) -> None:
    remove_folder(tmp_path / "nothing")


@pytest.mark.parametrize("dismissed", [True, False])
def test_the_watchdog_cleans_up_only_where_the_supervisor_did_not(
    tmp_path: Path, child: subprocess.Popen[bytes], dismissed: bool
) -> None:
    folder = tmp_path / "sandbox"
    folder.mkdir()
    lock = take_lock(folder)
    assert lock is not None
    watchdog = Watchdog(folder, [], lock)
    watchdog.note_child(child.pid)
    os.close(lock)
    assert is_locked(folder), "the watchdog has the lock as well"
    if dismissed:
        watchdog.dismiss()
        assert (folder.exists(), child.poll()) == (True, None)
    else:
        watchdog.close()
        assert child.wait(60) == -signal.SIGKILL
        assert list(tmp_path.iterdir()) == []
    assert not is_locked(folder)

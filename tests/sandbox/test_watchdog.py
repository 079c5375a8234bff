"""Which process is meant by an id and a start: the one that had it, as long as it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mora.sandbox.watchdog import is_running, start_time

WAITS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


def test_a_process_runs_until_it_ends_and_a_zombie_has_ended() -> None:
    child = subprocess.Popen(WAITS, stdin=subprocess.PIPE)
    started = start_time(child.pid)
    assert started.isdecimal()
    assert is_running(child.pid, started)
    assert not is_running(child.pid, str(int(started) + 1)), "another process may have the id by now"
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and nobody has asked for its status yet
    assert start_time(child.pid) == started
    assert not is_running(child.pid, started)
    child.wait()
    assert start_time(child.pid) == "gone"
    assert not is_running(child.pid, started)
    assert not is_running(child.pid, "gone")


def test_a_name_with_brackets_and_blanks_does_not_shift_what_is_read(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1"
    program.symlink_to("/bin/cat")
    child = subprocess.Popen([program], stdin=subprocess.PIPE)
    try:
        started = start_time(child.pid)
        assert abs(int(started) - int(start_time(os.getpid()))) < os.sysconf("SC_CLK_TCK") * 86_400
        assert is_running(child.pid, started)
    finally:
        child.communicate()

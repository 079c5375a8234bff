"""Launching children: priority, session, cgroups, and their end with the parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from mora.sandbox.launch import command, package_root, python_command
from mora.sandbox.watchdog import is_running, start_time
from tests.running import until

SHOW = "import json, os, sys; print(json.dumps([os.nice(0), os.getsid(0) == os.getpid(), sys.argv[1:]]))"


def test_a_child_gets_its_priority_its_session_and_its_arguments(tmp_path: Path) -> None:
    group = tmp_path / "cgroup.procs"
    program = command([sys.executable, "-c", SHOW, "a b"], nice=3, process_files=[group])
    done = subprocess.run(program, cwd=package_root(), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [min(os.nice(0) + 3, 19), True, ["a b"]]
    assert group.read_text() == "0", "the kernel takes 0 for the process that writes"


def test_a_child_ends_when_its_parent_is_killed() -> None:
    parent = (
        "import subprocess, sys\n"
        "from mora.sandbox.launch import command\n"
        "child = subprocess.Popen(command([sys.executable, '-c', 'input()'], nice=0), stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=package_root(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        started = start_time(child)
        process.send_signal(signal.SIGKILL)
    until(lambda: not is_running(child, started), "the end of the child")


def test_a_child_of_another_parent_does_not_start() -> None:
    program = [*python_command("mora.sandbox.launch"), str(os.getpid() + 1), "0", "", "--", sys.executable, "-c", SHOW]
    done = subprocess.run(program, cwd=package_root(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")

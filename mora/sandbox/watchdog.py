"""Cleans up after a supervisor that was killed.

A small process in a separate session, with one end of a pipe to the supervisor and with the lock of the sandbox. The
supervisor writes `+PID START_TIME` for every child that it starts, and `done` when it has cleaned up itself. When the
pipe ends, the watchdog kills the children that are left, removes the cgroups and the folder, and ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from mora.sandbox.cgroups import remove_group
from mora.sandbox.launch import package_root, python_command
from mora.sandbox.state import remove_lock

_DONE = "done"


class Watchdog:
    """The supervisor's side: starts the watchdog's process, and writes to its pipe."""

    def __init__(self, folder: Path, cgroup_folders: list[Path], lock: int) -> None:
        reading, self._writing = os.pipe()
        program = [*python_command("mora.sandbox.watchdog"), str(reading), str(folder), *map(str, cgroup_folders)]
        self.process = subprocess.Popen(
            program,
            cwd=package_root(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(reading, lock),
            start_new_session=True,
        )
        os.close(reading)

    def note_child(self, pid: int) -> None:
        """Tell the watchdog of a child."""
        os.write(self._writing, f"+{pid} {start_time(pid)}\n".encode())

    def dismiss(self) -> None:
        """Tell the watchdog that everything is cleaned up, and wait until it has ended."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._writing, f"{_DONE}\n".encode())
        self.close()

    def close(self) -> None:
        """Close the pipe, and wait until the watchdog has ended."""
        os.close(self._writing)
        self.process.wait()


def start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot; with it a process id is unique, even after its reuse."""
    return _state_and_start(pid)[1]


def is_running(pid: int, started: str) -> bool:
    """Whether the process with this id and start time is alive; a zombie is not."""
    state, its_start = _state_and_start(pid)
    return its_start == started and state not in "ZX"


def _state_and_start(pid: int) -> tuple[str, str]:
    """The state (a letter) and the start time of a process; ("X", "gone") where there is none."""
    try:
        # The name before these fields, in brackets, may itself have blanks and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", "gone"
    return fields[0], fields[19]


def main(arguments: list[str]) -> None:
    """The watchdog's process: wait for the end of the pipe, then clean up where the supervisor did not."""
    reading, folder, *cgroup_folders = arguments
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with os.fdopen(int(reading)) as pipe:
        lines = pipe.read().splitlines()
    if lines and lines[-1] == _DONE:
        return
    clean_up(Path(folder), [Path(path) for path in cgroup_folders], [line[1:] for line in lines])
    remove_lock(Path(folder))


def clean_up(folder: Path, cgroup_folders: list[Path], children: list[str]) -> None:
    """Kill the children ("PID START_TIME") that are alive; remove the cgroups and the folder."""
    for child in children:
        pid, _, started = child.partition(" ")
        if start_time(int(pid)) == started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    for cgroup in cgroup_folders:
        with contextlib.suppress(OSError):
            remove_group(cgroup)
    remove_folder(folder)


def remove_folder(folder: Path, patience_seconds: float = 5.0) -> None:
    """Remove a folder, to which ending processes may still be writing."""
    deadline = time.monotonic() + patience_seconds
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1:])

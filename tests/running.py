"""How tests run MOrA as a user does: a process of its own (a fork, tests/forks.py), its text and its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import BaseServer
from typing import TypeVar

from tests import forks

Server = TypeVar("Server", bound=BaseServer)


def command(*arguments: str) -> list[str]:
    """The words of a call of MOrA, with the Python that runs the tests."""
    return [sys.executable, "-m", "mora", *arguments]


def clean_environment() -> dict[str, str]:
    """The environment without the settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MORA_")}


def mora(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder, away from the settings of whoever runs the tests."""
    return forks.run(arguments, cwd=cwd, env={**clean_environment(), "COLUMNS": "120", **environment})


def start(*arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """Start the command line in a folder; its output and its log output are pipes."""
    variables = {**clean_environment(), **environment}
    return subprocess.Popen(
        command(*arguments), cwd=cwd, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def until(is_true: Callable[[], object], what: str, *, seconds: float = 120.0) -> None:
    """Wait for a condition; the patience is for a busy machine, not an expectation. what: what is waited for."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


@contextmanager
def answering(server: Server) -> Iterator[Server]:
    """A server, which answers on a thread of its own until the block ends; then its socket is closed."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C as soon as a process sleeps.

    Python may overlook a signal that comes right before a call that blocks, until that call returns or the next signal
    comes; a user presses again.
    """
    deadline = time.monotonic() + 120
    while _state(process.pid) != "S":
        assert process.poll() is None, "the process ended by itself"
        assert time.monotonic() < deadline, "the process does not wait for anything"
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)


def _state(pid: int) -> str:
    """The state of a process: R while it runs, S while it sleeps in a call."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


_STANDS_STILL = """
import os, time
really_open = os.open
def open_and_stand_still(path, *arguments, **options):
    if os.fspath(path).endswith(".csv"):
        with open(f"{path}.reader", "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
    return really_open(path, *arguments, **options)
os.open = open_and_stand_still
"""


def standing_still(folder: Path) -> dict[str, str]:
    """Variables with which every Python stands still for ten minutes when it opens a CSV file of MOrA's."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_STANDS_STILL)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


def reader_of(path: Path) -> int:
    """The process that stands still at opening a file, as soon as there is one."""
    marker = path.with_name(f"{path.name}.reader")
    until(lambda: marker.is_file() and marker.read_text(), f"a process that reads {path}")
    return int(marker.read_text())


def is_gone(pid: int) -> bool:
    """Whether a process has ended, as far as anything but its parent can tell."""
    try:
        return _state(pid) == "Z"
    except FileNotFoundError:
        return True

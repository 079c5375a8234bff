"""Processes of the command line that start in an instant.

A fresh Python spends most of such a process on importing numpy, pandas and the Kubernetes client. Here every command is
a fork of one Python that has imported those and nothing of MOrA, whose own modules each fork imports anew. What forks
share, and a user's commands do not, is the seed of Python's hashes: a test that compares two runs starts Python anew.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, NoReturn

_LIBRARIES = ("numpy", "pandas", "requests", "yaml", "kubernetes.client", "prometheus_api_client", "rich", "typer")
_LENGTH_BYTES = 4
_PATIENCE_SECONDS = 300.0


def run(arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `mora` with these arguments in a fork and wait for its end; its output is captured, its input is empty."""
    command = ["mora", *arguments]
    request = json.dumps({"arguments": command, "cwd": str(cwd), "env": dict(env)})
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open("rb") as nothing:
        status = _forks().run(request.encode(), [nothing, out, err])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status), *texts)


class _Forks:
    """The Python that is forked."""

    def __init__(self) -> None:
        self._socket, its = socket.socketpair()
        command = [sys.executable, "-m", __name__, str(its.fileno())]
        root = str(Path(__file__).resolve().parents[1])
        with its:
            self._process = subprocess.Popen(command, pass_fds=[its.fileno()], cwd=root)
        atexit.register(self._end)

    def _end(self) -> None:
        self._socket.close()
        self._process.wait()

    def run(self, request: bytes, files: list[IO[bytes]]) -> int:
        """Have a request done by a fork; the status that it ended with."""
        self._socket.settimeout(_PATIENCE_SECONDS)
        socket.send_fds(self._socket, [len(request).to_bytes(_LENGTH_BYTES)], [file.fileno() for file in files])
        self._socket.sendall(request)
        pid = int.from_bytes(_received(self._socket, _LENGTH_BYTES))
        try:
            return int.from_bytes(_received(self._socket, _LENGTH_BYTES))
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            self._socket.settimeout(None)
            _received(self._socket, _LENGTH_BYTES)  # its status, so that the next one finds the line free
            raise


@cache
def _forks() -> _Forks:
    return _Forks()


def _received(line: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = line.recv(count - len(found))
        if not part:
            raise EOFError("The other end has gone.")
        found += part
    return found


def _serve(line: socket.socket) -> None:
    """Fork for every request until the tests end; returns in each fork, set up as the request wants it."""
    while True:
        length, descriptors, _, _ = socket.recv_fds(line, _LENGTH_BYTES, 3)
        if not length:
            os._exit(0)
        request = json.loads(_received(line, int.from_bytes(length)))
        pid = os.fork()
        if not pid:
            line.close()
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.chdir(request["cwd"])
            os.environ.clear()
            os.environ.update(request["env"])
            sys.argv = request["arguments"]
            return
        for descriptor in descriptors:
            os.close(descriptor)
        line.sendall(pid.to_bytes(_LENGTH_BYTES))
        line.sendall(os.waitpid(pid, 0)[1].to_bytes(_LENGTH_BYTES))


def _leave(status: int) -> NoReturn:
    """End a fork as Python ends, but leave its memory to the kernel: to tidy up takes longer than a short command."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    for library in _LIBRARIES:
        import_module(library)
    gc.collect()
    gc.freeze()  # else a fork's first collection copies all of it
    _serve(socket.socket(fileno=int(sys.argv[1])))
    from mora.cli import main

    try:
        main()
    except SystemExit as stop:
        _leave(stop.code if isinstance(stop.code, int) else 0)
    _leave(0)

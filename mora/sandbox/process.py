"""The process of a sandbox: in the foreground until Ctrl-C, or in the background.

`python -m mora.sandbox.process --name NAME --ready-descriptor FD --starter-descriptor FD` is how `handle.starting` runs
it in the background.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mora.errors import MoraError
from mora.sandbox.launch import STAY
from mora.sandbox.supervisor import Supervisor


def run_foreground(
    name: str = "default",
    *,
    enforcement: str | None = None,
    owner_pid: int | None = None,
    await_metrics: bool = True,
    on_ready: Callable[[dict[str, Any]], None] = lambda status: None,
) -> None:
    """Run a sandbox in this process until SIGINT (Ctrl-C), SIGTERM or SIGHUP; only in the main thread.

    The options are those of Supervisor. on_ready: called with the status once the sandbox is ready.
    """
    stopped = threading.Event()
    supervisor: list[Supervisor] = []

    def stop(*_: object) -> None:
        stopped.set()
        for one in supervisor:
            one.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        supervisor.append(Supervisor(name, enforcement=enforcement, owner_pid=owner_pid, await_metrics=await_metrics))
        if stopped.is_set():
            supervisor[0].stop()
        supervisor[0].run(on_ready)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_in_background(options: argparse.Namespace) -> None:
    """Leave the session of the caller; write to its pipe that the sandbox is ready, or the error."""
    if os.fork() > 0:
        os._exit(0)
    os.setsid()
    # A process that outlives the caller must not keep its terminal or pipe open.
    _redirect_output(Path(os.devnull))

    def answer(**fields: Any) -> None:
        # One line; the descriptor stays open, so that the starter sees when this process ends.
        with contextlib.suppress(OSError):
            os.write(options.ready_descriptor, json.dumps(fields).encode() + b"\n")

    def on_ready(status: dict[str, Any]) -> None:
        _redirect_output(Path(status["folder"]) / "logs" / "supervisor.log")
        answer(ready=True)

    threading.Thread(target=_end_with_starter, args=(options.starter_descriptor,), daemon=True).start()
    try:
        run_foreground(
            options.name,
            enforcement=options.enforcement,
            owner_pid=options.owner_pid,
            await_metrics=options.await_metrics,
            on_ready=on_ready,
        )
    except MoraError as error:
        answer(ready=False, kind=type(error).__name__, message=error.message, hint=error.hint)
        sys.exit(1)
    except Exception:
        # Anything else is a bug: the caller gets the traceback.
        answer(ready=False, kind="ClusterError", message=f"The supervisor failed:\n{traceback.format_exc()}", hint=None)
        raise


def _end_with_starter(descriptor: int) -> None:
    """Stop this sandbox where its starter ends, or gives up, before it says that the sandbox is to stay."""
    if os.read(descriptor, 1) != STAY:
        os.kill(os.getpid(), signal.SIGTERM)


def _redirect_output(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def main(arguments: list[str]) -> None:
    """Run a sandbox in the background, as `handle.starting` asks for it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--enforcement")
    parser.add_argument("--owner-pid", type=int)
    parser.add_argument("--no-await-metrics", dest="await_metrics", action="store_false")
    parser.add_argument("--ready-descriptor", type=int, required=True)
    parser.add_argument("--starter-descriptor", type=int, required=True)
    _run_in_background(parser.parse_args(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])

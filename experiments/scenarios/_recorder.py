"""Runs inside Locust beside a scenario, and records the requests of every second.

Locust's own history rounds to two digits and mixes the ramp into its percentiles. This keeps three digits and every
second apart, so that figures cover exactly the measured window. It has no User; MOrA passes it to Locust as a second
locustfile, so that MOrA never imports locust.

One JSON object a line, at each whole second: `time` (Unix seconds), `users`, `requests` and `failures` since the start,
`milliseconds` (response time -> how many in this second), and how Locust itself did: `late_milliseconds` (how late a
timer of 20 ms was -> how many in this second), `cpu_seconds` and `waited_seconds` (ready to run, but without a CPU)
since the start. A response time includes such lateness: what is late by much measures this machine, not the service.
A worker process on this machine writes what it says of itself into a file of its own, record.jsonl.PID.
"""

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
from locust import events, stats
from locust.env import Environment
from locust.runners import WorkerRunner


def _three_digits(milliseconds: float) -> float:
    """Response times are counted with three significant digits: 4.27, 42.7, 427, 4270 ms."""
    return float(f"{milliseconds:.3g}")


stats.bucket_response_time = _three_digits


_TIMER_SECONDS = 0.02


class _Loop:
    """How late this process starts what is due, and the CPU time that it gets and waits for."""

    def __init__(self) -> None:
        self._late: Counter[float] = Counter()

    def watch(self) -> None:
        """Count the lateness of a timer, for ever."""
        while True:
            due = time.monotonic() + _TIMER_SECONDS
            gevent.sleep(_TIMER_SECONDS)
            late = max(0.0, time.monotonic() - due) * 1000
            self._late[float(f"{late:.2g}")] += 1

    def second(self) -> dict[str, Any]:
        """What a line says of it; the lateness since the line before."""
        late, self._late = self._late, Counter()
        ran, waited = _scheduled()
        return {"late_milliseconds": late, "cpu_seconds": ran, "waited_seconds": waited}


def _scheduled() -> tuple[float | None, float | None]:
    """Seconds that the threads of this process ran, and waited for a CPU; None where the kernel does not say."""
    try:
        lines = [path.read_text().split() for path in Path("/proc/self/task").glob("*/schedstat")]
        return tuple(round(sum(int(line[n]) for line in lines) / 1e9, 6) for n in (0, 1)) if lines else (None, None)
    except OSError:
        return None, None


@events.init.add_listener
def _start(environment: Environment, **_: Any) -> None:
    gevent.spawn(_end_with_parent)
    loop = _Loop()
    gevent.spawn(loop.watch)
    path = Path(os.environ["MORA_LOAD_RECORD"])
    if isinstance(environment.runner, WorkerRunner):
        gevent.spawn(_record_worker, loop, path.with_name(f"{path.name}.{os.getpid()}"))
    else:
        gevent.spawn(_record, environment, loop, path)


def _record_worker(loop: _Loop, path: Path) -> None:
    with path.open("w", encoding="utf-8") as stream:
        while True:
            gevent.sleep(1 - time.time() % 1)
            stream.write(json.dumps({"time": time.time(), **loop.second()}) + "\n")
            stream.flush()


def _record(environment: Environment, loop: _Loop, path: Path) -> None:
    seen: dict[float, int] = {}
    with path.open("w", encoding="utf-8") as stream:
        while True:
            gevent.sleep(1 - time.time() % 1)
            total = environment.stats.total
            counts = dict(total.response_times)
            line = {
                "time": time.time(),
                "users": environment.runner.user_count,
                "requests": total.num_requests,
                "failures": total.num_failures,
                "milliseconds": {key: n - seen.get(key, 0) for key, n in counts.items() if n > seen.get(key, 0)},
                **loop.second(),
            }
            seen = counts
            stream.write(json.dumps(line) + "\n")
            stream.flush()


def _end_with_parent() -> None:
    """End with the parent: a forked worker does not notice that Locust was killed, nor Locust that MOrA was."""
    parent = os.getppid()
    while os.getppid() == parent:
        gevent.sleep(1)
    os._exit(1)

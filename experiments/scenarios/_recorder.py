"""Runs inside Locust beside a scenario, and records the requests of every second.

Locust's own history rounds to two digits and mixes the ramp into its percentiles. This keeps three digits and every
second apart, so that figures cover exactly the measured window. It has no User; MOrA passes it to Locust as a second
locustfile, so that MOrA never imports locust.

One JSON object a line, at each whole second: `time` (Unix seconds), `users`, `requests` and `failures` since the start,
`milliseconds` (response time -> how many in this second).
"""

import json
import os
import time
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


@events.init.add_listener
def _start(environment: Environment, **_: Any) -> None:
    gevent.spawn(_end_with_parent)
    if not isinstance(environment.runner, WorkerRunner):
        gevent.spawn(_record, environment, Path(os.environ["MORA_LOAD_RECORD"]))


def _record(environment: Environment, path: Path) -> None:
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

"""What `mora serve` costs, and whether a refresh keeps requests waiting: 500 workloads of a real Prometheus.

    python experiments/benchmarks/serve.py [--workloads 500] [--days 2]

The same requests, one after the other, while a refresh runs and while none does, then 1,000 at once. Wanted on two
cores: no request waits for a refresh (the median at most three times that of an idle server, none over a second), all
of 1,000 answered, 200 MB while it only serves.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fleet.many import write_fleet  # noqa: E402
from tests.sources.rig import serve  # noqa: E402

PATHS = ("/api/v1/recommendations?namespace=team-000", "/?namespace=team-000", "/metrics", "/api/v1/status")
AT_ONCE = 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", type=int, default=500)
    parser.add_argument("--days", type=float, default=2.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        start = datetime.now(UTC).timestamp() - options.days * 86_400 + 1800
        write_fleet(options.workloads, start, options.days, folder / "tsdb", seed=3)
        with serve(folder / "tsdb") as prometheus, started(folder, prometheus, options.days) as (process, log):
            return measured(process, log, folder)


@contextmanager
def started(folder: Path, prometheus: str, days: float) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = folder / "log"
    words = ["--prometheus", prometheus, "--history", f"{days:g}d", "--no-kubernetes", "--listen", "127.0.0.1:0"]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "mora", "serve", *words, "--refresh", "20s"],
            cwd=folder,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    try:
        yield process, log
    finally:
        process.terminate()
        process.wait()


def measured(process: subprocess.Popen[bytes], log: Path, folder: Path) -> int:
    url = wait_for(log, "url=", 1).partition("url=")[2].split()[0].rstrip("/")
    wait_for(log, "msg=refreshed", 1)
    idle, busy = [], []
    # The next refresh begins 20 s after the end of the first, and ends with the second line.
    while count(log, "msg=refreshed") < 3:
        is_busy = refreshing(process.pid)
        took = ask(url)
        if is_busy == refreshing(process.pid):
            (busy if is_busy else idle).append(took)
        time.sleep(0.02)
    line = [one for one in log.read_text().splitlines() if "msg=refreshed" in one][-1]
    seconds = float(line.partition("seconds=")[2].split()[0])
    memory = psutil.Process(process.pid).memory_info().rss / 1e6
    slowest, calm = max(busy), max(idle)
    began = time.monotonic()
    answered = asyncio.run(all_at_once(url))
    at_once = time.monotonic() - began
    page = len(urllib.request.urlopen(f"{url}/", timeout=120).read()) / 1e6  # noqa: S310  # loopback
    record = (folder / "mora-record.sqlite").stat().st_size / 1e6
    ratio = median(busy) / median(idle)
    print(
        f"a refresh takes {seconds:.0f} s; {len(busy)} rounds of {len(PATHS)} requests during it, {len(idle)} beside it"
    )
    print(f"{'seconds a round':<24}{'median':>8}{'p95':>8}{'most':>8}")
    for name, found in (("while it refreshes", busy), ("while it only serves", idle)):
        print(f"{name:<24}{median(found):>8.3f}{quantiles(found, n=20)[-1]:>8.3f}{max(found):>8.3f}")
    print(f"{AT_ONCE} requests at once: {answered} answered 200, in {at_once:.1f} s")
    print(f"memory while it only serves: {memory:.0f} MB; page of all: {page:.1f} MB; record: {record:.1f} MB")
    checks = {
        f"median during a refresh at most 3 times as long ({ratio:.2f})": ratio <= 3,
        f"no round over a second ({slowest:.2f} during, {calm:.2f} beside)": max(slowest, calm) <= 1.0,
        f"all of {AT_ONCE} answered": answered == AT_ONCE,
        f"at most 200 MB ({memory:.0f})": memory <= 200,
    }
    for words, is_met in checks.items():
        print(f"{'met' if is_met else 'MISSED':<8}{words}")
    return 0 if all(checks.values()) else 1


def ask(url: str) -> float:
    """Seconds that a round of requests takes."""
    began = time.monotonic()
    for path in PATHS:
        with urllib.request.urlopen(url + path, timeout=120) as answer:  # noqa: S310  # loopback
            answer.read()
    return time.monotonic() - began


async def all_at_once(url: str) -> int:
    """How many of many requests at once are answered 200, with the whole body."""
    host, port = url.removeprefix("http://").split(":")

    async def one(number: int) -> bool:
        reader, writer = await asyncio.open_connection(host, int(port))
        path = PATHS[number % len(PATHS)]
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
        return head.startswith(b"HTTP/1.1 200") and len(body) == int(length.split()[1])

    return sum(await asyncio.gather(*(one(number) for number in range(AT_ONCE))))


def refreshing(pid: int) -> bool:
    """Whether the process that computes runs."""
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                return True
    return False


def count(log: Path, text: str) -> int:
    return log.read_text().count(text)


def wait_for(log: Path, text: str, times: int) -> str:
    until = time.monotonic() + 300
    while count(log, text) < times:
        if time.monotonic() > until:
            raise SystemExit(log.read_text())
        time.sleep(0.05)
    return log.read_text()


if __name__ == "__main__":
    sys.exit(main())

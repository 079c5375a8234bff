"""`mora demo` from start to end: its duration and memory, at most 5 minutes and 2 GB on a quiet machine.

    python experiments/benchmarks/demo.py

Memory is the sum over all processes of the demo (shop, Prometheus, Locust, training) of their proportional share, so
that pages that several of them map count once. The duration of every step is printed, and so is the verdict.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_SECONDS, LIMIT_MB = 300, 2048
MARK = "MORA_LOAD_BENCHMARK"


def main() -> int:
    """Run the demo, print durations, memory and proof; its exit code."""
    mark = f"{os.getpid()}-{time.time_ns()}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mora", "demo", "--dir", str(Path(folder) / "demo")]
        started, peak_mb = time.monotonic(), 0.0
        steps: list[tuple[float, str]] = []
        log = Path(folder) / "log"
        with log.open("w") as errors:
            running = subprocess.Popen(
                command, env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, stderr=errors, text=True
            )
            while running.poll() is None:
                peak_mb = max(peak_mb, sum(map(share_mb, marked(mark))))
                steps = noted(log.read_text(), steps, time.monotonic() - started)
                time.sleep(0.5)
        seconds = time.monotonic() - started
        proof = (running.stdout.read() if running.stdout else "").partition("The load of")
    for (begun, step), end in zip(steps, [*(at for at, _ in steps[1:]), seconds], strict=True):
        print(f"{end - begun:7.0f} s   {step}")
    print(f"{seconds:7.0f} s   in total    (at most {LIMIT_SECONDS} s)")
    print(f"{peak_mb:7.0f} MB  at the peak (at most {LIMIT_MB} MB)")
    print(f"\n{''.join(proof[1:])}")
    return running.returncode


def noted(log: str, known: list[tuple[float, str]], now: float) -> list[tuple[float, str]]:
    """The steps that the demo has printed, each with the time at which it was first seen."""
    lines = re.findall(r"^\d/\d  .*$", log, re.MULTILINE)
    return [*known, *((now, step) for step in lines[len(known) :])]


def marked(mark: str) -> list[int]:
    """The processes whose environment has the mark: the demo and all its descendants, however they were started."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended, or belongs to another user
    return found


def share_mb(pid: int) -> float:
    """The proportional memory share of a process, in MiB; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) / 1024 if match else 0.0


if __name__ == "__main__":
    sys.exit(main())

"""`mora demo` from start to end: wall time and memory of everything it starts, at most 7 minutes and 2 GB.

    python experiments/benchmarks/demo.py

Memory is the sum over all its processes (shop, Prometheus, Locust, training) of their proportional share, so that pages
that many map count once. What took how long is printed beside, so that one step is the reference of the next.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMISED_SECONDS, PROMISED_MB = 420, 2048
MARK = "MORA_LOAD_BENCHMARK"


def main() -> int:
    mark = f"{os.getpid()}-{time.time_ns()}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mora", "demo", "--dir", str(Path(folder) / "demo")]
        started, peak_mb = time.monotonic(), 0.0
        steps: list[tuple[float, str]] = []
        talk = Path(folder) / "talk"
        with talk.open("w") as said:
            running = subprocess.Popen(
                command, env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, stderr=said, text=True
            )
            while running.poll() is None:
                peak_mb = max(peak_mb, sum(map(share_mb, marked(mark))))
                steps = noted(talk.read_text(), steps, time.monotonic() - started)
                time.sleep(0.5)
        seconds = time.monotonic() - started
        proof = (running.stdout.read() if running.stdout else "").partition("The same load")
    for (begun, step), end in zip(steps, [*(at for at, _ in steps[1:]), seconds], strict=True):
        print(f"{end - begun:7.0f} s   {step}")
    print(f"{seconds:7.0f} s   all in all   (at most {PROMISED_SECONDS} s)")
    print(f"{peak_mb:7.0f} MB  at its peak  (at most {PROMISED_MB} MB)")
    print(f"\n{''.join(proof[1:])}")
    return running.returncode


def noted(talk: str, known: list[tuple[float, str]], now: float) -> list[tuple[float, str]]:
    """The steps that the demo has announced, each with when it was first seen."""
    said = re.findall(r"^\d/\d  .*$", talk, re.MULTILINE)
    return [*known, *((now, step) for step in said[len(known) :])]


def marked(mark: str) -> list[int]:
    """Processes whose environment carries the mark: children, and their children, however they were started."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue  # it has ended, or is someone else's
    return found


def share_mb(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) / 1024 if match else 0.0


if __name__ == "__main__":
    sys.exit(main())

"""How long `mora --help` takes beside an empty Python, bytecode compiled: at most 0.3 s."""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
MORA = Path(sys.executable).parent / "mora"


def seconds(command: list[str]) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def main() -> None:
    import mora

    compileall.compile_dir(str(Path(mora.__file__).parent), quiet=1)
    commands = {"mora --help": [str(MORA), "--help"], "python -c pass": [sys.executable, "-c", "pass"]}
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        seconds(command)  # once for the page cache
    for _ in range(ROUNDS):  # in turns, so that a busy moment hits both
        for name, command in commands.items():
            taken[name].append(seconds(command))
    for name, limit in (("mora --help", "at most 0.300 s"), ("python -c pass", "for comparison")):
        median, worst = statistics.median(taken[name]), max(taken[name])
        print(f"{name:16} {median:.3f} s median of {ROUNDS}, {worst:.3f} s worst   ({limit})")


if __name__ == "__main__":
    main()

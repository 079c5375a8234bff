"""Run the benchmarks of what the project promises, in its table's order: python -m experiments.benchmarks [NAME...]"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# demo.py is last: it takes minutes, the others seconds. install_size, optimize_sandbox and health_gate are run alone.
SCRIPTS = (
    "cli_startup",
    "train",
    "recommend_latency",
    "forward_pass",
    "sandbox_meter",
    "optimize_solver",
    "read_metrics",
    "cases",
    "fleet",
    "prior",
    "bounds",
    "replicas",
    "backtest",
    "forecast",
    "scale_out",
    "serve",
    "page",
    "demo",
)


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(SCRIPTS))
    if unknown:
        print(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(SCRIPTS)}.", file=sys.stderr)
        return 2
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    failed = []
    for name in SCRIPTS:
        if names and name not in names:
            continue
        print(f"== {name}", flush=True)
        started = time.monotonic()
        status = subprocess.run([sys.executable, str(HERE / f"{name}.py")], env=environment, check=False).returncode
        print(f"   ({time.monotonic() - started:.0f} s)\n", flush=True)
        if status:
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

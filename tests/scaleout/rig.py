"""A real Dask cluster on loopback: a scheduler and workers, each a process of its own, gone at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 120.0
_STOP_SECONDS = 5.0


class Rig:
    """The scheduler's address and its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        about = folder / "scheduler.json"
        self.scheduler = self._start("dask_scheduler", "--port", "0", "--scheduler-file", str(about))
        deadline = time.monotonic() + _START_SECONDS
        while not (about.is_file() and about.stat().st_size):
            assert self.scheduler.poll() is None, "the scheduler ended"
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)
        self.address: str = json.loads(about.read_text())["address"]

    def add_worker(self, *, nanny: bool = False) -> subprocess.Popen[bytes]:
        """One thread. nanny: a process that starts it again when it dies, as in a real cluster."""
        worker = self._start(
            "dask_worker", self.address, "--nthreads", "1", "--nanny" if nanny else "--no-nanny",
            "--local-directory", str(self._folder),
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def wait_for_workers(self, count: int) -> None:
        with Client(  # type: ignore[no-untyped-call]  # distributed is typed in part
            self.address, timeout=_START_SECONDS, set_as_default=False
        ) as client:
            client.wait_for_workers(count, timeout=_START_SECONDS)

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"]
        # The workers find the tests' own tasks there; one thread each for numpy, too.
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (self._folder / f"{program}.{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1"],
                cwd=self._folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """Workers first; one that waits for a scheduler that was killed is killed too."""
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def rig(folder: Path, *, workers: int, nanny: bool = False) -> Iterator[Rig]:
    cluster = Rig(folder)
    try:
        for _ in range(workers):
            cluster.add_worker(nanny=nanny)
        if workers:
            cluster.wait_for_workers(workers)
        yield cluster
    finally:
        cluster.stop()

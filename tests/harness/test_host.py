"""What a machine does beside a measurement: from files as the kernel writes them, and of this machine itself."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mora.domain import Window
from mora.harness.host import HostUse, LocalHost, UnknownHost
from tests.running import until

WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, 0, 0, 9, tzinfo=UTC), timedelta(seconds=1))
MIB = 2**20


def write_proc(
    proc: Path, *, uptime: float, user: int, idle: int, steal: int = 0, pressure: int = 0, waited: float = 0.0
) -> None:
    """A /proc with one process (id 7, two threads) that ran half of `uptime`; user, idle, steal: in clock ticks."""
    task = proc / "7/task"
    for folder in (proc / "pressure", task / "7", task / "8"):
        folder.mkdir(parents=True, exist_ok=True)
    (proc / "uptime").write_text(f"{uptime} 0.0\n")
    (proc / "stat").write_text(f"cpu  {user} 0 0 {idle} 0 0 0 {steal} 0 0\nprocs_running 3\n")
    (proc / "pressure/cpu").write_text(f"some avg10=0.00 avg60=0.00 avg300=0.00 total={pressure}\n")
    (proc / "meminfo").write_text("MemTotal: 1024 kB\nMemFree: 100 kB\nMemAvailable: 512 kB\n")
    for thread in ("7", "8"):
        (task / thread / "schedstat").write_text(f"{int(uptime / 4 * 1e9)} {int(waited / 2 * 1e9)} 9\n")
    (proc / "7/stat").write_text("7 (a) b) S" + " 0" * 19 + " 1024 10" + " 0" * 28 + "\n")
    (proc / "7/cgroup").write_text("3:cpu,cpuacct:/nowhere/in/this/machine\n")


def test_what_others_use_and_what_the_target_waited_for(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    write_proc(tmp_path, uptime=100, user=0, idle=0)
    watch = LocalHost(lambda: [7], proc=tmp_path).watch()
    watch.tick()
    write_proc(tmp_path, uptime=110, user=12 * ticks, idle=7 * ticks, steal=ticks, pressure=2_000_000, waited=1.5)
    watch.end()
    use = watch.use(WINDOW)
    # 12 s of CPU in 10 s, of which the target used 5.
    assert use is not None
    assert (use.others_cores, use.target_cores, use.idle_cores) == (0.7, 0.5, 0.7)
    assert (use.steal_cores, use.pressure_ratio, use.run_queue) == (0.1, 0.2, 3.0)
    assert use.target_waited_cores == 0.15
    assert use.others_memory_bytes == 512 * 1024 - 10 * os.sysconf("SC_PAGE_SIZE")


def test_a_process_that_ends_in_the_window_is_no_error(tmp_path: Path) -> None:
    write_proc(tmp_path, uptime=100, user=0, idle=0)
    watch = LocalHost(lambda: [7, 9], proc=tmp_path).watch()
    for path in sorted((tmp_path / "7").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "uptime").write_text("110.0 0.0\n")
    watch.end()
    use = watch.use(WINDOW)
    assert use is not None
    assert (use.target_cores, use.target_waited_cores) == (0.0, None)


def test_where_there_is_no_proc_nothing_is_known(tmp_path: Path) -> None:
    for host in (LocalHost(lambda: [1], proc=tmp_path), UnknownHost()):
        watch = host.watch()
        watch.tick()
        watch.end()
        assert watch.use(WINDOW) is None


BUSY = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]


@pytest.fixture
def watched() -> HostUse:
    """What this machine did while two processes were busy, one of them the target."""
    out = subprocess.PIPE
    with subprocess.Popen(BUSY, stdout=out) as ours, subprocess.Popen(BUSY, stdout=out) as other:
        for process in (ours, other):
            assert process.stdout is not None
            process.stdout.readline()
        watch = LocalHost(lambda: [ours.pid]).watch()
        goals = [(process.pid, _cpu_seconds(process.pid) + 0.3) for process in (ours, other)]
        until(lambda: all(_cpu_seconds(pid) > goal for pid, goal in goals), "both have run")
        watch.tick()
        watch.end()
        ours.kill()
        other.kill()
    use = watch.use(WINDOW)
    assert use is not None
    return use


def _cpu_seconds(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_on_this_machine_the_target_and_the_others_are_counted_apart(watched: HostUse) -> None:
    assert watched.target_cores is not None
    assert watched.others_cores is not None
    assert 0 < watched.target_cores <= 1.05
    assert watched.others_cores > 0.05
    assert watched.cores == os.cpu_count()
    assert watched.run_queue is not None
    assert watched.run_queue >= 1

"""What a machine does beside a load experiment: who else uses its CPU, and who waits for it.

Read from /proc (https://docs.kernel.org: filesystems/proc.html, scheduler/sched-stats.html, accounting/psi.html).
Whether it could have changed a measurement is decided in contention.py. Use by others alone is no harm: a program of
low priority takes what is idle. What harms is time in which a thread of the target, or of the load, is ready and gets
no CPU; the kernel counts it for every thread. It counts the time in which a cgroup is throttled at its limit as well,
which is the limit's doing, so that is subtracted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mora.domain import Window

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_GROUP_MOUNTS = ("cpu", "cpu,cpuacct", "cpuacct,cpu", "")


@dataclass(frozen=True, slots=True)
class HostUse:
    """What a machine did in a measured window; None where it is not known.

    cores: those it has. others_cores, others_memory_bytes: in use by what is neither the target nor MOrA (Locust, which
    knows its own use, is still among the others). idle_cores: unused. steal_cores: taken by the hypervisor.
    pressure_ratio: share of the time in which some thread waited for a CPU (PSI). run_queue: runnable threads, on
    average. target_cores: in use by the target's processes; target_waited_cores: what they were ready to use and did
    not get, beyond their own CPU limits.
    """

    cores: int
    others_cores: float | None = None
    others_memory_bytes: int | None = None
    idle_cores: float | None = None
    steal_cores: float | None = None
    pressure_ratio: float | None = None
    run_queue: float | None = None
    target_cores: float | None = None
    target_waited_cores: float | None = None


class HostWatch(Protocol):
    """Watches the machines of a target during one window."""

    def tick(self) -> None:
        """Called about every second of the window."""

    def end(self) -> None:
        """Called when the window ends."""

    def use(self, window: Window) -> HostUse | None:
        """What was seen; called when the metrics of the window can be read."""


class Host(Protocol):
    """The machines that a target runs on."""

    def watch(self) -> HostWatch:
        """A watch of the window that begins now."""


class UnknownHost:
    """Machines of which nothing is known."""

    def watch(self) -> HostWatch:
        """A watch that sees nothing."""
        return _Blind()


class _Blind:
    def tick(self) -> None:
        return None

    def end(self) -> None:
        return None

    def use(self, window: Window) -> HostUse | None:
        return None


@dataclass(frozen=True, slots=True)
class LocalHost:
    """This machine.

    target: the processes whose waiting counts. ours: further processes that serve the measurement (its Prometheus).
    proc: another folder in tests.
    """

    target: Callable[[], Sequence[int]]
    ours: Callable[[], Sequence[int]] = lambda: ()
    proc: Path = Path("/proc")

    def watch(self) -> HostWatch:
        """A watch of the window that begins now."""
        return _LocalWatch(self, _try_to_look(self))


@dataclass(frozen=True, slots=True)
class _Sight:
    """Counters of this machine at one time; seconds of CPU since its start, all cores together."""

    uptime: float
    busy: float
    idle: float
    steal: float
    pressure: float | None
    used_memory: int
    target: dict[int, tuple[float, float]]
    """Thread -> seconds that it ran, and waited."""
    throttled: dict[Path, float]
    """Cgroup -> seconds that it was throttled."""
    ours: dict[int, float]
    """Process that is not of the target -> its CPU seconds."""
    our_memory: int
    """Resident bytes of all of them, the target's included."""


@dataclass(slots=True)
class _LocalWatch:
    host: LocalHost
    first: _Sight | None
    last: _Sight | None = None
    queues: list[int] = field(default_factory=list)

    def tick(self) -> None:
        with contextlib.suppress(OSError, StopIteration, ValueError):
            self.queues.append(_running(self.host.proc))

    def end(self) -> None:
        self.last = _try_to_look(self.host)

    def use(self, window: Window) -> HostUse | None:
        if self.first is None or self.last is None or self.last.uptime <= self.first.uptime:
            return None
        before, after = self.first, self.last
        span = after.uptime - before.uptime
        ran = sum(now[0] - before.target[one][0] for one, now in after.target.items() if one in before.target)
        waited = sum(now[1] - before.target[one][1] for one, now in after.target.items() if one in before.target)
        throttled = sum(now - before.throttled[one] for one, now in after.throttled.items() if one in before.throttled)
        ours = sum(now - before.ours[one] for one, now in after.ours.items() if one in before.ours)
        return HostUse(
            cores=os.cpu_count() or 1,
            others_cores=round(max(0.0, (after.busy - before.busy - ran - ours) / span), 4),
            others_memory_bytes=max(0, after.used_memory - after.our_memory),
            idle_cores=round(max(0.0, (after.idle - before.idle) / span), 4),
            steal_cores=round(max(0.0, (after.steal - before.steal) / span), 4),
            pressure_ratio=None
            if after.pressure is None or before.pressure is None
            else round(max(0.0, (after.pressure - before.pressure) / span), 4),
            run_queue=round(sum(self.queues) / len(self.queues), 2) if self.queues else None,
            target_cores=round(ran / span, 4),
            target_waited_cores=round(max(0.0, (waited - throttled) / span), 4) if after.target else None,
        )


def _try_to_look(host: LocalHost) -> _Sight | None:
    """What is seen of this machine; None where it is no Linux, or its /proc hides it."""
    try:
        return _look(host)
    except (OSError, ValueError, LookupError):
        return None


def _look(host: LocalHost) -> _Sight:
    proc, target = host.proc, list(host.target())
    processes = {pid: _process(proc, pid) for pid in {*target, *host.ours()}}
    times = [int(word) / _TICKS for word in (proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, idle, waiting, irq, soft, steal = times
    groups = {group for pid in target if (group := _group_of(proc, pid)) is not None}
    return _Sight(
        uptime=float((proc / "uptime").read_text().split()[0]),
        busy=user + nice + system + irq + soft,
        idle=idle + waiting,
        steal=steal,
        pressure=_pressure(proc),
        used_memory=_used_memory(proc),
        target={thread: seconds for pid in target for thread, seconds in _threads(proc, pid)},
        throttled={group: _throttled_seconds(group) for group in groups},
        ours={pid: seconds for pid, (seconds, _) in processes.items() if pid not in target},
        our_memory=sum(size for _, size in processes.values()),
    )


def _threads(proc: Path, pid: int) -> Iterable[tuple[int, tuple[float, float]]]:
    """Thread -> seconds run and waited; none of a process that has ended."""
    for path in (proc / str(pid) / "task").glob("*/schedstat"):
        try:
            ran, waited = path.read_text().split()[:2]
        except OSError:
            continue
        yield int(path.parent.name), (int(ran) / 1e9, int(waited) / 1e9)


def _process(proc: Path, pid: int) -> tuple[float, int]:
    """CPU seconds and resident bytes of a process; nothing of one that has ended."""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0
    return (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE_BYTES


def _group_of(proc: Path, pid: int) -> Path | None:
    """The folder of the cgroup that limits the CPU of a process; None where there is none."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    found = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    path = next((path for names, path in found.items() if "cpu" in names.split(",")), found.get("", "/"))
    for mount in _GROUP_MOUNTS:
        folder = Path("/sys/fs/cgroup", mount, path.lstrip("/"))
        if path != "/" and (folder / "cpu.stat").exists():
            return folder
    return None


def _throttled_seconds(group: Path) -> float:
    """How long a group was throttled, by its own limit or one above it; 0 where it has ended or has no limit."""
    for name in ("cpu.stat.local", "cpu.stat"):
        try:
            pairs = dict(line.split() for line in (group / name).read_text().splitlines())
        except OSError:
            continue
        if "throttled_usec" in pairs:
            return int(pairs["throttled_usec"]) / 1e6
        if "throttled_time" in pairs:
            return int(pairs["throttled_time"]) / 1e9
    return 0.0


def _pressure(proc: Path) -> float | None:
    """Seconds in which some thread waited for a CPU; None where the kernel does not count it."""
    try:
        some = (proc / "pressure" / "cpu").read_text().split("\n", 1)[0]
    except OSError:
        return None
    return int(some.rpartition("total=")[2]) / 1e6


def _used_memory(proc: Path) -> int:
    pairs = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    amounts = {words[0]: int(words[1]) * 1024 for words in pairs if len(words) > 1}
    return amounts["MemTotal:"] - amounts["MemAvailable:"]


def _running(proc: Path) -> int:
    """Threads that run or wait for a CPU now."""
    lines = (line.split() for line in (proc / "stat").read_text().splitlines())
    return next(int(words[1]) for words in lines if words and words[0] == "procs_running")

"""Linux cgroups, versions 1 and 2: the kernel itself limits and measures the pods of the sandbox.

A sandbox has one parent group, a pod a group below it, its container a group below that, as under a kubelet. The group
of a container outlives its restart, so its counters never fall. Version 1 has one tree per controller; version 2 has
one tree, in which only leaves have processes and every level has to delegate the controllers to the next.
Paths and file formats: https://docs.kernel.org/admin-guide/cgroup-v1/ and cgroup-v2.html.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from mora.domain import Resources

PERIOD_MICROSECONDS = 100_000
SHARED_PARENT = "mora"
_V1_CONTROLLERS = ("cpu", "cpuacct", "memory")
_V2_CONTROLLERS = ("cpu", "memory")
# As in Kubernetes: 1024 shares for a core, at least 2.
_MIN_SHARES, _SHARES_PER_CORE = 2, 1024
# On every core the sandboxes outweigh this many processes of normal priority: how the shop does must depend on its
# limits, and not on what else the machine does. The limits keep it from taking all there is.
_OUTWEIGHED = 10
_NORMAL_SHARES, _MAX_SHARES = 1024, 262_144
_NORMAL_WEIGHT, _MAX_WEIGHT = 100, 10_000
# The kernel refuses a quota below 1 ms.
_MIN_QUOTA_MICROSECONDS = 1000


@dataclass(frozen=True, slots=True)
class Usage:
    """Use of a pod or container so far; counters never fall while its group exists."""

    cpu_seconds: float
    periods: int
    throttled_periods: int
    throttled_seconds: float
    working_set_bytes: int
    rss_bytes: int
    oom_kills: int


class GroupTree(Protocol):
    """The sandbox's part of the cgroup hierarchy; `path` is relative to its parent group."""

    version: str

    def create(self, path: str) -> None:
        """Make the group and the groups above it, where they do not exist."""

    def limit(self, path: str, resources: Resources) -> None:
        """Set requests and limits of the group, as a kubelet does."""

    def usage(self, path: str) -> Usage:
        """What the group has used so far."""

    def process_files(self, path: str) -> list[Path]:
        """The files to which a process writes its id to join."""

    def remove(self, path: str) -> None:
        """Kill the processes of the group, and remove it with the groups below."""

    def folders(self) -> list[Path]:
        """The folders of the parent group, for the watchdog to remove."""

    def remove_all(self) -> None:
        """Remove every group of the sandbox."""


def cpu_shares(request_millicores: int | None) -> int:
    """The weight of a CPU request in version 1, as Kubernetes computes it.

    >>> cpu_shares(None), cpu_shares(250), cpu_shares(2000)
    (2, 256, 2048)
    """
    return max(_MIN_SHARES, (request_millicores or 0) * _SHARES_PER_CORE // 1000)


def cpu_weight(request_millicores: int | None) -> int:
    """The weight of a CPU request in version 2: shares 2..262144 mapped onto 1..10000, as Kubernetes maps them.

    >>> cpu_weight(None), cpu_weight(1000)
    (1, 39)
    """
    return 1 + (cpu_shares(request_millicores) - 2) * 9999 // 262142


def cpu_quota_microseconds(limit_millicores: int) -> int:
    """CPU time of a limit in a period of 100 ms, at least 1 ms.

    >>> cpu_quota_microseconds(250), cpu_quota_microseconds(1)
    (25000, 1000)
    """
    return max(_MIN_QUOTA_MICROSECONDS, limit_millicores * PERIOD_MICROSECONDS // 1000)


class CgroupV1:
    """Version 1: a tree for each of cpu, cpuacct and memory."""

    version = "v1"

    def __init__(self, mount: Path, name: str) -> None:
        self._parents = {controller: mount / controller / name for controller in _V1_CONTROLLERS}
        for parent in self._parents.values():
            parent.mkdir(parents=True, exist_ok=True)
        _write(mount / "cpu" / Path(name).parts[0] / "cpu.shares", _precedence(_NORMAL_SHARES, _MAX_SHARES))

    def create(self, path: str) -> None:
        """Make the group and the groups above it, where they do not exist."""
        for parent in self._parents.values():
            (parent / path).mkdir(parents=True, exist_ok=True)

    def limit(self, path: str, resources: Resources) -> None:
        """Set requests and limits of the group, as a kubelet does."""
        cpu, memory = self._parents["cpu"] / path, self._parents["memory"] / path
        limit = resources.cpu_limit_millicores
        _write(cpu / "cpu.shares", cpu_shares(resources.cpu_request_millicores))
        _write(cpu / "cpu.cfs_period_us", PERIOD_MICROSECONDS)
        _write(cpu / "cpu.cfs_quota_us", -1 if limit is None else cpu_quota_microseconds(limit))
        memory_limit = resources.memory_limit_bytes
        _write(memory / "memory.limit_in_bytes", -1 if memory_limit is None else memory_limit)

    def usage(self, path: str) -> Usage:
        """What the group has used so far."""
        memory = self._parents["memory"] / path
        cpu_stat = _read_pairs(self._parents["cpu"] / path / "cpu.stat")
        memory_stat = _read_pairs(memory / "memory.stat")
        used = int((memory / "memory.usage_in_bytes").read_text())
        return Usage(
            cpu_seconds=int((self._parents["cpuacct"] / path / "cpuacct.usage").read_text()) / 1e9,
            periods=cpu_stat.get("nr_periods", 0),
            throttled_periods=cpu_stat.get("nr_throttled", 0),
            throttled_seconds=cpu_stat.get("throttled_time", 0) / 1e9,
            working_set_bytes=max(0, used - memory_stat["total_inactive_file"]),
            rss_bytes=memory_stat["total_rss"],
            oom_kills=_read_pairs(memory / "memory.oom_control").get("oom_kill", 0),
        )

    def process_files(self, path: str) -> list[Path]:
        """The files to which a process writes its id to join."""
        return [parent / path / "cgroup.procs" for parent in self._parents.values()]

    def remove(self, path: str) -> None:
        """Kill the processes of the group, and remove it with the groups below."""
        for parent in self._parents.values():
            remove_group(parent / path)

    def folders(self) -> list[Path]:
        """The folders of the parent group, for the watchdog to remove."""
        return list(self._parents.values())

    def remove_all(self) -> None:
        """Remove every group of the sandbox."""
        for parent in self._parents.values():
            remove_group(parent)


def _precedence(normal: int, most: int) -> int:
    """The weight of the group of all sandboxes; the kernel spreads a group's weight over the cores that it uses."""
    return min(normal * _OUTWEIGHED * (os.cpu_count() or 1), most)


def _make_group(group: Path) -> None:
    group.mkdir(exist_ok=True)


class CgroupV2:
    """Version 2: one tree; every level delegates cpu and memory, and only leaves have processes."""

    version = "v2"

    def __init__(self, root: Path, name: str, *, make_group: Callable[[Path], None] = _make_group) -> None:
        self._parent = root / name
        self._make_group = make_group
        self._make_below(root, Path(name))
        _write(root / Path(name).parts[0] / "cpu.weight", _precedence(_NORMAL_WEIGHT, _MAX_WEIGHT))

    def create(self, path: str) -> None:
        """Make the group and the groups above it, where they do not exist."""
        self._make_below(self._parent, Path(path))

    def _make_below(self, top: Path, path: Path) -> None:
        """Make a group; the levels above it delegate their controllers, so they can have no process."""
        group = top
        for part in path.parts:
            _delegate(group)
            group = group / part
            self._make_group(group)

    def limit(self, path: str, resources: Resources) -> None:
        """Set requests and limits of the group, as a kubelet does."""
        group, limit = self._parent / path, resources.cpu_limit_millicores
        quota = "max" if limit is None else cpu_quota_microseconds(limit)
        _write(group / "cpu.weight", cpu_weight(resources.cpu_request_millicores))
        _write(group / "cpu.max", f"{quota} {PERIOD_MICROSECONDS}")
        memory_limit = resources.memory_limit_bytes
        _write(group / "memory.max", "max" if memory_limit is None else memory_limit)

    def usage(self, path: str) -> Usage:
        """What the group has used so far."""
        group = self._parent / path
        cpu_stat, memory_stat = _read_pairs(group / "cpu.stat"), _read_pairs(group / "memory.stat")
        used = int((group / "memory.current").read_text())
        return Usage(
            cpu_seconds=cpu_stat["usage_usec"] / 1e6,
            periods=cpu_stat.get("nr_periods", 0),
            throttled_periods=cpu_stat.get("nr_throttled", 0),
            throttled_seconds=cpu_stat.get("throttled_usec", 0) / 1e6,
            working_set_bytes=max(0, used - memory_stat["inactive_file"]),
            rss_bytes=memory_stat["anon"],
            oom_kills=_read_pairs(group / "memory.events").get("oom_kill", 0),
        )

    def process_files(self, path: str) -> list[Path]:
        """The files to which a process writes its id to join."""
        return [self._parent / path / "cgroup.procs"]

    def remove(self, path: str) -> None:
        """Kill the processes of the group, and remove it with the groups below."""
        remove_group(self._parent / path)

    def folders(self) -> list[Path]:
        """The folders of the parent group, for the watchdog to remove."""
        return [self._parent]

    def remove_all(self) -> None:
        """Remove every group of the sandbox."""
        remove_group(self._parent)


def remove_group(folder: Path, patience_seconds: float = 3.0) -> None:
    """Kill every process in a group and below, and remove the groups, the deepest first.

    The kernel removes a group only when its last process has ended, which takes a moment after SIGKILL.
    """
    deadline = time.monotonic() + patience_seconds
    while folder.exists():
        for group in [Path(path) for path, _, _ in os.walk(folder, topdown=False)]:
            _kill_members(group)
            try:
                group.rmdir()
            except OSError:
                if group.exists() and time.monotonic() > deadline:
                    raise
        if folder.exists():
            time.sleep(0.01)
    # The last sandbox also removes the folder that all of them share.
    if folder.parent.name == SHARED_PARENT:
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def _kill_members(group: Path) -> None:
    with contextlib.suppress(OSError):
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class NoCgroups:
    """Cgroups cannot be used here. reason: why, for people."""

    reason: str


def open_tree(
    name: str, *, mount: Path = Path("/sys/fs/cgroup"), own_cgroup: Path = Path("/proc/self/cgroup")
) -> GroupTree | NoCgroups:
    """The sandbox's part of the cgroup version that can be written here, else the reason why none can."""
    path = f"{SHARED_PARENT}/{name}"
    attempts: list[Callable[[], GroupTree]] = []
    if all((mount / controller / "cgroup.procs").exists() for controller in _V1_CONTROLLERS):
        attempts.append(partial(CgroupV1, mount, path))
    elif (mount / "cgroup.controllers").exists():
        # From our own group upwards: the first that we may write (as root, or by delegation: `systemd-run --user
        # --scope -p Delegate=yes`) and that has no process. Our own has this one, unless it is the root.
        own = mount / _own_v2_path(own_cgroup)
        roots = [own, *(level for level in own.parents if level.is_relative_to(mount))]
        attempts += [partial(CgroupV2, root, path) for root in roots]
    else:
        return NoCgroups(f"no cgroup controllers for cpu and memory are mounted at {mount}")
    failures = []
    for attempt in attempts:
        try:
            return _again(attempt)
        except OSError as error:
            failures.append(f"{error.filename or mount}: {error.strerror}")
    return NoCgroups(f"cgroups cannot be written ({'; '.join(failures)})")


def _again(attempt: Callable[[], GroupTree]) -> GroupTree:
    """What an attempt gives, tried once more where a sandbox that ends has just removed the folder that all share."""
    try:
        return attempt()
    except FileNotFoundError:
        return attempt()


def _own_v2_path(own_cgroup: Path) -> str:
    for line in own_cgroup.read_text().splitlines():
        if line.startswith("0::"):
            return line.removeprefix("0::").lstrip("/")
    return ""


def _delegate(group: Path) -> None:
    """Delegate cpu and memory to the groups below; OSError where the group lacks them, or has processes."""
    missing = set(_V2_CONTROLLERS) - set((group / "cgroup.controllers").read_text().split())
    if missing:
        raise OSError(errno.ENOTSUP, f"controllers {', '.join(sorted(missing))} are not delegated", str(group))
    delegated = set((group / "cgroup.subtree_control").read_text().split())
    if not set(_V2_CONTROLLERS) <= delegated:
        _write(group / "cgroup.subtree_control", " ".join(f"+{controller}" for controller in _V2_CONTROLLERS))


def _write(path: Path, value: int | str) -> None:
    path.write_text(str(value))


def _read_pairs(path: Path) -> dict[str, int]:
    """A file of `name number` lines."""
    pairs = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}

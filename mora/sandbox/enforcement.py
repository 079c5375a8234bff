"""Who limits and measures a pod: the kernel through cgroups, or, where these cannot be written, the supervisor.

The supervisor does it from outside: it adds up the CPU time of a replica's threads (nanoseconds), stops the replica for
the rest of a period of 100 ms once its quota is used up, and kills it when its own memory exceeds the limit. Coarser
than the kernel, but with the same meaning.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mora.domain import Resources
from mora.sandbox.cgroups import PERIOD_MICROSECONDS, GroupTree, NoCgroups, Usage, open_tree

_CONTAINER_GROUP = "server"
_TICK_SECONDS = 0.01
_PERIOD_SECONDS = PERIOD_MICROSECONDS / 1e6
_TICKS_PER_MEMORY_CHECK = 5


class Enforcer(Protocol):
    """Limits and measures pods, each known by its id."""

    name: str
    reason: str

    def admit(self, pod: str, resources: Resources) -> None:
        """Prepare for a pod with these limits."""

    def process_files(self, pod: str) -> list[Path]:
        """The cgroup files that the pod's process has to join, if any."""

    def attach(self, pod: str, pid: int) -> None:
        """The pod's container runs as this process now."""

    def container_usage(self, pod: str) -> Usage: ...

    def pod_usage(self, pod: str) -> Usage: ...

    def release(self, pod: str) -> None:
        """The pod is gone; its process has ended."""

    def folders(self) -> list[Path]:
        """The cgroup folders to remove if the supervisor cannot."""

    def close(self) -> None: ...


class KernelEnforcer:
    """cgroups: all figures are the kernel's own."""

    def __init__(self, tree: GroupTree) -> None:
        self._tree = tree
        self.name = f"cgroups {tree.version}"
        self.reason = "limits are enforced and usage is measured by the kernel"

    def admit(self, pod: str, resources: Resources) -> None:
        self._tree.create(_container(pod))
        self._tree.limit(_pod(pod), resources)
        self._tree.limit(_container(pod), resources)

    def process_files(self, pod: str) -> list[Path]:
        return self._tree.process_files(_container(pod))

    def attach(self, pod: str, pid: int) -> None:
        return None

    def container_usage(self, pod: str) -> Usage:
        return self._tree.usage(_container(pod))

    def pod_usage(self, pod: str) -> Usage:
        return self._tree.usage(_pod(pod))

    def release(self, pod: str) -> None:
        self._tree.remove(_pod(pod))

    def folders(self) -> list[Path]:
        return self._tree.folders()

    def close(self) -> None:
        self._tree.remove_all()


def _pod(pod: str) -> str:
    return f"pod{pod}"


def _container(pod: str) -> str:
    return f"pod{pod}/{_CONTAINER_GROUP}"


@dataclass(slots=True)
class _Ward:
    """A pod that the supervisor limits and measures.

    cpu_ns: of all containers the pod has had; period_ns: what the running period had used when it began, less what the
    period before overdrew.
    """

    resources: Resources
    pid: int | None = None
    ended_cpu_ns: int = 0
    running_cpu_ns: int = 0
    period_start: float = field(default_factory=time.monotonic)
    period_ns: int = 0
    stopped_at: float | None = None
    periods: int = 0
    throttled_periods: int = 0
    throttled_seconds: float = 0.0
    memory_bytes: int = 0
    oom_kills: int = 0

    @property
    def cpu_ns(self) -> int:
        return self.ended_cpu_ns + self.running_cpu_ns

    @property
    def quota_ns(self) -> int | None:
        limit = self.resources.cpu_limit_millicores
        return None if limit is None else int(limit / 1000 * _PERIOD_SECONDS * 1e9)


class SupervisorEnforcer:
    """Duty cycles and kills by the supervisor, for hosts where cgroups cannot be written."""

    name = "supervisor"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self._wards: dict[str, _Ward] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="enforcer", daemon=True)
        self._thread.start()

    def admit(self, pod: str, resources: Resources) -> None:
        with self._lock:
            self._wards[pod] = _Ward(resources)

    def process_files(self, pod: str) -> list[Path]:
        return []

    def attach(self, pod: str, pid: int) -> None:
        with self._lock:
            ward = self._wards[pod]
            ward.ended_cpu_ns += ward.running_cpu_ns
            ward.running_cpu_ns, ward.memory_bytes, ward.stopped_at, ward.pid = 0, 0, None, pid

    def container_usage(self, pod: str) -> Usage:
        with self._lock:
            ward = self._wards[pod]
            return Usage(
                cpu_seconds=ward.cpu_ns / 1e9,
                periods=ward.periods,
                throttled_periods=ward.throttled_periods,
                throttled_seconds=ward.throttled_seconds,
                working_set_bytes=ward.memory_bytes,
                rss_bytes=ward.memory_bytes,
                oom_kills=ward.oom_kills,
            )

    def pod_usage(self, pod: str) -> Usage:
        return self.container_usage(pod)

    def release(self, pod: str) -> None:
        with self._lock:
            del self._wards[pod]

    def folders(self) -> list[Path]:
        return []

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        tick = 0
        while not self._closed.wait(_TICK_SECONDS):
            tick += 1
            with self._lock:
                for ward in self._wards.values():
                    if ward.pid is not None:
                        self._inspect(ward, ward.pid, is_memory_due=tick % _TICKS_PER_MEMORY_CHECK == 0)

    def _inspect(self, ward: _Ward, pid: int, *, is_memory_due: bool) -> None:
        try:
            ward.running_cpu_ns = max(ward.running_cpu_ns, read_cpu_ns(pid))
            if is_memory_due:
                ward.memory_bytes = read_own_memory_bytes(pid)
        except (FileNotFoundError, ProcessLookupError):
            ward.pid = None
            return
        limit = ward.resources.memory_limit_bytes
        if limit is not None and ward.memory_bytes > limit:
            ward.oom_kills += 1
            ward.pid = None
            _signal(pid, signal.SIGKILL)
        else:
            _throttle(ward, pid, time.monotonic())


def _throttle(ward: _Ward, pid: int, now: float) -> None:
    """Stop the process for the rest of its period once its quota is used up; CPU that it overdrew is paid back."""
    quota_ns = ward.quota_ns
    if quota_ns is None:
        return
    used_ns = ward.cpu_ns - ward.period_ns
    if now - ward.period_start >= _PERIOD_SECONDS:
        ward.periods += 1 if used_ns > 0 else 0
        overdrawn_ns = max(0, used_ns - quota_ns)
        ward.period_ns = ward.cpu_ns - overdrawn_ns
        ward.period_start = now
        if ward.stopped_at is not None:
            ward.throttled_periods += 1
            ward.throttled_seconds += now - ward.stopped_at
            ward.stopped_at = now
            if overdrawn_ns < quota_ns:
                ward.stopped_at = None
                _signal(pid, signal.SIGCONT)
    elif used_ns >= quota_ns and ward.stopped_at is None:
        ward.stopped_at = now
        _signal(pid, signal.SIGSTOP)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def read_cpu_ns(pid: int) -> int:
    """CPU time of all living threads of a process, in nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def read_own_memory_bytes(pid: int) -> int:
    """Memory that is the process's own (anonymous and shared), without the files that it has mapped.

    A cgroup charges a program's files to whoever touched them first, so this is what its working set comes to.
    """
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(line[1]) * 1024 for line in lines if line and line[0] in ("RssAnon:", "RssShmem:"))


def open_enforcer(group_name: str, wanted: str | None) -> Enforcer:
    """The kernel where it can be, else the supervisor. wanted "supervisor": the supervisor even so."""
    if wanted == "supervisor":
        return SupervisorEnforcer("asked for; the supervisor enforces limits and measures the processes")
    tree = open_tree(group_name)
    if isinstance(tree, NoCgroups):
        return SupervisorEnforcer(f"{tree.reason}; the supervisor enforces limits and measures the processes")
    return KernelEnforcer(tree)
